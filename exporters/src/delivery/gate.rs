//! Whether a payload may be read, and whether it may be tried: what breaker, budget, concurrency and congestion window say
//! together, and who waits for it.
//!
//! While the destination works, payloads go as the limit allows, and a failed one waits alone until its retry is due. While
//! the breaker is open, one attempt at each back-off step probes the destination, and no further payload is read. Once it
//! works again, twice as many go each second (delivery §4.2), so that the backlog neither floods it nor starves its
//! neighbours.

mod state;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sluice_pipeline::blocks::{Protection, Retry};
use sluice_pipeline::clock::{Clock, Monotonic};
use sluice_pipeline::rng::Rng;
use tokio::sync::Notify;

use super::congestion::Load;
use state::{State, Step};

/// The gate of one destination, shared by its reader and its senders.
pub(super) struct Gate {
    state: Mutex<State>,
    /// Told when an attempt may be made that had to wait.
    changed: Notify,
    /// Told when a payload may be read that had to wait. One reader waits.
    room: Notify,
    retry: Retry,
    breaker_state: metrics::Gauge,
    concurrency: metrics::Gauge,
    window: metrics::Gauge,
}

/// Leave for one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Free(Load),
    Probe,
}

/// Leave to read and hold one payload, until dropped.
pub(super) struct Permit(Arc<Gate>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.state().held -= 1;
        self.0.room.notify_one();
    }
}

/// A payload waits for something else than the destination, until dropped: another one may probe it.
pub(super) struct Aside<'g>(&'g Gate);

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        self.0.state().aside -= 1;
    }
}

/// A payload waits for the window, until dropped: nothing more is read.
struct Queued<'g>(&'g Gate);

impl<'g> Queued<'g> {
    fn new(gate: &'g Gate) -> Self {
        gate.state().queued += 1;
        Queued(gate)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.state().queued -= 1;
        self.0.room.notify_one();
    }
}

/// What a failed attempt says of the destination.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failure {
    /// Which attempt at its payload it was, from 0.
    pub(super) number: u32,
    /// The destination's own wish: a floor for the wait.
    pub(super) hint: Option<Duration>,
    /// Another floor.
    pub(super) at_least: Duration,
    /// It asked for less, or did not answer in time.
    pub(super) pressure: bool,
    /// It did not answer in time, or not at all.
    pub(super) timeout: bool,
    /// No connection could be made, or it broke.
    pub(super) connection: bool,
    /// It will take nothing for now, whatever it is sent: opens the breaker at once.
    pub(super) fatal: bool,
}

/// A payload that failed before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Again {
    /// When it is due while the destination works.
    pub(super) at: Monotonic,
    /// It has waited for an open breaker: the breaker is what limited its load, so it needs no budget.
    pub(super) waited: bool,
}

impl Gate {
    /// `bounds` are the least and the most payloads in flight, `timeout` is that of an attempt: zero for none.
    pub(super) fn new(
        rules: &Protection,
        retry: Retry,
        bounds: (usize, usize),
        timeout: Duration,
        now: Monotonic,
        gauges: [metrics::Gauge; 3],
    ) -> Self {
        let [breaker_state, concurrency, window] = gauges;
        let state = State::new(rules, bounds, timeout, now);
        let (changed, room) = (Notify::new(), Notify::new());
        let gate = Gate { state: Mutex::new(state), changed, room, retry, breaker_state, concurrency, window };
        gate.show(&gate.state());
        gate
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nobody in any more, and those go that wait.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_waiters();
    }

