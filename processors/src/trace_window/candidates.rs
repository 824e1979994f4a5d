//! Spans that could stand as exemplars of a histogram's points (correlation §8): for each series a few of each power of two of
//! their duration, of traces that are kept. A series is known once a point of it has come.

use std::collections::HashMap;

use ahash::RandomState;

use super::verdict_cache::TraceKey;

/// Most candidates of a series and power of two, and altogether.
const MAX_BUCKET: usize = 4;
const MAX_TOTAL: usize = 65_536;

/// Most bytes of series with the counts of their points before; beyond, those go that were not heard of for longest.
const MAX_BYTES: usize = 16 << 20;

/// A span of a trace that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) trace: TraceKey,
    pub(crate) span: [u8; 8],
    /// Unix ns.
    pub(crate) end: u64,
    pub(crate) duration_ns: u64,
    pub(crate) error: bool,
}

/// The spans that measure the same thing: of a resource, and of a kind.
pub(crate) type Measured = (u64, u8);

/// What is counted in a histogram.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    measured: Measured,
    /// Encoded pairs, which the span must have too.
    attributes: Vec<Box<[u8]>>,
    buckets: HashMap<u32, Vec<Candidate>, RandomState>,
    /// Start, time and counts of the cumulative point before.
    before: Option<(u64, u64, Vec<u64>)>,
    heard: u32,
}

/// A point, as far as it is compared with the one before.
pub(crate) struct Point<'a> {
    pub(crate) start: u64,
    pub(crate) time: u64,
    pub(crate) counts: &'a [u64],
    pub(crate) delta: bool,
}

/// What a point adds to the one before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Added {
    /// After this, up to the time of the point.
    pub(crate) from: u64,
    pub(crate) counts: Vec<u64>,
}

/// The table.
#[derive(Default)]
pub(crate) struct Candidates {
    series: HashMap<u64, Series, RandomState>,
    by_measured: HashMap<Measured, Vec<u64>, RandomState>,
    total: usize,
    bytes: usize,
}

impl Series {
    fn cost(&self) -> usize {
        let attributes: usize = self.attributes.iter().map(|pair| pair.len() + 16).sum();
        size_of::<Series>() + 64 + attributes + self.before.as_ref().map_or(0, |(.., counts)| counts.len() * 8)
    }

    fn len(&self) -> usize {
        self.buckets.values().map(Vec::len).sum()
    }
}

