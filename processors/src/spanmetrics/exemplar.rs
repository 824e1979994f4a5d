//! Exemplars: spans that stand for a point, of traces that are kept (correlation §13).
//!
//! Candidates wait here until it is known what becomes of their trace. Each series keeps a few for each bucket, errors before
//! others and then by randomness: where a probability decides, the highest randomness is kept if any is. They leave in the
//! order of their arrival, because backends refuse older ones behind newer ones: what is kept waits behind what is pending.

use std::cmp::Reverse;
use std::sync::Arc;

use sluice_pipeline::context::Tenant;
use sluice_pipeline::verdict::{Verdict, Verdicts};

/// Candidates kept for each bucket, unless more are wanted for a point.
const PER_BUCKET: usize = 4;
/// Candidates kept at all (correlation §5).
pub const MAX_CANDIDATES: usize = 65_536;
/// How long a candidate of a trace that nobody knows may wait: the decider may be behind.
const UNKNOWN_WAIT: u64 = 120_000_000_000;
/// How long a candidate may wait at all.
const LONGEST_WAIT: u64 = 600_000_000_000;
const MILLISECOND: u64 = 1_000_000;

/// A span that could stand for a point.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    /// When it was absorbed, in the stage's time: what senders claim cannot be relied on.
    pub time: u64,
    /// Its duration, in the unit of the histogram.
    pub value: f64,
    pub randomness: u64,
    pub error: bool,
    /// The histogram's bucket; octave if it is exponential.
    pub bucket: i32,
}

impl Candidate {
    /// Higher is better.
    fn rank(&self) -> (bool, u64) {
        (self.error, self.randomness)
    }
}

/// Whom to ask about traces.
pub enum Judge {
    /// Nobody decides: all traces are kept.
    Nobody,
    Component(Arc<dyn Verdicts>),
    /// Somebody decides, and who that is cannot be found out: nothing is attached.
    Missing,
}

impl Judge {
    fn verdict(&self, tenant: &Tenant, trace: &[u8; 16]) -> Verdict {
        match self {
            Judge::Nobody => Verdict::Kept { threshold: None },
            Judge::Component(verdicts) => verdicts.verdict(tenant, trace),
            Judge::Missing => Verdict::Unknown,
        }
    }
}

/// What became of candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    pub attached: u64,
    /// Its trace was sampled away.
    pub dropped: u64,
    /// Its trace was kept, and better ones were attached.
    pub surplus: u64,
    /// Nobody knew its trace.
    pub unknown: u64,
    /// Its trace was not decided in time.
    pub expired: u64,
    /// Discarded for want of memory.
    pub stripped: u64,
}

/// The candidates of one series.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// By bucket, then by rank, the best first.
    list: Vec<Candidate>,
    /// Time of the last that was attached, in milliseconds.
    last: u64,
}

impl Candidates {
    /// Takes a candidate in if it is among the best of its bucket. `room`: whether one more may be kept. Returns by how many
    /// there are more.
    pub fn offer(&mut self, most: usize, room: bool, candidate: Candidate) -> usize {
        let start = self.list.partition_point(|known| known.bucket < candidate.bucket);
        let end = start + self.list[start..].partition_point(|known| known.bucket == candidate.bucket);
        let at = start + self.list[start..end].partition_point(|known| known.rank() >= candidate.rank());
        let full = end - start >= PER_BUCKET.max(most);
        if (full || !room) && at == end {
            return 0;
        }
        self.list.insert(at, candidate);
        if full || !room {
            self.list.remove(end);
            return 0;
        }
        1
    }

    /// Sorts out what waits: what may be attached now is returned, in time order; what was dropped goes; the rest stays.
    pub fn settle(&mut self, tenant: &Tenant, judge: &Judge, now: u64, outcomes: &mut Outcomes) -> Vec<Candidate> {
        let mut waiting = Vec::new();
        let mut kept = Vec::new();
        for candidate in std::mem::take(&mut self.list) {
            let age = now.saturating_sub(candidate.time);
            match judge.verdict(tenant, &candidate.trace) {
                Verdict::Kept { .. } => kept.push(candidate),
                Verdict::Dropped => outcomes.dropped += 1,
                Verdict::Pending if age < LONGEST_WAIT => waiting.push(candidate),
                Verdict::Pending => outcomes.expired += 1,
                Verdict::Unknown if age < UNKNOWN_WAIT && !matches!(judge, Judge::Missing) => waiting.push(candidate),
                Verdict::Unknown => outcomes.unknown += 1,
            }
        }
        let oldest = waiting.iter().map(|candidate| candidate.time / MILLISECOND).min().unwrap_or(u64::MAX);
        let (mut ready, behind): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|candidate| candidate.time / MILLISECOND < oldest);
        // Both are parts of a sorted list.
        waiting.extend(behind);
        waiting.sort_by_key(|candidate| (candidate.bucket, Reverse(candidate.rank())));
        self.list = waiting;
        for candidate in &mut ready {
            candidate.time = candidate.time.max((self.last + 1).saturating_mul(MILLISECOND));
        }
        ready.sort_by(order);
        if let Some(last) = ready.last() {
            self.last = last.time / MILLISECOND;
        }
        ready
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Lets go of all that wait. Returns how many.
    pub fn strip(&mut self) -> usize {
        std::mem::take(&mut self.list).len()
    }

    /// When the oldest came.
    pub fn oldest(&self) -> Option<u64> {
        self.list.iter().map(|candidate| candidate.time).min()
    }
}

/// The order in which backends take exemplars: by time, then value.
fn order(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    (a.time / MILLISECOND).cmp(&(b.time / MILLISECOND)).then(a.value.total_cmp(&b.value))
}

/// The best of what is ready for one point without buckets, in time order.
pub fn best(ready: &[Candidate], most: usize) -> Vec<&Candidate> {
    let mut chosen: Vec<&Candidate> = ready.iter().collect();
    chosen.sort_by_key(|candidate| Reverse(candidate.rank()));
    chosen.truncate(most);
    chosen.sort_by(|a, b| order(a, b));
    chosen
}

/// The best of what is ready for a histogram: of each bucket the first, then of each the second, and so on; in time order.
pub fn best_by_bucket(ready: &[Candidate], most: usize) -> Vec<&Candidate> {
    let mut chosen: Vec<&Candidate> = ready.iter().collect();
    chosen.sort_by_key(|candidate| (candidate.bucket, Reverse(candidate.rank())));
    let mut turns: Vec<(usize, &Candidate)> = Vec::with_capacity(chosen.len());
    for candidate in chosen {
        let turn = match turns.last() {
            Some((turn, before)) if before.bucket == candidate.bucket => turn + 1,
            _ => 0,
        };
        turns.push((turn, candidate));
    }
    turns.sort_by_key(|(turn, candidate)| (*turn, Reverse(candidate.rank())));
    turns.truncate(most);
    let mut chosen: Vec<&Candidate> = turns.into_iter().map(|(_, candidate)| candidate).collect();
    chosen.sort_by(|a, b| order(a, b));
    chosen
}
