//! How many payloads are in flight at a time, found by trying (delivery §4.2): one more after a window of successes, a quarter
//! less when the destination is under pressure. That counts payloads; how large they may be together is found by
//! `congestion`, which also sees a destination whose answers take ever longer, but never twice as long as the last ones.

use std::time::Duration;

use sluice_pipeline::clock::Monotonic;

/// Where the search begins, within the bounds.
const START: usize = 10;
/// Weight of a new round trip in the mean: 1/8, as TCP has it.
const WEIGHT: f64 = 0.125;
/// Round trips below this are never slow: at such times it is the scheduler that is measured.
const JITTER: Duration = Duration::from_millis(10);

/// The limit of one destination.
#[derive(Clone, Debug)]
pub(super) struct Concurrency {
    min: usize,
    max: usize,
    limit: usize,
    /// Since the limit last changed.
    successes: usize,
    /// Mean round trip in seconds; none before the first.
    mean: Option<f64>,
    decreased: Option<Monotonic>,
}

impl Concurrency {
    pub(super) fn new(min: usize, max: usize) -> Self {
        let max = max.max(1);
        let min = min.clamp(1, max);
        Concurrency { min, max, limit: START.clamp(min, max), successes: 0, mean: None, decreased: None }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// A payload was delivered within this time. A slow answer is pressure; others make a window.
    pub(super) fn succeeded(&mut self, rtt: Duration, now: Monotonic) {
        let seconds = rtt.as_secs_f64();
        let slow = rtt > JITTER && self.mean.is_some_and(|mean| seconds > 2.0 * mean);
        if slow {
            self.pressed(now);
        }
        self.mean = Some(self.mean.map_or(seconds, |mean| mean + WEIGHT * (seconds - mean)));
        if slow {
            return;
        }
        self.successes += 1;
        if self.successes >= self.limit && self.limit < self.max {
            self.limit += 1;
            self.successes = 0;
        }
    }

    /// The destination asked for less, or did not answer in time. Counts once a round trip: what was under way together says
    /// the same thing.
    pub(super) fn pressed(&mut self, now: Monotonic) {
        let rtt = Duration::try_from_secs_f64(self.mean.unwrap_or(0.0)).unwrap_or_default();
        if self.decreased.is_some_and(|at| now.since(at) <= rtt) {
            return;
        }
        self.decreased = Some(now);
        self.limit = (self.limit * 3 / 4).max(self.min);
        self.successes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Monotonic {
        Monotonic(Duration::from_millis(millis))
    }

    #[test]
    fn one_more_after_a_window_of_successes_up_to_the_bound() {
        let mut concurrency = Concurrency::new(1, 12);
        let mut sent = 0;
        for limit in [10, 11] {
            for _ in 0..limit {
                assert_eq!(concurrency.limit(), limit);
                concurrency.succeeded(RTT, at(sent));
                sent += 1;
            }
        }
        (0..100).for_each(|_| concurrency.succeeded(RTT, at(sent)));
        assert_eq!(concurrency.limit(), 12);
    }

    #[test]
    fn a_quarter_less_under_pressure_once_a_round_trip() {
        let mut concurrency = Concurrency::new(2, 32);
        concurrency.succeeded(RTT, at(0));
        for (millis, limit) in [(1000, 7), (1050, 7), (1100, 7), (1101, 5), (1300, 3), (1500, 2), (1700, 2)] {
            concurrency.pressed(at(millis));
            assert_eq!(concurrency.limit(), limit, "at {millis} ms");
        }
    }

    #[test]
    fn an_answer_that_takes_twice_as_long_as_usual_is_pressure() {
        let mut concurrency = Concurrency::new(1, 32);
        (0..5).for_each(|_| concurrency.succeeded(RTT, at(0)));
        concurrency.succeeded(RTT * 19 / 10, at(1000));
        assert_eq!(concurrency.limit(), 10);
        concurrency.succeeded(RTT * 3, at(2000));
        assert_eq!(concurrency.limit(), 7);
        // A destination that stays slow is slow, and not under pressure: the mean follows.
        for step in 0..200 {
            concurrency.succeeded(RTT * 3, at(3000 + 400 * step));
        }
        assert!(concurrency.limit() > 10, "{}", concurrency.limit());
    }

    #[test]
    fn some_milliseconds_say_nothing() {
        let mut concurrency = Concurrency::new(1, 10);
        for step in 0..1000u64 {
            concurrency.succeeded(Duration::from_micros(100 + step % 7 * 900), at(step * 10));
        }
        assert_eq!(concurrency.limit(), 10);
    }

    #[test]
    fn in_order_means_one_at_a_time() {
        let mut concurrency = Concurrency::new(1, 1);
        assert_eq!(concurrency.limit(), 1);
        (0..100).for_each(|_| concurrency.succeeded(RTT, at(0)));
        concurrency.pressed(at(500));
        assert_eq!(concurrency.limit(), 1);
    }
}
