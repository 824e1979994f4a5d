//! Whether a destination is worth trying (delivery §4.2): closed while it is, open while it is not, and half-open for one
//! attempt at each back-off step. Pure: time comes in, waits go out.

use std::time::Duration;

use sluice_pipeline::blocks::CircuitBreaker;
use sluice_pipeline::clock::Monotonic;

/// Parts of the window. The oldest is forgotten whole.
const SLOTS: usize = 10;

/// Attempts within the window, and how many of them failed.
#[derive(Clone, Debug)]
struct Window {
    slot: Duration,
    /// Number of the newest slot, counted from the clock's start.
    newest: u64,
    /// Attempts and failures.
    slots: [(u32, u32); SLOTS],
}

impl Window {
    fn add(&mut self, now: Monotonic, failed: bool) {
        let number = u64::try_from(now.0.as_nanos() / self.slot.as_nanos().max(1)).unwrap_or(u64::MAX);
        let passed = number.saturating_sub(self.newest);
        for step in 1..=passed.min(SLOTS as u64) {
            self.slots[((self.newest + step) % SLOTS as u64) as usize] = (0, 0);
        }
        self.newest = self.newest.max(number);
        let (attempts, failures) = &mut self.slots[(self.newest % SLOTS as u64) as usize];
        *attempts = attempts.saturating_add(1);
        *failures = failures.saturating_add(u32::from(failed));
    }

    fn totals(&self) -> (u64, u64) {
        self.slots.iter().fold((0, 0), |(attempts, failures), &(more, failed)| {
            (attempts + u64::from(more), failures + u64::from(failed))
        })
    }
}

/// While the destination is not worth trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// Back-off steps so far.
    pub(super) rounds: u32,
    /// No attempt before this.
    pub(super) not_before: Monotonic,
    /// The destination asked for this part of the wait.
    floor: Monotonic,
    /// An attempt is under way: half-open.
    pub(super) probing: bool,
    /// No connection could be made, or it broke.
    pub(super) unreachable: bool,
}

/// The breaker of one destination.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    rules: CircuitBreaker,
    consecutive: u32,
    window: Window,
    open: Option<Open>,
}

impl Breaker {
    pub(super) fn new(rules: CircuitBreaker) -> Self {
        let window = Window { slot: *rules.window / SLOTS as u32, newest: 0, slots: [(0, 0); SLOTS] };
        Breaker { rules, consecutive: 0, window, open: None }
    }

    pub(super) fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// For the metric: 0 closed, 1 open, 2 half-open.
    pub(super) fn state(&self) -> u8 {
        self.open.map_or(0, |open| if open.probing { 2 } else { 1 })
    }

    /// An attempt that was free to go succeeded.
    pub(super) fn succeeded(&mut self, now: Monotonic) {
        self.consecutive = 0;
        self.window.add(now, false);
    }

    /// An attempt that was free to go failed. `true` if that is one too many.
    pub(super) fn failed(&mut self, now: Monotonic) -> bool {
        self.consecutive = self.consecutive.saturating_add(1);
        self.window.add(now, true);
        let (attempts, failures) = self.window.totals();
        let enough = attempts >= u64::from(self.rules.min_requests);
        self.consecutive >= self.rules.consecutive_failures
            || (enough && failures as f64 >= attempts as f64 * self.rules.error_ratio)
    }

    /// Opens, or stays open for another step. Nobody is tried before `not_before`, and not before `floor` for any reason.
    pub(super) fn trip(&mut self, not_before: Monotonic, floor: Monotonic, unreachable: bool) {
        let rounds = self.open.map_or(0, |open| open.rounds).saturating_add(1);
        let not_before = not_before.max(floor);
        self.open = Some(Open { rounds, not_before, floor, probing: false, unreachable });
    }

    /// A floor for the present step, from an attempt that was under way when it opened.
    pub(super) fn wait_for(&mut self, floor: Monotonic) {
        if let Some(open) = &mut self.open {
            open.floor = open.floor.max(floor);
            open.not_before = open.not_before.max(floor);
        }
    }

    /// It can be connected to: the wait for the next attempt ends, but for what the destination asked for.
    pub(super) fn reached(&mut self, now: Monotonic) {
        if let Some(open) = &mut self.open {
            open.unreachable = false;
            open.not_before = open.not_before.min(now).max(open.floor);
        }
    }

    /// Leave for the one attempt of this step, if it is time.
    pub(super) fn probe(&mut self, now: Monotonic) -> bool {
        match &mut self.open {
            Some(open) if !open.probing && now >= open.not_before => {
                open.probing = true;
                true
            }
            _ => false,
        }
    }

    /// The attempt of this step ended without a word on the destination.
    pub(super) fn unprobe(&mut self) {
        if let Some(open) = &mut self.open {
            open.probing = false;
        }
    }

    /// The attempt of this step succeeded: what failed before is forgotten.
    pub(super) fn close(&mut self) {
        (self.open, self.consecutive) = (None, 0);
        self.window.slots = [(0, 0); SLOTS];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Monotonic {
        Monotonic(Duration::from_secs_f64(seconds))
    }

    #[test]
    fn so_many_failures_in_a_row_open_it_and_one_success_starts_over() {
        let mut breaker = Breaker::new(CircuitBreaker::default());
        for round in 0..10 {
            (0..4).for_each(|_| assert!(!breaker.failed(at(20.0 * f64::from(round)))));
            breaker.succeeded(at(20.0 * f64::from(round)));
        }
        let now = at(1000.0);
        (0..4).for_each(|_| assert!(!breaker.failed(now)));
        assert!(breaker.failed(now));
        breaker.trip(at(1001.0), at(0.0), false);
        assert_eq!(breaker.state(), 1);
        assert!(!breaker.probe(now) && breaker.probe(at(1001.0)) && !breaker.probe(at(1002.0)), "one probe a step");
        assert_eq!(breaker.state(), 2);
        breaker.close();
        assert_eq!(breaker.state(), 0);
        (0..4).for_each(|_| assert!(!breaker.failed(at(1002.0)), "it counts from nothing"));
    }

    #[test]
    fn a_share_of_failures_opens_it_once_there_were_enough_requests() {
        let mut breaker = Breaker::new(CircuitBreaker::default());
        // Failure and success in turn: half of them fail, and the 20th attempt is the first that counts.
        for attempt in 1..=18 {
            if attempt % 2 == 0 {
                assert!(!breaker.failed(at(0.1)), "{attempt}");
            } else {
                breaker.succeeded(at(0.1));
            }
        }
        breaker.succeeded(at(0.1));
        assert!(breaker.failed(at(0.1)));
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut breaker = Breaker::new(CircuitBreaker { consecutive_failures: 1000, ..CircuitBreaker::default() });
        (0..19).for_each(|_| assert!(!breaker.failed(at(0.5))));
        assert!(!breaker.failed(at(10.9)), "the others are forgotten");
        (0..18).for_each(|_| assert!(!breaker.failed(at(10.9))));
        assert!(breaker.failed(at(19.9)));
        // A long time without attempts.
        assert!(!breaker.failed(at(1e6)));
    }

    #[test]
    fn a_few_failures_among_many_successes_leave_it_closed() {
        let mut breaker = Breaker::new(CircuitBreaker::default());
        for attempt in 0..10_000u32 {
            let now = at(f64::from(attempt) / 100.0);
            if attempt % 3 == 0 {
                assert!(!breaker.failed(now));
            } else {
                breaker.succeeded(now);
            }
        }
    }
}
