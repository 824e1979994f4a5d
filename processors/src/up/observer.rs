//! The handle by which the tasks of receivers report pushes.
//!
//! A resource that was seen before costs one hash lookup under a short lock of one of several shards and no
//! allocation. Arrivals of one resource that come between two drains are merged, so the memory between drains is
//! bounded by the number of resources; beyond the bound arrivals are lost, and the drain says so: the engine then
//! knows that silence means nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::config::Signal;
use super::engine::{Arrival, Engine, Now, SharedIdentity};
use super::identity::Identity;
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
}

const NEVER: u64 = u64::MAX;

/// A resource that has been looked up; valid for ever.
#[derive(Clone, Debug)]
pub struct Contact {
    hash: u64,
    identity: SharedIdentity,
}

#[derive(Debug, Default)]
struct Shard {
    /// Resources used since the last turn, and those used in the turn before it. A resource that was not used for a
    /// whole turn is forgotten; a turn ends when half of the limit is reached.
    young: HashMap<u64, SharedIdentity, ahash::RandomState>,
    old: HashMap<u64, SharedIdentity, ahash::RandomState>,
    waiting: HashMap<(u64, Signal, Option<RejectReason>), Waiting, ahash::RandomState>,
    /// When the first of the lost arrivals came.
    lost_since: Option<Mono>,
}

#[derive(Debug)]
struct Waiting {
    identity: SharedIdentity,
    first: Now,
    last: Now,
    /// All arrivals from the first to the last.
    arrival: Arrival,
}

impl Observer {
    /// `limit` is the number of resources that are remembered, of all shards together.
    pub fn new(seed: ahash::RandomState, limit: usize) -> Self {
        Observer {
            seed,
            shards: Default::default(),
            limit: (limit / SHARDS).max(2),
            refused_since: AtomicU64::new(NEVER),
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
        if let Some(identity) = self.lock(hash).find(hash, self.limit) {
            return Contact { hash, identity };
        }
        let identity = Arc::new(Identity::new(attributes(), tenant, peer, &self.seed));
        self.lock(hash).keep(hash, identity.clone(), self.limit);
        Contact { hash, identity }
    }

    /// A push with this resource was accepted.
    pub fn arrived(&self, contact: &Contact, now: Now, arrival: Arrival) {
        let key = (contact.hash, arrival.signal, arrival.rejected);
        let mut shard = self.lock(contact.hash);
        if let Some(waiting) = shard.waiting.get_mut(&key) {
            waiting.last = now;
            waiting.merge(&arrival);
        } else if shard.waiting.len() < self.limit {
            let waiting = Waiting { identity: contact.identity.clone(), first: now, last: now, arrival };
            shard.waiting.insert(key, waiting);
        } else {
            shard.lost_since.get_or_insert(now.mono);
        }
    }

    /// The collector refused a push though it was good: for lack of memory, or because a queue or quota is full.
    ///
    /// Targets that are not heard of again are then not judged for a deadline (`up`, Own faults). Refusals that are the
    /// sender's fault must not be told: anybody could then hide an outage.
    pub fn refused(&self, now: Now) {
        let at = u64::try_from(now.mono.as_nanos()).unwrap_or(NEVER - 1);
        self.refused_since.fetch_min(at, Ordering::Relaxed);
    }

    /// Hands everything that has arrived to the engine. To be called before each [`Engine::tick`].
    pub fn drain(&self, engine: &mut Engine, now: Now) {
        let mut arrived: Vec<(Now, SharedIdentity, Arrival)> = Vec::new();
        let refused = self.refused_since.swap(NEVER, Ordering::Relaxed);
        let mut lost: Option<Mono> = (refused != NEVER).then(|| Mono::from_nanos(refused));
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for (_, waiting) in shard.waiting.drain() {
                if waiting.last.mono > waiting.first.mono {
                    // Nothing new in it, but the silence begins here.
                    let last = Arrival { items: 0, requests: 0, bytes: 0, ..waiting.arrival };
                    arrived.push((waiting.last, waiting.identity.clone(), last));
                }
                arrived.push((waiting.first, waiting.identity, waiting.arrival));
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
    }

    /// What has arrived since the last drain, for tests.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> Vec<(SharedIdentity, Arrival)> {
        let shards = self.shards.iter().map(|shard| shard.lock().unwrap());
        shards
            .flat_map(|shard| shard.waiting.values().map(|one| (one.identity.clone(), one.arrival)).collect::<Vec<_>>())
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
        &self.identity
    }
}

impl Shard {
    fn find(&mut self, hash: u64, limit: usize) -> Option<SharedIdentity> {
        if let Some(identity) = self.young.get(&hash) {
            return Some(identity.clone());
        }
        let identity = self.old.remove(&hash)?;
        self.keep(hash, identity.clone(), limit);
        Some(identity)
    }

    fn keep(&mut self, hash: u64, identity: SharedIdentity, limit: usize) {
        if self.young.len() >= limit / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, identity);
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
    }
}
