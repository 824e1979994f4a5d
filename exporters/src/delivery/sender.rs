//! One payload, tried until its fate is known.

use std::sync::Arc;
use std::time::Duration;

use sluice_pdata::split;
use sluice_pipeline::blocks::Retry;
use sluice_pipeline::clock::{Clock, Monotonic};
use sluice_pipeline::exporter::{Attempt, Delivery, Exporter, Payload};
use sluice_pipeline::rng::Rng;
use sluice_pipeline::send::SendOutcome;
use sluice_pipeline::spine::{Confirmations, Destination, Spine};
use sluice_pipeline::telemetry::ExporterMetrics;
use sluice_pipeline::{BoxFuture, ComponentId};

use super::fate::{Fate, Fates};
use super::gate::{Gate, Pass};

/// What all senders of a destination share.
pub(super) struct Sender {
    pub(super) id: ComponentId,
    pub(super) exporter: Arc<dyn Exporter>,
    pub(super) delivery: Delivery,
    pub(super) gate: Gate,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rng: Arc<dyn Rng>,
    pub(super) metrics: ExporterMetrics,
    pub(super) config_error: metrics::Gauge,
    pub(super) retries: metrics::Counter,
    /// Told when a payload has been looked at, for the first time.
    pub(super) spine: Arc<dyn Spine>,
    pub(super) destination: Destination,
}

/// Bisection of a poisonous or oversized payload ends here: 2^24 items are more than any payload has.
const MAX_DEPTH: u32 = 24;

impl Sender {
    /// Tries a payload, in parts if it must be, until every item's fate is known; none if the gate closed before. Parts that
    /// were delivered by then are delivered again by whoever goes on.
    pub(super) async fn send(&self, payload: Payload) -> Option<Fates> {
        let mut fates = Fates::default();
        let since = self.clock.now();
        self.resolve(payload, since, 0, &mut fates).await.then_some(fates)
    }

