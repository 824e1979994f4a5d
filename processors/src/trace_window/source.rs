//! Sources: resources by content, whatever signal they came with. SDKs send one resource with spans and logs alike, so what is
//! learned from one signal helps the other.

use ahash::RandomState;

use super::index::HandleIndex;
use super::lag::Lag;
use super::symbols::Symbol;

/// Sources with figures of their own; all others share one.
const CAPACITY: usize = 4_096;

/// Ticks after which a source that was not heard of makes room: ten minutes, longer than anything refers to it.
const IDLE: u32 = 6_000;

/// The source that those share for which there is no room.
pub(crate) const SHARED: u32 = 0;

pub(crate) struct Source {
    key: u64,
    pub(crate) service: Symbol,
    pub(crate) lag: Lag,
    heard: u32,
    /// Logs that found their span in time, and whose span came after they had gone.
    pub(crate) matched: u64,
    pub(crate) missed: u64,
    /// By how much its spans' ends lie behind their arrival, smoothed, in seconds: below zero its clock is ahead.
    pub(crate) skew: Option<f64>,
}

impl Source {
    /// A span arrived so long after its end.
    pub(crate) fn behind(&mut self, seconds: f64) {
        self.skew = Some(self.skew.map_or(seconds, |before| before + (seconds - before) / 64.0));
    }

    fn new(key: u64, service: Symbol, heard: u32) -> Self {
        Source { key, service, lag: Lag::default(), heard, matched: 0, missed: 0, skew: None }
    }
}

/// The table.
pub(crate) struct Sources {
    hasher: RandomState,
    all: Vec<Source>,
    index: HandleIndex,
    /// Where to look next for an idle one.
    hand: usize,
}

impl Sources {
    pub(crate) fn new() -> Self {
        Sources {
            hasher: RandomState::new(),
            all: vec![Source::new(0, Symbol::NONE, 0)],
            index: HandleIndex::default(),
            hand: 1,
        }
    }

    /// The source of this tenant's resource. Resources are told apart by 64 bits of a seeded hash: figures only.
    pub(crate) fn intern(&mut self, tenant: u16, resource: &[u8], service: Symbol, now: u32) -> u32 {
        let key = self.hasher.hash_one((tenant, resource));
        if let Some(known) = self.index.find(key, |at| self.all[at as usize].key == key) {
            let source = &mut self.all[known as usize];
            (source.heard, source.service) = (now, service);
            return known;
        }
        let source = Source::new(key, service, now);
        let at = if self.all.len() < CAPACITY {
            self.all.push(source);
            self.all.len() as u32 - 1
        } else {
            self.hand = if self.hand + 1 < CAPACITY { self.hand + 1 } else { 1 };
            let idle = &mut self.all[self.hand];
            if now.saturating_sub(idle.heard) <= IDLE {
                return SHARED;
            }
            let before = std::mem::replace(idle, source);
            self.index.remove(before.key, self.hand as u32);
            self.hand as u32
        };
        let all = &self.all;
        self.index.insert(key, at, |at| all[at as usize].key);
        at
    }

    pub(crate) fn get(&self, at: u32) -> &Source {
        &self.all[at as usize]
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> &mut Source {
        &mut self.all[at as usize]
    }

    pub(crate) fn lag(&mut self, at: u32) -> &mut Lag {
        &mut self.all[at as usize].lag
    }

    /// All of them; the first is the shared one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.all.iter()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.all.capacity() * size_of::<Source>() + self.index.bytes()
    }
}
