//! The stage's time (correlation §4): the highest ingest time read, advanced by the clock only when the reader has caught up.

use std::time::Duration;

use crate::clock::{Clock, Monotonic, WallTime};

#[derive(Default)]
pub(super) struct StageTime {
    highest: WallTime,
    caught_up: Option<Monotonic>,
    stalled: Option<Monotonic>,
}

impl StageTime {
    /// An entry of this ingest time was read.
    pub(super) fn read(&mut self, ingest: WallTime) -> WallTime {
        self.highest = self.highest.max(ingest);
        (self.caught_up, self.stalled) = (None, None);
        self.highest
    }

    /// There is more to read.
    pub(super) fn behind(&self) -> WallTime {
        self.highest
    }

    /// There is more to read, and no room for it: time goes on from where the reader stands, or nothing would ever leave.
    pub(super) fn stalled(&mut self, clock: &dyn Clock) -> WallTime {
        let now = clock.now();
        let since = now.since(*self.stalled.get_or_insert(now));
        // What is read next may be older than this; the highest time told counts.
        self.highest = WallTime(self.highest.0.saturating_add(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)));
        self.stalled = Some(now);
        self.highest
    }

    /// By how much the reader lags behind the clock; nothing while there is nothing to read.
    pub(super) fn lag(&self, clock: &dyn Clock) -> Duration {
        if self.caught_up.is_some() || self.highest == WallTime::default() {
            return Duration::ZERO;
        }
        Duration::from_nanos(clock.wall().0.saturating_sub(self.highest.0))
    }

    /// Nothing is left to read: from now on time passes by the clock.
    pub(super) fn now(&mut self, clock: &dyn Clock) -> WallTime {
        let now = clock.now();
        if self.caught_up.is_none() && self.highest < clock.wall() {
            // What came before the process started may be older than the clock's start.
            self.highest = clock.wall();
        }
        let since = now.since(*self.caught_up.get_or_insert(now));
        WallTime(self.highest.0.saturating_add(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)))
    }
}
