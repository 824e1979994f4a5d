//! The reader of a destination, and its senders.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluice_pipeline::ComponentId;
use sluice_pipeline::clock::Clock;
use sluice_pipeline::exporter::{Delivery, Exporter};
use sluice_pipeline::processor::Batching;
use sluice_pipeline::rng::Rng;
use sluice_pipeline::spine::{Completion, Destination, Entry, ReadLimit, Spine};
use sluice_pipeline::telemetry::{ExporterMetrics, Telemetry};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};

use super::gate::Gate;
use super::merge::{Merge, payload};
use super::sender::Sender;

/// What a pump is made of.
pub struct Parts {
    pub id: ComponentId,
    pub exporter: Arc<dyn Exporter>,
    pub delivery: Delivery,
    /// The policy of a `batch` processor in front; the queue's own `batch` block wins.
    pub batching: Option<Batching>,
    pub spine: Arc<dyn Spine>,
    pub destination: Destination,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub telemetry: Telemetry,
}

/// Concurrent sends where `num_consumers` is not written.
const CONSUMERS: usize = 10;
/// Records taken from the spine at once.
const RECORDS: usize = 1024;

const CONFIG_ERROR: &str = "sluice_destination_config_error";

/// Takes back what was said of a destination that is not configured any more: nobody would ever take an alarm back.
pub fn forget(exporter: &ComponentId, telemetry: &Telemetry) {
    telemetry.forget(CONFIG_ERROR, &[("exporter", exporter.as_str())]);
}

/// A destination at work.
pub struct Pump {
    stop: Arc<Stop>,
    reader: JoinHandle<()>,
    spine: Arc<dyn Spine>,
    destination: Destination,
}

#[derive(Default)]
struct Stop {
    /// End as soon as nothing is readable and nothing in flight.
    drain: AtomicBool,
    /// End as soon as nothing is in flight.
    leave: AtomicBool,
    asked: Notify,
}

impl Stop {
    fn ask(&self, what: &AtomicBool) {
        what.store(true, Ordering::Release);
        self.asked.notify_one();
    }

    fn drains(&self) -> bool {
        self.drain.load(Ordering::Acquire)
    }

    fn leaves(&self) -> bool {
        self.leave.load(Ordering::Acquire)
    }
}

impl Pump {
    /// Starts reading, on tasks of the current runtime.
    pub fn start(parts: Parts) -> Self {
        let Parts { id, exporter, delivery, batching, spine, destination, clock, rng, telemetry } = parts;
        let queue = delivery.queue.clone().unwrap_or_default();
        let capabilities = exporter.capabilities();
        let written = queue.num_consumers.and_then(|number| usize::try_from(number).ok());
        let consumers = if capabilities.ordered { 1 } else { written.unwrap_or(CONSUMERS).max(1) };
        let merge = Merge::new(queue.batching().or(batching), capabilities);
        let label = [("exporter", id.as_str())];
        let sender = Arc::new(Sender {
            gate: Gate::default(),
            metrics: ExporterMetrics::new(&telemetry, &id),
            config_error: telemetry.gauge(CONFIG_ERROR, &label),
            retries: telemetry.counter("sluice_exporter_retries_total", &label),
            id,
            exporter,
            delivery,
            clock,
            rng,
            spine: Arc::clone(&spine),
            destination,
        });
        let stop = Arc::new(Stop::default());
        let reader = Reader {
            sender,
            merge,
            spine: Arc::clone(&spine),
            destination,
            consumers: Arc::new(Semaphore::new(consumers)),
            stop: Arc::clone(&stop),
        };
        Pump { stop, reader: tokio::spawn(reader.run()), spine, destination }
    }

    /// Delivers what is left for at most `grace`, then gives up: what remains is counted as lost with the memory that held
    /// it.
    pub async fn stop(self, grace: Duration) {
        let (spine, destination) = (Arc::clone(&self.spine), self.destination);
        self.drain(tokio::time::sleep(grace)).await;
        loop {
            let limit = ReadLimit { records: RECORDS, items: usize::MAX, bytes: usize::MAX };
            let left = spine.read(destination, limit);
            if left.is_empty() {
                return;
            }
            for entry in left {
                let items = entry.batch().items();
                spine.complete(destination, entry.seq(), Completion::dropped("shutdown_memory_mode", items));
            }
        }
    }

