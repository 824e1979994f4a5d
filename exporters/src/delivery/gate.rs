//! Whether a destination may be tried: freely while it works, one attempt per back-off step while it does not, and more and
//! more at a time once it works again (delivery §4.2), so that the backlog neither floods it nor starves its neighbours.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sluice_pipeline::blocks::Retry;
use sluice_pipeline::clock::{Clock, Monotonic};
use sluice_pipeline::rng::Rng;
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct State {
    /// Rounds of failure in a row; 0 while the destination works.
    failures: u32,
    /// No attempt before this.
    not_before: Monotonic,
    /// An attempt is under way while it fails.
    probing: bool,
    /// Other attempts under way.
    in_flight: usize,
    /// Since when it works again, for as long as attempts at the same time are limited.
    slow_since: Option<Monotonic>,
    /// No attempt any more: another reader goes on with the backlog.
    closed: bool,
}

/// Rounds of failure after which the destination counts as down (`circuit_breaker::consecutive_failures`, delivery §4.1).
const OPEN: u32 = 5;
/// Attempts at the same time double from 1 at each of these steps.
const SLOW_STEP: Duration = Duration::from_secs(1);
/// After so many steps they are limited no more.
const SLOW_STEPS: u32 = 6;

impl State {
    /// An attempt is over.
    fn end(&mut self, pass: Pass) {
        match pass {
            Pass::Probe => self.probing = false,
            Pass::Free => self.in_flight = self.in_flight.saturating_sub(1),
        }
    }

    /// When one more attempt may be made while the destination works: at once, or not before that.
    fn free(&mut self, now: Monotonic) -> Result<(), Monotonic> {
        let Some(since) = self.slow_since else { return Ok(()) };
        let steps = (now.since(since).as_nanos() / SLOW_STEP.as_nanos()).min(SLOW_STEPS.into()) as u32;
        if steps >= SLOW_STEPS {
            self.slow_since = None;
            return Ok(());
        }
        if self.in_flight < 1 << steps { Ok(()) } else { Err(since + SLOW_STEP * (steps + 1)) }
    }
}

/// The gate of one destination, shared by its senders.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

/// Leave for one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Free,
    Probe,
}

impl Gate {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nobody in any more, and those go that wait.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_waiters();
    }

    /// Waits until an attempt may be made; none if there shall be no more.
    pub(super) async fn enter(&self, clock: &dyn Clock) -> Option<Pass> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let wait_until = {
                let mut state = self.state();
                let now = clock.now();
                if state.closed {
                    return None;
                }
                if state.failures == 0 {
                    match state.free(now) {
                        Ok(()) => {
                            state.in_flight += 1;
                            return Some(Pass::Free);
                        }
                        Err(later) => Some(later),
                    }
                } else if !state.probing && now >= state.not_before {
                    state.probing = true;
                    return Some(Pass::Probe);
                } else {
                    (!state.probing).then_some(state.not_before)
                }
            };
            match wait_until {
                Some(deadline) => {
                    tokio::select! {
                        () = clock.sleep_until(deadline) => {}
                        () = &mut changed => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// The destination answered an attempt.
    pub(super) fn works(&self, pass: Pass, clock: &dyn Clock) {
        let mut state = self.state();
        state.end(pass);
        if state.failures > 0 {
            let in_flight = state.in_flight;
            let closed = state.closed;
            *state = State { in_flight, closed, slow_since: Some(clock.now()), ..State::default() };
        }
        let waited_for = state.slow_since.is_some();
        drop(state);
        if waited_for {
            self.changed.notify_waiters();
        }
    }

    /// The attempt failed for now. `hint` is the destination's own wish, a floor for the wait; `at_least` another.
    pub(super) fn fails(
        &self,
        pass: Pass,
        hint: Option<Duration>,
        at_least: Duration,
        retry: &Retry,
        clock: &dyn Clock,
        rng: &dyn Rng,
    ) {
        let mut state = self.state();
        state.end(pass);
        // Attempts that were under way when the first one failed say nothing new.
        if pass == Pass::Probe || state.failures == 0 {
            let wait = retry.wait(state.failures, rng.unit());
            state.failures = state.failures.saturating_add(1);
            state.not_before = clock.now() + wait.max(hint.unwrap_or_default()).max(at_least);
        } else if let Some(hint) = hint {
            state.not_before = state.not_before.max(clock.now() + hint);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// An attempt ended without a word on the destination's health.
    pub(super) fn leave(&self, pass: Pass) {
        self.state().end(pass);
        self.changed.notify_waiters();
    }

    /// Whether it has failed often enough in a row that nobody should wait for it.
    pub(super) fn is_open(&self) -> bool {
        self.state().failures >= OPEN
    }

    /// Whether the destination fails at present.
    pub(super) fn is_failing(&self) -> bool {
        self.state().failures > 0
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use sluice_pipeline::clock::{VirtualClock, WallTime};
    use sluice_pipeline::rng::SplitMix;

    use super::*;

    /// Enters if that is possible at once.
    fn enter(gate: &Gate, clock: &VirtualClock) -> Option<Pass> {
        match pin!(gate.enter(clock)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(pass) => pass,
            Poll::Pending => None,
        }
    }

    fn entered(gate: &Gate, clock: &VirtualClock) -> usize {
        std::iter::from_fn(|| enter(gate, clock)).take(1000).count()
    }

    #[test]
    fn what_works_again_gets_twice_as_many_attempts_each_second() {
        let (gate, clock) = (Gate::default(), VirtualClock::new(WallTime(1)));
        let (retry, rng) = (Retry::default(), SplitMix::seeded(3));
        assert_eq!(entered(&gate, &clock), 1000);
        for _ in 0..1000 {
            gate.fails(Pass::Free, None, Duration::ZERO, &retry, &clock, &rng);
        }
        assert_eq!(enter(&gate, &clock), None);
        clock.advance(Duration::from_secs(30));
        assert_eq!(enter(&gate, &clock), Some(Pass::Probe));
        assert_eq!(enter(&gate, &clock), None, "one probe at a time");
        gate.works(Pass::Probe, &clock);
        for allowed in [1, 2, 4, 8, 16, 32, 1000] {
            assert_eq!(entered(&gate, &clock), allowed);
            gate.works(Pass::Free, &clock);
            assert_eq!(entered(&gate, &clock), if allowed < 1000 { 1 } else { 1000 });
            let under_way = gate.state().in_flight;
            (0..under_way).for_each(|_| gate.leave(Pass::Free));
            clock.advance(SLOW_STEP);
        }
    }

    #[test]
    fn a_failure_ends_the_slow_start() {
        let (gate, clock) = (Gate::default(), VirtualClock::new(WallTime(1)));
        let (retry, rng) = (Retry::default(), SplitMix::seeded(3));
        let fail = |pass| gate.fails(pass, None, Duration::from_secs(1), &retry, &clock, &rng);
        fail(enter(&gate, &clock).unwrap());
        clock.advance(Duration::from_secs(30));
        gate.works(enter(&gate, &clock).unwrap(), &clock);
        clock.advance(SLOW_STEP * 3);
        assert_eq!(enter(&gate, &clock), Some(Pass::Free));
        fail(Pass::Free);
        assert_eq!(enter(&gate, &clock), None);
        clock.advance(Duration::from_secs(30));
        gate.works(enter(&gate, &clock).unwrap(), &clock);
        assert_eq!(entered(&gate, &clock), 1);
    }
}
