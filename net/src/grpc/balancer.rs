//! Spreads calls over the addresses of a name, and follows the name when connections are lost.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::select_all;
use tokio::time::{Instant, sleep_until};

use super::call::CallError;
use super::channel::{Channel, Now};
use super::client::Keepalive;
use super::link::Link;
use crate::connect::{ConnectError, Connector};

/// A name is asked for again at most this often.
const RESOLVE_PAUSE: Duration = Duration::from_secs(10);

/// The same after it could not be resolved.
const RESOLVE_AGAIN: Duration = Duration::from_secs(1);

/// How calls are spread over the addresses a name has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balancing {
    /// Over all that can be reached, in turn.
    #[default]
    RoundRobin,
    /// To the first that can be reached.
    PickFirst,
}

pub(super) struct Balancer {
    connector: Connector,
    keepalive: Option<Keepalive>,
    wait_for_ready: bool,
    balancing: Balancing,
    turn: AtomicUsize,
    resolved: Mutex<Resolved>,
    /// One resolution at a time.
    resolving: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Resolved {
    channels: Arc<[Arc<Channel>]>,
    at: Option<Instant>,
    error: Option<ConnectError>,
}

/// Nobody can be reached before `until`.
struct Unready {
    error: ConnectError,
    until: Instant,
}

impl Balancer {
    pub(super) fn new(
        connector: Connector,
        keepalive: Option<Keepalive>,
        wait_for_ready: bool,
        balancing: Balancing,
    ) -> Self {
        Balancer {
            connector,
            keepalive,
            wait_for_ready,
            balancing,
            turn: AtomicUsize::new(0),
            resolved: Mutex::default(),
            resolving: tokio::sync::Mutex::default(),
        }
    }

    /// A connection for the next call. While all addresses have failed recently this fails at once with one of their
    /// errors, or waits if so configured.
    pub(super) async fn link(&self) -> Result<Link, CallError> {
        loop {
            let channels = self.channels().await;
            let Unready { error, until } = match channels {
                Ok(channels) => match self.pick(&channels).await {
                    Ok(link) => return Ok(link),
                    Err(unready) => unready,
                },
                Err(unready) => unready,
            };
            if !self.wait_for_ready {
                return Err(error.into());
            }
            sleep_until(until).await;
        }
    }

    /// The first ready channel from this call's turn on. Channels without a connection begin to make one meanwhile;
    /// with none ready, the first to become so is taken.
    async fn pick(&self, channels: &[Arc<Channel>]) -> Result<Link, Unready> {
        let start = match self.balancing {
            Balancing::RoundRobin => self.turn.fetch_add(1, Ordering::Relaxed),
            Balancing::PickFirst => 0,
        };
        loop {
            let mut connecting = Vec::new();
            let mut soonest: Option<(ConnectError, Instant)> = None;
            let mut wait_for_first = false;
            for offset in 0..channels.len() {
                let Some(channel) = channels.get(start.wrapping_add(offset) % channels.len()) else { continue };
                match channel.now() {
                    Now::Ready(link) => return Ok(link),
                    Now::Connecting(pending) => {
                        connecting.push(Box::pin(pending));
                        // The first address gets its chance before the next one is dialled.
                        wait_for_first = self.balancing == Balancing::PickFirst;
                    }
                    Now::Failed { error, until } => {
                        if soonest.as_ref().is_none_or(|(_, soonest)| until < *soonest) {
                            soonest = Some((error, until));
                        }
                    }
                }
                if wait_for_first {
                    break;
                }
            }
            match (connecting.is_empty(), soonest) {
                (false, _) => drop(select_all(connecting).await),
                (true, Some((error, until))) => return Err(Unready { error, until }),
                (true, None) => {
                    let error = ConnectError::other("no address");
                    return Err(Unready { error, until: Instant::now() + RESOLVE_PAUSE });
                }
            }
        }
    }

    /// The channels of the name's addresses, looked up when there are none or one was lost.
    async fn channels(&self) -> Result<Arc<[Arc<Channel>]>, Unready> {
        if let Some(known) = self.known() {
            return known;
        }
        let _one = self.resolving.lock().await;
        if let Some(known) = self.known() {
            return known;
        }
        let addresses = self.connector.resolve().await;
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        resolved.at = Some(Instant::now());
        match addresses {
            Ok(addresses) => {
                let old = Arc::clone(&resolved.channels);
                let kept = |address| old.iter().find(|channel| channel.address() == address).cloned();
                resolved.error = None;
                resolved.channels = addresses
                    .into_iter()
                    .map(|address| {
                        kept(address)
                            .unwrap_or_else(|| Arc::new(Channel::new(address, self.connector.clone(), self.keepalive)))
                    })
                    .collect();
                Ok(Arc::clone(&resolved.channels))
            }
            // The addresses known so far are better than none.
            Err(error) if resolved.channels.is_empty() => {
                resolved.error = Some(error.clone());
                Err(Unready { error, until: Instant::now() + RESOLVE_AGAIN })
            }
            Err(_) => Ok(Arc::clone(&resolved.channels)),
        }
    }

    /// What the last look-up found; `None` when it is time for another one.
    fn known(&self) -> Option<Result<Arc<[Arc<Channel>]>, Unready>> {
        let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        let at = resolved.at?;
        if let Some(error) = &resolved.error {
            let until = at + RESOLVE_AGAIN;
            return (until > Instant::now()).then(|| Err(Unready { error: error.clone(), until }));
        }
        let recent = at.elapsed() < RESOLVE_PAUSE;
        let lost = || resolved.channels.iter().any(|channel| channel.is_lost());
        (!resolved.channels.is_empty() && (recent || !lost())).then(|| Ok(Arc::clone(&resolved.channels)))
    }
}

#[cfg(test)]
mod tests;
