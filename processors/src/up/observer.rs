//! The handle by which the tasks of receivers report pushes.
//!
//! A resource that was seen before costs one hash lookup under a short lock of one of several shards and no
//! allocation. Arrivals of one resource that come between two drains are merged, so the memory between drains is
//! bounded by the number of resources; beyond the bound arrivals are lost, and the drain says so: the engine then
//! knows that silence means nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::config::Signal;
use super::engine::{Arrival, Engine, Now, SharedIdentity};
use super::identity::Identity;
use super::known::Known;
use super::series::RejectReason;
use super::state::Mono;

const SHARDS: usize = 16;

/// Reports pushes to the engine; shared by all tasks.
#[derive(Debug)]
pub struct Observer {
    seed: ahash::RandomState,
    shards: [Mutex<Shard>; SHARDS],
    /// Resources that a shard remembers.
    limit: usize,
    /// When the first push since the last drain was refused, in ns of the monotonic clock; [`NEVER`] if none was.
    refused_since: AtomicU64,
    /// Bytes of [`Pushed`] since the last drain.
    waiting_bytes: AtomicUsize,
}

/// Most bytes of [`Pushed`] between two drains.
const WAITING_BYTES: usize = 64 << 20;

const NEVER: u64 = u64::MAX;

/// A resource that has been looked up; valid for ever.
#[derive(Clone, Debug)]
pub struct Contact {
    hash: u64,
    known: Arc<Known>,
}

/// The series that a push had, for [`StaleTracker`](super::tracker::StaleTracker).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The pipeline it went through, by its number.
    pub lane: usize,
    /// Hash of which series there are.
    pub series: u64,
    /// The payload of the `ResourceMetrics`, if wanted; empty if it is too large.
    pub bytes: Option<Box<[u8]>>,
}

/// Series that a sender pushed, as handed out by [`Observer::drain`].
#[derive(Debug)]
pub struct SeenSeries {
    pub at: Mono,
    pub known: Arc<Known>,
    pub pushed: Pushed,
}

#[derive(Debug, Default)]
struct Shard {
    /// Resources used since the last turn, and those used in the turn before it. A resource that was not used for a
    /// whole turn is forgotten; a turn ends when half of the limit is reached.
    young: HashMap<u64, Arc<Known>, ahash::RandomState>,
    old: HashMap<u64, Arc<Known>, ahash::RandomState>,
    waiting: HashMap<(u64, Signal, Option<RejectReason>), Waiting, ahash::RandomState>,
    /// When the first of the lost arrivals came.
    lost_since: Option<Mono>,
}

#[derive(Debug)]
struct Waiting {
    known: Arc<Known>,
    first: Now,
    last: Now,
    /// All arrivals from the first to the last.
    arrival: Arrival,
    /// By lane and series, each once.
    pushed: Vec<Pushed>,
}

impl Observer {
    /// `limit` is the number of resources that are remembered, of all shards together.
    pub fn new(seed: ahash::RandomState, limit: usize) -> Self {
        Observer {
            seed,
            shards: Default::default(),
            limit: (limit / SHARDS).max(2),
            refused_since: AtomicU64::new(NEVER),
            waiting_bytes: AtomicUsize::new(0),
        }
    }