    /// Takes a payload out of those that wait for the destination.
    pub(super) fn aside(&self) -> Aside<'_> {
        self.state().aside += 1;
        self.room.notify_one();
        Aside(self)
    }

    /// Completes when nobody is let in any more.
    pub(super) async fn closed(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.state().closed {
                return;
            }
            changed.await;
        }
    }

    /// Completes when the breaker is open because no connection can be made.
    pub(super) async fn unreachable(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.is_unreachable() {
                return;
            }
            changed.await;
        }
    }

    /// Whether an attempt waits for a connection to be possible.
    pub(super) fn is_unreachable(&self) -> bool {
        self.state().breaker.open().is_some_and(|open| open.unreachable && !open.probing)
    }

    /// A connection can be made: it is time for an attempt.
    pub(super) fn reached(&self, clock: &dyn Clock) {
        self.state().breaker.reached(clock.now());
        self.changed.notify_waiters();
    }

    /// Waits until one more payload may be read.
    pub(super) async fn permit(self: &Arc<Self>, clock: &dyn Clock) -> Permit {
        loop {
            let wait_until = {
                let mut state = self.state();
                match state.room(clock.now()) {
                    Ok(()) => {
                        state.held += 1;
                        return Permit(Arc::clone(self));
                    }
                    Err(later) => later,
                }
            };
            match wait_until {
                Some(deadline) => {
                    tokio::select! {
                        () = clock.sleep_until(deadline) => {}
                        () = self.room.notified() => {}
                    }
                }
                None => self.room.notified().await,
            }
        }
    }

    /// Waits until an attempt with so many bytes may be made; none if there shall be no more. `again` for a payload that failed
    /// before.
    pub(super) async fn enter(&self, bytes: usize, mut again: Option<&mut Again>, clock: &dyn Clock) -> Option<Pass> {
        let mut queued = None;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let step = {
                let mut state = self.state();
                let step = state.admit(bytes, again.as_deref_mut(), clock.now());
                if let Step::Go(Pass::Probe) = step {
                    self.show(&state);
                }
                step
            };
            match step {
                Step::Queue => _ = queued.get_or_insert_with(|| Queued::new(self)),
                _ => queued = None,
            }
            match step {
                Step::Go(pass) => return Some(pass),
                Step::End => return None,
                Step::Until(deadline) => {
                    tokio::select! {
                        () = clock.sleep_until(deadline) => {}
                        () = &mut changed => {}
                    }
                }
                Step::Wait | Step::Queue => changed.await,
            }
        }
    }

    /// The destination took the payload, or refused it for what it is: it works. `true` if it did not before.
    pub(super) fn works(&self, pass: Pass, rtt: Duration, clock: &dyn Clock) -> bool {
        let now = clock.now();
        let mut state = self.state();
        let full = state.is_full(now);
        state.end(pass);
        let closes = pass == Pass::Probe;
        if closes {
            state.closes(now);
        }
        let more = state.succeeded(pass, rtt, now);
        self.show(&state);
        drop(state);
        self.wake(full || closes || more);
        closes
    }

    /// The attempt failed, but maybe not for good. Gives when its payload is due again if the breaker stays closed, and
    /// whether the breaker opened.
    pub(super) fn fails(&self, pass: Pass, failure: Failure, clock: &dyn Clock, rng: &dyn Rng) -> (Monotonic, bool) {
        let now = clock.now();
        let mut state = self.state();
        state.end(pass);
        let rounds = state.breaker.open().map_or(0, |open| open.rounds);
        let wait = self.retry.wait(rounds.max(failure.number), rng.unit());
        let due = now + wait.max(failure.hint.unwrap_or_default()).max(failure.at_least);
        let opens = state.failed(pass, &failure, now, due);
        self.show(&state);
        drop(state);
        self.wake(true);
        (due, opens)
    }

    /// Opens the breaker for another reason than an answer.
    pub(super) fn trip(&self, number: u32, clock: &dyn Clock, rng: &dyn Rng) {
        let mut state = self.state();
        if state.breaker.open().is_none() {
            let due = clock.now() + self.retry.wait(number, rng.unit());
            state.breaker.trip(due, due, false);
            self.show(&state);
        }
    }

    /// An attempt ended without a word on the destination's health.
    pub(super) fn leave(&self, pass: Pass) {
        let mut state = self.state();
        state.end(pass);
        self.show(&state);
        drop(state);
        self.wake(true);
    }

    /// Whether the destination is not worth trying at present.
    pub(super) fn is_open(&self) -> bool {
        self.state().breaker.open().is_some()
    }

    fn wake(&self, someone_may_wait: bool) {
        if someone_may_wait {
            self.changed.notify_waiters();
            self.room.notify_one();
        }
    }

    fn show(&self, state: &State) {
        self.breaker_state.set(f64::from(state.breaker.state()));
        self.concurrency.set(state.concurrency.limit() as f64);
        self.window.set(state.window.limit() as f64);
    }
}
