//! Verdicts of traces that have left the window: kept ones in a map, dropped ones as fingerprints, each in two generations
//! (correlation §5).

use ahash::RandomState;

use crate::sampling::Weight;

use super::cuckoo::Cuckoo;
use super::index::HandleIndex;

/// A trace, of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TraceKey {
    pub(crate) tenant: u16,
    pub(crate) id: [u8; 16],
}

/// A verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Kept { weight: Weight, rule: u16 },
    Dropped,
}

/// No rule.
pub(crate) const NO_RULE: u16 = u16::MAX;

/// What stands for [`Weight::Unknown`] where a threshold is kept as a number.
pub(crate) const UNKNOWN_WEIGHT: u64 = u64::MAX;

pub(crate) fn pack(weight: Weight) -> u64 {
    match weight {
        Weight::Threshold(t) => t,
        Weight::Unknown => UNKNOWN_WEIGHT,
    }
}

pub(crate) fn unpack(threshold: u64) -> Weight {
    if threshold == UNKNOWN_WEIGHT { Weight::Unknown } else { Weight::Threshold(threshold) }
}

#[derive(Clone, Debug)]
struct KeptEntry {
    id: [u8; 16],
    threshold: u64,
    rule: u16,
    tenant: u16,
    /// When it was decided, in ticks.
    at: u32,
}

#[derive(Default)]
struct Generation {
    kept: Vec<KeptEntry>,
    index: HandleIndex,
    dropped: Option<Cuckoo>,
    dropped_count: usize,
}

/// The cache. Each generation lasts for the retention, so that a verdict is known for that long, and at most twice.
pub(crate) struct VerdictCache {
    hasher: RandomState,
    generations: [Generation; 2],
    retention: u32,
    kept_capacity: usize,
    dropped_capacity: usize,
    turned: u32,
    turns: u64,
    early_turns: u64,
}

impl VerdictCache {
    pub(crate) fn new(retention: u32, kept: usize, dropped: usize) -> Self {
        VerdictCache {
            hasher: RandomState::new(),
            generations: Default::default(),
            retention,
            kept_capacity: kept.max(1),
            dropped_capacity: dropped.max(1),
            turned: 0,
            turns: 0,
            early_turns: 0,
        }
    }

    pub(crate) fn set_limits(&mut self, retention: u32, kept: usize, dropped: usize) {
        (self.retention, self.kept_capacity, self.dropped_capacity) = (retention, kept.max(1), dropped.max(1));
    }

    fn hash(&self, key: TraceKey) -> u64 {
        self.hasher.hash_one(key)
    }

    fn kept(&self, key: TraceKey, hash: u64) -> Option<&KeptEntry> {
        self.generations.iter().find_map(|generation| {
            let is =
                |at: u32| generation.kept.get(at as usize).is_some_and(|it| (it.tenant, it.id) == (key.tenant, key.id));
            let at = generation.index.find(hash, is)?;
            generation.kept.get(at as usize)
        })
    }

    /// When a trace that is kept was decided, in ticks.
    pub(crate) fn kept_at(&self, key: TraceKey) -> Option<u32> {
        self.kept(key, self.hash(key)).map(|entry| entry.at)
    }

    /// What is known of a trace. The kept map is exact and comes first.
    pub(crate) fn get(&self, key: TraceKey) -> Option<Known> {
        let hash = self.hash(key);
        let kept = self.kept(key, hash);
        if let Some(entry) = kept {
            return Some(Known::Kept { weight: unpack(entry.threshold), rule: entry.rule });
        }
        let dropped = self.generations.iter().any(|it| it.dropped.as_ref().is_some_and(|filter| filter.contains(hash)));
        dropped.then_some(Known::Dropped)
    }

    /// Remembers a verdict. The first one of a trace counts.
    pub(crate) fn insert(&mut self, key: TraceKey, verdict: Known, now: u32) {
        self.turn(now);
        let hash = self.hash(key);
        match verdict {
            Known::Kept { weight, rule } => {
                if self.generations[0].kept.len() >= self.kept_capacity {
                    self.turn_early(now);
                }
                let hasher = &self.hasher;
                let Generation { kept, index, .. } = &mut self.generations[0];
                kept.push(KeptEntry { id: key.id, threshold: pack(weight), rule, tenant: key.tenant, at: now });
                index.insert(hash, kept.len() as u32 - 1, |at| {
                    let entry = &kept[at as usize];
                    hasher.hash_one(TraceKey { tenant: entry.tenant, id: entry.id })
                });
            }
            Known::Dropped => {
                if self.generations[0].dropped_count >= self.dropped_capacity {
                    self.turn_early(now);
                }
                let capacity = self.dropped_capacity;
                let full = !self.generations[0].dropped.get_or_insert_with(|| Cuckoo::new(capacity)).insert(hash);
                if full {
                    self.turn_early(now);
                    self.generations[0].dropped.get_or_insert_with(|| Cuckoo::new(capacity)).insert(hash);
                }
                self.generations[0].dropped_count += 1;
            }
        }
    }

