//! Stages: stateful processors that read from the spine and may hold back.
//!
//! A stage is a state machine without I/O. Its driver reads entries in sequence, tells it the time, appends what it emits,
//! and advances its cursor to the low watermark **in the same append**. After a crash every entry from the watermark on is
//! absorbed again; what had been emitted from them may then be emitted once more, under the same deterministic ids.

use std::any::Any;
use std::time::Duration;

use bytes::Bytes;
use sluice_pdata::Signal;
use sluice_pdata::pass::Reason;
use smallvec::SmallVec;

use crate::batch::Batch;
use crate::clock::WallTime;
use crate::spine::{Entry, Seq};

/// One of the pipelines around a stage. For a processor, its place among those that name it: what came in at a port goes on
/// at the same. For a connector, inputs and outputs are counted apart, each in the order of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(pub u16);

/// A batch-level, stateful processor.
pub trait Stage: Send {
    /// Takes one entry in. Entries of all ports come in the order of their sequence; one that is routed to several ports comes
    /// once for each. `now` is the stage's time: the highest ingest time read, advanced by the clock only once the reader has
    /// caught up, so that a replay sees the same windows.
    fn absorb(&mut self, port: Port, input: &Entry, now: WallTime, out: &mut StageOutput);

    /// Time has come to [`Stage::next_deadline`], or beyond.
    fn tick(&mut self, now: WallTime, out: &mut StageOutput);

    /// When it wants to be told the time next; `None` while nothing waits.
    fn next_deadline(&self) -> Option<WallTime>;

    /// The oldest entry that contributes to state not yet emitted; `None` if no entry does. No port's cursor passes it.
    fn low_watermark(&self) -> Option<Seq>;

    /// What it holds back.
    fn held(&self) -> Held;

    /// Decides everything it holds with what it has: at shutdown where the log does not survive, and when the stage is
    /// removed from the configuration.
    fn drain(&mut self, now: WallTime, out: &mut StageOutput);

    /// What it once noted ([`StageOutput::note`]) and still needs to know, oldest first and before any entry: after a restart
    /// on a log that survives it. Default: nothing.
    fn recall(&mut self, _note: &[u8], _now: WallTime) {}

    /// Takes over the state of the stage that it replaces at a reload, whose ports are its own. Gives it back if it cannot:
    /// then the predecessor decides everything it holds. Default: gives it back.
    fn succeed(&mut self, predecessor: Box<dyn Stage>) -> Option<Box<dyn Stage>> {
        Some(predecessor)
    }

    /// Itself, for a successor that knows its type.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;

    /// Whether it has no room for more. Then nothing is read for it: entries stay in the spine, whose quotas refuse what is too
    /// much, and [`Stage::tick`] is called as the clock goes on, deadline or not, until this is over. It must be over once
    /// nothing is held. Default: never.
    fn is_full(&self) -> bool {
        false
    }

    /// How long entries may lie unread after a turn, so that several are taken in together: that is paid for with one wake-up
    /// and one append instead of one each. What it passes on at once comes so much later at most; deadlines are kept, and an
    /// entry's time is that of its arrival. Default: not at all.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// By how much its reader lags behind the clock, on a log that survives a restart: there the log can absorb what would be
    /// too much. Told before entries are read; never called on another log. Default: no matter.
    fn lags(&mut self, _by: Duration) {}

    /// Entries of which it has given up what it held in memory, and that it needs again now, by their sequence: asked for after
    /// its other calls until there are none. It may only give up what is on a log that survives a restart. Default: none.
    fn wanted(&self) -> Vec<(Port, Seq)> {
        Vec::new()
    }

    /// Gives it such an entry again, as it was when it was absorbed; none if the log has lost it. Default: ignored.
    fn restore(&mut self, _port: Port, _seq: Seq, _input: Option<&Entry>, _now: WallTime, _out: &mut StageOutput) {}

    /// Forgets everything that came in, as if it had just been made: after a panic, when nobody knows what state it is in. What it
    /// counted since the start stays. `false` if it cannot; then it is not run any more. Default: it cannot.
    fn reset(&mut self) -> bool {
        false
    }

    /// Gives memory back: called when reserved memory passes a rung of its class (70, 80, 85, 90, 95, 100 %). Default: nothing.
    fn relieve(&mut self, _percent: u8, _now: WallTime, _out: &mut StageOutput) {}
}

/// What a stage holds back, for its ledger and its share of the memory budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub items: usize,
    pub bytes: usize,
}

/// Collects what a stage does in one call.
#[derive(Debug, Default)]
pub struct StageOutput {
    /// What is emitted, and at which port.
    pub batches: Vec<(Port, Batch)>,
    /// Absorbed items that are dropped, by their signal and reason.
    pub dropped: SmallVec<[(Signal, Reason, usize); 2]>,
    /// Items that nobody sent.
    pub created: usize,
    /// Absorbed items that a note says were emitted or dropped before the restart.
    pub repeated: usize,
    /// What is noted, and until when it is needed.
    pub notes: Vec<(Bytes, WallTime)>,
}

impl StageOutput {
    /// Emits a derived batch, which runs through the steps behind the stage at that port and is appended together with the
    /// watermark.
    pub fn emit(&mut self, port: Port, batch: Batch) {
        self.batches.push((port, batch));
    }

    /// Remembers something across a restart, at least until `until` in the stage's time: kept no later than the batches that
    /// are emitted with it. Never telemetry. Without effect on a log that does not survive a restart.
    pub fn note(&mut self, note: Bytes, until: WallTime) {
        self.notes.push((note, until));
    }

    /// Drops items that were absorbed.
    pub fn drop_items(&mut self, signal: Signal, reason: Reason, items: usize) {
        match self.dropped.iter_mut().find(|(of, known, _)| (*of, *known) == (signal, reason)) {
            Some((.., count)) => *count += items,
            None => self.dropped.push((signal, reason, items)),
        }
    }

    /// Items made here that nobody sent, about to be emitted or held.
    pub fn create_items(&mut self, items: usize) {
        self.created += items;
    }

    /// Items that were absorbed again after a restart, and had been emitted or dropped before it: they count as not absorbed.
    pub fn repeat_items(&mut self, items: usize) {
        self.repeated += items;
    }

    /// Whether the stage let nothing out.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.dropped.is_empty() && self.created == 0 && self.notes.is_empty()
    }
}
