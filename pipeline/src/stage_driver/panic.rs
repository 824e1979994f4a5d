//! A stage that panics starts over (delivery §6): nobody knows what state it is in. Where the log survives, everything from the
//! cursors on is read again; elsewhere what it held is decided as far as possible, and the rest is lost and counted. The items
//! that it cannot take are found one by one and left out, counted as `panic`.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use sluice_pdata::split::split;

use super::ports::Ports;
use super::time::StageTime;
use super::{Run, Turn};
use crate::Signal;
use crate::batch::Redacted;
use crate::clock::WallTime;
use crate::ledger::reasons;
use crate::spine::{CursorRule, Entry, Seq};
use crate::stage::{Port, Stage, StageOutput};

/// Longest pause before it is tried again where no item is known to be at fault, as a power of two of [`super::PAUSE`]: 51 s.
const LONGEST: u32 = 9;

/// What is known of entries with which the stage has panicked.
#[derive(Default)]
pub(super) struct Faults {
    /// What is being absorbed.
    absorbing: Option<(Port, Entry)>,
    /// Items that are left out, by entry.
    bad: BTreeMap<(Seq, Port), BTreeSet<usize>>,
    /// Panics without an entry that could be at fault.
    unexplained: u32,
}

/// Single items of an entry, as requests of their own.
fn items(entry: &Entry) -> Vec<Entry> {
    let batch = entry.batch();
    let Ok(parts) = split(batch.signal(), batch.bytes(), 1, usize::MAX) else { return Vec::new() };
    let part = |bytes| {
        // Every part of what was redacted is.
        let part = Redacted::proven((**batch).clone().replaced(bytes, 1));
        Entry::new(entry.seq(), part, entry.ingest(), Box::new(entry.clone()))
    };
    parts.filter_map(Result::ok).map(part).collect()
}

/// An entry without some of its items.
fn without(entry: &Entry, bad: &BTreeSet<usize>) -> Entry {
    let good: Vec<Entry> =
        items(entry).into_iter().enumerate().filter(|(at, _)| !bad.contains(at)).map(|(_, item)| item).collect();
    // Requests one after another are one request.
    let bytes: Vec<u8> = good.iter().flat_map(|item| item.batch().bytes().iter().copied()).collect();
    let batch = Redacted::proven((**entry.batch()).clone().replaced(bytes.into(), good.len()));
    Entry::new(entry.seq(), batch, entry.ingest(), Box::new(entry.clone()))
}

fn survives_call<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

/// The items that a stage with nothing in it cannot take. All of them if it can take each alone.
fn examine(stage: &mut dyn Stage, port: Port, entry: &Entry, now: WallTime) -> BTreeSet<usize> {
    let mut bad = BTreeSet::new();
    for (at, item) in items(entry).iter().enumerate() {
        let mut out = StageOutput::default();
        let taken = survives_call(|| {
            stage.absorb(port, item, now, &mut out);
            stage.drain(now, &mut out);
        });
        if taken.is_none() {
            bad.insert(at);
            survives_call(|| stage.reset());
        }
    }
    if bad.is_empty() { (0..entry.batch().items()).collect() } else { bad }
}

impl Run {
    /// Hands over an entry, without what the stage cannot take.
    pub(super) fn take_in(&mut self, port: Port, entry: Entry, now: WallTime, out: &mut StageOutput) {
        let entry = self.faults.absorbing.insert((port, entry));
        let (items, signal) = (entry.1.batch().items(), entry.1.batch().signal());
        let bad = self.faults.bad.get(&(entry.1.seq(), port));
        let left = bad.map(|bad| without(&entry.1, bad));
        let given = left.as_ref().unwrap_or(&entry.1);
        if given.batch().items() > 0 {
            self.driver.stage.absorb(port, given, now, out);
        }
        if left.is_some() {
            out.drop_items(signal, reasons::PANIC, items - given.batch().items());
        }
        self.faults.absorbing = None;
        self.consumed += items;
    }

    /// As it is for the stage, of an entry that it is given again.
    pub(super) fn as_given(&self, port: Port, entry: &Entry) -> Option<Entry> {
        self.faults.bad.get(&(entry.seq(), port)).map(|bad| without(entry, bad))
    }

