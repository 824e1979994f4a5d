//! The reader of a destination, and its senders.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluice_pipeline::ComponentId;
use sluice_pipeline::clock::Clock;
use sluice_pipeline::exporter::{Delivery, Exporter};
use sluice_pipeline::ledger::reasons;
use sluice_pipeline::processor::Batching;
use sluice_pipeline::rng::Rng;
use sluice_pipeline::spine::{Completion, Destination, Entry, ReadLimit, Spine};
use sluice_pipeline::telemetry::{ExporterMetrics, Telemetry};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use super::age::MaxAge;
use super::gate::{Gate, Permit};
use super::learned::LearnedMax;
use super::merge::{Merge, payload};
use super::metrics::Metrics;
use super::sender::{Ages, Sender, Sent, Terms};

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

/// Records taken from the spine at once.
const RECORDS: usize = 1024;

/// How often data is looked for that got too old, while nothing can be sent.
const SWEEP: Duration = Duration::from_secs(1);

/// A destination at work.
pub struct Pump {
    stop: Arc<Stop>,
    reader: JoinHandle<()>,
    spine: Arc<dyn Spine>,
    destination: Destination,
    reading: Reading,
}

/// Held by a read that goes to the disk: it goes on when its reader is cut off.
type Reading = Arc<tokio::sync::Mutex<()>>;

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
        let protection = delivery.protection;
        let in_order = capabilities.ordered || protection.strict_order;
        let bounds = if in_order { (1, 1) } else { protection.concurrency.bounds(queue.num_consumers) };
        let retry = delivery.retry.unwrap_or_default();
        if let Some(limit) = delivery.retry.and_then(|retry| retry.max_elapsed_time()) {
            tracing::warn!(exporter = %id, ?limit, "`max_elapsed_time`: what is not delivered by then is given up");
        }
        let merge = Merge::new(queue.batching().or(batching), &delivery.partition, capabilities);
        let gauges = Metrics::of_gate(&telemetry, &id);
        let max_age = queue.max_age.map(|age| *age).filter(|age| !age.is_zero());
        let sender = Arc::new(Sender {
            gate: Arc::new(Gate::new(&protection, retry, bounds, delivery.timeout, clock.now(), gauges)),
            learned: LearnedMax::default(),
            max_age: max_age.map(|limit| MaxAge::new(limit, Arc::clone(&clock))),
            common: ExporterMetrics::new(&telemetry, &id),
            metrics: Metrics::new(&telemetry, &id),
            id,
            exporter,
            delivery,
            clock,
            rng,
            spine: Arc::clone(&spine),
            destination,
        });
        // Nothing waits for that: until then, the limits are the usual ones.
        tokio::spawn(spine.limit_letters(destination, protection.dead_letter));
        let stop = Arc::new(Stop::default());
        let reader = Reader {
            sender,
            merge,
            spine: Arc::clone(&spine),
            destination,
            reading: Reading::default(),
            stop: Arc::clone(&stop),
        };
        let reading = Arc::clone(&reader.reading);
        Pump { stop, reader: tokio::spawn(reader.run()), spine, destination, reading }
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
        // What a read still hands out belongs to the next reader, too.
        drop(self.reading.lock().await);
        self.spine.rewind(self.destination);
    }
}

struct Reader {
    sender: Arc<Sender>,
    merge: Merge,
    spine: Arc<dyn Spine>,
    destination: Destination,
    reading: Reading,
    stop: Arc<Stop>,
}

