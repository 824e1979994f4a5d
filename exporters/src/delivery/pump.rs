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
use tokio::sync::{Notify, Semaphore};
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
    pause: AtomicBool,
    asked: Notify,
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
            config_error: telemetry.gauge("sluice_destination_config_error", &label),
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
    pub async fn stop(mut self, grace: Duration) {
        self.stop.drain.store(true, Ordering::Release);
        self.stop.asked.notify_one();
        if tokio::time::timeout(grace, &mut self.reader).await.is_ok() {
            return;
        }
        self.reader.abort();
        let _ = (&mut self.reader).await;
        self.spine.rewind(self.destination);
        loop {
            let limit = ReadLimit { records: RECORDS, items: usize::MAX, bytes: usize::MAX };
            let left = self.spine.read(self.destination, limit);
            if left.is_empty() {
                return;
            }
            for entry in left {
                let items = entry.batch().items();
                self.spine.complete(self.destination, entry.seq(), Completion::dropped("shutdown_memory_mode", items));
            }
        }
    }

    /// Begins no more sends, and waits at most `grace` for those in flight. What is not delivered stays in the spine; what was
    /// cut off half-way is sent again by whoever reads next.
    pub async fn pause(mut self, grace: Duration) {
        self.stop.pause.store(true, Ordering::Release);
        self.stop.asked.notify_one();
        if tokio::time::timeout(grace, &mut self.reader).await.is_err() {
            self.reader.abort();
            let _ = (&mut self.reader).await;
        }
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
            let Ok(permit) = Arc::clone(&self.consumers).acquire_owned().await else { return };
            if self.pausing() {
                break;
            }
            if waiting.is_empty() {
                waiting = self.read();
            }
            let draining = self.stop.drain.load(Ordering::Acquire);
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
                if self.pausing() {
                    break;
                }
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
        while senders.join_next().await.is_some() {}
    }

    fn pausing(&self) -> bool {
        self.stop.pause.load(Ordering::Acquire)
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
        let fates = self.sender.send(payload).await;
        tracing::trace!(delivered = fates.delivered(), dropped = fates.dropped(), "payload resolved");
        for (seq, completion) in fates.completions(&group) {
            self.spine.complete(self.destination, seq, completion);
        }
    }
}
