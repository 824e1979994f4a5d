//! The learned push interval of a target.

use std::time::Duration;

const KEPT: usize = 20;
const NEEDED: usize = 5;
const LEAST_MS: u32 = 1_000;
const MOST_MS: u32 = 600_000;

/// What I is as long as nothing better is known: the default of the OTLP SDKs.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// The 90th percentile of the last 20 times between arrivals.
///
/// Requests of one push that a sender split come within the least interval and count as one arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LearnedInterval {
    gaps_ms: [u32; KEPT],
    len: u8,
    next: u8,
    /// What is in force, in ms; 0 before enough arrivals.
    current_ms: u32,
    /// The arrival that the next gap is measured from.
    last: Option<Duration>,
}

impl LearnedInterval {
    /// Takes an arrival on the monotonic clock.
    pub fn arrival(&mut self, at: Duration) {
        let least = Duration::from_millis(u64::from(LEAST_MS));
        match self.last {
            Some(last) if at < last.saturating_add(least) => {}
            Some(last) => {
                self.record(at - last);
                self.last = Some(at);
            }
            None => self.last = Some(at),
        }
    }

    /// The next arrival follows a time in which arrivals could not be seen: its gap says nothing.
    pub fn interrupt(&mut self) {
        self.last = None;
    }

    fn record(&mut self, gap: Duration) {
        let gap_ms = gap.as_millis().min(u128::from(MOST_MS)) as u32;
        self.gaps_ms[usize::from(self.next)] = gap_ms;
        self.next = (self.next + 1) % KEPT as u8;
        self.len = (self.len + 1).min(KEPT as u8);
        let Some(observed) = self.observed() else { return };
        let before = if self.current_ms == 0 { DEFAULT_INTERVAL.as_millis() as u32 } else { self.current_ms };
        // Widens at once, so that a slower sender is not declared dead; narrows slowly, so that a burst means little.
        self.current_ms = (observed.as_millis() as u32).max(before - before / 10);
    }

    /// The 90th percentile as it is now, once there are enough arrivals.
    pub fn observed(&self) -> Option<Duration> {
        let len = usize::from(self.len);
        if len < NEEDED {
            return None;
        }
        let mut sorted = self.gaps_ms;
        let sorted = &mut sorted[..len];
        sorted.sort_unstable();
        let rank = (len * 9).div_ceil(10);
        Some(Duration::from_millis(u64::from(sorted[rank - 1])))
    }

    /// I as learned, once there are enough arrivals.
    pub fn current(&self) -> Option<Duration> {
        (self.current_ms > 0).then(|| Duration::from_millis(u64::from(self.current_ms)))
    }

    /// The gaps from old to new, and I in force: all there is to keep over a restart.
    pub fn to_parts(&self) -> (Vec<u32>, u32) {
        let len = usize::from(self.len);
        let first = if len < KEPT { 0 } else { usize::from(self.next) };
        ((0..len).map(|i| self.gaps_ms[(first + i) % KEPT]).collect(), self.current_ms)
    }

    /// The reverse of [`LearnedInterval::to_parts`]; values out of bounds are brought into them.
    pub fn from_parts(gaps_ms: &[u32], current_ms: u32) -> Self {
        let mut learned = LearnedInterval::default();
        for gap in gaps_ms.iter().rev().take(KEPT).rev() {
            learned.gaps_ms[usize::from(learned.len)] = (*gap).clamp(LEAST_MS, MOST_MS);
            learned.len += 1;
        }
        learned.next = learned.len % KEPT as u8;
        if current_ms > 0 {
            learned.current_ms = current_ms.clamp(LEAST_MS, MOST_MS);
        }
        learned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn nothing_is_learned_from_fewer_than_five_arrivals() {
        let mut learned = LearnedInterval::default();
        for _ in 0..4 {
            learned.record(secs(300));
            assert_eq!((learned.current(), learned.observed()), (None, None));
        }
        learned.record(secs(300));
        assert_eq!(learned.current(), Some(secs(300)));
    }

    #[test]
    fn it_widens_at_once_and_narrows_by_a_tenth() {
        let mut learned = LearnedInterval::default();
        for _ in 0..5 {
            learned.record(secs(10));
        }
        assert_eq!(learned.observed(), Some(secs(10)));
        assert_eq!(learned.current(), Some(secs(54)));
        for _ in 0..30 {
            learned.record(secs(10));
        }
        assert_eq!(learned.current(), Some(secs(10)));
        for _ in 0..3 {
            learned.record(secs(100));
        }
        assert_eq!(learned.current(), Some(secs(100)));
    }

    #[test]
    fn one_outlier_in_twenty_changes_nothing_and_a_split_push_is_one_arrival() {
        let mut learned = LearnedInterval::default();
        for minute in 0..21 {
            for part in 0..12 {
                learned.arrival(secs(minute * 60) + Duration::from_millis(part * 3));
            }
        }
        learned.arrival(secs(4800));
        assert_eq!(learned.current(), Some(secs(60)));
        let mut fast = LearnedInterval::default();
        for i in 0..200 {
            fast.arrival(Duration::from_millis(i * 300));
        }
        assert_eq!(fast.observed(), Some(Duration::from_millis(1200)));
    }

    #[test]
    fn its_parts_make_it_again() {
        let mut learned = LearnedInterval::default();
        for i in 1..33 {
            learned.record(secs(i));
            let (gaps, current) = learned.to_parts();
            let again = LearnedInterval::from_parts(&gaps, current);
            assert_eq!(again.to_parts(), (gaps, current));
            let (mut a, mut b) = (again, learned.clone());
            a.record(secs(7));
            b.record(secs(7));
            assert_eq!(a.to_parts(), b.to_parts());
        }
    }
}
