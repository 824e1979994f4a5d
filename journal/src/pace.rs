//! When a commit group is held back so that more requests share its write, its sync and what follows.
//!
//! At some hundred requests a second each finds the disk idle, and pays for a group of its own. Groups then begin [`HOLD`] after
//! one another. Senders who wait for an answer before they send again would only be slowed down: that shows in their rate,
//! which is compared with the one before. What comes more often shares groups by itself.

use std::time::Duration;

/// Between the beginnings of two groups, while groups are held back.
pub(crate) const HOLD: Duration = Duration::from_millis(4);
/// A rate is measured over this.
const WINDOW: Duration = Duration::from_millis(100);
/// Requests within [`HOLD`] for which holding back is tried.
const LEAST: f64 = 1.5;
const MOST: f64 = 16.0;
/// Share of the rate that must be left.
const KEPT: f64 = 0.8;
/// Windows until it is tried again, at most.
const PAUSE: u32 = 256;

/// Whether groups are held back, and what is known about that.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    held: bool,
    /// Of the window under way.
    since: Duration,
    requests: u64,
    /// Requests within [`HOLD`] while nothing was held back.
    free: f64,
    /// Windows until holding back is tried again, and how many that are after the next failure.
    pause: u32,
    penalty: u32,
}

impl Pace {
    /// Whether the next group begins [`HOLD`] after the last one.
    pub(crate) fn holds(&self) -> bool {
        self.held
    }

    /// A group of this many requests was committed at this time of some clock.
    pub(crate) fn committed(&mut self, requests: u64, now: Duration) {
        self.requests += requests;
        let span = now.saturating_sub(self.since);
        if span < WINDOW {
            return;
        }
        let rate = self.requests as f64 * HOLD.as_secs_f64() / span.as_secs_f64();
        (self.since, self.requests) = (now, 0);
        if self.held {
            self.held = rate >= KEPT * self.free && rate < MOST;
            self.penalty = if self.held { 1 } else { (self.penalty * 2).clamp(1, PAUSE) };
            self.pause = if self.held { 0 } else { self.penalty };
        } else {
            self.free = rate;
            self.pause = self.pause.saturating_sub(1);
            self.held = self.pause == 0 && (LEAST..MOST).contains(&rate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `seconds` of requests that come `every` so often whatever the answers. Gives the share of the time it held back.
    fn open(pace: &mut Pace, every: Duration, seconds: u64) -> f64 {
        let (mut now, mut due, mut held, mut groups) = (pace.since, pace.since, 0u32, 0u32);
        let end = now + Duration::from_secs(seconds);
        while now < end {
            now = if pace.holds() { (now + HOLD).max(due) } else { due.max(now) };
            let mut requests = 0;
            while due <= now {
                due += every;
                requests += 1;
            }
            (held, groups) = (held + u32::from(pace.holds()), groups + 1);
            pace.committed(requests, now);
        }
        f64::from(held) / f64::from(groups)
    }

    /// The same for senders who send again `think` after the answer. Gives requests a second.
    fn closed(pace: &mut Pace, senders: u64, think: Duration, seconds: u64) -> f64 {
        let (begun, mut now, mut requests) = (pace.since, pace.since, 0);
        while now < begun + Duration::from_secs(seconds) {
            now += if pace.holds() { HOLD.max(think) } else { think };
            requests += senders;
            pace.committed(senders, now);
        }
        requests as f64 / seconds as f64
    }

    #[test]
    fn requests_that_come_anyway_share_groups() {
        let mut pace = Pace::default();
        assert!(open(&mut pace, Duration::from_millis(2), 10) > 0.9);
        // Fewer than two to a group are not worth the wait, and many share groups without it.
        let mut pace = Pace::default();
        assert!(open(&mut pace, Duration::from_millis(20), 10) == 0.0);
        assert!(open(&mut pace, Duration::from_micros(100), 10) < 0.01);
        assert!(open(&mut pace, Duration::from_millis(1), 10) > 0.9);
    }

    #[test]
    fn senders_who_wait_for_answers_are_hardly_slowed_down() {
        for (senders, think) in [(1, 500), (1, 1500), (2, 1000), (4, 1200), (16, 700)] {
            let think = Duration::from_micros(think);
            let alone = senders as f64 / think.as_secs_f64();
            let mut pace = Pace::default();
            let rate = closed(&mut pace, senders, think, 60);
            assert!(rate > 0.97 * alone, "{senders} senders, {think:?}: {rate} of {alone} a second");
        }
    }

    #[test]
    fn a_load_that_changes_is_followed() {
        let mut pace = Pace::default();
        open(&mut pace, Duration::from_millis(2), 2);
        assert!(pace.holds());
        closed(&mut pace, 1, Duration::from_micros(500), 20);
        assert!(open(&mut pace, Duration::from_millis(2), 60) > 0.4);
        assert!(pace.holds());
    }
}
