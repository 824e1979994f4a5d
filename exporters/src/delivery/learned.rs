//! The size that a destination was found to refuse (delivery §7): remembered for ten minutes, so that payloads are not first
//! sent in vain.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use sluice_pipeline::clock::{Clock, Monotonic};

const REMEMBERED: Duration = Duration::from_secs(600);
/// A destination that calls everything too large must not make us send items one by one.
const LEAST: usize = 64 << 10;

/// Most bytes of a payload, as far as is known.
#[derive(Debug)]
pub(super) struct LearnedMax {
    bytes: AtomicUsize,
    /// Until when, in milliseconds.
    until: AtomicU64,
}

impl Default for LearnedMax {
    fn default() -> Self {
        LearnedMax { bytes: AtomicUsize::new(usize::MAX), until: AtomicU64::new(0) }
    }
}

impl LearnedMax {
    /// Most bytes now; `usize::MAX` if nothing is known.
    pub(super) fn bytes(&self, clock: &dyn Clock) -> usize {
        let bytes = self.bytes.load(Ordering::Relaxed);
        if bytes < usize::MAX && millis(clock.now()) >= self.until.load(Ordering::Relaxed) {
            self.bytes.store(usize::MAX, Ordering::Relaxed);
            return usize::MAX;
        }
        bytes
    }

    /// A payload of several items and this size was too large.
    pub(super) fn refused(&self, bytes: usize, clock: &dyn Clock) {
        self.until.store(millis(clock.now() + REMEMBERED), Ordering::Relaxed);
        self.bytes.fetch_min((bytes / 2).max(LEAST), Ordering::Relaxed);
    }
}

fn millis(at: Monotonic) -> u64 {
    u64::try_from(at.0.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use sluice_pipeline::clock::VirtualClock;

    use super::*;

    #[test]
    fn half_of_what_was_too_large_is_tried_for_ten_minutes() {
        let (clock, learned) = (VirtualClock::default(), LearnedMax::default());
        assert_eq!(learned.bytes(&clock), usize::MAX);
        learned.refused(4 << 20, &clock);
        learned.refused(8 << 20, &clock);
        assert_eq!(learned.bytes(&clock), 2 << 20);
        clock.advance(REMEMBERED - Duration::from_millis(1));
        assert_eq!(learned.bytes(&clock), 2 << 20);
        clock.advance(Duration::from_millis(1));
        assert_eq!(learned.bytes(&clock), usize::MAX);
        learned.refused(10, &clock);
        assert_eq!(learned.bytes(&clock), LEAST);
    }
}