    /// Lets the older generation go when its time has come.
    pub(crate) fn turn(&mut self, now: u32) {
        if now.saturating_sub(self.turned) >= self.retention {
            // After twice the retention without a turn, both are too old.
            if now.saturating_sub(self.turned) >= self.retention.saturating_mul(2) {
                self.generations[0] = Generation::default();
            }
            self.rotate(now);
        }
    }

    fn turn_early(&mut self, now: u32) {
        self.early_turns += 1;
        self.rotate(now);
    }

    /// Lets the older generation go now.
    pub(crate) fn turn_now(&mut self, now: u32) {
        self.rotate(now);
    }

    /// How often a generation has gone.
    pub(crate) fn turns(&self) -> u64 {
        self.turns
    }

    fn rotate(&mut self, now: u32) {
        self.turned = now;
        self.turns += 1;
        self.generations.swap(0, 1);
        self.generations[0] = Generation::default();
    }

    /// Generations that were full before their time.
    pub(crate) fn early_turns(&self) -> u64 {
        self.early_turns
    }

    pub(crate) fn bytes(&self) -> usize {
        let generations = self.generations.iter();
        generations
            .map(|it| {
                let filter = it.dropped.as_ref().map_or(0, Cuckoo::bytes);
                it.kept.capacity() * size_of::<KeptEntry>() + it.index.len() * 8 + filter
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> TraceKey {
        let mut id = [7; 16];
        id[..4].copy_from_slice(&n.to_le_bytes());
        TraceKey { tenant: 0, id }
    }

    const KEPT: Known = Known::Kept { weight: Weight::Threshold(5), rule: 2 };

    #[test]
    fn the_entries_keep_their_budget() {
        assert!(size_of::<KeptEntry>() + 6 <= 40);
    }

    #[test]
    fn verdicts_last_for_the_retention_and_no_longer_than_twice() {
        let mut cache = VerdictCache::new(1800, 100, 1000);
        cache.insert(key(1), KEPT, 10);
        cache.insert(key(2), Known::Dropped, 10);
        assert_eq!((cache.get(key(1)), cache.get(key(2)), cache.get(key(3))), (Some(KEPT), Some(Known::Dropped), None));
        assert_eq!(cache.get(TraceKey { tenant: 1, ..key(1) }), None, "another tenant's");
        cache.turn(1810);
        assert_eq!((cache.get(key(1)), cache.get(key(2))), (Some(KEPT), Some(Known::Dropped)));
        cache.turn(3620);
        assert_eq!((cache.get(key(1)), cache.get(key(2))), (None, None));
        assert_eq!(cache.early_turns(), 0);
    }

    #[test]
    fn a_full_generation_turns_early_and_is_counted() {
        let mut cache = VerdictCache::new(1800, 100, 1000);
        (0..250).for_each(|n| cache.insert(key(n), KEPT, 1));
        assert_eq!(cache.early_turns(), 2);
        assert_eq!((cache.get(key(249)), cache.get(key(120)), cache.get(key(20))), (Some(KEPT), Some(KEPT), None));
    }

    #[test]
    fn a_million_dropped_traces_take_little_and_are_all_known() {
        let mut cache = VerdictCache::new(1800, 100, 1_000_000);
        (0..990_000).for_each(|n| cache.insert(key(n), Known::Dropped, 1));
        assert_eq!(cache.early_turns(), 0);
        assert!((0..990_000).all(|n| cache.get(key(n)) == Some(Known::Dropped)));
        assert!(cache.bytes() < 5 << 20, "{}", cache.bytes());
        let wrong = (2_000_000..2_100_000).filter(|&n| cache.get(key(n)).is_some()).count();
        assert!(wrong <= 1, "{wrong}");
    }
}
