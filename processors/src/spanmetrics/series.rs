//! Series: one for each resource, metric and combination of dimensions, with their limits.

use std::sync::Arc;

use ahash::HashMap;
use sluice_pdata::tags;
use sluice_pdata::wire::{put_len, put_message, put_varint, put_varint_field};

use super::exemplar::Candidates;
use super::explicit::Explicit;
use super::exponential::Exponential;
use super::resource::Resources;
use super::slab::Slab;
use super::total::Total;

/// Series of a metric where no limit is configured.
pub const HARD_CAP: usize = 100_000;
/// Longest key of a series: above, a span goes to the overflow series.
const MAX_KEY: usize = 16 << 10;
/// Set in the first byte of the key of an overflow series.
const OVERFLOW_KEY: u8 = 0x80;
/// The attribute of an overflow series, as the specification of metric SDKs has it.
const OVERFLOW_NAME: &str = "otel.metric.overflow";

/// The durations of a series.
#[derive(Clone, Debug)]
pub enum Durations {
    None,
    Explicit(Explicit),
    Exponential(Exponential),
}

impl Durations {
    fn bytes(&self) -> usize {
        match self {
            Durations::None => 0,
            Durations::Explicit(histogram) => histogram.bytes(),
            Durations::Exponential(histogram) => histogram.bytes(),
        }
    }
}

/// One series of calls, durations, or both, or of events.
#[derive(Debug)]
pub struct Series {
    key: Arc<[u8]>,
    pub resource: u32,
    pub family: u8,
    /// The attributes: `KeyValue` messages, each behind its length.
    pub pairs: Box<[u8]>,
    /// When it had its first span.
    pub start: u64,
    pub last_seen: u64,
    /// When it was last written; 0 if it never was, or that is forgotten.
    pub written: u64,
    /// Had a span since it was last written.
    pub touched: bool,
    pub is_overflow: bool,
    pub count: Total,
    pub durations: Durations,
    pub candidates: Candidates,
}

impl Series {
    /// What it takes, in bytes, but for its candidates.
    pub fn bytes(&self) -> usize {
        // The entry in the index has a share of its own.
        size_of::<Series>() + self.key.len() + self.pairs.len() + self.durations.bytes() + 48
    }
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of a metric and resource; 0: no such limit.
    pub per_resource: usize,
    /// Of a metric.
    pub all: usize,
}

/// All series.
#[derive(Debug, Default)]
pub struct Table {
    pub slab: Slab<Series>,
    index: HashMap<Arc<[u8]>, u32>,
    /// By family, without overflow series.
    counts: [usize; 3],
    /// What they take, in bytes.
    pub bytes: usize,
}

/// Where a new series comes from.
pub struct Seed<'k> {
    pub family: u8,
    pub resource: u32,
    pub key: &'k [u8],
    pub now: u64,
}

impl Table {
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<u32> {
        self.index.get(key).copied()
    }

    /// Whether a family has room for one more series of any resource.
    pub fn has_room(&self, family: u8, limits: &Limits) -> bool {
        self.counts.get(usize::from(family)).is_some_and(|count| *count < limits.all)
    }

    /// A new series, or the overflow series in its place: `open` is false where nothing new may be remembered.
    pub fn insert(
        &mut self,
        seed: &Seed<'_>,
        limits: &Limits,
        open: bool,
        resources: &mut Resources,
        durations: Durations,
        pairs: impl FnOnce() -> Vec<u8>,
    ) -> u32 {
        let family = usize::from(seed.family);
        let of_resource = resources.get(seed.resource).map_or(0, |resource| resource.series[family]);
        let limited = limits.per_resource > 0 && of_resource >= limits.per_resource;
        if open && !limited && self.has_room(seed.family, limits) && seed.key.len() <= MAX_KEY {
            self.counts[family] += 1;
            return self.add(seed, seed.key.into(), pairs(), durations, resources, false);
        }
        let mut key = vec![seed.family | OVERFLOW_KEY];
        key.extend_from_slice(&seed.resource.to_le_bytes());
        match self.find(&key) {
            Some(number) => number,
            None => self.add(seed, key.into(), overflow_pairs(), durations, resources, true),
        }
    }

    fn add(
        &mut self,
        seed: &Seed<'_>,
        key: Arc<[u8]>,
        pairs: Vec<u8>,
        durations: Durations,
        resources: &mut Resources,
        is_overflow: bool,
    ) -> u32 {
        let series = Series {
            key: Arc::clone(&key),
            resource: seed.resource,
            family: seed.family,
            pairs: pairs.into(),
            start: seed.now,
            last_seen: seed.now,
            written: 0,
            touched: false,
            is_overflow,
            count: Total::default(),
            durations,
            candidates: Candidates::default(),
        };
        self.bytes += series.bytes();
        if let Some(resource) = resources.get_mut(seed.resource) {
            resource.series[usize::from(seed.family)] += 1;
        }
        let number = self.slab.insert(series);
        self.index.insert(key, number);
        number
    }

    /// Forgets a series. Returns it.
    pub fn remove(&mut self, number: u32, resources: &mut Resources) -> Option<Series> {
        let series = self.slab.remove(number)?;
        self.index.remove(&series.key);
        self.bytes = self.bytes.saturating_sub(series.bytes());
        let family = usize::from(series.family);
        if !series.is_overflow {
            self.counts[family] -= 1;
        }
        if let Some(resource) = resources.get_mut(series.resource) {
            resource.series[family] -= 1;
        }
        Some(series)
    }
}

/// Appends a `KeyValue` to the attributes of a series.
pub fn put_pair(pairs: &mut Vec<u8>, pair: &[u8]) {
    put_varint(pairs, pair.len() as u64);
    pairs.extend_from_slice(pair);
}

fn overflow_pairs() -> Vec<u8> {
    let mut pair = Vec::new();
    put_len(&mut pair, tags::key_value::KEY, OVERFLOW_NAME.as_bytes());
    put_message(&mut pair, tags::key_value::VALUE, |value| put_varint_field(value, tags::any_value::BOOL_VALUE, 1));
    let mut pairs = Vec::new();
    put_pair(&mut pairs, &pair);
    pairs
}
