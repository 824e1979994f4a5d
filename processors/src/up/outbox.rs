//! What was written and is not accepted yet (`up`, Place in the pipeline: an outage delays, it never re-evaluates).
//!
//! Of one target at most one grid point waits: a newer one replaces it, as `up` an hour ago is of no use to anybody.
//! Stale markers are not replaced by samples: without them a series that has ended would seem to live on.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::labels::Labels;
use super::series::Emission;

/// Emissions that wait for acceptance, oldest target first.
#[derive(Debug)]
pub struct Outbox {
    waiting: HashMap<Labels, Waiting, ahash::RandomState>,
    /// Each key of `waiting` once.
    order: VecDeque<Labels>,
    /// Most label sets that wait.
    limit: usize,
    /// Own series of targets that ended, oldest first.
    own: VecDeque<OwnSeries>,
    own_bytes: usize,
    /// Most bytes of `own`.
    own_limit: usize,
    counts: OutboxCounts,
}

/// What a target pushed last, to be marked stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSeries {
    /// Names the target.
    pub target: u32,
    /// The timestamp of the markers, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Compressed `ResourceMetrics`.
    pub kept: Vec<Arc<[u8]>>,
}

impl OwnSeries {
    fn bytes(&self) -> usize {
        self.kept.iter().map(|kept| kept.len()).sum()
    }
}

/// What became of samples and markers that were not accepted at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Samples that a newer grid point of the same target replaced.
    pub superseded: u64,
    /// Samples and markers that had to go because too many label sets wait.
    pub evicted: u64,
    /// Targets whose own series could not be marked because too much waits.
    pub own_evicted: u64,
}

/// What waits of one label set. Never empty.
#[derive(Debug, Default)]
struct Waiting {
    samples: Option<Emission>,
    /// By time; each series occurs once.
    markers: Vec<Emission>,
}

impl Outbox {
    /// `limit` is the number of label sets that may wait, `own_limit` the number of bytes of own series; beyond it the oldest
    /// goes.
    pub fn new(limit: usize, own_limit: usize) -> Self {
        Outbox {
            waiting: HashMap::default(),
            order: VecDeque::new(),
            limit: limit.max(1),
            own: VecDeque::new(),
            own_bytes: 0,
            own_limit,
            counts: OutboxCounts::default(),
        }
    }

    /// Takes what was just written.
    pub fn add(&mut self, emissions: impl IntoIterator<Item = Emission>) {
        for emission in emissions {
            self.insert(emission, false);
            while self.waiting.len() > self.limit {
                self.evict();
            }
        }
    }

    /// Hands out the oldest, up to so many points, but all of a label set. What is refused must be [put
    /// back](Outbox::put_back).
    pub fn take(&mut self, points: usize) -> Vec<Emission> {
        let mut taken = Vec::new();
        let mut left = points;
        while let Some(labels) = self.order.front() {
            let size = self.waiting.get(labels).map_or(0, Waiting::points);
            if size > left && !taken.is_empty() {
                break;
            }
            left = left.saturating_sub(size);
            let waiting = self.order.pop_front().and_then(|labels| self.waiting.remove(&labels));
            taken.extend(waiting.map(Waiting::into_emissions).into_iter().flatten());
        }
        taken
    }

    /// Takes back what was not accepted. What has been added since is newer.
    pub fn put_back(&mut self, emissions: Vec<Emission>) {
        for emission in emissions.into_iter().rev() {
            self.insert(emission, true);
        }
    }

    /// The own series of a target ended.
    pub fn add_own(&mut self, own: OwnSeries) {
        self.own_bytes += own.bytes();
        self.own.push_back(own);
        while self.own_bytes > self.own_limit {
            let Some(oldest) = self.own.pop_front() else { break };
            self.own_bytes -= oldest.bytes();
            self.counts.own_evicted += 1;
        }
    }

    /// A target pushed again: a marker that comes after its new data would be out of order.
    pub fn drop_own(&mut self, target: u32) {
        if self.own.iter().any(|own| own.target == target) {
            self.own.retain(|own| own.target != target);
            self.own_bytes = self.own.iter().map(OwnSeries::bytes).sum();
        }
    }

    /// Hands out the oldest, at most so many targets.
    pub fn take_own(&mut self, targets: usize) -> Vec<OwnSeries> {
        let taken: Vec<OwnSeries> = self.own.drain(..targets.min(self.own.len())).collect();
        self.own_bytes -= taken.iter().map(OwnSeries::bytes).sum::<usize>();
        taken
    }

    /// Takes back what was not accepted.
    pub fn put_back_own(&mut self, refused: Vec<OwnSeries>) {
        for own in refused.into_iter().rev() {
            self.own_bytes += own.bytes();
            self.own.push_front(own);
        }
    }

    /// Samples and markers that wait.
    pub fn points(&self) -> usize {
        self.waiting.values().map(Waiting::points).sum()
    }

    /// What was not accepted and will not be.
    pub fn counts(&self) -> OutboxCounts {
        self.counts
    }

    fn insert(&mut self, emission: Emission, in_front: bool) {
        let known = self.waiting.contains_key(&emission.labels);
        match (known, in_front) {
            (true, _) => {}
            (false, true) => self.order.push_front(emission.labels.clone()),
            (false, false) => self.order.push_back(emission.labels.clone()),
        }
        let waiting = self.waiting.entry(emission.labels.clone()).or_default();
        if emission.is_marker() {
            waiting.insert_marker(emission);
        } else {
            self.counts.superseded += waiting.insert_samples(emission);
        }
    }

    fn evict(&mut self) {
        let oldest = self.order.pop_front().and_then(|labels| self.waiting.remove(&labels));
        self.counts.evicted += oldest.map_or(0, |waiting| waiting.points() as u64);
    }
}

impl Waiting {
    fn points(&self) -> usize {
        self.samples.iter().chain(&self.markers).map(|emission| emission.samples.len()).sum()
    }

    /// The newer grid point stays. How many samples go.
    fn insert_samples(&mut self, emission: Emission) -> u64 {
        let older = match &mut self.samples {
            Some(present) if present.time_ms > emission.time_ms => Some(emission),
            present => present.replace(emission),
        };
        older.map_or(0, |older| older.samples.len() as u64)
    }

    /// Of a series that ended twice the later end stays: nothing in between was accepted.
    fn insert_marker(&mut self, mut emission: Emission) {
        for present in &mut self.markers {
            let (older, newer) = if present.time_ms <= emission.time_ms {
                (&mut present.samples, &emission.samples)
            } else {
                (&mut emission.samples, &present.samples)
            };
            older.retain(|sample| !newer.iter().any(|other| other.series == sample.series));
        }
        self.markers.push(emission);
        self.markers.retain(|marker| !marker.samples.is_empty());
        self.markers.sort_by_key(|marker| marker.time_ms);
    }

    /// In order of time, so that no series goes back.
    fn into_emissions(self) -> Vec<Emission> {
        let mut emissions: Vec<Emission> = self.markers.into_iter().chain(self.samples).collect();
        emissions.sort_by_key(|emission| emission.time_ms);
        emissions
    }
}