    /// Looks a resource up: its bytes on the wire, tenant and peer; `attributes` is asked only for a new one.
    ///
    /// May be done while a request is looked at; [`Observer::arrived`] belongs after its acceptance.
    pub fn resource<'a, A>(
        &self,
        resource: &[u8],
        tenant: Option<&str>,
        peer: Option<IpAddr>,
        attributes: impl FnOnce() -> A,
    ) -> Contact
    where
        A: IntoIterator<Item = (&'a [u8], &'a str)>,
    {
        let hash = self.seed.hash_one((resource, tenant, peer));
        if let Some(known) = self.lock(hash).find(hash, self.limit) {
            return Contact { hash, known };
        }
        let identity = Arc::new(Identity::new(attributes(), tenant, peer, &self.seed));
        let known = Arc::new(Known::new(identity));
        self.lock(hash).keep(hash, Arc::clone(&known), self.limit);
        Contact { hash, known }
    }

    /// A push with this resource was accepted.
    pub fn arrived(&self, contact: &Contact, now: Now, arrival: Arrival) {
        self.arrived_with(contact, now, arrival, None);
    }

    /// A push with this resource was accepted, and had these series.
    pub fn arrived_with(&self, contact: &Contact, now: Now, arrival: Arrival, pushed: Option<Pushed>) {
        let pushed = pushed.map(|pushed| self.admit(pushed));
        let key = (contact.hash, arrival.signal, arrival.rejected);
        let mut shard = self.lock(contact.hash);
        if let Some(waiting) = shard.waiting.get_mut(&key) {
            waiting.last = now;
            waiting.merge(&arrival);
            pushed.into_iter().for_each(|pushed| waiting.note(pushed));
        } else if shard.waiting.len() < self.limit {
            let pushed = Vec::from_iter(pushed);
            let waiting = Waiting { known: Arc::clone(&contact.known), first: now, last: now, arrival, pushed };
            shard.waiting.insert(key, waiting);
        } else {
            shard.lost_since.get_or_insert(now.mono);
        }
    }

    /// Bytes that wait for the next drain are bounded; without them the tracker asks again.
    fn admit(&self, mut pushed: Pushed) -> Pushed {
        let len = pushed.bytes.as_ref().map_or(0, |bytes| bytes.len());
        let within = |used: usize| Some(used + len).filter(|used| *used <= WAITING_BYTES);
        if self.waiting_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_err() {
            pushed.bytes = None;
        }
        pushed
    }

    /// The collector refused a push though it was good: for lack of memory, or because a queue or quota is full.
    ///
    /// Targets that are not heard of again are then not judged for a deadline (`up`, Own faults). Refusals that are the
    /// sender's fault must not be told: anybody could then hide an outage.
    pub fn refused(&self, now: Now) {
        let at = u64::try_from(now.mono.as_nanos()).unwrap_or(NEVER - 1);
        self.refused_since.fetch_min(at, Ordering::Relaxed);
    }

    /// Hands everything that has arrived to the engine. To be called before each [`Engine::tick`]. Returns the series that
    /// were pushed.
    pub fn drain(&self, engine: &mut Engine, now: Now) -> Vec<SeenSeries> {
        let mut series = Vec::new();
        self.waiting_bytes.store(0, Ordering::Relaxed);
        let mut arrived: Vec<(Now, SharedIdentity, Arrival)> = Vec::new();
        let refused = self.refused_since.swap(NEVER, Ordering::Relaxed);
        let mut lost: Option<Mono> = (refused != NEVER).then(|| Mono::from_nanos(refused));
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for (_, waiting) in shard.waiting.drain() {
                if waiting.last.mono > waiting.first.mono {
                    // Nothing new in it, but the silence begins here.
                    let last = Arrival { items: 0, requests: 0, bytes: 0, ..waiting.arrival };
                    arrived.push((waiting.last, waiting.known.identity().clone(), last));
                }
                arrived.push((waiting.first, waiting.known.identity().clone(), waiting.arrival));
                let seen = |pushed| SeenSeries { at: waiting.last.mono, known: Arc::clone(&waiting.known), pushed };
                series.extend(waiting.pushed.into_iter().map(seen));
            }
            lost = [lost, shard.lost_since.take()].into_iter().flatten().min();
        }
        if let Some(from) = lost {
            engine.arrivals_lost(from, now);
        }
        arrived.sort_by_key(|(at, ..)| at.mono);
        for (at, identity, arrival) in arrived {
            engine.observe(at, &identity, &arrival);
        }
        series
    }

    /// What has arrived since the last drain, for tests.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> Vec<(SharedIdentity, Arrival)> {
        let shards = self.shards.iter().map(|shard| shard.lock().unwrap());
        shards
            .flat_map(|shard| {
                shard.waiting.values().map(|one| (one.known.identity().clone(), one.arrival)).collect::<Vec<_>>()
            })
            .collect()
    }

    fn lock(&self, hash: u64) -> std::sync::MutexGuard<'_, Shard> {
        // The top bits: the map inside uses the low ones. A poisoned shard is whole: nothing in it panics half-way.
        self.shards[(hash >> 60) as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contact {
    /// Who sent.
    pub fn identity(&self) -> &SharedIdentity {
        self.known.identity()
    }

    /// What is remembered of the resource.
    pub fn known(&self) -> &Known {
        &self.known
    }
}

impl Shard {
    fn find(&mut self, hash: u64, limit: usize) -> Option<Arc<Known>> {
        if let Some(known) = self.young.get(&hash) {
            return Some(Arc::clone(known));
        }
        let known = self.old.remove(&hash)?;
        self.keep(hash, Arc::clone(&known), limit);
        Some(known)
    }

    fn keep(&mut self, hash: u64, known: Arc<Known>, limit: usize) {
        if self.young.len() >= limit / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, known);
    }
}

impl Waiting {
    fn merge(&mut self, later: &Arrival) {
        let first = &mut self.arrival;
        first.items = first.items.saturating_add(later.items);
        first.requests = first.requests.saturating_add(later.requests);
        first.bytes = first.bytes.saturating_add(later.bytes);
        first.newest_data = first.newest_data.max(later.newest_data);
        // The later push tells how the sender is now.
        first.all_no_recorded_value = later.all_no_recorded_value;
        first.brings_up |= later.brings_up;
    }

    /// Of the same series the bytes that there are stay.
    fn note(&mut self, pushed: Pushed) {
        let same = |known: &&mut Pushed| known.lane == pushed.lane && known.series == pushed.series;
        match self.pushed.iter_mut().find(same) {
            Some(known) => known.bytes = known.bytes.take().or(pushed.bytes),
            None => self.pushed.push(pushed),
        }
    }
}
