//! Runs a stage against the spine: reads, tells the time, appends what it emits together with its cursor's advance.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sluice_pdata::pass::Reason;
use tokio::sync::watch;

use crate::Signal;
use crate::admission::{Class, MemBudget, Reservation};
use crate::batch::Batch;
use crate::clock::{Clock, Monotonic, WallTime};
use crate::intake::{Branch, Gathered};
use crate::ledger::{StageAccount, reasons};
use crate::outcome::Refusal;
use crate::spine::{Completion, CursorRule, Destination, Entry, ReadLimit, Seq, SeqRange, Spine};
use crate::stage::{Port, Stage, StageOutput};

/// Read at once, before the output is appended.
const READ: ReadLimit = ReadLimit { records: 64, items: 8192, bytes: 4 << 20 };

/// Longest wait for room before asking again: an exporter without a queue releases none.
const RETRY: Duration = Duration::from_secs(1);

/// Percent of the class at which a stage is asked to give memory back (correlation §10).
const RUNGS: [u8; 6] = [70, 80, 85, 90, 95, 100];

/// What a stage's driver is told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Not yet.
    Running,
    /// Stop. What is held stays where it is if the log survives the process; else it is decided.
    Shutdown,
    /// The stage is gone from the configuration: decide everything.
    Removed,
}

/// A stage with its cursor, and the branches that its output runs through.
pub struct StageDriver {
    pub stage: Box<dyn Stage>,
    pub cursor: Destination,
    pub spine: Arc<dyn Spine>,
    pub clock: Arc<dyn Clock>,
    pub account: Arc<StageAccount>,
    pub memory: MemBudget,
    /// The steps behind the stage in its pipeline; for a connector, every pipeline it feeds. Batches go to the branches of
    /// their signal.
    pub branches: Vec<Arc<Branch>>,
}

/// What has been done and not committed yet.
#[derive(Default)]
struct Progress {
    /// Absorbed entries that the cursor has not passed, with their items.
    absorbed: BTreeMap<Seq, usize>,
    time: StageTime,
    /// What the stage holds, in the memory budget.
    memory: Option<Reservation>,
}

/// What became of one batch that a stage emitted.
enum Emission {
    Appended,
    Refused(Reason),
    /// The end came while there was no room.
    Ended,
}

impl Emission {
    /// A refusal that waiting does not cure, as a drop.
    fn refused(refusal: &Refusal) -> Self {
        tracing::error!(cause = refusal.cause(), "what a stage emitted cannot be kept: {refusal}");
        Emission::Refused(match refusal {
            Refusal::TooLarge { .. } => reasons::LIMIT_SIZE,
            Refusal::Malformed { .. } => reasons::INVALID,
            Refusal::DestinationRejected { .. } => reasons::PERMANENT_ERROR,
            _ => reasons::PANIC,
        })
    }
}

/// One turn of the stage.
struct Turn {
    signal: Signal,
    consumed: usize,
    out: StageOutput,
}

/// The stage's time (correlation §4): the highest ingest time read, advanced by the clock only when the reader has caught up.
#[derive(Default)]
struct StageTime {
    highest: WallTime,
    caught_up: Option<Monotonic>,
}

impl StageTime {
    fn read(&mut self, ingest: WallTime) -> WallTime {
        self.highest = self.highest.max(ingest);
        self.caught_up = None;
        self.highest
    }

