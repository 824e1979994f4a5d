//! A restart without repeating (correlation §10): every second, or every 10,000 items, a checkpoint is noted in mode `decide`,
//! so that a replay from the low watermark emits again only what was emitted since.
//!
//! A checkpoint speaks of the output that is in the log: it is taken at the start of a turn, before anything is emitted in it.
//! What was read before it was by then emitted, dropped, or held; and what is held belongs to traces without a verdict, but for
//! logs that wait for their span in a trace that is kept: those are listed. So of an entry before the checkpoint, an item whose
//! trace had a verdict by then is done with, and so is one without a trace.
//!
//! In `annotate` nothing is noted: what is held is younger than the longest hold, and no more than that is read again.

use std::collections::HashSet;

use ahash::RandomState;
use sluice_pipeline::clock::WallTime;
use sluice_pipeline::context::Tenant;
use sluice_pipeline::spine::Seq;
use sluice_pipeline::stage::StageOutput;

use super::absorb::Item;
use super::{Engine, ticks};
use crate::trace_window::entry::TraceState;
use crate::trace_window::note::{self, Checkpoint, Noted};
use crate::trace_window::slab::NONE;
use crate::trace_window::verdict_cache::TraceKey;

/// Between checkpoints: ticks, and items.
const TICKS: u32 = 10;
const ITEMS: usize = 10_000;

/// Most held items that a checkpoint lists; with more, there is none for a while.
const MAX_LISTED: usize = 65_536;

/// Checkpoints, those that are written and the one that was recalled.
#[derive(Default)]
pub(super) struct Restart {
    /// The newest entry that was absorbed, and what has been since the last checkpoint.
    newest: Seq,
    items: usize,
    written: u32,
    not_before: u32,
    /// Anything has come or been decided since.
    dirty: bool,
    /// Traces in the window that were kept early.
    pub(super) streaming: usize,
    /// Rotations of the verdict cache that have been noted.
    turns: u64,
    replay: Option<Replay>,
    /// The entry that is being absorbed, if it came before the recalled checkpoint.
    current: Option<Seq>,
    /// Items of this call that were emitted before the restart.
    repeated: usize,
}

/// What is known from before the restart, while entries of that time are read.
#[derive(Default)]
struct Replay {
    checkpoint: Checkpoint,
    listed: HashSet<(Seq, u32), RandomState>,
    /// Decided after the checkpoint: their items may not have been emitted.
    fresh: HashSet<TraceKey, RandomState>,
}

impl Engine {
    /// Learns again what was noted before a restart.
    pub fn recall(&mut self, bytes: &[u8], now: WallTime) {
        self.time.advance(now);
        let tick = self.time.tick();
        let mut tainted = Vec::new();
        let Engine { verdicts, origins, restart, .. } = self;
        let replay = restart.replay.get_or_insert_default();
        note::read(bytes, |noted| match noted {
            Noted::Verdict { tenant, trace, verdict } => {
                if let Some(tenant) = origins.tenant(&Tenant::new(tenant)) {
                    let key = TraceKey { tenant, id: trace };
                    if verdicts.get(key).is_none() {
                        verdicts.insert(key, verdict, tick);
                    }
                    replay.fresh.insert(key);
                }
            }
            // What was forgotten then may have come again, and been held.
            Noted::Turn => verdicts.turn_now(tick),
            Noted::Tainted { tenant, trace } => tainted.push((tenant.to_owned(), trace)),
            Noted::Checkpoint(checkpoint) => {
                replay.fresh.clear();
                replay.listed = checkpoint.listed.iter().copied().collect();
                replay.checkpoint = Checkpoint { listed: Vec::new(), ..checkpoint };
            }
        });
        tainted.into_iter().for_each(|(tenant, trace)| self.recall_taint(&tenant, trace, now));
    }

