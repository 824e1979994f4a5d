//! The gate's decisions, without anybody who waits for them.

use std::time::Duration;

use sluice_pipeline::blocks::Protection;
use sluice_pipeline::clock::Monotonic;

use super::super::breaker::Breaker;
use super::super::budget::Budget;
use super::super::concurrency::Concurrency;
use super::super::congestion::CongestionWindow;
use super::{Again, Failure, Pass};

/// Attempts at the same time double from 1 at each of these steps, after an outage.
pub(super) const SLOW_STEP: Duration = Duration::from_secs(1);
/// After so many steps only the limit counts.
const SLOW_STEPS: u32 = 6;

pub(super) struct State {
    pub(super) breaker: Breaker,
    pub(super) budget: Budget,
    pub(super) concurrency: Concurrency,
    /// The work under way, but for the probe.
    pub(super) window: CongestionWindow,
    /// Payloads that were read and whose fate is not known.
    pub(super) held: usize,
    /// Of those, payloads that wait for something else than the destination.
    pub(super) aside: usize,
    /// Of those, payloads that wait for the window.
    pub(super) queued: usize,
    /// Attempts under way, but for the probe.
    pub(super) in_flight: usize,
    /// No attempt before this: the destination asked for it.
    hold_until: Monotonic,
    /// Since when it works again, for as long as that limits attempts.
    slow_since: Option<Monotonic>,
    /// No attempt any more: another reader goes on with the backlog.
    pub(super) closed: bool,
}

/// Whether an attempt may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Go(Pass),
    /// At this time, or when something changes.
    Until(Monotonic),
    /// When something changes.
    Wait,
    /// When there is less work under way, or more may be.
    Queue,
    /// Never again.
    End,
}

impl State {
    pub(super) fn new(rules: &Protection, (min, max): (usize, usize), timeout: Duration, now: Monotonic) -> Self {
        State {
            breaker: Breaker::new(rules.circuit_breaker),
            budget: Budget::new(rules.retry_budget, now),
            concurrency: Concurrency::new(min, max),
            window: CongestionWindow::new(timeout),
            held: 0,
            aside: 0,
            queued: 0,
            in_flight: 0,
            hold_until: Monotonic::default(),
            slow_since: None,
            closed: false,
        }
    }

    /// How many attempts may be under way now, and when it will be more by time alone.
    fn most(&mut self, now: Monotonic) -> (usize, Option<Monotonic>) {
        let limit = self.concurrency.limit();
        let Some(since) = self.slow_since else { return (limit, None) };
        let steps = (now.since(since).as_nanos() / SLOW_STEP.as_nanos()).min(SLOW_STEPS.into()) as u32;
        if steps >= SLOW_STEPS || 1 << steps >= limit {
            self.slow_since = None;
            return (limit, None);
        }
        (1 << steps, Some(since + SLOW_STEP * (steps + 1)))
    }

    /// Whether somebody may wait for an attempt to end.
    pub(super) fn is_full(&mut self, now: Monotonic) -> bool {
        self.breaker.open().is_some() || self.in_flight >= self.most(now).0 || self.window.is_full()
    }

    /// Whether one more payload may be read, or when it will be.
    pub(super) fn room(&mut self, now: Monotonic) -> Result<(), Option<Monotonic>> {
        if self.breaker.open().is_some() {
            // One to probe with.
            return if self.held <= self.aside { Ok(()) } else { Err(None) };
        }
        if self.queued > 0 {
            // More data may join the next payload until it can be sent.
            return Err(None);
        }
        let (most, later) = self.most(now);
        if self.held < most { Ok(()) } else { Err(later) }
    }

    /// Whether an attempt with so many bytes may be made now. Takes what it costs.
    pub(super) fn admit(&mut self, bytes: usize, again: Option<&mut Again>, now: Monotonic) -> Step {
        if self.closed {
            return Step::End;
        }
        if let Some(open) = self.breaker.open().copied() {
            if let Some(again) = again {
                again.waited = true;
            }
            return if self.breaker.probe(now) {
                Step::Go(Pass::Probe)
            } else if open.probing {
                Step::Wait
            } else {
                Step::Until(open.not_before)
            };
        }
        if now < self.hold_until {
            return Step::Until(self.hold_until);
        }
        let again = again.filter(|again| !again.waited);
        if let Some(again) = &again
            && now < again.at
        {
            return Step::Until(again.at);
        }
        let (most, later) = self.most(now);
        if self.in_flight >= most {
            return later.map_or(Step::Wait, Step::Until);
        }
        if self.window.is_full() {
            return Step::Queue;
        }
        if again.is_some()
            && let Err(later) = self.budget.take(now)
        {
            return Step::Until(later);
        }
        self.in_flight += 1;
        Step::Go(Pass::Free(self.window.begin(bytes)))
    }

    /// An attempt is over.
    pub(super) fn end(&mut self, pass: Pass) {
        match pass {
            Pass::Probe => self.breaker.unprobe(),
            Pass::Free(load) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.window.end(load);
            }
        }
    }

    pub(super) fn closes(&mut self, now: Monotonic) {
        self.breaker.close();
        self.slow_since = Some(now);
    }

    /// `true` if more may be under way than before.
    pub(super) fn succeeded(&mut self, pass: Pass, rtt: Duration, now: Monotonic) -> bool {
        let limit = self.concurrency.limit();
        self.breaker.succeeded(now);
        self.budget.succeeded();
        self.concurrency.succeeded(rtt, now);
        let wider = match pass {
            Pass::Free(load) => self.window.answered(load, rtt, now),
            Pass::Probe => false,
        };
        wider || self.concurrency.limit() > limit
    }

    /// `due` is when the payload would be tried again. `true` if the breaker opens.
    pub(super) fn failed(&mut self, pass: Pass, failure: &Failure, now: Monotonic, due: Monotonic) -> bool {
        if failure.pressure {
            self.concurrency.pressed(now);
        }
        if failure.timeout {
            self.window.timed_out(now);
        }
        let floor = now + failure.hint.unwrap_or_default().max(failure.at_least);
        if pass == Pass::Probe {
            self.breaker.trip(due, floor, failure.connection);
            return false;
        }
        if self.breaker.open().is_some() {
            // Under way when it opened: says nothing new, but for what it asks.
            self.breaker.wait_for(floor);
            return false;
        }
        if self.slow_since.is_some() {
            self.slow_since = Some(now);
        }
        if self.breaker.failed(now) || failure.fatal {
            self.breaker.trip(due, floor.max(self.hold_until), failure.connection);
            self.hold_until = Monotonic::default();
            return true;
        }
        self.hold_until = self.hold_until.max(floor);
        false
    }
}
