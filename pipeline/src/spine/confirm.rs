//! Who waits until destinations have confirmed a request (delivery §1.1, mode `exported`), and which destinations take
//! nothing at present.
//!
//! A completion reaches whoever waits by destination and sequence. While nobody waits, as in the other modes, it costs one
//! load.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sluice_pdata::pass::Reason;
use tokio::sync::oneshot;

use super::{Completion, Destination, RouteSet, Seq, SeqRange};
use crate::ledger::reasons;
use crate::outcome::{Refusal, clip};

/// What one destination made of a request. The parts add up to `items`, unless they are `lost`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    pub destination: Arc<str>,
    /// Items of the request that were for it.
    pub items: usize,
    pub delivered: usize,
    /// Items that it will never take.
    pub rejected: usize,
    /// Items that went no further for other reasons: the destination's own partial success, or what its format cannot say.
    pub dropped: usize,
    /// Items that it might take if they are sent again.
    pub lost: usize,
    /// The destination's own words.
    pub message: Option<String>,
}

impl Confirmation {
    /// One that has still to come.
    pub fn pending(destination: Arc<str>, items: usize) -> Self {
        Confirmation { destination, items, delivered: 0, rejected: 0, dropped: 0, lost: 0, message: None }
    }

    /// Adds what became of some of the items. `again` says that what was given up may succeed later.
    pub fn add(&mut self, completion: &Completion, again: bool) {
        self.delivered += completion.delivered;
        *if again { &mut self.lost } else { &mut self.rejected } += completion.parked;
        for &(reason, items) in &completion.dropped {
            match reason {
                reason if is_given_up(reason) && again => self.lost += items,
                reason if is_given_up(reason) => self.rejected += items,
                reason if is_ours(reason) => self.lost += items,
                _ => self.dropped += items,
            }
        }
    }
}

/// Whether a drop means that the destination did not take the items, and will not be asked again.
fn is_given_up(reason: Reason) -> bool {
    [reasons::PERMANENT_ERROR, reasons::SERVER_ERROR, reasons::RETRIES_EXHAUSTED, reasons::PANIC, reasons::DLQ_FULL]
        .contains(&reason)
}

/// Whether a drop is the collector's own doing, so that the sender should try again.
fn is_ours(reason: Reason) -> bool {
    [
        reasons::DETACHED_DESTINATION,
        reasons::SHUTDOWN_MEMORY_MODE,
        reasons::OPERATOR_PURGE,
        reasons::QUOTA_DROP_OLDEST,
        reasons::QUOTA_DROP_NEWEST,
        reasons::MAX_AGE,
        reasons::CORRUPT,
    ]
    .contains(&reason)
}

/// How a request ended at all its destinations.
type Outcome = Result<Vec<Confirmation>, Refusal>;

/// A spine's waiting requests. Clones share them.
#[derive(Clone, Default)]
pub struct Confirmations(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Requests that wait or are being appended.
    active: AtomicUsize,
    /// The destinations that take nothing at present, as a route set.
    closed: [AtomicU64; 4],
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<(Destination, Seq), u64>,
    requests: HashMap<u64, Pending>,
    next: u64,
    /// Appends of which it is not known yet where their records are.
    appending: usize,
    /// Completions beyond `known`, which may be of such records: a reader can be faster than the answer to an append.
    early: BTreeMap<(Destination, Seq), Completion>,
    /// Appends answer in order: what is up to here nobody asks for any more.
    known: Seq,
}

struct Pending {
    keys: Vec<(Destination, Seq)>,
    left: usize,
    parts: Vec<(Destination, Confirmation)>,
    /// What is given up may succeed later.
    again: RouteSet,
    tell: Option<oneshot::Sender<Outcome>>,
}

impl Pending {
    fn end(&mut self, outcome: Outcome) {
        if let Some(tell) = self.tell.take() {
            // Whoever waited may be gone.
            let _ = tell.send(outcome);
        }
    }

