//! One payload, tried until its fate is known.

use std::sync::Arc;
use std::time::Duration;

use sluice_pdata::pass::Reason;
use sluice_pipeline::ComponentId;
use sluice_pipeline::blocks::Retry;
use sluice_pipeline::clock::{Clock, Monotonic};
use sluice_pipeline::context::Arrival;
use sluice_pipeline::exporter::{Attempt, Delivery, Exporter, Payload};
use sluice_pipeline::ledger::reasons;
use sluice_pipeline::rng::Rng;
use sluice_pipeline::send::{RefusedItems, RetryCause, SendOutcome};
use sluice_pipeline::spine::{Confirmations, Destination, Keep, Letter, Spine};
use sluice_pipeline::telemetry::ExporterMetrics;
use smallvec::SmallVec;

use super::age::MaxAge;
use super::caught::caught;
use super::fate::{Fate, Fates};
use super::gate::{Again, Failure, Gate, Pass};
use super::learned::LearnedMax;
use super::metrics::Metrics;

/// What all senders of a destination share.
pub(super) struct Sender {
    pub(super) id: ComponentId,
    pub(super) exporter: Arc<dyn Exporter>,
    pub(super) delivery: Delivery,
    pub(super) gate: Arc<Gate>,
    pub(super) learned: LearnedMax,
    pub(super) max_age: Option<MaxAge>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rng: Arc<dyn Rng>,
    pub(super) common: ExporterMetrics,
    pub(super) metrics: Metrics,
    /// Told when a payload has been looked at, for the first time; keeps dead letters.
    pub(super) spine: Arc<dyn Spine>,
    pub(super) destination: Destination,
}

/// Since when a payload is being sent, and what it is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) since: Monotonic,
    /// When the records came in by whose age it is given up, if data gets too old for its destination.
    pub(super) ages: Option<Ages>,
}

/// When the oldest and the newest record of a payload came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ages {
    pub(super) oldest: Arrival,
    pub(super) newest: Arrival,
}

/// What became of a payload.
#[derive(Debug)]
pub(super) enum Sent {
    Known(Fates),
    /// A record of it is too old by now; nothing of it was delivered.
    Stale,
    /// The gate closed before. Parts that were delivered by then are delivered again by whoever goes on.
    LeftToOthers,
}

/// What an attempt came to.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Delivered but for items that the exporter or the destination dropped.
    Delivered(SmallVec<[(Reason, usize); 1]>),
    /// Refused for good as a whole: maybe not in parts.
    Refused { reason: Reason, status: String },
    /// Delivered but for items that were dropped, and runs of items that the destination has refused each for itself.
    RefusedItems { dropped: SmallVec<[(Reason, usize); 1]>, refused: Vec<RefusedItems> },
    /// Refused for its size.
    TooLarge(String),
    /// Not sent any more.
    Over(Fate),
    /// A record is too old.
    Stale,
    /// The gate is closed.
    LeftToOthers,
}

impl Sender {
    /// Tries a payload, in parts if it must be, until every item's fate is known.
    pub(super) async fn send(&self, payload: Payload, terms: Terms) -> Sent {
        let verdict = if payload.items > 1 && payload.len() > self.learned.bytes(&*self.clock) {
            Verdict::TooLarge("larger than what the destination takes".to_owned())
        } else {
            self.attempt(&payload, &terms).await
        };
        let mut fates = Fates::default();
        match verdict {
            Verdict::Delivered(dropped) => self.delivered(&payload, &dropped, |items, fate| fates.push(items, fate)),
            Verdict::Over(fate) => fates.push(payload.items, fate),
            Verdict::Stale => return Sent::Stale,
            Verdict::LeftToOthers => return Sent::LeftToOthers,
            refused => {
                // From here on its parts are no records any more: the newest decides for all.
                let ages = terms.ages.map(|ages| Ages { oldest: ages.newest, ..ages });
                // Boxed, as it is rare and large.
                let known = Box::pin(self.search(payload, refused, &Terms { ages, ..terms })).await;
                return known.map_or(Sent::LeftToOthers, Sent::Known);
            }
        }
        Sent::Known(fates)
    }

    /// Counts what was delivered, and tells the fates of the items.
    pub(super) fn delivered(&self, payload: &Payload, dropped: &[(Reason, usize)], mut tell: impl FnMut(usize, Fate)) {
        let mut left = payload.items;
        let gone: usize = dropped.iter().map(|(_, count)| count).sum();
        tell(left.saturating_sub(gone), Fate::Delivered);
        self.common.sent.add(payload.signal, left.saturating_sub(gone));
        left = left.min(gone);
        for &(reason, count) in dropped {
            tell(count.min(left), Fate::Dropped(reason));
            left -= count.min(left);
        }
    }

