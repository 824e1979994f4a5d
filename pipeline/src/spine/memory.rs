//! The spine in memory: a byte-bounded log for the modes that do not survive the process (delivery §3.11).
//!
//! Every destination has a queue of shared entries and a quota of its own. The default quotas add up to the log, so a dead
//! destination fills its quota and never the log. An entry lives for as long as somebody refers to it.

mod log;
mod metrics;
mod queue;
mod quota;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::confirm::Part;
use super::{
    Advance, Again, Backlog, Completion, Confirmations, CursorRule, Destination, DestinationSpec, Entry, ReadLimit,
    Record, Role, RouteSet, Seq, SeqRange, Spine, Waiting,
};
use crate::BoxFuture;
use crate::admission::{Class, MemBudget, Reservation};
use crate::clock::Clock;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::outcome::Refusal;
use crate::telemetry::Telemetry;

use log::Log;
pub(super) use metrics::forget;
pub use quota::RECORD_OVERHEAD;

/// Share of a log that only stages may fill, so that a stage can always finish.
const DERIVED_SHARE: u64 = 3;

/// The log in memory. Clones share it.
#[derive(Clone)]
pub struct MemorySpine(Arc<Shared>);

struct Shared {
    log: Mutex<Log>,
    pools: [Arc<Pool>; 2],
    memory: MemBudget,
    rule: CursorRule,
    /// Whether there is a part that only stages fill, even without any.
    stages: bool,
    confirmations: Confirmations,
}

/// Whether one of the destinations is a stage's.
fn any_stage(destinations: &[DestinationSpec]) -> bool {
    destinations.iter().any(|destination| destination.role == Role::Stage)
}

/// Bytes of the two parts of a log.
fn parts(capacity: u64, stages: bool) -> [u64; 2] {
    let derived = if stages { capacity / DERIVED_SHARE } else { 0 };
    [capacity - derived, derived]
}

/// Which part of the log a record is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Received = 0,
    Derived = 1,
}

/// Bytes of one part of the log.
struct Pool {
    capacity: AtomicU64,
    used: AtomicU64,
    /// Told when room came free in either part.
    released: Arc<Notify>,
}

/// The bytes of one entry; given back when the last holder lets go of it.
struct Charge {
    pool: Arc<Pool>,
    bytes: u64,
    _reservation: Reservation,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.pool.used.fetch_sub(self.bytes, Ordering::AcqRel);
        self.pool.released.notify_waiters();
    }
}

impl MemorySpine {
    /// A log of `capacity` bytes with these destinations. With `stages`, and if one of them is a stage's, a third of it is set
    /// aside for what stages emit.
    ///
    /// # Errors
    /// Written quotas that add up to more than the log, and more than 256 destinations.
    pub fn new(
        capacity: u64,
        stages: bool,
        rule: CursorRule,
        memory: MemBudget,
        ledger: &Ledger,
        destinations: &[DestinationSpec],
    ) -> Result<Self, Error> {
        let capacities = parts(capacity, stages || any_stage(destinations));
        let released = Arc::new(Notify::new());
        let pool = |capacity| {
            let (capacity, used) = (AtomicU64::new(capacity), AtomicU64::new(0));
            Arc::new(Pool { capacity, used, released: Arc::clone(&released) })
        };
        let mut log = Log::default();
        log.configure(capacities, destinations, ledger)?;
        let (log, pools, confirmations) = (Mutex::new(log), capacities.map(pool), Confirmations::default());
        Ok(MemorySpine(Arc::new(Shared { log, pools, memory, rule, stages, confirmations })))
    }

    /// The first half of a reload: adds the destinations that are not known yet. Nothing changes for the others, and nothing
    /// that was routed by the configuration before can come to a new one.
    ///
    /// # Errors
    /// What [`MemorySpine::configure`] would refuse; the log is then unchanged.
    pub fn attach(&self, capacity: u64, ledger: &Ledger, destinations: &[DestinationSpec]) -> Result<(), Error> {
        let capacities = parts(capacity, self.0.stages || any_stage(destinations));
        self.0.lock().attach(capacities, destinations, ledger)?;
        // A stage that is new emits before the configuration before it has ended.
        self.0.pools[Origin::Derived as usize].capacity.fetch_max(capacities[1], Ordering::AcqRel);
        Ok(())
    }

