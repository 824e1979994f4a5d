//! The reference: what was sent, what was acknowledged, what each destination is done with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::random::Random;
use crate::cursors::Survive;
use crate::observer::{DropReason, Moved, Observer};
use crate::record::{Entry, Record};
use crate::route::{Dest, RouteSet};
use crate::tally::{Items, SIGNALS};

/// Exporters that must get everything.
pub(super) const LOSSLESS: [&str; 3] = ["a", "b", "c"];
/// One that gives up its oldest records at a small quota.
pub(super) const LOSSY: &str = "l";
/// A stage: what it emits goes to `a`.
pub(super) const STAGE: &str = "s";
pub(super) const NAMES: [&str; 5] = ["a", "b", "c", LOSSY, STAGE];
/// Ids of what the stage makes of its input.
pub(super) const DERIVED: u64 = 1 << 40;

#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub routes: BTreeSet<&'static str>,
    pub signal: u8,
    pub items: u32,
    pub len: usize,
    pub acked: bool,
    /// Where it is in the journal, once it is acknowledged.
    pub seq: u64,
    /// A stage made it again after a crash: it may come as often.
    pub again: bool,
}

/// What is known of a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// In memory.
    Fresh,
    /// In the cursor, and a power cut may take it back.
    Written,
    /// In the cursor on disk: the record never comes again.
    Saved,
    /// The process died before it was sure to be saved.
    Unsure,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub sent: BTreeMap<u64, Sent>,
    /// By destination: records it is done with.
    pub done: BTreeMap<&'static str, BTreeMap<u64, Done>>,
    pub next: u64,
}