    /// Attempts until the destination has said something final.
    pub(super) async fn attempt(&self, payload: &Payload, terms: &Terms) -> Verdict {
        let default_retry = Retry::default();
        let retry = self.delivery.retry.as_ref().unwrap_or(&default_retry);
        let (mut number, mut survived) = (0, false);
        let mut again: Option<Again> = None;
        loop {
            if !survived && self.gate.is_open() {
                // It may wait for long.
                self.spine.survived(self.destination, payload.range);
                survived = true;
            }
            let pass = match self.enter(payload, again.as_mut(), terms).await {
                Entered::Pass(pass) => pass,
                Entered::TooOld => return Verdict::Stale,
                Entered::Closed => return Verdict::LeftToOthers,
            };
            if number > 0 {
                self.metrics.retries.increment(1);
            }
            let (outcome, rtt) = self.once(payload, number, pass).await;
            if !survived {
                self.spine.survived(self.destination, payload.range);
                survived = true;
            }
            let code = outcome.as_ref().ok().and_then(SendOutcome::code);
            let (failure, message) = match outcome {
                Err(panic) => {
                    tracing::error!(exporter = %self.id, panic, "the exporter panicked");
                    self.gate.leave(pass);
                    self.explain(payload, false, "the exporter panicked");
                    return Verdict::Refused { reason: reasons::PANIC, status: panic };
                }
                Ok(SendOutcome::Delivered { dropped }) => {
                    self.works(pass, rtt);
                    return Verdict::Delivered(dropped);
                }
                Ok(SendOutcome::Refused { dropped, refused }) => {
                    self.works(pass, rtt);
                    if let Some(first) = refused.first() {
                        self.explain(payload, false, &first.message);
                    }
                    return Verdict::RefusedItems { dropped, refused };
                }
                Ok(SendOutcome::Partial { rejected, message }) => {
                    self.works(pass, rtt);
                    if rejected > 0 {
                        self.explain(payload, false, &message);
                    }
                    return Verdict::Delivered(self.partial(rejected.min(payload.items), &message));
                }
                Ok(SendOutcome::Split { message }) => {
                    tracing::info!(exporter = %self.id, code, error = %message, items = payload.items,
                        "too large for the destination: sent in parts");
                    self.works(pass, rtt);
                    self.explain(payload, false, &message);
                    return Verdict::TooLarge(message);
                }
                Ok(SendOutcome::Permanent { message }) => {
                    self.works(pass, rtt);
                    self.explain(payload, false, &message);
                    return Verdict::Refused { reason: reasons::PERMANENT_ERROR, status: message };
                }
                Ok(SendOutcome::Internal { message }) => {
                    self.explain(payload, false, &message);
                    self.fails(pass, Failure { number, ..Failure::default() });
                    if let Some(fate) = self.give_up(payload, reasons::SERVER_ERROR, &message, number).await {
                        return Verdict::Over(fate);
                    }
                    again = Some(Again { at: self.clock.now(), waited: false });
                    number += 1;
                    continue;
                }
                Ok(SendOutcome::ConfigError { message }) => {
                    (Failure { number, at_least: retry.max_interval(), fatal: true, ..Failure::default() }, message)
                }
                Ok(SendOutcome::Retry { after, cause, message }) => {
                    let timeout = cause == RetryCause::Ambiguous;
                    if timeout {
                        self.metrics.ambiguous.increment(1);
                    }
                    let pressure = timeout || cause == RetryCause::Throttled;
                    let connection = cause == RetryCause::Connection;
                    (Failure { number, hint: after, pressure, timeout, connection, ..Failure::default() }, message)
                }
            };
            self.metrics.config_error.set(if failure.fatal { 1.0 } else { 0.0 });
            // Before what follows: senders who wait may be refused for it.
            self.explain(payload, true, &message);
            let at = self.fails(pass, failure);
            let elapsed = self.clock.now().since(terms.since);
            // What is configured wrongly will be put right: its data is kept whatever the retries.
            let last = self.delivery.retry.is_none() || retry.max_elapsed_time().is_some_and(|limit| elapsed >= limit);
            if last
                && !failure.fatal
                && let Some(fate) = self.give_up(payload, reasons::RETRIES_EXHAUSTED, &message, number).await
            {
                return Verdict::Over(fate);
            }
            if number.is_power_of_two() || number == 0 {
                // First, second, third, fifth, ninth …: one cause is not told over and over.
                tracing::warn!(exporter = %self.id, code, error = %message, attempts = number + 1,
                    "Exporting failed. Will retry the request after interval.");
            }
            again = Some(Again { at, waited: false });
            number += 1;
        }
    }

    /// While no connection can be made, tries that alone, now and then, and ends the wait for the next attempt once it can.
    pub(super) async fn watch(&self) {
        loop {
            self.gate.unreachable().await;
            self.clock.sleep(CONNECT_EVERY).await;
            if !self.gate.is_unreachable() {
                continue;
            }
            let reached = tokio::select! {
                reached = caught(|| self.exporter.probe()) => reached == Ok(true),
                () = self.clock.sleep(CONNECT_EVERY) => false,
            };
            if reached {
                self.gate.reached(&*self.clock);
            }
        }
    }