    fn part(&mut self, destination: Destination) -> Option<&mut Confirmation> {
        self.parts.iter_mut().find(|(known, _)| *known == destination).map(|(_, part)| part)
    }

    fn add(&mut self, destination: Destination, completion: &Completion) {
        let again = self.again.contains(destination);
        if let Some(part) = self.part(destination) {
            part.add(completion, again);
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            let parts = std::mem::take(&mut self.parts);
            self.end(Ok(parts.into_iter().map(|(_, part)| part).collect()));
        }
    }
}

/// A kept record of a request that waits.
pub(super) struct Part {
    pub(super) seq: Seq,
    /// Who has to confirm it.
    pub(super) awaited: RouteSet,
    pub(super) items: usize,
}

/// A request that is being appended: from here on no completion of its records is missed.
pub(super) struct Appending(Confirmations);

impl Drop for Appending {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.appending -= 1;
        if state.appending == 0 {
            state.early.clear();
        }
        drop(state);
        self.0.0.active.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Appending {
    /// The append has succeeded: waits for these records. `away` are destinations that did not get theirs after all.
    pub(super) fn done(self, parts: &[Part], away: RouteSet, name: impl Fn(Destination) -> Arc<str>) -> Waiting {
        let (tell, told) = oneshot::channel();
        let mut pending =
            Pending { keys: Vec::new(), left: 0, parts: Vec::new(), again: RouteSet::EMPTY, tell: Some(tell) };
        for part in parts {
            for destination in part.awaited.iter() {
                pending.keys.push((destination, part.seq));
                match pending.part(destination) {
                    Some(known) => known.items += part.items,
                    None => pending.parts.push((destination, Confirmation::pending(name(destination), part.items))),
                }
            }
        }
        for destination in away.iter() {
            let lost = Confirmation { lost: 1, ..Confirmation::pending(name(destination), 1) };
            pending.parts.push((destination, lost));
        }
        pending.left = pending.keys.len();
        if pending.left == 0 {
            let parts = std::mem::take(&mut pending.parts);
            pending.end(Ok(parts.into_iter().map(|(_, part)| part).collect()));
        }
        let range = match (parts.first(), parts.last()) {
            (Some(first), Some(last)) => Some(SeqRange { first: first.seq, last: last.seq }),
            _ => None,
        };
        let confirmations = self.0.clone();
        confirmations.0.active.fetch_add(1, Ordering::AcqRel);
        let id = confirmations.state().wait(pending, range);
        Waiting { confirmations, id, told, range }
    }
}

impl State {
    fn wait(&mut self, mut pending: Pending, range: Option<SeqRange>) -> u64 {
        let id = self.next;
        self.next += 1;
        for key in pending.keys.clone() {
            match self.early.remove(&key) {
                Some(completion) => pending.add(key.0, &completion),
                None => {
                    self.waiting.insert(key, id);
                }
            }
        }
        if let Some(range) = range {
            self.known = self.known.max(range.last);
            let known = self.known;
            self.early.retain(|(_, seq), _| *seq > known);
        }
        self.requests.insert(id, pending);
        id
    }

    /// The requests that wait for a destination.
    fn at(&self, destination: Destination, range: SeqRange) -> Vec<u64> {
        let keys = (destination, range.first)..=(destination, range.last);
        let mut ids: Vec<u64> = self.waiting.range(keys).map(|(_, id)| *id).collect();
        ids.dedup();
        ids
    }

    fn end(&mut self, ids: &[u64], destination: Destination, why: &str) {
        for id in ids {
            let Some(pending) = self.requests.get_mut(id) else { continue };
            let part = pending.part(destination).cloned();
            let name = part.as_ref().map(|part| &*part.destination).unwrap_or_default();
            let said = part.as_ref().and_then(|part| part.message.as_deref()).unwrap_or(why);
            let message = format!("{name}: {said}");
            pending.end(Err(Refusal::DestinationUnavailable { message }));
        }
    }
}

const ALL: SeqRange = SeqRange { first: Seq(0), last: Seq(u64::MAX) };

impl Confirmations {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nobody_waits(&self) -> bool {
        self.0.active.load(Ordering::Acquire) == 0
    }

