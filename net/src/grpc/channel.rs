//! One HTTP/2 connection that is shared by all calls and comes back by itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::{Instant, sleep_until};

use super::call::CallError;
use super::client::Keepalive;
use super::link::Link;
use crate::connect::{ConnectError, Connector};

/// Pause after the first failed attempt; grows by `GROWTH` to `LONGEST`, ±20 %.
const FIRST: Duration = Duration::from_secs(1);
const GROWTH: f64 = 1.6;
const LONGEST: Duration = Duration::from_secs(20);

pub(super) struct Channel {
    connector: Connector,
    keepalive: Option<Keepalive>,
    wait_for_ready: bool,
    state: Mutex<State>,
}

type Attempt = Shared<BoxFuture<'static, Result<Link, ConnectError>>>;

enum State {
    Idle,
    Connecting {
        attempt: Attempt,
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

impl Channel {
    pub(super) fn new(connector: Connector, keepalive: Option<Keepalive>, wait_for_ready: bool) -> Self {
        Channel { connector, keepalive, wait_for_ready, state: Mutex::new(State::Idle) }
    }

    /// The connection, made if there is none. While a failed attempt is recent this fails at once with its error,
    /// or waits if so configured.
    pub(super) async fn link(&self) -> Result<Link, CallError> {
        loop {
            match self.next() {
                Next::Ready(link) => return Ok(link),
                Next::Await(attempt) => {
                    let outcome = attempt.clone().await;
                    // Every waiter records it: the one who began may have given up.
                    self.record(&attempt, &outcome);
                    match outcome {
                        Ok(link) => return Ok(link),
                        Err(_) if self.wait_for_ready => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Next::Failed { until, .. } if self.wait_for_ready => sleep_until(until).await,
                Next::Failed { error, .. } => return Err(error.into()),
            }
        }
    }

    fn next(&self) -> Next {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let last_pause = match &*state {
            State::Ready(link) if !link.is_closed() => return Next::Ready(link.clone()),
            State::Connecting { attempt, .. } => return Next::Await(attempt.clone()),
            State::Failed { error, until, .. } if *until > Instant::now() => {
                return Next::Failed { error: error.clone(), until: *until };
            }
            State::Failed { pause, .. } => Some(*pause),
            State::Ready(_) | State::Idle => None,
        };
        let attempt = self.attempt();
        *state = State::Connecting { attempt: attempt.clone(), last_pause };
        Next::Await(attempt)
    }

    fn record(&self, attempt: &Attempt, outcome: &Result<Link, ConnectError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State::Connecting { attempt: current, last_pause } = &*state else { return };
        if !current.ptr_eq(attempt) {
            return;
        }
        *state = match outcome {
            Ok(link) => State::Ready(link.clone()),
            Err(error) => {
                let pause = last_pause.map_or(FIRST, |last| last.mul_f64(GROWTH).min(LONGEST));
                let jittered = pause.mul_f64(0.8 + 0.4 * crate::address::random_unit());
                State::Failed { error: error.clone(), until: Instant::now() + jittered, pause }
            }
        };
    }

    /// Runs on a task of its own: a caller that times out does not take the attempt with it.
    fn attempt(&self) -> Attempt {
        let (connector, keepalive) = (self.connector.clone(), self.keepalive);
        let task = tokio::spawn(async move { connect(&connector, keepalive).await });
        async move { task.await.unwrap_or_else(|error| Err(ConnectError::other(error))) }.boxed().shared()
    }
}

enum Next {
    Ready(Link),
    Await(Attempt),
    Failed { error: ConnectError, until: Instant },
}

async fn connect(connector: &Connector, keepalive: Option<Keepalive>) -> Result<Link, ConnectError> {
    let stream = connector.connect().await?;
    Link::new(stream, keepalive).await.map_err(ConnectError::other)
}

impl From<ConnectError> for CallError {
    fn from(error: ConnectError) -> Self {
        CallError::Connect { certificate: error.is_certificate(), message: error.to_string() }
    }
}