    /// The second half of a reload, when nothing is under way any more that the configuration before has routed: takes over
    /// capacity and destinations. One of a known name keeps its backlog; one that is gone has it dropped, counted as
    /// `detached_destination`. What is kept beyond a smaller capacity stays.
    ///
    /// # Errors
    /// As [`MemorySpine::new`]; the log is then unchanged.
    pub fn configure(&self, capacity: u64, ledger: &Ledger, destinations: &[DestinationSpec]) -> Result<(), Error> {
        let capacities = parts(capacity, self.0.stages || any_stage(destinations));
        let (detached, gone) = self.0.lock().configure(capacities, destinations, ledger)?;
        detached.iter().for_each(|destination| self.0.confirmations.gone(destination));
        for (pool, capacity) in self.0.pools.iter().zip(capacities) {
            pool.capacity.store(capacity, Ordering::Release);
        }
        // Freed outside the lock.
        drop(gone);
        self.0.pools[0].released.notify_waiters();
        Ok(())
    }

    /// The index of a destination.
    pub fn destination(&self, name: &str) -> Option<Destination> {
        self.0.lock().find(name)
    }

    /// Shows at each scrape what every destination still needs, and how much it may.
    pub fn publish(&self, telemetry: &Telemetry, clock: Arc<dyn Clock>) {
        let known = telemetry.clone();
        let before = Mutex::new(BTreeSet::<Arc<str>>::new());
        telemetry.on_scrape_of(&self.0, move |shared| {
            let queues = shared.lock().queues_shown();
            let names = queues.iter().map(|queue| Arc::clone(&queue.name)).collect();
            let before = std::mem::replace(&mut *before.lock().unwrap_or_else(PoisonError::into_inner), names);
            let gone = before.iter().filter(|name| queues.iter().all(|queue| queue.name != **name));
            gone.for_each(|name| metrics::forget(name, &known));
            queues.iter().for_each(|queue| metrics::show(queue, &known, clock.now()));
        });
    }

    /// Bytes that entries occupy, and those they may.
    pub fn usage(&self) -> (u64, u64) {
        let sum = |of: fn(&Pool) -> u64| self.0.pools.iter().map(|pool| of(pool)).sum();
        (sum(|pool| pool.used.load(Ordering::Acquire)), sum(|pool| pool.capacity.load(Ordering::Acquire)))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps all records, or none. `done` is completed in the same breath if they are kept.
    fn keep(&self, origin: Origin, records: Vec<Record>, done: Vec<Advance>) -> Result<Option<SeqRange>, Refusal> {
        let mut records: Vec<Record> = records.into_iter().filter(|record| !record.routes.is_empty()).collect();
        let mut log = self.lock();
        let mut freed = Vec::new();
        log.make_room(origin, &mut records, &mut freed)?;
        // What was evicted gives its bytes back before the new records are charged.
        freed.clear();
        let charges = self.charge(origin, &records)?;
        let range = log.push(origin, records, charges);
        for (stage, done) in done {
            freed.extend(done.into_iter().filter_map(|(seq, completion)| log.complete(stage, seq, &completion)));
        }
        drop(log);
        Ok(range)
    }

    /// Keeps what came in, for a sender who waits for the destinations in `awaited`.
    fn keep_awaited(&self, records: Vec<Record>, awaited: RouteSet) -> Result<Waiting, Refusal> {
        let all = |records: &[Record]| records.iter().fold(RouteSet::EMPTY, |all, record| all.union(record.routes));
        let mut records: Vec<Record> = records.into_iter().filter(|record| !record.routes.is_empty()).collect();
        let wanted = all(&records).intersection(awaited);
        let appending = self.confirmations.appending();
        let mut log = self.lock();
        let mut freed = Vec::new();
        log.make_room(Origin::Received, &mut records, &mut freed)?;
        freed.clear();
        let charges = self.charge(Origin::Received, &records)?;
        let away = wanted.without_all(all(&records));
        let kept: Vec<_> =
            records.iter().map(|record| (record.routes.intersection(awaited), record.batch.items())).collect();
        let seqs = log.push(Origin::Received, records, charges).map_or(0, |range| range.first.0)..;
        let part = |(seq, (awaited, items))| Part { seq: Seq(seq), awaited, items };
        let parts: Vec<Part> = seqs.zip(kept).map(part).collect();
        // Before anybody can read them: appends are answered in the order of their sequence.
        Ok(appending.done(&parts, away, |destination| log.name(destination)))
    }

    /// Takes the records' bytes from the log's part and from the memory budget.
    fn charge(&self, origin: Origin, records: &[Record]) -> Result<Vec<Charge>, Refusal> {
        let pool = &self.pools[origin as usize];
        let mut charges = Vec::with_capacity(records.len());
        for record in records {
            let bytes = quota::charged_bytes(record);
            let capacity = pool.capacity.load(Ordering::Acquire);
            let within = |used: u64| Some(used + bytes).filter(|&used| used <= capacity);
            if pool.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, within).is_err() {
                return Err(Refusal::QueueFull);
            }
            match self.memory.try_reserve(Class::Log, bytes) {
                Some(reservation) => {
                    charges.push(Charge { pool: Arc::clone(pool), bytes, _reservation: reservation });
                }
                None => {
                    pool.used.fetch_sub(bytes, Ordering::AcqRel);
                    return Err(Refusal::Memory);
                }
            }
        }
        Ok(charges)
    }
}

