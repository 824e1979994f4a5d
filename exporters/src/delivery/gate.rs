//! Whether a destination may be tried: freely while it works, one attempt per back-off step while it does not.

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

    /// Waits until an attempt may be made.
    pub(super) async fn enter(&self, clock: &dyn Clock) -> Pass {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let wait_until = {
                let mut state = self.state();
                if state.failures == 0 {
                    return Pass::Free;
                }
                if !state.probing && clock.now() >= state.not_before {
                    state.probing = true;
                    return Pass::Probe;
                }
                (!state.probing).then_some(state.not_before)
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

    /// The destination answered: everyone may go.
    pub(super) fn works(&self) {
        let mut state = self.state();
        if state.failures > 0 {
            *state = State::default();
            drop(state);
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
        // Attempts that were under way when the first one failed say nothing new.
        if pass == Pass::Probe || state.failures == 0 {
            let wait = retry.wait(state.failures, rng.unit());
            state.failures = state.failures.saturating_add(1);
            state.not_before = clock.now() + wait.max(hint.unwrap_or_default()).max(at_least);
        } else if let Some(hint) = hint {
            state.not_before = state.not_before.max(clock.now() + hint);
        }
        if pass == Pass::Probe {
            state.probing = false;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// A probe ended without a word on the destination's health.
    pub(super) fn leave(&self, pass: Pass) {
        if pass == Pass::Probe {
            self.state().probing = false;
            self.changed.notify_waiters();
        }
    }

    /// Whether the destination fails at present.
    pub(super) fn is_failing(&self) -> bool {
        self.state().failures > 0
    }
}
