//! The retry budget (delivery §4.2): retries are a share of successes and a little per second, so that they never multiply
//! the load of a destination in trouble. Without budget, a retry waits; nothing is dropped.

use std::time::Duration;

use sluice_pipeline::blocks::RetryBudget;
use sluice_pipeline::clock::Monotonic;

/// Seconds' worth of the steady part that can be saved up, and at least this many retries.
const SAVED: f64 = 10.0;

/// Retries that may be made.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    rules: RetryBudget,
    retries: f64,
    since: Monotonic,
}

impl Budget {
    pub(super) fn new(rules: RetryBudget, now: Monotonic) -> Self {
        Budget { rules, retries: Self::most(&rules), since: now }
    }

    fn most(rules: &RetryBudget) -> f64 {
        (SAVED * rules.min_per_second).max(SAVED)
    }

    /// A payload was delivered.
    pub(super) fn succeeded(&mut self) {
        self.retries = (self.retries + self.rules.ratio).min(Self::most(&self.rules));
    }

    /// Takes one retry, or says when there will be one by time alone.
    pub(super) fn take(&mut self, now: Monotonic) -> Result<(), Monotonic> {
        let earned = now.since(self.since).as_secs_f64() * self.rules.min_per_second;
        self.retries = (self.retries + earned).min(Self::most(&self.rules));
        self.since = now;
        if self.retries >= 1.0 {
            self.retries -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - self.retries) / self.rules.min_per_second.max(f64::MIN_POSITIVE);
        // A millisecond more: rounding must not make a waiter wake in vain.
        let wait = Duration::try_from_secs_f64(wait).unwrap_or(Duration::from_secs(3600));
        Err(now + wait + Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Monotonic {
        Monotonic(Duration::from_secs_f64(seconds))
    }

    fn taken(budget: &mut Budget, now: Monotonic) -> usize {
        std::iter::repeat_with(|| budget.take(now)).take_while(Result::is_ok).take(10_000).count()
    }

    #[test]
    fn retries_are_a_tenth_of_the_successes_and_one_a_second() {
        let mut budget = Budget::new(RetryBudget::default(), at(0.0));
        assert_eq!(taken(&mut budget, at(0.0)), 10, "what is saved at the start");
        (0..50).for_each(|_| budget.succeeded());
        // Ten times 0.1 is a little less than one.
        assert!((4..=5).contains(&taken(&mut budget, at(0.0))));
        let mut all = 0;
        for second in 1..=100 {
            (0..20).for_each(|_| budget.succeeded());
            all += taken(&mut budget, at(f64::from(second)));
        }
        assert!((290..=301).contains(&all), "{all}");
    }

    #[test]
    fn whoever_waits_as_long_as_told_gets_one() {
        let rules = RetryBudget { ratio: 0.0, min_per_second: 0.3 };
        let mut budget = Budget::new(rules, at(0.0));
        let mut now = at(0.0);
        taken(&mut budget, now);
        for _ in 0..100 {
            let Err(later) = budget.take(now) else { panic!("there was none left") };
            assert!(later > now && later.since(now) < Duration::from_secs(4));
            now = later;
            assert_eq!(budget.take(now), Ok(()));
        }
    }

    #[test]
    fn saving_has_an_end() {
        let mut budget = Budget::new(RetryBudget { ratio: 1.0, min_per_second: 5.0 }, at(0.0));
        (0..1000).for_each(|_| budget.succeeded());
        assert_eq!(taken(&mut budget, at(1e6)), 50);
    }
}
