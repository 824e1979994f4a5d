//! One HTTP/2 connection to one address, shared by all calls, that comes back by itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use super::call::CallError;
use super::client::Keepalive;
use super::link::Link;
use crate::connect::{ConnectError, Connector};

/// Pause after the first failed attempt; grows by `GROWTH` to `LONGEST`, ±20 %. Callers have a back-off of their own, and who
/// is there again should be noticed soon (delivery §4.2).
const FIRST: Duration = Duration::from_secs(1);
const GROWTH: f64 = 1.6;
const LONGEST: Duration = Duration::from_secs(2);

/// A connection to one address.
pub(super) struct Channel {
    address: SocketAddr,
    connector: Connector,
    keepalive: Option<Keepalive>,
    state: Mutex<State>,
    /// Told whenever an attempt has ended.
    settled: Arc<Notify>,
}

enum State {
    Idle,
    Connecting {
        /// The pause after the attempt before.
        last_pause: Option<Duration>,
    },
    Ready(Link),
    /// The last attempt failed; the next may begin at `until`.
    Failed {
        error: ConnectError,
        until: Instant,
        pause: Duration,
    },
}

/// What a channel can do for a call now.
pub(super) enum Now {
    Ready(Link),
    /// A connection is being made; the future ends when that has worked or failed.
    Connecting(OwnedNotified),
    /// The last attempt failed; there will be none before `until`.
    Failed {
        error: ConnectError,
        until: Instant,
    },
}

impl Channel {
    pub(super) fn new(address: SocketAddr, connector: Connector, keepalive: Option<Keepalive>) -> Self {
        Channel { address, connector, keepalive, state: Mutex::new(State::Idle), settled: Arc::default() }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, begun if there is none and the last failure is not too recent.
    pub(super) fn now(self: &Arc<Self>) -> Now {
        let mut state = self.state();
        let last_pause = match &*state {
            State::Ready(link) if !link.is_closed() => return Now::Ready(link.clone()),
            // Taken under the lock, so that the end of the attempt cannot be missed.
            State::Connecting { .. } => return Now::Connecting(Arc::clone(&self.settled).notified_owned()),
            State::Failed { error, until, .. } if *until > Instant::now() => {
                return Now::Failed { error: error.clone(), until: *until };
            }
            State::Failed { pause, .. } => Some(*pause),
            State::Ready(_) | State::Idle => None,
        };
        *state = State::Connecting { last_pause };
        // On a task of its own: a caller that times out does not take the attempt with it.
        tokio::spawn(Arc::clone(self).connect());
        Now::Connecting(Arc::clone(&self.settled).notified_owned())
    }

    /// Whether there was a connection, or an attempt at one, that is no more.
    pub(super) fn is_lost(&self) -> bool {
        match &*self.state() {
            State::Ready(link) => link.is_closed(),
            State::Failed { .. } => true,
            State::Connecting { .. } | State::Idle => false,
        }
    }

    async fn connect(self: Arc<Self>) {
        let outcome = match self.connector.connect(self.address).await {
            Ok(stream) => Link::new(stream, self.keepalive).await.map_err(ConnectError::other),
            Err(error) => Err(error),
        };
        let mut state = self.state();
        let last_pause = if let State::Connecting { last_pause } = &*state { *last_pause } else { None };
        *state = match outcome {
            Ok(link) => State::Ready(link),
            Err(error) => {
                let pause = last_pause.map_or(FIRST, |last| last.mul_f64(GROWTH).min(LONGEST));
                let jittered = pause.mul_f64(0.8 + 0.4 * crate::address::random_unit());
                State::Failed { error, until: Instant::now() + jittered, pause }
            }
        };
        drop(state);
        self.settled.notify_waiters();
    }
}

impl From<ConnectError> for CallError {
    fn from(error: ConnectError) -> Self {
        CallError::Connect { certificate: error.is_certificate(), message: error.to_string() }
    }
}
