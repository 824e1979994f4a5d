//! The task that brings what was written into one pipeline, and tries again until it is accepted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use metrics::Counter;
use sluice_pipeline::clock::Clock;
use sluice_pipeline::receiver::Consumer;
use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::{Batch, ComponentId, Context, Refusal, Signal};
use tokio::sync::{Notify, watch};

use super::emit::encode;
use super::outbox::Outbox;
use super::series::Emission;

/// Most data points of one batch.
const POINTS: usize = 20_000;
/// The wait after the first refusal; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The way into one pipeline: what waits for it, shared by the engine's task and the sender's.
#[derive(Debug)]
pub struct Lane {
    outbox: Mutex<Outbox>,
    added: Notify,
}

impl Lane {
    /// `limit` as for [`Outbox::new`].
    pub fn new(limit: usize) -> Self {
        Lane { outbox: Mutex::new(Outbox::new(limit)), added: Notify::new() }
    }

    /// Hands over what was written.
    pub fn add(&self, emissions: &[Emission]) {
        self.outbox().add(emissions.iter().cloned());
        self.added.notify_one();
    }

    /// What waits.
    pub fn outbox(&self) -> MutexGuard<'_, Outbox> {
        // A poisoned outbox is whole: nothing in it panics half-way.
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Empties a [`Lane`] into a pipeline.
pub struct Sender {
    pub id: ComponentId,
    pub lane: Arc<Lane>,
    pub target: Arc<dyn Consumer>,
    pub clock: Arc<dyn Clock>,
    pub telemetry: Telemetry,
}

impl Sender {
    /// Runs until `stop` is set, then tries once more to send what waits.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut wait = FIRST_WAIT;
        let mut points = POINTS;
        loop {
            let stopping = *stop.borrow_and_update();
            let emissions = self.lane.outbox().take(points);
            if emissions.is_empty() {
                if stopping {
                    return;
                }
                tokio::select! {
                    () = self.lane.added.notified() => {}
                    _ = stop.changed() => {}
                }
                continue;
            }
            let Err(refusal) = self.send(&emissions).await else {
                (wait, points) = (FIRST_WAIT, POINTS);
                continue;
            };
            self.count(&refusal).increment(1);
            if !refusal.is_retryable() {
                let lost: usize = emissions.iter().map(|emission| emission.samples.len()).sum();
                tracing::warn!(processor = %self.id, %refusal, points = lost, "synthetic metrics were rejected");
                self.telemetry
                    .counter("otlp_liveness_emissions_lost_total", &self.labels(&refusal))
                    .increment(lost as u64);
                continue;
            }
            self.lane.outbox().put_back(emissions);
            if stopping {
                let left = self.lane.outbox().points();
                tracing::warn!(processor = %self.id, %refusal, points = left, "synthetic metrics were refused to the end");
                return;
            }
            if wait == FIRST_WAIT {
                tracing::warn!(processor = %self.id, %refusal, "synthetic metrics were refused; they are sent again");
            }
            tokio::select! {
                () = self.clock.sleep(wait) => {}
                _ = stop.changed() => {}
            }
            // A small quota takes a small batch.
            (wait, points) = ((wait * 2).min(LONGEST_WAIT), (points / 2).max(1));
        }
    }

    async fn send(&self, emissions: &[Emission]) -> Result<(), Refusal> {
        let mut request = Vec::new();
        let points = encode(emissions, &mut request);
        let context = Arc::new(Context::internal(self.id.clone(), self.clock.arrival()));
        let batch = Batch::new(Signal::Metrics, Bytes::from(request), points, context);
        self.target.consume(batch).await.map(|_| ())
    }

    fn count(&self, refusal: &Refusal) -> Counter {
        self.telemetry.counter("otlp_liveness_emissions_refused_total", &self.labels(refusal))
    }

    fn labels<'a>(&'a self, refusal: &Refusal) -> [(&'static str, &'a str); 2] {
        [("cause", refusal.cause()), ("processor", self.id.as_str())]
    }
}