    /// Before an append whose records are waited for.
    pub(super) fn appending(&self) -> Appending {
        self.0.active.fetch_add(1, Ordering::AcqRel);
        self.state().appending += 1;
        Appending(self.clone())
    }

    /// A destination is done with a record.
    pub(super) fn completed(&self, destination: Destination, seq: Seq, completion: &Completion) {
        if self.nobody_waits() {
            return;
        }
        let mut state = self.state();
        match state.waiting.remove(&(destination, seq)) {
            Some(id) => {
                if let Some(pending) = state.requests.get_mut(&id) {
                    pending.add(destination, completion);
                }
            }
            None if state.appending > 0 && seq > state.known => {
                state.early.insert((destination, seq), completion.clone());
            }
            None => {}
        }
    }

    /// A destination has lost all its records: it was removed, or its backlog discarded.
    pub(super) fn gone(&self, destination: Destination) {
        if !self.nobody_waits() {
            let mut state = self.state();
            let ids = state.at(destination, ALL);
            state.end(&ids, destination, "its backlog was discarded");
        }
        // Who has its index next starts without a past.
        self.available(destination, true);
    }

    /// What a destination said of the records `range` that it did not take as they were: told to their senders, should
    /// they be given up. `again` if that is not for good.
    pub fn explain(&self, destination: Destination, range: SeqRange, again: bool, message: &str) {
        if self.nobody_waits() {
            return;
        }
        let mut state = self.state();
        for id in state.at(destination, range) {
            let Some(pending) = state.requests.get_mut(&id) else { continue };
            pending.again = if again { pending.again.with(destination) } else { pending.again.without(destination) };
            if let Some(part) = pending.part(destination) {
                part.message = Some(clip(message.to_owned()));
            }
        }
    }

    /// Whether a destination takes anything at present: its breaker, told at every attempt. When it does not, whoever waits
    /// for it is refused now rather than at the end of the timeout, and new requests before they are read.
    pub fn available(&self, destination: Destination, is: bool) {
        let (word, bit) = (&self.0.closed[usize::from(destination.0 >> 6)], 1 << (destination.0 & 63));
        if is {
            if word.load(Ordering::Acquire) & bit != 0 {
                word.fetch_and(!bit, Ordering::AcqRel);
            }
            return;
        }
        word.fetch_or(bit, Ordering::AcqRel);
        if !self.nobody_waits() {
            let mut state = self.state();
            let ids = state.at(destination, ALL);
            state.end(&ids, destination, "takes nothing at present");
        }
    }

    /// Those of the destinations that take nothing at present.
    pub fn closed(&self, routes: RouteSet) -> RouteSet {
        RouteSet(std::array::from_fn(|word| routes.0[word] & self.0.closed[word].load(Ordering::Acquire)))
    }

    /// Refuses everybody who waits: the process ends.
    pub fn refuse_all(&self, refusal: &Refusal) {
        if !self.nobody_waits() {
            self.state().requests.values_mut().for_each(|pending| pending.end(Err(refusal.clone())));
        }
    }
}

/// A request whose records are kept and whose destinations have not all confirmed it. Dropping it ends the waiting and
/// nothing else.
pub struct Waiting {
    confirmations: Confirmations,
    id: u64,
    told: oneshot::Receiver<Outcome>,
    /// The records.
    pub range: Option<SeqRange>,
}

impl Waiting {
    /// What every destination made of it, once all of them are done.
    ///
    /// # Errors
    /// One of them takes nothing at present, or the process ends.
    pub async fn confirmed(&mut self) -> Result<Vec<Confirmation>, Refusal> {
        (&mut self.told).await.unwrap_or(Err(Refusal::Internal))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.confirmations.state();
        if let Some(pending) = state.requests.remove(&self.id) {
            for key in pending.keys {
                if state.waiting.get(&key) == Some(&self.id) {
                    state.waiting.remove(&key);
                }
            }
        }
        drop(state);
        self.confirmations.0.active.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
