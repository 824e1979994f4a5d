//! Stages: stateful processors that read from the spine and may hold back.
//!
//! A stage is a state machine without I/O. Its driver reads entries in sequence, tells it the time, appends what it emits,
//! and advances its cursor to the low watermark **in the same append**. After a crash every entry from the watermark on is
//! absorbed again; what had been emitted from them may then be emitted once more, under the same deterministic ids.

use sluice_pdata::pass::Reason;
use smallvec::SmallVec;

use crate::batch::Batch;
use crate::clock::WallTime;
use crate::spine::{Entry, Seq};

/// A batch-level, stateful processor.
pub trait Stage: Send {
    /// Takes one entry in. `now` is the stage's time: the highest ingest time read, advanced by the clock only once the
    /// reader has caught up, so that a replay sees the same windows.
    fn absorb(&mut self, input: &Entry, now: WallTime, out: &mut StageOutput);

    /// Time has come to [`Stage::next_deadline`], or beyond.
    fn tick(&mut self, now: WallTime, out: &mut StageOutput);

    /// When it wants to be told the time next; `None` while nothing waits.
    fn next_deadline(&self) -> Option<WallTime>;

    /// The oldest entry that contributes to state not yet emitted; `None` if no entry does. The cursor never passes it.
    fn low_watermark(&self) -> Option<Seq>;

    /// What it holds back.
    fn held(&self) -> Held;

    /// Decides everything it holds with what it has: at shutdown where the log does not survive, and when the stage is
    /// removed from the configuration.
    fn drain(&mut self, now: WallTime, out: &mut StageOutput);

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
    pub(crate) batches: Vec<Batch>,
    pub(crate) dropped: SmallVec<[(Reason, usize); 2]>,
    pub(crate) created: usize,
}

impl StageOutput {
    /// Emits a derived batch, which runs through the steps behind the stage and is appended together with the watermark.
    pub fn emit(&mut self, batch: Batch) {
        self.batches.push(batch);
    }

    /// Drops items that were absorbed.
    pub fn drop_items(&mut self, reason: Reason, items: usize) {
        match self.dropped.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += items,
            None => self.dropped.push((reason, items)),
        }
    }

    /// Items made here that nobody sent, about to be emitted or held.
    pub fn create_items(&mut self, items: usize) {
        self.created += items;
    }

    /// Whether the stage did nothing.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.dropped.is_empty() && self.created == 0
    }
}
