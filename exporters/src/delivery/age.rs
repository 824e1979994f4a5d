//! `sending_queue::max_age`: how old data may get before it is of no use to its destination (delivery §3.10, §9).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_pipeline::clock::{Clock, Monotonic};
use sluice_pipeline::context::Arrival;

/// Wall clock steps beyond this suspend expiry (delivery §9).
const STEP: Duration = Duration::from_secs(60);
const SUSPENDED: Duration = Duration::from_secs(600);

/// The age limit of one destination.
pub(super) struct MaxAge {
    limit: Duration,
    clock: Arc<dyn Clock>,
    seen: Mutex<Seen>,
}

struct Seen {
    last: Arrival,
    /// Nothing is too old before this.
    suspended: Monotonic,
}

impl MaxAge {
    pub(super) fn new(limit: Duration, clock: Arc<dyn Clock>) -> Self {
        let seen = Mutex::new(Seen { last: clock.arrival(), suspended: Monotonic::default() });
        MaxAge { limit, clock, seen }
    }

    /// Notices steps of the wall clock.
    fn observe(&self) -> (Arrival, Monotonic) {
        let now = self.clock.arrival();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = u64::try_from(now.monotonic.since(seen.last.monotonic).as_nanos()).unwrap_or(u64::MAX);
        let expected = seen.last.wall.0.saturating_add(passed);
        if Duration::from_nanos(expected.abs_diff(now.wall.0)) > STEP {
            seen.suspended = now.monotonic + SUSPENDED;
        }
        seen.last = now;
        (now, seen.suspended)
    }

    /// When what came in then is too old.
    pub(super) fn due(&self, ingest: Arrival) -> Monotonic {
        let (now, suspended) = self.observe();
        // At the limit, it is not yet older.
        (now.monotonic + self.limit.saturating_sub(age(ingest, now)) + Duration::from_millis(1)).max(suspended)
    }

    /// Whether what came in then is too old.
    pub(super) fn is_over(&self, ingest: Arrival) -> bool {
        let (now, suspended) = self.observe();
        now.monotonic >= suspended && age(ingest, now) > self.limit
    }
}

fn age(ingest: Arrival, now: Arrival) -> Duration {
    if ingest.monotonic == Monotonic::default() {
        // Older than this process.
        return Duration::from_nanos(now.wall.0.saturating_sub(ingest.wall.0));
    }
    now.monotonic.since(ingest.monotonic)
}

#[cfg(test)]
mod tests {
    use sluice_pipeline::clock::{VirtualClock, WallTime};

    use super::*;

    fn clock() -> VirtualClock {
        let clock = VirtualClock::new(WallTime(1_700_000_000_000_000_000));
        clock.advance(Duration::from_secs(5));
        clock
    }

    #[test]
    fn what_is_older_than_the_limit_is_over() {
        let clock = clock();
        let max_age = MaxAge::new(Duration::from_secs(60), Arc::new(clock.clone()));
        let ingest = clock.arrival();
        clock.advance(Duration::from_secs(60));
        assert!(!max_age.is_over(ingest));
        let due = max_age.due(ingest);
        clock.advance(due.since(clock.now()));
        assert!(max_age.is_over(ingest));
        assert_eq!(max_age.due(ingest).since(clock.now()), Duration::from_millis(1));
    }

    #[test]
    fn what_is_older_than_the_process_has_the_age_of_its_wall_time() {
        let clock = clock();
        let max_age = MaxAge::new(Duration::from_secs(60), Arc::new(clock.clone()));
        let wall = |seconds: u64| WallTime(clock.wall().0 - seconds * 1_000_000_000);
        let old = |seconds| Arrival { monotonic: Monotonic::default(), wall: wall(seconds) };
        assert!(max_age.is_over(old(61)) && !max_age.is_over(old(59)));
        // From the future: not old.
        assert!(!max_age.is_over(Arrival { monotonic: Monotonic::default(), wall: WallTime(u64::MAX) }));
    }

    #[test]
    fn a_clock_that_jumps_makes_nothing_old_for_a_while() {
        let clock = clock();
        let max_age = MaxAge::new(Duration::from_secs(60), Arc::new(clock.clone()));
        let ingest = Arrival { monotonic: Monotonic::default(), wall: clock.wall() };
        clock.set_wall(WallTime(clock.wall().0 + 365 * 86_400 * 1_000_000_000));
        assert!(!max_age.is_over(ingest));
        clock.advance(SUSPENDED - Duration::from_secs(1));
        assert!(!max_age.is_over(ingest));
        assert_eq!(max_age.due(ingest).since(clock.now()), Duration::from_secs(1));
        clock.advance(Duration::from_secs(1));
        assert!(max_age.is_over(ingest));
    }
}