/// What a record of this id contains.
pub(super) fn payload(id: u64, len: usize) -> Bytes {
    let mut random = Random::seeded(id ^ 0x5151);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

impl Model {
    /// A record with a new id, noted as sent.
    pub(super) fn send(
        &mut self,
        id: u64,
        routes: BTreeSet<&'static str>,
        random: &mut Random,
        most: u64,
        dest: impl Fn(&str) -> Option<Dest>,
        ingest_ms: u64,
    ) -> Record {
        let len = random.below(most) as usize;
        let (signal, items) = (random.below(3) as u8, 1 + random.below(5) as u32);
        let set: RouteSet = routes.iter().filter_map(|name| dest(name)).collect();
        self.sent.insert(id, Sent { routes, signal, items, len, acked: false, seq: 0, again: false });
        Record {
            routes: set,
            signal,
            items,
            tenant: 7,
            ingest_ms,
            request_id: id,
            context: Bytes::copy_from_slice(&id.to_le_bytes()),
            payload: payload(id, len),
            attachment: None,
            attachment_bytes: 0,
        }
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Records were acknowledged, the first of them at this place.
    pub(super) fn ack(&mut self, ids: &[u64], first: u64) {
        for (id, seq) in ids.iter().zip(first..) {
            if let Some(sent) = self.sent.get_mut(id) {
                (sent.acked, sent.seq) = (true, seq);
            }
        }
    }

    /// Records that a cursor wants, by what it says of their sequence, and that are not in `got`: they were deleted too
    /// early, even if they were delivered.
    pub(super) fn deleted(&self, name: &str, wants: impl Fn(u64) -> bool, got: &BTreeSet<u64>) -> Vec<u64> {
        let of_dest = self.sent.iter().filter(|(_, sent)| sent.acked && sent.routes.contains(name));
        of_dest.filter(|(id, sent)| wants(sent.seq) && !got.contains(id)).map(|(id, _)| *id).collect()
    }

    /// Whether an entry is what was sent, for whom it was sent.
    pub(super) fn check_entry(&self, name: &str, entry: &Entry) -> Result<(), String> {
        let id = entry.request_id;
        let Some(sent) = self.sent.get(&id) else { return Err(format!("phantom record {id} at {name}: {entry:?}")) };
        if !sent.routes.contains(name) {
            return Err(format!("record {id} was not for {name}"));
        }
        let same = entry.payload == payload(id, sent.len)
            && *entry.context == id.to_le_bytes()
            && (entry.items, entry.signal) == (sent.items, sent.signal);
        if same { Ok(()) } else { Err(format!("record {id} has a wrong payload at {name}")) }
    }

    /// Every acknowledged record that a lossless destination is not done with, unless it is in `got`.
    pub(super) fn missing(&self, name: &'static str, got: &BTreeSet<u64>) -> Vec<u64> {
        let done = self.done.get(name);
        let owed = self.sent.iter().filter(|(_, sent)| sent.acked && sent.routes.contains(name)).map(|(id, _)| *id);
        owed.filter(|id| !got.contains(id) && !done.is_some_and(|done| done.contains_key(id))).collect()
    }

    pub(super) fn complete(&mut self, name: &'static str, id: u64) {
        self.done.entry(name).or_default().insert(id, Done::Fresh);
    }

    /// The cursor knows of every completion so far, for this end at least.
    pub(super) fn saved(&mut self, name: &'static str, survive: Survive) {
        for done in self.done.entry(name).or_default().values_mut() {
            match (survive, *done) {
                (Survive::PowerCut, Done::Fresh | Done::Written) => *done = Done::Saved,
                (Survive::Kill, Done::Fresh) => *done = Done::Written,
                _ => {}
            }
        }
    }

    /// The process ended in this way.
    pub(super) fn died(&mut self, by: Survive) {
        for done in self.done.values_mut().flat_map(BTreeMap::values_mut) {
            if *done == Done::Fresh || (by == Survive::PowerCut && *done == Done::Written) {
                *done = Done::Unsure;
            }
        }
    }

    /// Whether a record may come again after this end: it is not done, or no cursor is sure to know.
    pub(super) fn may_come(&self, name: &str, id: u64, after: Survive) -> bool {
        let known = |done: &Done| *done == Done::Saved || (after == Survive::Kill && *done == Done::Written);
        self.sent.get(&id).is_some_and(|sent| sent.again)
            || !self.done.get(name).and_then(|done| done.get(&id)).is_some_and(known)
    }
}

/// The equations of the ledger, for each destination and signal.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<BTreeMap<Dest, Account>>);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    pub entered: Items,
    pub done: Items,
    pub dropped: Items,
    pub corrupt: u64,
    pub backlog: Items,
}

impl Ledger {
    fn with(&self, dest: Dest, change: impl FnOnce(&mut Account)) {
        change(self.lock().entry(dest).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Dest, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn completed(&self, dest: Dest, moved: Moved, backlog: &Items) {
        self.with(dest, |account| {
            account.done[usize::from(moved.signal)] += moved.items;
            account.backlog = *backlog;
        });
    }

    pub(super) fn account(&self, dest: Dest) -> Account {
        self.lock().get(&dest).copied().unwrap_or_default()
    }

    /// entered = done + dropped + backlog.
    pub(super) fn check(&self, dest: Dest, backlog: &Items) -> Result<(), String> {
        let account = self.account(dest);
        for signal in 0..SIGNALS {
            let right = account.done[signal] + account.dropped[signal] + backlog[signal];
            if account.entered[signal] != right || account.backlog[signal] != backlog[signal] {
                return Err(format!("the ledger of {dest:?} is off: {account:?}, backlog {backlog:?}"));
            }
        }
        Ok(())
    }
}

impl Observer for Ledger {
    fn restored(&self, dest: Dest, _name: &str, backlog: &Items) {
        self.with(dest, |account| {
            account.entered = *backlog;
            account.backlog = *backlog;
        });
    }

    fn routed(&self, dest: Dest, moved: Moved, backlog: &Items) {
        self.with(dest, |account| {
            account.entered[usize::from(moved.signal)] += moved.items;
            account.backlog = *backlog;
        });
    }

    fn dropped(&self, dest: Dest, moved: Moved, reason: DropReason, backlog: &Items) {
        self.with(dest, |account| {
            account.dropped[usize::from(moved.signal)] += moved.items;
            if reason == DropReason::Corrupt {
                account.corrupt += moved.items;
            }
            account.backlog = *backlog;
        });
    }
}
