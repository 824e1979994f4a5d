//! How much may be under way at a destination at a time, in bytes: what it answers well within the timeout.
//!
//! The rules of delivery §4.2 count payloads, and call an answer slow that takes twice as long as the others did lately. A
//! destination at its capacity lets what is sent wait in a queue: each answer takes a little longer than the one before, the
//! mean follows, and nothing is ever slow, until the queue is longer than the timeout. From then on attempts are cut off whose
//! work is done all the same, in vain, and done again. So in addition to these rules, which stand as they are in `concurrency`,
//! the work under way is bounded by what the timeout leaves room for. It is counted in bytes, as the size of a payload goes
//! with the load: a number of payloads that was right for a few items each says nothing of full ones.
//!
//! A bound on time alone needs no guess whether it is our own load that makes a destination slow. A comparison with the
//! shortest round trip was rejected: where round trips vary by nature, the shortest is far from the usual one, and would keep
//! the window shut.

use std::time::Duration;

use sluice_pipeline::clock::Monotonic;

/// An answer within this part of the timeout makes room for twice the work that was under way: were all of it a queue, it
/// would take a quarter of the timeout.
const AMPLE: u32 = 8;
/// An answer within this part of the timeout makes room for one payload more: two for one that was alone, and two thirds of
/// the timeout at worst.
const FAIR: u32 = 3;
/// An answer that takes more than this part of the timeout takes a quarter of the room away.
const LATE: u32 = 2;

/// What is under way when an attempt begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    /// Of its payload.
    pub(super) bytes: usize,
    /// Of all payloads under way, its own included.
    pub(super) under_way: usize,
}

/// The window of one destination.
#[derive(Clone, Debug)]
pub(super) struct CongestionWindow {
    /// Of an attempt; zero for none, and no bound.
    timeout: Duration,
    /// Where there is a timeout.
    bytes: usize,
    under_way: usize,
    shrunk: Option<Monotonic>,
}

impl CongestionWindow {
    /// Open for one payload.
    pub(super) fn new(timeout: Duration) -> Self {
        CongestionWindow { timeout, bytes: 0, under_way: 0, shrunk: None }
    }

    /// As long as less is under way, one more payload may be sent.
    pub(super) fn limit(&self) -> usize {
        if self.timeout.is_zero() { usize::MAX } else { self.bytes }
    }

    /// Whether nothing more may be sent for now. One payload always may, however large.
    pub(super) fn is_full(&self) -> bool {
        self.under_way > 0 && self.under_way >= self.limit()
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self, bytes: usize) -> Load {
        self.under_way = self.under_way.saturating_add(bytes);
        Load { bytes, under_way: self.under_way }
    }

    /// It is over.
    pub(super) fn end(&mut self, load: Load) {
        self.under_way = self.under_way.saturating_sub(load.bytes);
    }

    /// It was answered within this time. `true` if there is more room.
    pub(super) fn answered(&mut self, load: Load, rtt: Duration, now: Monotonic) -> bool {
        let before = self.bytes;
        if rtt <= self.timeout / AMPLE {
            self.bytes = before.max(load.under_way.saturating_mul(2));
        } else if rtt <= self.timeout / FAIR {
            self.bytes = before.max(load.under_way.saturating_add(load.bytes));
        } else if rtt > self.timeout / LATE && self.shrunk.is_none_or(|at| now.since(at) >= rtt) {
            // Once a round trip: what was sent before says the same thing.
            self.shrunk = Some(now);
            self.bytes = before.min(load.under_way) / 4 * 3;
        }
        self.bytes > before
    }

    /// It was not answered in time: from one payload on, as what is still queued there is worked on first.
    pub(super) fn timed_out(&mut self, now: Monotonic) {
        self.shrunk = Some(now);
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(8);

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    /// Sends payloads of this size until the window is full.
    fn fill(window: &mut CongestionWindow, bytes: usize) -> Vec<Load> {
        std::iter::from_fn(|| (!window.is_full()).then(|| window.begin(bytes))).take(1000).collect()
    }

    /// All of it is answered within this time. How many payloads may be under way then.
    fn round(window: &mut CongestionWindow, bytes: usize, rtt: Duration, now: Monotonic) -> usize {
        for load in fill(window, bytes) {
            window.end(load);
            window.answered(load, rtt, now);
        }
        let next = fill(window, bytes);
        next.iter().for_each(|&load| window.end(load));
        next.len()
    }

    #[test]
    fn it_opens_by_what_is_answered_well_within_the_timeout() {
        let second = Duration::from_secs(1);
        let nanosecond = Duration::from_nanos(1);
        for (rtt, rounds) in [
            (Duration::ZERO, [2, 4, 8, 16]),
            (second, [2, 4, 8, 16]),
            (second + nanosecond, [2, 3, 4, 5]),
            (TIMEOUT / 3, [2, 3, 4, 5]),
            (TIMEOUT / 3 + nanosecond, [1, 1, 1, 1]),
            (TIMEOUT, [1, 1, 1, 1]),
        ] {
            let mut window = CongestionWindow::new(TIMEOUT);
            let seen: Vec<usize> = (1..=4).map(|number| round(&mut window, 100, rtt, at(number * 10))).collect();
            assert_eq!(seen, rounds, "{rtt:?}");
        }
    }

    #[test]
    fn answers_between_a_third_and_a_half_of_the_timeout_leave_it_as_it_is() {
        let mut window = CongestionWindow::new(TIMEOUT);
        (0..3).for_each(|number| _ = round(&mut window, 100, Duration::ZERO, at(number)));
        for rtt in [TIMEOUT / 3 + Duration::from_nanos(1), TIMEOUT / 2] {
            assert_eq!(round(&mut window, 100, rtt, at(10)), 8);
        }
    }

    #[test]
    fn late_answers_take_a_quarter_away_once_a_round_trip() {
        let mut window = CongestionWindow::new(TIMEOUT);
        (0..3).for_each(|number| _ = round(&mut window, 100, Duration::ZERO, at(number)));
        let late = Duration::from_secs(5);
        for (now, left) in [(10, 6), (14, 6), (15, 5), (20, 4), (30, 3), (40, 2), (50, 2), (60, 2), (70, 1)] {
            let loads = fill(&mut window, 100);
            loads.iter().for_each(|&load| window.end(load));
            if let Some(&last) = loads.last() {
                window.answered(last, late, at(now));
            }
            assert_eq!(fill(&mut window, 100).into_iter().map(|load| window.end(load)).count(), left, "at {now} s");
        }
    }

    #[test]
    fn a_number_of_small_payloads_says_nothing_of_large_ones() {
        let mut window = CongestionWindow::new(TIMEOUT);
        (0..4).for_each(|number| _ = round(&mut window, 100, Duration::ZERO, at(number)));
        assert_eq!(fill(&mut window, 100).into_iter().map(|load| window.end(load)).count(), 16);
        assert_eq!(fill(&mut window, 100_000).len(), 1);
    }

    #[test]
    fn after_a_timeout_one_payload_goes_at_a_time() {
        let mut window = CongestionWindow::new(TIMEOUT);
        (0..4).for_each(|number| _ = round(&mut window, 100, Duration::ZERO, at(number)));
        window.timed_out(at(5));
        assert_eq!(fill(&mut window, 100).into_iter().map(|load| window.end(load)).count(), 1);
        assert_eq!(round(&mut window, 100, Duration::ZERO, at(6)), 2);
    }

    #[test]
    fn without_a_timeout_there_is_no_bound() {
        let mut window = CongestionWindow::new(Duration::ZERO);
        assert_eq!(fill(&mut window, 1 << 40).len(), 1000);
    }
}
