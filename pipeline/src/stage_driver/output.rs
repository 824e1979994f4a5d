//! What a stage emits, on its way into the log: everything of one turn in one commit with the advance of the cursors.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sluice_pdata::pass::Reason;
use tokio::sync::watch;

use super::handle::{Behind, Ending, Orders};
use super::{Run, Turn};
use crate::Signal;
use crate::batch::Batch;
use crate::clock::Clock;
use crate::intake::Gathered;
use crate::ledger::reasons;
use crate::outcome::Refusal;
use crate::spine::{Advance, CursorRule, Record, Spine};
use crate::stage::Port;

/// Most bytes of batches that are kept in one commit, beyond a single batch: a commit must fit its queue.
const COMMIT: usize = 4 << 20;

/// Longest wait for room before asking again: an exporter without a queue releases none.
const RETRY: Duration = Duration::from_secs(1);

/// What is kept in one commit.
#[derive(Default)]
struct Part {
    batches: Vec<(Port, Batch)>,
    notes: Vec<Record>,
}

impl Part {
    fn items(&self) -> [usize; 3] {
        let mut items = [0; 3];
        self.batches.iter().for_each(|(_, batch)| items[batch.signal() as usize] += batch.items());
        items
    }

    fn bytes(&self) -> usize {
        self.batches.iter().map(|(_, batch)| batch.bytes().len()).sum()
    }

    /// Whether less of it could fit where it does not.
    fn is_divisible(&self) -> bool {
        self.batches.len() + usize::from(!self.notes.is_empty()) > 1
    }

    /// The notes, then each batch alone.
    fn divided(self) -> impl DoubleEndedIterator<Item = Part> {
        let notes = (!self.notes.is_empty()).then_some(Part { batches: Vec::new(), notes: self.notes });
        let single = |batch| Part { batches: vec![batch], notes: Vec::new() };
        notes.into_iter().chain(self.batches.into_iter().map(single)).collect::<Vec<_>>().into_iter()
    }
}

/// What a turn has emitted, in parts that each fit a commit. Notes are kept no later than the first batch.
fn parts(batches: Vec<(Port, Batch)>, notes: Vec<Record>) -> VecDeque<Part> {
    let mut parts = VecDeque::new();
    let mut part = Part { batches: Vec::new(), notes };
    for (port, batch) in batches {
        if !part.batches.is_empty() && part.bytes() + batch.bytes().len() > COMMIT {
            parts.push_back(std::mem::take(&mut part));
        }
        part.batches.push((port, batch));
    }
    if !part.batches.is_empty() || !part.notes.is_empty() {
        parts.push_back(part);
    }
    parts
}

/// What became of a part.
enum Emission {
    Appended,
    Refused(Refusal),
    /// The end came while there was no room.
    Ended,
}

/// The reason under which is counted what can never be appended.
fn reason(refusal: &Refusal) -> Reason {
    tracing::error!(cause = refusal.cause(), "what a stage emitted cannot be kept: {refusal}");
    match refusal {
        Refusal::TooLarge { .. } => reasons::LIMIT_SIZE,
        Refusal::Malformed { .. } => reasons::INVALID,
        Refusal::DestinationRejected { .. } => reasons::PERMANENT_ERROR,
        _ => reasons::PANIC,
    }
}

