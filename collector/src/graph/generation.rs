//! When nothing is under way any more that one configuration began.

use std::time::Duration;

use sluice_pipeline::intake::Intake;
use sluice_pipeline::outcome::{Accepted, Refusal};
use sluice_pipeline::receiver::Consumer;
use sluice_pipeline::{Batch, BoxFuture};
use tokio::sync::watch;

/// The ways into the pipelines of one configuration. Whoever has one, be it a receiver or a request under way, keeps the
/// generation alive.
pub struct Generation(watch::Sender<()>);

impl Generation {
    pub fn new() -> Self {
        Generation(watch::Sender::new(()))
    }

    /// The intake as a member of this generation.
    pub fn member(&self, intake: Intake) -> Member {
        Member { intake, _lease: self.0.subscribe() }
    }

    /// Keeps the generation alive for as long as it is held.
    pub fn lease(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }

    /// Until the last member is gone.
    pub async fn ended(&self) {
        self.0.closed().await;
    }
}

/// An intake that its generation knows of.
pub struct Member {
    intake: Intake,
    _lease: watch::Receiver<()>,
}

impl Consumer for Member {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<Accepted, Refusal>> {
        self.intake.consume(batch)
    }

    fn ready(&self) -> Result<(), Refusal> {
        self.intake.ready()
    }
}

/// How long a reload waits for what is under way: as long as it says, but no longer once the process is to end.
#[derive(Clone)]
pub struct Patience(watch::Receiver<bool>);

impl Patience {
    /// Ends for good when the sender says `true`.
    pub fn new(hurry: watch::Receiver<bool>) -> Self {
        Patience(hurry)
    }

    /// Until it is used up.
    pub async fn until(&self, grace: Duration) {
        let mut hurry = self.0.clone();
        let hurried = async {
            if hurry.wait_for(|hurry| *hurry).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(grace) => {}
            () = hurried => {}
        }
    }
}