impl Spine for MemorySpine {
    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<Option<SeqRange>, Refusal>> {
        Box::pin(std::future::ready(self.0.keep(Origin::Received, records, Vec::new())))
    }

    fn append_awaited(&self, records: Vec<Record>, awaited: RouteSet) -> BoxFuture<'static, Result<Waiting, Refusal>> {
        Box::pin(std::future::ready(self.0.keep_awaited(records, awaited)))
    }

    fn withdraw(&self, range: SeqRange) {
        let freed = self.0.lock().withdraw(range);
        drop(freed);
    }

    fn confirmations(&self) -> &Confirmations {
        &self.0.confirmations
    }

    fn name(&self, destination: Destination) -> Arc<str> {
        self.0.lock().name(destination)
    }

    fn commit(
        &self,
        done: Vec<Advance>,
        derived: Vec<Record>,
    ) -> BoxFuture<'static, Result<Option<SeqRange>, Refusal>> {
        Box::pin(std::future::ready(self.0.keep(Origin::Derived, derived, done)))
    }

    fn read(&self, destination: Destination, limit: ReadLimit) -> Vec<Entry> {
        self.0.lock().read(destination, limit)
    }

    fn read_again(&self, destination: Destination, range: SeqRange, _limit: ReadLimit) -> Option<Again> {
        // They are in memory as it is.
        Some(Again { entries: self.0.lock().read_again(destination, range), through: range.last })
    }

    fn readable(&self, destination: Destination) -> BoxFuture<'static, ()> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let Some(notify) = shared.lock().notify(destination) else {
                return std::future::pending().await;
            };
            loop {
                let mut appended = std::pin::pin!(notify.notified());
                // Registered before looking, so that an append in between is not missed.
                appended.as_mut().enable();
                if shared.lock().has_unread(destination) {
                    return;
                }
                appended.await;
            }
        })
    }

    fn released(&self) -> BoxFuture<'static, ()> {
        let released = Arc::clone(&self.0.pools[0].released);
        let mut notified = Box::pin(released.notified_owned());
        // Registered now, not at the first poll: what is released between a refusal and the wait must not be missed.
        notified.as_mut().enable();
        notified
    }

    fn complete(&self, destination: Destination, seq: Seq, completion: Completion) {
        let freed = self.0.lock().complete(destination, seq, &completion);
        if freed.is_some() {
            self.0.confirmations.completed(destination, seq, &completion);
        }
        drop(freed);
    }

    fn discard(&self, destination: Destination, reason: sluice_pdata::pass::Reason) -> usize {
        let freed = self.0.lock().discard(destination, reason);
        self.0.confirmations.gone(destination);
        freed.iter().map(|entry| entry.batch().items()).sum()
    }

    fn rewind(&self, destination: Destination) {
        self.0.lock().rewind(destination);
    }

    fn backlog(&self, destination: Destination) -> Backlog {
        self.0.lock().backlog(destination)
    }

    fn check(&self, routes: RouteSet) -> Result<(), Refusal> {
        self.0.lock().check(routes)
    }

    fn cursor_rule(&self) -> CursorRule {
        self.0.rule
    }
}

#[cfg(test)]
mod tests;