    /// Delivers what is left, but not beyond `until`. What remains is there for the next reader of the destination.
    pub async fn drain(self, until: impl Future<Output = ()>) {
        self.stop.ask(&self.stop.drain);
        self.end(until).await;
    }

    /// Reads no further, waits for what is in flight, but not beyond `until`, and leaves the rest to the next reader of the
    /// destination. What was cut off is sent again.
    pub async fn hand_over(self, until: impl Future<Output = ()>) {
        self.stop.ask(&self.stop.leave);
        self.end(until).await;
    }

    async fn end(mut self, until: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            _ = &mut self.reader => {}
            () = until => {
                self.reader.abort();
                let _ = (&mut self.reader).await;
            }
        }
        self.spine.rewind(self.destination);
    }
}

struct Reader {
    sender: Arc<Sender>,
    merge: Merge,
    spine: Arc<dyn Spine>,
    destination: Destination,
    consumers: Arc<Semaphore>,
    stop: Arc<Stop>,
}

impl Reader {
    async fn run(self) {
        let mut senders = JoinSet::new();
        let mut waiting: Vec<Entry> = Vec::new();
        loop {
            while senders.try_join_next().is_some() {}
            let Some(permit) = self.permit().await else { break };
            if waiting.is_empty() {
                waiting = self.read();
            }
            let draining = self.stop.drains();
            if waiting.is_empty() {
                if draining {
                    break;
                }
                drop(permit);
                tokio::select! {
                    () = self.spine.readable(self.destination) => {}
                    () = self.stop.asked.notified() => {}
                }
                continue;
            }
            if !draining && !self.merge.is_enough(&waiting) {
                self.wait_for_more(&mut waiting).await;
            }
            if self.stop.leaves() {
                break;
            }
            let group = self.merge.next_group(&mut waiting);
            let this = Work {
                sender: Arc::clone(&self.sender),
                spine: Arc::clone(&self.spine),
                destination: self.destination,
            };
            senders.spawn(async move {
                this.deliver(group).await;
                drop(permit);
            });
        }
        if self.stop.leaves() {
            // Attempts under way have their time; those that wait for a destination that fails would have to be cut off.
            self.sender.gate.close();
        }
        while senders.join_next().await.is_some() {}
    }

    /// Leave for one more sender; none if there shall be no more.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let mut permit = std::pin::pin!(Arc::clone(&self.consumers).acquire_owned());
        loop {
            if self.stop.leaves() {
                return None;
            }
            tokio::select! {
                permit = &mut permit => return permit.ok(),
                () = self.stop.asked.notified() => {}
            }
        }
    }

    fn read(&self) -> Vec<Entry> {
        // A little more than a payload, so that the next one need not wait for another read.
        let limit = ReadLimit { records: RECORDS, items: self.merge.max_items, bytes: self.merge.max_bytes };
        self.spine.read(self.destination, limit)
    }

    /// Waits until the batch is large enough, its flush timeout is over, or the pump is asked to stop.
    async fn wait_for_more(&self, waiting: &mut Vec<Entry>) {
        let Some(batching) = &self.merge.batching else { return };
        let clock = &self.sender.clock;
        let deadline = clock.now() + batching.flush_timeout;
        while !self.merge.is_enough(waiting) {
            tokio::select! {
                () = self.spine.readable(self.destination) => {
                    let more = self.read();
                    waiting.extend(more);
                }
                () = clock.sleep_until(deadline) => return,
                () = self.stop.asked.notified() => {
                    self.stop.asked.notify_one();
                    return;
                }
            }
        }
    }
}

struct Work {
    sender: Arc<Sender>,
    spine: Arc<dyn Spine>,
    destination: Destination,
}

impl Work {
    async fn deliver(self, group: Vec<Entry>) {
        let capabilities = self.sender.exporter.capabilities();
        let Some(payload) = payload(&group, &capabilities) else { return };
        self.sender.metrics.batch_send_size.record(payload.items as f64);
        let Some(fates) = self.sender.send(payload).await else { return };
        tracing::trace!(delivered = fates.delivered(), dropped = fates.dropped(), "payload resolved");
        for (seq, completion) in fates.completions(&group) {
            self.spine.complete(self.destination, seq, completion);
        }
    }
}