    /// Nothing is left to read: from now on time passes by the clock.
    fn now(&mut self, clock: &dyn Clock) -> WallTime {
        let now = clock.now();
        if self.caught_up.is_none() && self.highest < clock.wall() {
            // What came before the process started may be older than the clock's start.
            self.highest = clock.wall();
        }
        let since = now.since(*self.caught_up.get_or_insert(now));
        WallTime(self.highest.0.saturating_add(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl StageDriver {
    /// Runs until told to end.
    pub async fn run(mut self, mut ending: watch::Receiver<Ending>) {
        let mut progress = Progress::default();
        self.account.restart(self.spine.cursor_rule() == CursorRule::Emitted);
        self.spine.rewind(self.cursor);
        loop {
            let entries = self.spine.read(self.cursor, READ);
            let caught_up = entries.is_empty();
            let mut out = StageOutput::default();
            let signal = entries.first().map_or(Signal::Traces, |entry| entry.batch().signal());
            let consumed = self.absorb(&entries, &mut progress, &mut out);
            if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
                // Before the next ones are read: after a crash, they wait for that.
                self.spine.survived(self.cursor, SeqRange { first: first.seq(), last: last.seq() });
            }
            drop(entries);
            let now = if caught_up { progress.time.now(&*self.clock) } else { progress.time.highest };
            self.tick(now, &mut out);
            let end = *ending.borrow_and_update();
            let decide = match end {
                Ending::Running => false,
                Ending::Shutdown => self.spine.cursor_rule() == CursorRule::Absorbed,
                Ending::Removed => true,
            };
            if decide && caught_up {
                self.stage.drain(now, &mut out);
            }
            self.account_memory(&mut progress.memory, now, &mut out);
            self.commit(Turn { signal, consumed, out }, &mut progress, &mut ending).await;
            match end {
                Ending::Running if !caught_up => tokio::task::yield_now().await,
                Ending::Running => self.wait(now, &mut ending).await,
                // What was read before the end is still absorbed, so that nothing is decided on less.
                _ if decide && !caught_up => {}
                _ => return,
            }
        }
    }

    fn absorb(&mut self, entries: &[Entry], progress: &mut Progress, out: &mut StageOutput) -> usize {
        for entry in entries {
            let now = progress.time.read(entry.ingest().wall);
            // Deadlines before this entry come first, as they would have without a backlog.
            self.tick(now, out);
            self.stage.absorb(Port(0), entry, now, out);
            progress.absorbed.insert(entry.seq(), entry.batch().items());
        }
        entries.iter().map(|entry| entry.batch().items()).sum()
    }

    fn tick(&mut self, now: WallTime, out: &mut StageOutput) {
        if self.stage.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.stage.tick(now, out);
        }
    }

    /// Until there is something to read, a deadline, or the end.
    async fn wait(&mut self, now: WallTime, ending: &mut watch::Receiver<Ending>) {
        // Not `changed`, which a wait for room may have seen already.
        if *ending.borrow() != Ending::Running {
            return;
        }
        let deadline = self
            .stage
            .next_deadline()
            .map(|deadline| self.clock.now() + Duration::from_nanos(deadline.0.saturating_sub(now.0)));
        let timer = async {
            match deadline {
                Some(deadline) => self.clock.sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.spine.readable(self.cursor) => {}
            () = timer => {}
            // A dropped sender ends nothing; the next turn sees the last value.
            Ok(()) = ending.changed() => {}
        }
    }

    /// Appends the output batch by batch, the last one together with the cursor's advance. A crash in between repeats batches
    /// and loses none. What can never be appended is dropped and counted: it must not stop the stage.
    async fn commit(&mut self, turn: Turn, progress: &mut Progress, ending: &mut watch::Receiver<Ending>) {
        let Turn { signal, consumed, out } = turn;
        let done = self.done(progress);
        let (mut emitted, mut stranded, mut dropped) = (0, 0, out.dropped);
        let mut advanced = false;
        let last = out.batches.len().saturating_sub(1);
        for (index, (_, batch)) in out.batches.into_iter().enumerate() {
            let items = batch.items();
            if stranded > 0 {
                stranded += items;
                continue;
            }
            let done = if index == last { &done[..] } else { &[] };
            match self.emit(batch, done, ending).await {
                Emission::Appended => (emitted, advanced) = (emitted + items, index == last),
                Emission::Refused(reason) => dropped.push((reason, items)),
                Emission::Ended => stranded = items,
            }
        }
        let survives = self.spine.cursor_rule() == CursorRule::Emitted;
        let mut held = self.stage.held().items;
        if stranded > 0 && survives {
            // Read again by whoever comes next.
            held += stranded;
        } else {
            if stranded > 0 {
                dropped.push((reasons::SHUTDOWN_MEMORY_MODE, stranded));
            }
            if !advanced {
                done.into_iter().for_each(|(seq, completion)| self.spine.complete(self.cursor, seq, completion));
            }
        }
        self.account.record(signal, consumed, out.created, emitted, &dropped, held);
    }

    /// Runs one batch through the steps behind the stage and appends what comes out. Waits for room.
    async fn emit(
        &mut self,
        batch: Batch,
        done: &[(Seq, Completion)],
        ending: &mut watch::Receiver<Ending>,
    ) -> Emission {
        let mut gathered = Gathered::default();
        for branch in self.branches.iter().filter(|branch| branch.pipeline.signal() == batch.signal()) {
            if let Err(refusal) = gathered.pass(branch, batch.clone()).await {
                return Emission::refused(&refusal);
            }
        }
        let records = gathered.take_records();
        loop {
            // Asked for before the attempt, so that room that comes free right after a refusal is not missed.
            let released = self.spine.released();
            let result = match gathered.send_inline(&*self.clock).await {
                Ok(()) => self.spine.commit(self.cursor, done.to_vec(), records.clone()).await.map(|_| ()),
                Err(refusal) => Err(refusal),
            };
            match result {
                Ok(()) => {
                    gathered.settle();
                    return Emission::Appended;
                }
                Err(refusal) if !refusal.is_retryable() => return Emission::refused(&refusal),
                Err(_) if *ending.borrow() != Ending::Running => return Emission::Ended,
                Err(_) => {}
            }
            tokio::select! {
                () = released => {}
                () = self.clock.sleep(RETRY) => {}
                Ok(()) = ending.changed() => {}
            }
        }
    }

    /// Reserves what the stage holds, and asks it to give back as the class fills up.
    fn account_memory(&mut self, reserved: &mut Option<Reservation>, now: WallTime, out: &mut StageOutput) {
        let held = self.stage.held().bytes as u64;
        let reservation = match reserved {
            Some(reservation) => reservation,
            None => match self.memory.try_reserve(Class::State, 0) {
                Some(reservation) => reserved.insert(reservation),
                None => return,
            },
        };
        let before = reservation.bytes();
        let fits = held <= before || reservation.try_grow(held - before);
        reservation.shrink_to(held);
        let limit = self.memory.class_limit(Class::State).max(1);
        let percent = if fits { self.memory.used(Class::State) * 100 / limit } else { 100 };
        if let Some(&rung) = RUNGS.iter().rev().find(|&&rung| u64::from(rung) <= percent) {
            self.stage.relieve(rung, now, out);
            reservation.shrink_to(self.stage.held().bytes as u64);
        }
    }

    /// The entries that the cursor may pass now.
    fn done(&self, progress: &mut Progress) -> Vec<(Seq, Completion)> {
        let behind = match (self.spine.cursor_rule(), self.stage.low_watermark()) {
            (CursorRule::Emitted, Some(watermark)) => progress.absorbed.split_off(&watermark),
            _ => BTreeMap::new(),
        };
        let done = std::mem::replace(&mut progress.absorbed, behind);
        done.into_iter().map(|(seq, items)| (seq, Completion::delivered(items))).collect()
    }
}

#[cfg(test)]
mod tests;
