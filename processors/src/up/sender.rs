//! The task that brings what was written into one pipeline, and tries again until it is accepted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sluice_pipeline::clock::Clock;
use sluice_pipeline::receiver::Consumer;
use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::{Batch, ComponentId, Context, Refusal, Signal};
use tokio::sync::{Notify, watch};

use super::emit::encode;
use super::outbox::{Outbox, OwnSeries};
use super::series::Emission;
use super::stale::{Marked, mark};

/// Most data points of one batch.
const POINTS: usize = 20_000;
/// Most targets whose own series one batch marks.
const OWN_TARGETS: usize = 64;
/// Most bytes that a kept batch has when it is not compressed.
const KEPT_BYTES: usize = super::step::KEPT_BYTES;
/// The wait after the first refusal; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The way into one pipeline: what waits for it, shared by the engine's task and the sender's.
#[derive(Debug)]
pub struct Lane {
    outbox: Mutex<Outbox>,
    added: Notify,
    /// Batches of targets that could not be kept or marked (`stale_tracker`).
    pub degraded: AtomicU64,
}

impl Lane {
    /// Limits as for [`Outbox::new`].
    pub fn new(limit: usize, own_limit: usize) -> Self {
        Lane { outbox: Mutex::new(Outbox::new(limit, own_limit)), added: Notify::new(), degraded: AtomicU64::new(0) }
    }

    /// Hands over what was written.
    pub fn add(&self, emissions: &[Emission]) {
        self.outbox().add(emissions.iter().cloned());
        self.added.notify_one();
    }

    /// Hands over the series of a target that ended.
    pub fn add_own(&self, own: OwnSeries) {
        if !own.kept.is_empty() {
            self.outbox().add_own(own);
            self.added.notify_one();
        }
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
    pub seed: ahash::RandomState,
}

impl Sender {
    /// Runs until `stop` is set, then tries once more to send what waits.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut wait = FIRST_WAIT;
        let mut points = POINTS;
        loop {
            let stopping = *stop.borrow_and_update();
            let parcel = self.lane.take(points);
            if parcel.is_empty() {
                if stopping {
                    return;
                }
                tokio::select! {
                    () = self.lane.added.notified() => {}
                    _ = stop.changed() => {}
                }
                continue;
            }
            let (request, size) = self.encode(&parcel);
            let Err(refusal) = self.send(request, size).await else {
                (wait, points) = (FIRST_WAIT, POINTS);
                continue;
            };
            let labels = self.labels(&refusal);
            self.telemetry.counter("otlp_liveness_emissions_refused_total", &labels).increment(1);
            if !refusal.is_retryable() {
                tracing::warn!(processor = %self.id, %refusal, points = size, "synthetic metrics were rejected");
                self.telemetry.counter("otlp_liveness_emissions_lost_total", &labels).increment(size as u64);
                continue;
            }
            self.lane.put_back(parcel);
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

    async fn send(&self, request: Bytes, points: usize) -> Result<(), Refusal> {
        if points == 0 {
            return Ok(());
        }
        let context = Arc::new(Context::internal(self.id.clone(), self.clock.arrival()));
        let batch = Batch::new(Signal::Metrics, request, points, context);
        self.target.consume(batch).await.map(|_| ())
    }

    /// The request, and its data points.
    fn encode(&self, parcel: &Parcel) -> (Bytes, usize) {
        let mut request = Vec::new();
        let mut points = encode(&parcel.emissions, &mut request);
        for own in &parcel.own {
            let mut marked = Marked::new(self.seed.clone());
            for kept in &own.kept {
                let plain = zstd::bulk::decompress(kept, KEPT_BYTES).ok();
                match plain.map(|plain| mark(&plain, own.time_ms, &mut marked, &mut request)) {
                    Some(Ok(found)) => points += found,
                    _ => {
                        self.lane.degraded.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        (Bytes::from(request), points)
    }

    fn labels<'a>(&'a self, refusal: &Refusal) -> [(&'static str, &'a str); 2] {
        [("cause", refusal.cause()), ("processor", self.id.as_str())]
    }
}

/// What goes out together.
struct Parcel {
    emissions: Vec<Emission>,
    own: Vec<OwnSeries>,
}

impl Parcel {
    fn is_empty(&self) -> bool {
        self.emissions.is_empty() && self.own.is_empty()
    }
}

impl Lane {
    fn take(&self, points: usize) -> Parcel {
        let mut outbox = self.outbox();
        let emissions = outbox.take(points);
        // As many targets as a small quota leaves room for.
        let own = outbox.take_own((points * OWN_TARGETS / POINTS).max(1));
        Parcel { emissions, own }
    }

    fn put_back(&self, parcel: Parcel) {
        let mut outbox = self.outbox();
        outbox.put_back(parcel.emissions);
        outbox.put_back_own(parcel.own);
    }
}
