//! Exemplars that wait for the verdict of their trace, by series (correlation §8). Those of one series leave in the order of
//! their times: Prometheus refuses older ones.

use std::collections::{HashMap, VecDeque};

use super::verdict_cache::TraceKey;

/// Most that wait for one series, and altogether.
const MAX_SERIES: usize = 8;
const MAX_TOTAL: usize = 65_536;

/// Longest exemplar that may wait, in bytes.
const MAX_BYTES: usize = 256;

/// An exemplar of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exemplar {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) trace: TraceKey,
    /// Unix ns.
    pub(crate) time: u64,
    /// When it came, in ticks.
    pub(crate) since: u32,
}

/// What the verdict of its trace makes of an exemplar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    Keep,
    Remove,
    Unknown { keep: bool },
    Pending,
}

/// What leaves with a point, and what became of the others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaving {
    pub(crate) exemplars: Vec<Box<[u8]>>,
    pub(crate) kept: u64,
    pub(crate) removed: u64,
    pub(crate) unknown: u64,
    pub(crate) pending: u64,
    pub(crate) expired: u64,
}

/// The queues.
#[derive(Default)]
pub(crate) struct Waiting {
    series: HashMap<u64, VecDeque<Exemplar>, ahash::RandomState>,
    total: usize,
    bytes: usize,
}

impl Waiting {
    /// Whether anything waits for the series.
    pub(crate) fn has(&self, series: u64) -> bool {
        self.total > 0 && self.series.contains_key(&series)
    }

    /// A point of the series passes, with exemplars of its own: which may go with it? Its interval is `(start, end]`. One whose
    /// trace is not decided holds back younger ones, until `patience` ticks have passed.
    pub(crate) fn pass(
        &mut self,
        series: u64,
        own: Vec<Exemplar>,
        (start, end): (u64, u64),
        (now, patience): (u32, u32),
        judge: impl Fn(TraceKey) -> Judged,
    ) -> Leaving {
        let mut all: Vec<Exemplar> = self.series.remove(&series).unwrap_or_default().into();
        self.total -= all.len();
        self.bytes -= all.iter().map(|it| it.bytes.len()).sum::<usize>();
        let waited = all.len();
        all.extend(own);
        // The order of arrival among equal times.
        let fresh = all.len() - waited;
        all.sort_by_key(|it| it.time);
        let mut leaving = Leaving::default();
        let mut queue = VecDeque::new();
        for exemplar in all {
            let verdict = judge(exemplar.trace);
            match verdict {
                Judged::Remove => leaving.removed += 1,
                Judged::Unknown { keep: false } => leaving.unknown += 1,
                _ if now.saturating_sub(exemplar.since) >= patience && verdict == Judged::Pending => {
                    leaving.expired += 1
                }
                // Of an interval that was counted from anew.
                _ if exemplar.time <= start && exemplar.since != now => leaving.expired += 1,
                Judged::Pending => queue.push_back(exemplar),
                Judged::Keep | Judged::Unknown { keep: true } if queue.is_empty() && exemplar.time <= end.max(1) => {
                    leaving.kept += u64::from(verdict == Judged::Keep);
                    leaving.unknown += u64::from(verdict != Judged::Keep);
                    leaving.exemplars.push(exemplar.bytes);
                }
                Judged::Keep | Judged::Unknown { keep: true } => queue.push_back(exemplar),
            }
        }
        while queue.len() > MAX_SERIES || self.total + queue.len() > MAX_TOTAL {
            queue.pop_front();
            leaving.expired += 1;
        }
        let before = queue.len();
        queue.retain(|it| it.bytes.len() <= MAX_BYTES);
        leaving.expired += (before - queue.len()) as u64;
        leaving.pending = (queue.len().min(fresh)) as u64;
        if !queue.is_empty() {
            self.total += queue.len();
            self.bytes += queue.iter().map(|it| it.bytes.len()).sum::<usize>();
            self.series.insert(series, queue);
        }
        leaving
    }

    /// Forgets those of series that report no more. Returns how many.
    pub(crate) fn expire(&mut self, now: u32, patience: u32) -> u64 {
        let mut expired = 0;
        let (total, bytes) = (&mut self.total, &mut self.bytes);
        self.series.retain(|_, queue| {
            queue.retain(|it| {
                let stays = now.saturating_sub(it.since) < patience;
                if !stays {
                    (*total, *bytes, expired) = (*total - 1, *bytes - it.bytes.len(), expired + 1);
                }
                stays
            });
            !queue.is_empty()
        });
        expired
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.total * size_of::<Exemplar>() + self.series.len() * 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exemplar(n: u8, time: u64, since: u32) -> Exemplar {
        let mut id = [1; 16];
        id[0] = n;
        Exemplar { bytes: Box::new([n]), trace: TraceKey { tenant: 0, id }, time, since }
    }

    fn ids(leaving: &Leaving) -> Vec<u8> {
        leaving.exemplars.iter().map(|bytes| bytes[0]).collect()
    }

    #[test]
    fn one_that_waits_holds_back_younger_ones_and_then_all_leave_in_order() {
        let mut waiting = Waiting::default();
        let judge = |open: &'static [u8]| {
            move |key: TraceKey| if open.contains(&key.id[0]) { Judged::Pending } else { Judged::Keep }
        };
        let first = vec![exemplar(1, 10, 1), exemplar(2, 20, 1), exemplar(3, 30, 1)];
        let leaving = waiting.pass(7, first, (0, 100), (1, 1200), judge(&[2]));
        assert_eq!((ids(&leaving), leaving.pending), (vec![1], 2));
        let leaving = waiting.pass(7, vec![exemplar(4, 40, 2)], (0, 200), (2, 1200), judge(&[]));
        assert_eq!(ids(&leaving), [2, 3, 4]);
        assert!(!waiting.has(7));
        assert_eq!(waiting.bytes(), 0);
    }

    #[test]
    fn patience_ends_and_queues_are_short() {
        let mut waiting = Waiting::default();
        let pending = |_: TraceKey| Judged::Pending;
        let leaving =
            waiting.pass(7, (0..20).map(|n| exemplar(n, n.into(), 1)).collect(), (0, 100), (1, 1200), pending);
        assert_eq!((leaving.pending, leaving.expired), (8, 12));
        let leaving = waiting.pass(7, Vec::new(), (0, 100), (1201, 1200), pending);
        assert_eq!(leaving.expired, 8);
        waiting.pass(8, vec![exemplar(1, 5, 1300)], (0, 100), (1300, 1200), pending);
        assert_eq!((waiting.expire(1400, 1200), waiting.expire(2500, 1200)), (0, 1));
        assert!(!waiting.has(8));
    }
}