impl Reader {
    async fn run(self) {
        let mut watches = JoinSet::new();
        let watched = Arc::clone(&self.sender);
        // Ends with this reader.
        watches.spawn(async move { watched.watch().await });
        let mut senders = JoinSet::new();
        let mut waiting: Vec<Entry> = Vec::new();
        loop {
            while senders.try_join_next().is_some() {}
            let Some(permit) = self.permit(&mut waiting).await else { break };
            if waiting.is_empty() {
                waiting = self.read().await;
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
            let group = self.merge.next_group(&mut waiting, self.sender.learned.bytes(&*self.sender.clock));
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

    /// Leave for one more payload; none if there shall be no more. What gets too old in the meantime is dropped.
    async fn permit(&self, waiting: &mut Vec<Entry>) -> Option<Permit> {
        let clock = &self.sender.clock;
        loop {
            if self.stop.leaves() {
                return None;
            }
            let sweep = async {
                match &self.sender.max_age {
                    Some(_) => clock.sleep(SWEEP).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                permit = self.sender.gate.permit(&**clock) => return Some(permit),
                () = self.stop.asked.notified() => {}
                () = sweep => self.sweep(waiting).await,
            }
        }
    }

    /// Drops what is too old, up to the first entry that is not.
    async fn sweep(&self, waiting: &mut Vec<Entry>) {
        loop {
            drop_old(&self.sender, &*self.spine, self.destination, waiting);
            if !waiting.is_empty() {
                return;
            }
            let unread = self.read_unseen().await;
            if unread.is_empty() {
                return;
            }
            *waiting = unread;
        }
    }

    async fn read(&self) -> Vec<Entry> {
        loop {
            let mut entries = self.read_unseen().await;
            if entries.is_empty() {
                return entries;
            }
            drop_old(&self.sender, &*self.spine, self.destination, &mut entries);
            if !entries.is_empty() {
                return entries;
            }
        }
    }

    async fn read_unseen(&self) -> Vec<Entry> {
        // A little more than a payload, so that the next one need not wait for another read.
        let limit = ReadLimit { records: RECORDS, items: self.merge.max_items, bytes: self.merge.max_bytes };
        if !self.spine.read_blocks(self.destination) {
            return self.spine.read(self.destination, limit);
        }
        let reading = Arc::clone(&self.reading).lock_owned().await;
        let (spine, destination) = (Arc::clone(&self.spine), self.destination);
        let read = tokio::task::spawn_blocking(move || {
            let _reading = reading;
            spine.read(destination, limit)
        });
        read.await.unwrap_or_default()
    }

    /// Waits until the batch is large enough, its flush timeout is over, or the pump is asked to stop.
    async fn wait_for_more(&self, waiting: &mut Vec<Entry>) {
        let Some(batching) = &self.merge.batching else { return };
        let clock = &self.sender.clock;
        let deadline = clock.now() + batching.flush_timeout;
        while !self.merge.is_enough(waiting) {
            tokio::select! {
                () = self.spine.readable(self.destination) => {
                    let more = self.read().await;
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
    async fn deliver(self, mut group: Vec<Entry>) {
        let capabilities = self.sender.exporter.capabilities();
        let since = self.sender.clock.now();
        while let Some(payload) = payload(&group, &capabilities) {
            self.sender.common.batch_send_size.record(payload.items as f64);
            let terms = Terms { since, ages: self.sender.max_age.as_ref().and_then(|_| ages(&group)) };
            match self.sender.send(payload, terms).await {
                Sent::Known(fates) => {
                    for (seq, completion) in fates.completions(&group) {
                        self.spine.complete(self.destination, seq, completion);
                    }
                    return;
                }
                Sent::Stale => drop_old(&self.sender, &*self.spine, self.destination, &mut group),
                Sent::LeftToOthers => return,
            }
        }
    }
}

fn ages(group: &[Entry]) -> Option<Ages> {
    let ingests = || group.iter().map(Entry::ingest);
    Some(Ages {
        oldest: ingests().min_by_key(|ingest| (ingest.monotonic, ingest.wall))?,
        newest: ingests().max_by_key(|ingest| (ingest.monotonic, ingest.wall))?,
    })
}

/// Drops the entries that are too old for their destination.
fn drop_old(sender: &Sender, spine: &dyn Spine, destination: Destination, entries: &mut Vec<Entry>) {
    let Some(max_age) = &sender.max_age else { return };
    let mut dropped = 0;
    entries.retain(|entry| {
        let over = max_age.is_over(entry.ingest());
        if over {
            let items = entry.batch().items();
            spine.complete(destination, entry.seq(), Completion::dropped(reasons::MAX_AGE, items));
            dropped += items;
        }
        !over
    });
    if dropped > 0 {
        tracing::warn!(exporter = %sender.id, dropped_items = dropped, "data is older than `max_age`");
    }
}
