//! One request until it is accepted, refused for good, or given up.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sluice_pipeline::Signal;
use sluice_pipeline::send::{RetryCause, SendOutcome};
use tokio::time::Instant;

use super::count::Counts;
use super::target::Target;

/// The first pause, where the server does not say how long; doubles up to the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// A target, and what has become of what it was sent.
pub struct Delivery {
    target: Target,
    retry_for: Duration,
    counts: Mutex<Counts>,
}

impl Delivery {
    pub fn new(target: Target, retry_for: Duration) -> Self {
        Delivery { target, retry_for, counts: Mutex::default() }
    }

    /// Where to.
    pub fn name(&self) -> &str {
        &self.target.name
    }

    /// The totals as they are now.
    pub fn counts(&self) -> Counts {
        self.with(|counts| counts.clone())
    }

    fn with<T>(&self, what: impl FnOnce(&mut Counts) -> T) -> T {
        what(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends a request, and again while it is refused for now.
    pub async fn send(&self, signal: Signal, request: &Bytes, items: u64) {
        let at = signal as usize;
        self.with(|counts| {
            counts.requests += 1;
            counts.sent[at] += items;
        });
        let (began, mut pause) = (Instant::now(), FIRST);
        loop {
            let attempt = Instant::now();
            let (wait, cause, message) = match self.target.send(signal, request).await {
                SendOutcome::Delivered { .. } => {
                    return self.with(|counts| {
                        counts.accepted[at] += items;
                        counts.answered(attempt.elapsed());
                    });
                }
                SendOutcome::Partial { rejected, message } => {
                    let rejected = (rejected as u64).min(items);
                    return self.with(|counts| {
                        counts.accepted[at] += items - rejected;
                        counts.rejected[at] += rejected;
                        counts.answered(attempt.elapsed());
                        counts.refused(&message);
                    });
                }
                SendOutcome::Retry { after, cause, message } => (after.unwrap_or(pause), cause, message),
                SendOutcome::Permanent { message }
                | SendOutcome::Split { message }
                | SendOutcome::Internal { message }
                | SendOutcome::ConfigError { message } => return self.give_up(at, items, &message, false),
                // No OTLP server names single items.
                SendOutcome::Refused { .. } => return self.give_up(at, items, "refused", false),
            };
            // A server that has never been there is not waited for.
            let nobody = cause == RetryCause::Connection && self.with(|counts| Counts::all(&counts.accepted) == 0);
            if nobody || began.elapsed() + wait > self.retry_for {
                return self.give_up(at, items, &message, cause == RetryCause::Connection);
            }
            self.with(|counts| {
                counts.retries += 1;
                counts.refused(&message);
            });
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    fn give_up(&self, at: usize, items: u64, message: &str, unreachable: bool) {
        self.with(|counts| {
            counts.rejected[at] += items;
            counts.unreachable |= unreachable;
            counts.refused(message);
        });
    }
}