    /// The stage has panicked; `out` is what it let out in this turn before. `false` if it cannot go on.
    pub(super) async fn start_over(&mut self, panic: Box<dyn Any + Send>, mut out: StageOutput) -> bool {
        let now = self.time.behind();
        let survives = self.driver.spine.cursor_rule() == CursorRule::Emitted;
        let culprit = self.faults.absorbing.take();
        tracing::error!(
            destination = %self.driver.ports.first().map(|&port| self.driver.spine.name(port)).unwrap_or_default(),
            seq = culprit.as_ref().map(|(_, entry)| entry.seq().0),
            "a stage has panicked and starts over"
        );
        let stage = &mut *self.driver.stage;
        if !survives {
            survives_call(|| stage.drain(now, &mut out));
        }
        if survives_call(|| stage.reset()) != Some(true) {
            resume_unwind(panic);
        }
        let found = culprit.as_ref().map(|(port, entry)| examine(stage, *port, entry, now));
        survives_call(|| stage.reset());
        if survives {
            self.read_again_from_cursors(culprit.zip(found)).await;
        } else {
            self.salvage(culprit.zip(found), out, now).await;
        }
        true
    }

    /// The log has everything that the stage had.
    async fn read_again_from_cursors(&mut self, found: Option<((Port, Entry), BTreeSet<usize>)>) {
        match found {
            Some(((port, entry), bad)) => {
                self.faults.unexplained = 0;
                let key = (entry.seq(), port);
                // What was left out before was not enough.
                let all = self.faults.bad.contains_key(&key);
                let bad = if all { (0..entry.batch().items()).collect() } else { bad };
                self.faults.bad.insert(key, bad);
            }
            None => self.pause().await,
        }
        // Those behind the cursors do not come again.
        let oldest = self.driver.ports.iter().filter_map(|&port| self.driver.spine.backlog(port).oldest);
        let oldest = oldest.map(|(seq, _)| seq).min().unwrap_or_default();
        self.faults.bad.retain(|(seq, _), _| *seq >= oldest);
        self.driver.account.restart(true);
        self.ports = Ports::new(std::sync::Arc::clone(&self.driver.spine), &self.driver.ports);
        self.time = StageTime::default();
        self.notes.iter_mut().for_each(super::notes::Notes::rewind);
        self.recall().await;
    }

    /// What the stage had is what it let out: the rest is lost. The entry in its hands comes again without what is bad.
    async fn salvage(&mut self, found: Option<((Port, Entry), BTreeSet<usize>)>, mut out: StageOutput, now: WallTime) {
        let entered = self.driver.account.held() + self.consumed + out.created;
        let emitted: usize = out.batches.iter().map(|(_, batch)| batch.items()).sum();
        let dropped: usize = out.dropped.iter().map(|(.., items)| items).sum();
        let left = emitted + dropped + out.repeated;
        let signal = out.batches.first().map_or(Signal::Traces, |(_, batch)| batch.signal());
        if entered > left {
            out.drop_items(signal, reasons::PANIC, entered - left);
        }
        // What left twice was there once more.
        out.create_items(left.saturating_sub(entered));
        let mut consumed = self.consumed;
        let again = found.map(|((port, entry), bad)| {
            consumed += bad.len();
            out.drop_items(entry.batch().signal(), reasons::PANIC, bad.len());
            (port, without(&entry, &bad))
        });
        self.commit(Turn { consumed, out, now }).await;
        match again {
            Some((port, entry)) if entry.batch().items() > 0 => self.ports.give_back(port, entry),
            Some(_) => {}
            None => self.pause().await,
        }
    }

    /// Where no item is known to be at fault, it may happen again at once.
    async fn pause(&mut self) {
        let pause: Duration = super::PAUSE * (1 << self.faults.unexplained.min(LONGEST));
        self.faults.unexplained += 1;
        tokio::select! {
            () = self.driver.clock.sleep(pause) => {}
            // The next turn sees them.
            Ok(()) = self.orders.changed() => {}
        }
    }
}