impl Run {
    /// Appends the output of a turn together with the cursors' advance, and counts it. Larger output goes in several commits,
    /// the last one with the advance: a crash in between repeats batches and loses none. What can never be appended is
    /// dropped and counted: it must not stop the stage.
    pub(super) async fn commit(&mut self, turn: Turn) {
        let Turn { consumed, out, now } = turn;
        let survives = self.driver.spine.cursor_rule() == CursorRule::Emitted;
        let watermark = self.driver.stage.low_watermark().filter(|_| survives);
        let done = self.ports.pass(watermark);
        let notes = self.notes.as_ref().map(|notes| notes.records(&out.notes)).unwrap_or_default();
        let noted = !notes.is_empty();
        let (mut emitted, mut stranded) = (0, [0; 3]);
        let mut dropped = out.dropped;
        let mut drop_all = |reason, items: [usize; 3]| {
            let of = Signal::ALL.into_iter().zip(items).filter(|(_, items)| *items > 0);
            dropped.extend(of.map(|(signal, items)| (signal, reason, items)));
        };
        let (mut advanced, mut stopped) = (false, false);
        let mut left = parts(out.batches, notes);
        let (spine, clock) = (Arc::clone(&self.driver.spine), Arc::clone(&self.driver.clock));
        let mut way = Way { spine, clock, orders: self.orders.clone() };
        while let Some(part) = left.pop_front() {
            let items = part.items();
            if stopped {
                (0..3).for_each(|signal| stranded[signal] += items[signal]);
                continue;
            }
            let advance = if left.is_empty() { &done[..] } else { &[] };
            match way.append(&part, advance).await {
                Emission::Appended => (emitted, advanced) = (emitted + items.iter().sum::<usize>(), left.is_empty()),
                Emission::Refused(_) if part.is_divisible() => {
                    part.divided().rev().for_each(|part| left.push_front(part));
                }
                Emission::Refused(refusal) => drop_all(reason(&refusal), items),
                Emission::Ended => (stranded, stopped) = (items, true),
            }
        }
        let mut held = self.driver.stage.held().items;
        if stopped && survives {
            // Read again by whoever comes next.
            held += stranded.iter().sum::<usize>();
        } else {
            drop_all(reasons::SHUTDOWN_MEMORY_MODE, stranded);
            if !advanced {
                for (port, done) in done {
                    let spine = &self.driver.spine;
                    done.into_iter().for_each(|(seq, completion)| spine.complete(port, seq, completion));
                }
            }
        }
        if let Some(notes) = &mut self.notes {
            if noted {
                notes.appended();
            }
            notes.expire(now);
        }
        // What left before a restart was counted then.
        let consumed = consumed.saturating_sub(out.repeated);
        self.driver.account.record(consumed, out.created, emitted, &dropped, held);
    }
}

/// The way into the log, and the orders that change it.
struct Way {
    spine: Arc<dyn Spine>,
    clock: Arc<dyn Clock>,
    /// A clone, so that the next turn of the driver sees what changes meanwhile.
    orders: watch::Receiver<Orders>,
}

impl Way {
    /// Runs batches through the steps behind the stage at their ports and appends what comes out. Waits for room; if the way
    /// changes meanwhile, it is gone anew.
    async fn append(&mut self, part: &Part, done: &[Advance]) -> Emission {
        let (spine, clock) = (&self.spine, &self.clock);
        let orders = &mut self.orders;
        'way: loop {
            let behind = Arc::clone(&orders.borrow_and_update().behind);
            let mut gathered = Gathered::default();
            if let Err(refusal) = pass(&mut gathered, &behind, part).await {
                return Emission::Refused(refusal);
            }
            let mut records = part.notes.clone();
            records.extend(gathered.take_records());
            loop {
                // Asked for before the attempt, so that room that comes free right after a refusal is not missed.
                let released = spine.released();
                let result = match gathered.send_inline(&**clock).await {
                    Ok(()) => spine.commit(done.to_vec(), records.clone()).await.map(|_| ()),
                    Err(refusal) => Err(refusal),
                };
                match result {
                    Ok(()) => {
                        gathered.settle();
                        return Emission::Appended;
                    }
                    Err(refusal) if !refusal.is_retryable() => return Emission::Refused(refusal),
                    // Less of it may fit the memory that there is.
                    Err(refusal @ Refusal::Memory) if part.is_divisible() => return Emission::Refused(refusal),
                    Err(_) if stops(orders.borrow().ending, spine.cursor_rule()) => return Emission::Ended,
                    Err(_) => {}
                }
                tokio::select! {
                    () = released => {}
                    () = clock.sleep(RETRY) => {}
                    Ok(()) = orders.changed() => {
                        if !Arc::ptr_eq(&behind, &orders.borrow().behind) {
                            continue 'way;
                        }
                    }
                }
            }
        }
    }
}

/// Whether nobody waits for room any more.
fn stops(ending: Ending, rule: CursorRule) -> bool {
    match ending {
        Ending::Running | Ending::Removed => false,
        Ending::Shutdown => rule == CursorRule::Emitted,
        Ending::Now => true,
    }
}

async fn pass(gathered: &mut Gathered, behind: &Behind, part: &Part) -> Result<(), Refusal> {
    for (port, batch) in &part.batches {
        // A port that there is not is a bug of the stage.
        let branch = behind.branches.get(usize::from(port.0)).ok_or(Refusal::Internal)?;
        gathered.pass(branch, batch.clone()).await?;
    }
    Ok(())
}