impl Candidates {
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Bytes of everything.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.total * size_of::<Candidate>()
    }

    /// A point of the series came: what it adds, if that can be told.
    pub(crate) fn point<'p>(
        &mut self,
        series: u64,
        measured: Measured,
        attributes: impl Iterator<Item = &'p [u8]>,
        point: &Point<'_>,
        now: u32,
    ) -> Option<Added> {
        if !self.series.contains_key(&series) {
            self.make_room();
            let new = Series { measured, attributes: attributes.map(Into::into).collect(), ..Series::default() };
            self.bytes += new.cost();
            self.by_measured.entry(measured).or_default().push(series);
            self.series.insert(series, new);
        }
        let known = self.series.get_mut(&series)?;
        known.heard = now;
        if point.delta {
            return (point.start > 0).then(|| Added { from: point.start, counts: point.counts.to_vec() });
        }
        self.bytes -= known.cost();
        let before = known.before.replace((point.start, point.time, point.counts.to_vec()));
        self.bytes += known.cost();
        let (start, time, counts) = before?;
        // Counted from anew, or by other bounds.
        if start != point.start || counts.len() != point.counts.len() || time >= point.time {
            return None;
        }
        let added = point.counts.iter().zip(&counts).map(|(now, before)| now.checked_sub(*before));
        Some(Added { from: time, counts: added.collect::<Option<_>>()? })
    }

    /// A span of a trace that is kept, with the encoded pairs it has.
    pub(crate) fn offer(&mut self, measured: Measured, has: impl Fn(&[u8]) -> bool, candidate: Candidate) {
        let Some(all) = self.by_measured.get(&measured) else { return };
        for series in all {
            let Some(series) = self.series.get_mut(series) else { continue };
            if !series.attributes.iter().all(|pair| has(pair)) {
                continue;
            }
            let bucket = series.buckets.entry(candidate.duration_ns.max(1).ilog2()).or_default();
            if bucket.len() >= MAX_BUCKET || self.total >= MAX_TOTAL {
                // Errors stay for longest, then the newest.
                let weakest = bucket.iter().enumerate().min_by_key(|(_, it)| (it.error, it.end));
                match weakest.map(|(at, it)| (at, (it.error, it.end))) {
                    Some((at, rank)) if rank < (candidate.error, candidate.end) => bucket[at] = candidate,
                    _ => {}
                }
                continue;
            }
            bucket.push(candidate);
            self.total += 1;
        }
    }

    /// The best candidate that ended in `(from, to]` and whose duration is in `(low, high]`, in ns: an error, or else the newest.
    pub(crate) fn best(
        &self,
        series: u64,
        (low, high): (f64, f64),
        (from, to): (u64, u64),
        is_kept: impl Fn(TraceKey) -> bool,
    ) -> Option<Candidate> {
        let all = self.series.get(&series)?.buckets.values().flatten();
        let fits = |it: &&Candidate| {
            let duration = it.duration_ns as f64;
            low < duration && duration <= high && from < it.end && it.end <= to && is_kept(it.trace)
        };
        all.filter(fits).max_by_key(|it| (it.error, it.end)).copied()
    }

    /// A point of the series has passed: what ended by then is of no use for the next one.
    pub(crate) fn passed(&mut self, series: u64, to: u64) {
        let Some(series) = self.series.get_mut(&series) else { return };
        let before = series.len();
        series.buckets.retain(|_, bucket| {
            bucket.retain(|it| it.end > to);
            !bucket.is_empty()
        });
        self.total -= before - series.len();
    }

    /// Lets an eighth of the series go, if they take too much.
    fn make_room(&mut self) {
        if self.bytes < MAX_BYTES {
            return;
        }
        let mut heard: Vec<u32> = self.series.values().map(|series| series.heard).collect();
        let middle = heard.len() / 8;
        let (_, &mut oldest, _) = heard.select_nth_unstable(middle);
        let (total, bytes, by_measured) = (&mut self.total, &mut self.bytes, &mut self.by_measured);
        let mut left = middle + 1;
        self.series.retain(|id, series| {
            if series.heard > oldest || left == 0 {
                return true;
            }
            left -= 1;
            (*total, *bytes) = (*total - series.len(), *bytes - series.cost());
            if let Some(all) = by_measured.get_mut(&series.measured) {
                all.retain(|other| other != id);
                if all.is_empty() {
                    by_measured.remove(&series.measured);
                }
            }
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(end: u64, duration_ns: u64, error: bool) -> Candidate {
        Candidate { trace: TraceKey { tenant: 0, id: [1; 16] }, span: [end as u8; 8], end, duration_ns, error }
    }

    fn point(candidates: &mut Candidates, series: u64, time: u64, counts: &[u64]) -> Option<Added> {
        let point = Point { start: 1, time, counts, delta: false };
        candidates.point(series, (7, 2), [&b"route"[..]].into_iter(), &point, time as u32)
    }

    #[test]
    fn what_a_point_adds_is_told_by_the_one_before() {
        let mut all = Candidates::default();
        assert_eq!(point(&mut all, 1, 10, &[1, 2]), None);
        assert_eq!(point(&mut all, 1, 20, &[1, 5]), Some(Added { from: 10, counts: vec![0, 3] }));
        assert_eq!(point(&mut all, 1, 30, &[0, 1]), None, "counted from anew");
        assert_eq!(point(&mut all, 1, 40, &[0, 1, 1]), None, "other bounds");
        let delta = Point { start: 40, time: 50, counts: &[4], delta: true };
        assert_eq!(all.point(2, (7, 2), std::iter::empty(), &delta, 1), Some(Added { from: 40, counts: vec![4] }));
    }

    #[test]
    fn errors_stay_then_the_newest_and_four_of_a_power_of_two() {
        let mut all = Candidates::default();
        point(&mut all, 1, 10, &[0]);
        (11..20).for_each(|end| all.offer((7, 2), |_| true, candidate(end, 1000, end == 12)));
        all.offer((7, 2), |_| false, candidate(30, 1000, true));
        all.offer((7, 3), |_| true, candidate(30, 1000, true));
        assert_eq!(all.total, 4);
        let best = |all: &Candidates, from, to| all.best(1, (999.0, 1000.0), (from, to), |_| true).map(|it| it.end);
        assert_eq!((best(&all, 10, 40), best(&all, 12, 40), best(&all, 19, 40)), (Some(12), Some(19), None));
        assert_eq!(all.best(1, (1000.0, 2000.0), (10, 40), |_| true), None);
        assert_eq!(all.best(1, (0.0, 2000.0), (10, 40), |_| false), None);
        all.passed(1, 18);
        assert_eq!((all.total, best(&all, 0, 40)), (1, Some(19)));
    }

    #[test]
    fn there_is_an_end_to_their_memory() {
        let mut all = Candidates::default();
        for series in 0..20_000 {
            point(&mut all, series, 10 + series / 100, &[0; 200]);
        }
        assert!(all.bytes() <= MAX_BYTES + 4096 && all.series.len() > 1_000, "{}", all.bytes());
        assert_eq!(all.by_measured[&(7, 2)].len(), all.series.len());
        assert!(all.series.contains_key(&19_999) && !all.series.contains_key(&0));
    }
}