    /// Waits until the payload may be tried, or is too old for that.
    async fn enter(&self, payload: &Payload, mut again: Option<&mut Again>, terms: &Terms) -> Entered {
        let bytes = payload.len();
        let (Some(max_age), Some(ages)) = (&self.max_age, terms.ages) else {
            return self.gate.enter(bytes, again, &*self.clock).await.map_or(Entered::Closed, Entered::Pass);
        };
        loop {
            if max_age.is_over(ages.oldest) {
                return Entered::TooOld;
            }
            tokio::select! {
                biased;
                pass = self.gate.enter(bytes, again.as_deref_mut(), &*self.clock) => {
                    return pass.map_or(Entered::Closed, Entered::Pass);
                }
                () = self.clock.sleep_until(max_age.due(ages.oldest)) => {}
            }
        }
    }

    /// One attempt, within its time. The message of a panic.
    async fn once(&self, payload: &Payload, number: u32, pass: Pass) -> (Result<SendOutcome, String>, Duration) {
        let begun = self.clock.now();
        let timeout = self.delivery.timeout;
        let deadline = (!timeout.is_zero()).then(|| begun + timeout);
        let attempt = Attempt { number, deadline };
        let guard = AttemptGuard { sender: self, pass };
        self.common.in_flight.increment(1.0);
        let sent = caught(|| self.exporter.send(payload.clone(), &attempt));
        let outcome = match deadline {
            None => sent.await,
            Some(deadline) => tokio::select! {
                outcome = sent => outcome,
                // The exporter keeps the deadline itself; this is for one that does not.
                () = self.clock.sleep_until(deadline + GRACE) => Ok(SendOutcome::Retry {
                    after: None,
                    cause: RetryCause::Ambiguous,
                    message: "timeout".to_owned(),
                }),
            },
        };
        self.common.in_flight.decrement(1.0);
        std::mem::forget(guard);
        (outcome, self.clock.now().since(begun))
    }

    fn partial(&self, rejected: usize, message: &str) -> SmallVec<[(Reason, usize); 1]> {
        if rejected > 0 {
            tracing::warn!(exporter = %self.id, rejected, %message, "Partial success response");
            return SmallVec::from_buf([(reasons::PEER_PARTIAL_SUCCESS, rejected)]);
        }
        tracing::info!(exporter = %self.id, %message, "Partial success response");
        SmallVec::new()
    }

    /// The destination has failed this payload for good: to the dead letters, which never give it up. None if they are full:
    /// then nothing but a probe is sent any more, and the data stays where it is.
    async fn give_up(&self, payload: &Payload, reason: Reason, message: &str, number: u32) -> Option<Fate> {
        use sluice_pipeline::spine::Unparked;
        let items = payload.items;
        let letter = Letter::of(payload, reason, message.to_owned(), Keep::Always);
        let fate = match self.spine.park(self.destination, vec![letter]).await {
            Ok(()) => {
                self.metrics.letters_full.set(0.0);
                tracing::error!(exporter = %self.id, items, reason, error = %message,
                    "Exporting failed. Moved to the dead letters.");
                Fate::Parked
            }
            Err(Unparked::NoPlace) => {
                tracing::error!(exporter = %self.id, dropped_items = items, reason, error = %message,
                    "Exporting failed. Dropping data.");
                Fate::Dropped(reason)
            }
            Err(unparked) => {
                self.metrics.letters_full.set(1.0);
                tracing::error!(exporter = %self.id, ?unparked, reason, error = %message,
                    "no room in the dead letters: sending stops, and the data is kept");
                self.gate.trip(number, &*self.clock, &*self.rng);
                return None;
            }
        };
        self.common.send_failed.add(payload.signal, items);
        Some(fate)
    }

    fn works(&self, pass: Pass, rtt: Duration) {
        if self.gate.works(pass, rtt, &*self.clock) {
            tracing::info!(exporter = %self.id, "destination answers again");
            self.metrics.config_error.set(0.0);
            self.metrics.letters_full.set(0.0);
        }
        self.confirmations().available(self.destination, true);
    }

    fn fails(&self, pass: Pass, failure: Failure) -> Monotonic {
        let (due, opens) = self.gate.fails(pass, failure, &*self.clock, &*self.rng);
        if opens {
            tracing::warn!(exporter = %self.id, "destination fails: only probes are sent until it works");
        }
        if self.gate.is_open() {
            self.confirmations().available(self.destination, false);
        }
        due
    }

    /// Who waits for what is sent here.
    fn confirmations(&self) -> &Confirmations {
        self.spine.confirmations()
    }

    /// Tells those what the destination said. `again` if it is not for good.
    fn explain(&self, payload: &Payload, again: bool, message: &str) {
        self.confirmations().explain(self.destination, payload.range, again, message);
    }
}

enum Entered {
    Pass(Pass),
    TooOld,
    Closed,
}

/// How often a connection is tried while none can be made (delivery §4.2).
const CONNECT_EVERY: Duration = Duration::from_secs(2);

/// How much longer than its deadline an attempt may take before it is cut off.
const GRACE: Duration = Duration::from_millis(250);

/// Ends an attempt that is dropped half-way.
struct AttemptGuard<'s> {
    sender: &'s Sender,
    pass: Pass,
}

impl Drop for AttemptGuard<'_> {
    fn drop(&mut self) {
        self.sender.common.in_flight.decrement(1.0);
        self.sender.gate.leave(self.pass);
    }
}