    /// Whether all fates are known.
    fn resolve<'a>(
        &'a self,
        payload: Payload,
        since: Monotonic,
        depth: u32,
        fates: &'a mut Fates,
    ) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let (signal, items) = (payload.signal, payload.items);
            match self.attempt(&payload, since).await {
                Verdict::Delivered(dropped) => {
                    let gone: usize = dropped.iter().map(|(_, count)| count).sum();
                    fates.push(items.saturating_sub(gone), Fate::Delivered);
                    for (reason, count) in dropped {
                        fates.push(count, Fate::Dropped(reason));
                    }
                    self.metrics.sent.add(signal, items.saturating_sub(gone));
                }
                Verdict::Divide(message) if items > 1 && depth < MAX_DEPTH => {
                    tracing::debug!(exporter = %self.id, items, %message, "dividing a payload that was refused");
                    match halves(&payload) {
                        Some([first, second]) => {
                            return self.resolve(first, since, depth + 1, fates).await
                                && self.resolve(second, since, depth + 1, fates).await;
                        }
                        None => self.give_up(&payload, "permanent_error", &message, fates),
                    }
                }
                Verdict::Divide(message) => self.give_up(&payload, "permanent_error", &message, fates),
                Verdict::GiveUp(message) => self.give_up(&payload, "permanent_error", &message, fates),
                Verdict::LeftToOthers => return false,
            }
            true
        })
    }

    fn give_up(&self, payload: &Payload, reason: &'static str, message: &str, fates: &mut Fates) {
        tracing::error!(exporter = %self.id, dropped_items = payload.items, error = %message, "Exporting failed. Dropping data.");
        self.metrics.send_failed.add(payload.signal, payload.items);
        fates.push(payload.items, Fate::Dropped(reason));
    }

    /// Attempts until the destination has said something final.
    async fn attempt(&self, payload: &Payload, since: Monotonic) -> Verdict {
        let default_retry = Retry::default();
        let retry = self.delivery.retry.as_ref().unwrap_or(&default_retry);
        let (mut number, mut survived) = (0, false);
        loop {
            if !survived && self.gate.is_failing() {
                // It may wait for long.
                self.spine.survived(self.destination, payload.range);
                survived = true;
            }
            let Some(pass) = self.gate.enter(&*self.clock).await else { return Verdict::LeftToOthers };
            let timeout = self.delivery.timeout;
            let deadline = (!timeout.is_zero()).then(|| self.clock.now() + timeout);
            let attempt = Attempt { number, deadline };
            let guard = AttemptGuard { sender: self, pass };
            self.metrics.in_flight.increment(1.0);
            let outcome = match deadline {
                None => self.exporter.send(payload.clone(), &attempt).await,
                Some(deadline) => tokio::select! {
                    outcome = self.exporter.send(payload.clone(), &attempt) => outcome,
                    // The exporter keeps the deadline itself; this is for one that does not.
                    () = self.clock.sleep_until(deadline + GRACE) => SendOutcome::Retry {
                        after: None,
                        cause: sluice_pipeline::send::RetryCause::Ambiguous,
                        message: "timeout".to_owned(),
                    },
                },
            };
            self.metrics.in_flight.decrement(1.0);
            std::mem::forget(guard);
            if !survived {
                self.spine.survived(self.destination, payload.range);
                survived = true;
            }
            let (after, at_least, message, config_error) = match outcome {
                SendOutcome::Delivered { dropped } => {
                    self.works(pass);
                    return Verdict::Delivered(dropped.to_vec());
                }
                SendOutcome::Partial { rejected, message } => {
                    self.works(pass);
                    let rejected = rejected.min(payload.items);
                    if rejected > 0 {
                        self.confirmations().explain(self.destination, payload.range, false, &message);
                        tracing::warn!(exporter = %self.id, rejected, %message, "Partial success response");
                        return Verdict::Delivered(vec![("peer_partial_success", rejected)]);
                    }
                    tracing::info!(exporter = %self.id, %message, "Partial success response");
                    return Verdict::Delivered(Vec::new());
                }
                SendOutcome::Split { message } | SendOutcome::Permanent { message } => {
                    self.works(pass);
                    self.confirmations().explain(self.destination, payload.range, false, &message);
                    return Verdict::Divide(message);
                }
                SendOutcome::Internal { message } => {
                    self.works(pass);
                    self.confirmations().explain(self.destination, payload.range, false, &message);
                    return Verdict::GiveUp(message);
                }
                SendOutcome::ConfigError { message } => (None, retry.max_interval(), message, true),
                SendOutcome::Retry { after, message, .. } => (after, Duration::ZERO, message, false),
            };
            self.config_error.set(if config_error { 1.0 } else { 0.0 });
            self.gate.fails(pass, after, at_least, retry, &*self.clock, &*self.rng);
            self.retries.increment(1);
            // Before what follows: senders who wait may be refused for it.
            self.confirmations().explain(self.destination, payload.range, true, &message);
            if config_error || self.gate.is_open() {
                self.confirmations().available(self.destination, false);
            }
            let elapsed = self.clock.now().since(since);
            if self.delivery.retry.is_none() {
                return Verdict::GiveUp(message);
            }
            if retry.max_elapsed_time().is_some_and(|limit| elapsed >= limit) {
                return Verdict::GiveUp(format!("no more retries left: {message}"));
            }
            if number.is_power_of_two() || number == 0 {
                // First, second, third, fifth, ninth …: one cause is not told over and over.
                tracing::warn!(exporter = %self.id, error = %message, attempts = number + 1,
                    "Exporting failed. Will retry the request after interval.");
            }
            number += 1;
        }
    }

    fn works(&self, pass: Pass) {
        if self.gate.is_failing() {
            tracing::info!(exporter = %self.id, "destination answers again");
            self.config_error.set(0.0);
        }
        self.gate.works(pass, &*self.clock);
        self.confirmations().available(self.destination, true);
    }

    /// Who waits for what is sent here.
    fn confirmations(&self) -> &Confirmations {
        self.spine.confirmations()
    }
}

/// How much longer than its deadline an attempt may take before it is cut off.
const GRACE: Duration = Duration::from_millis(250);

/// Ends an attempt that is dropped half-way.
struct AttemptGuard<'s> {
    sender: &'s Sender,
    pass: Pass,
}

impl Drop for AttemptGuard<'_> {
    fn drop(&mut self) {
        self.sender.metrics.in_flight.decrement(1.0);
        self.sender.gate.leave(self.pass);
    }
}

/// What an attempt came to.
enum Verdict {
    Delivered(Vec<(&'static str, usize)>),
    /// Refused for good as a whole: maybe not in parts.
    Divide(String),
    GiveUp(String),
    /// The gate is closed.
    LeftToOthers,
}

fn halves(payload: &Payload) -> Option<[Payload; 2]> {
    let (first, second) = split::halves(payload.signal, &payload.contiguous()).ok()??;
    let count = |bytes| split::count(payload.signal, bytes).ok();
    let (a, b) = (count(&first)?, count(&second)?);
    if a == 0 || b == 0 || a + b != payload.items {
        return None;
    }
    let part =
        |bytes, items| Payload { parts: [bytes].into_iter().collect(), items, compressed: None, ..payload.clone() };
    Some([part(first, a), part(second, b)])
}
