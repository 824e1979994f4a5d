//! When a connection is too old, too idle, or stuck.

use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Conn, LINGER};
use super::counters::Counters;

/// What is to become of a connection.
pub(super) enum Verdict {
    Fine,
    Leave,
    Close,
}

/// Knows until when a connection may wait for what.
pub(super) struct Watchdog<'a> {
    conn: &'a Conn,
    is_http2: bool,
    /// When the connection is told to go away.
    leave_at: Option<Instant>,
    /// When it is cut.
    cut_at: Option<Instant>,
}

impl<'a> Watchdog<'a> {
    pub(super) fn new(conn: &'a Conn, is_http2: bool) -> Self {
        let leave_at = conn.shared.limits.max_age.map(|age| Instant::now() + jittered(age));
        Watchdog { conn, is_http2, leave_at, cut_at: None }
    }

    /// It was told to go away, and is cut then.
    pub(super) fn leaves(&mut self, cut_at: Option<Instant>) {
        self.leave_at = None;
        self.cut_at = cut_at;
    }

    /// It is told to go away in a moment.
    pub(super) fn lingers(&mut self) {
        self.leave_at = Some(Instant::now() + LINGER);
    }

    fn head_due(&self) -> Option<Instant> {
        Some(self.conn.traffic.head_since()? + self.conn.shared.limits.header_timeout)
    }

    fn write_due(&self) -> Option<Instant> {
        Some(self.conn.traffic.write_stalled_since()? + self.conn.shared.limits.write_timeout)
    }

    /// The streams have their own time; this is for what the HTTP library has taken over from them.
    fn answer_due(&self) -> Option<Instant> {
        Some(self.conn.traffic.answer_still_since()? + self.conn.shared.limits.write_timeout + LINGER)
    }

    fn idle_due(&self) -> Option<Instant> {
        let limits = &self.conn.shared.limits;
        if self.is_http2 {
            let most = limits.http2_max_idle.filter(|_| self.cut_at.is_none())?;
            Some(self.conn.traffic.idle_since()? + most)
        } else if self.conn.traffic.head_since().is_some() {
            None
        } else {
            Some(self.conn.traffic.idle_since()? + limits.idle_timeout)
        }
    }

    /// The next moment something may have to be done.
    pub(super) fn soonest(&self) -> Instant {
        [self.leave_at, self.cut_at, self.head_due(), self.write_due(), self.answer_due(), self.idle_due()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    pub(super) fn look(&mut self, now: Instant) -> Verdict {
        let counters = self.conn.counters();
        let due = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
        let grace = self.conn.shared.limits.age_grace;
        if due(self.head_due()) {
            Counters::add(&counters.header_timeouts);
            Verdict::Close
        } else if due(self.write_due()) || due(self.answer_due()) {
            Counters::add(&counters.write_timeouts);
            Verdict::Close
        } else if due(self.cut_at) {
            Counters::add(&counters.cut);
            Verdict::Close
        } else if due(self.idle_due()) {
            Counters::add(&counters.idle_closed);
            if self.is_http2 {
                self.leaves(Some(now + grace));
                Verdict::Leave
            } else {
                Verdict::Close
            }
        } else if due(self.leave_at) && self.conn.is_retiring() {
            self.leaves(None);
            Verdict::Leave
        } else if due(self.leave_at) {
            Counters::add(&counters.aged);
            self.leaves(Some(now + grace));
            Verdict::Leave
        } else {
            Verdict::Fine
        }
    }
}

/// ±10 %, so that connections that were opened together do not all come back together.
fn jittered(age: Duration) -> Duration {
    age.mul_f64(0.9 + 0.2 * crate::address::random_unit())
}