    /// An entry is about to be absorbed, or time passes (`None`): notes a checkpoint if it is time for one.
    pub(super) fn checkpoint(&mut self, next: Option<Seq>, now: WallTime, out: &mut StageOutput) {
        self.time.advance(now);
        let is_due = self.restart.items >= ITEMS || self.checkpoint_due().is_some_and(|due| due <= self.time.tick());
        if !is_due || !self.decides() || self.restart.replay.is_some() {
            return;
        }
        if !out.is_empty() {
            // Later: nobody is to be woken for it at once again.
            self.restart.not_before = self.time.tick() + 1;
            return;
        }
        // Another port may still be given the newest entry, unless there is one behind it.
        let newest = self.restart.newest;
        let through = if next.is_some_and(|next| next > newest) { Seq(newest.0 + 1) } else { newest };
        (self.restart.written, self.restart.items, self.restart.dirty) = (self.time.tick(), 0, false);
        let Some(listed) = self.streaming_items() else { return };
        let until = self.time.tick() + ticks(self.settings.verdict_retention.as_millis());
        let mut bytes = Vec::new();
        note::write_checkpoint(&mut bytes, &Checkpoint { through, listed });
        out.note(bytes.into(), self.time.wall(until));
    }

    /// The tick of the next checkpoint, if there is anything to say and anything that is held.
    pub(super) fn checkpoint_due(&self) -> Option<u32> {
        let wanted = self.restart.dirty && self.decides() && self.restart.replay.is_none() && self.held.len() > 0;
        wanted.then_some((self.restart.written + TICKS).max(self.restart.not_before))
    }

    /// There is something to say. Not within this tick: whoever is woken must find time gone on.
    fn becomes_dirty(&mut self) {
        if !std::mem::replace(&mut self.restart.dirty, true) {
            self.restart.not_before = self.time.tick() + 1;
        }
    }

    /// The items that are held of traces that are kept: entry and ordinal. `None` if they are too many.
    fn streaming_items(&self) -> Option<Vec<(Seq, u32)>> {
        let mut found = Vec::new();
        if self.restart.streaming == 0 {
            return Some(found);
        }
        for trace in self.traces.handles() {
            let entry = self.traces.get(trace);
            // Most hold nothing, and their slots are cold.
            let holds = entry.state == TraceState::Kept && entry.held_bytes > 0;
            let mut slot = if holds { entry.head } else { NONE };
            while slot != NONE {
                let mut at = self.spans.get(slot).held;
                while at != NONE {
                    let held = self.held.get(at);
                    found.push((self.inputs.seq(held.entry)?, held.ordinal));
                    at = held.next;
                }
                slot = self.spans.get(slot).next;
            }
            if found.len() > MAX_LISTED {
                return None;
            }
        }
        Some(found)
    }

    /// An entry is absorbed.
    pub(super) fn begin_entry(&mut self, seq: Seq, items: usize) {
        self.becomes_dirty();
        let restart = &mut self.restart;
        restart.newest = restart.newest.max(seq);
        restart.items += items;
        let before = restart.replay.as_ref().is_some_and(|replay| seq < replay.checkpoint.through);
        restart.current = before.then_some(seq);
        if !before {
            restart.replay = None;
        }
    }

    /// Whether the entry that is absorbed came before the checkpoint.
    pub(super) fn is_replaying(&self) -> bool {
        self.restart.current.is_some()
    }

    /// Whether an item whose trace has a verdict left before the restart. Then it is counted here, and nothing else.
    pub(super) fn repeats(&mut self, item: &Item<'_>, key: TraceKey) -> bool {
        let (Some(seq), Some(replay)) = (self.restart.current, &self.restart.replay) else { return false };
        if replay.fresh.contains(&key) || replay.listed.contains(&(seq, item.ordinal)) {
            return false;
        }
        self.repeat(1);
        true
    }

    /// Counts items that left before the restart.
    pub(super) fn repeat(&mut self, items: usize) {
        self.restart.repeated += items;
        self.statistics.repeated += items as u64;
    }

    /// A verdict is new: what comes of its trace has not been emitted.
    pub(super) fn is_new_verdict(&mut self, key: TraceKey) {
        self.becomes_dirty();
        if let Some(replay) = &mut self.restart.replay {
            replay.fresh.insert(key);
        }
    }

    /// Notes that verdicts were forgotten, in the order of what happens to the cache.
    pub(super) fn note_turns(&mut self) {
        let turns = self.verdicts.turns();
        let new = turns.saturating_sub(std::mem::replace(&mut self.restart.turns, turns));
        // After two of them nothing is left.
        (0..new.min(2)).for_each(|_| note::write_turn(&mut self.note));
    }

    pub(super) fn tell_repeated(&mut self, out: &mut StageOutput) {
        out.repeat_items(std::mem::take(&mut self.restart.repeated));
    }
}
