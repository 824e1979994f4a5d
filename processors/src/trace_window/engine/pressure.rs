//! The pressure ladder on accounted bytes (correlation §10). Each step is left five points lower than it was entered.

use sluice_pipeline::stage::StageOutput;

use super::Engine;
use crate::trace_window::entry::{HeldKind, SlotState, TraceState};
use crate::trace_window::slab::NONE;
use crate::trace_window::statistics::{Outcome, Trigger};

/// Percent of the limit at which a step is entered.
const STEPS: [u8; 6] = [70, 80, 85, 90, 95, 100];

/// Points below its entry at which a step is left.
const SLACK: u8 = 5;

/// Ticks after which the probability at ingest is looked at again: a second.
const REVIEW: u32 = 10;

/// By how much the reader may lag before new traces are thinned out, ms.
const MAX_LAG: u32 = 60_000;

/// Bytes of items that leave at once under pressure.
const OUTPUT: usize = 2 << 20;

/// Ticks for which the collector's budget is believed: two seconds.
const IMPOSED: u32 = 20;

/// Where on the ladder an engine is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pressure {
    /// The step; 0 for none.
    level: u8,
    /// What the budget of the whole collector said last, and when that is forgotten: it speaks only while it is tight.
    imposed: u8,
    imposed_until: u32,
    /// By how many halvings new traces are thinned out at ingest.
    halvings: u8,
    reviewed: u32,
    /// By how much the reader lags behind the clock, where the log absorbs what is not read; ms.
    lag: Option<u32>,
    /// When the tables were last searched for what to let go, in ticks.
    acted: u32,
}

impl Pressure {
    pub(super) fn level(self) -> u8 {
        self.level
    }

    /// What is known of the reader.
    pub(super) fn keep_lag(&mut self, before: Pressure) {
        self.lag = before.lag;
    }

    /// 70 %: hold logs for nine in ten only.
    pub(super) fn shortens_holds(self) -> bool {
        self.level >= 70
    }

    /// 95 %, `annotate`: what is new passes.
    pub(super) fn passes_new(self) -> bool {
        self.level >= 95
    }

    /// `T` that new traces must reach, in `decide`.
    pub(super) fn floor(self) -> u64 {
        // p = 2^-halvings; T = (1 - p) * 2^56.
        (1 << 56) - ((1 << 56) >> self.halvings)
    }

    /// 95 %, `decide`, where the log survives: read less, and thin out only what would come too late.
    fn slows_reader(self) -> bool {
        self.level >= 95 && self.lag.is_some_and(|lag| lag < MAX_LAG)
    }

    /// 80 %, where the log survives: payload is only a cache.
    fn gives_up(self) -> bool {
        self.level >= 80 && self.lag.is_some()
    }

    fn climb(&mut self, percent: u8, now: u32) {
        let percent = if now < self.imposed_until { percent.max(self.imposed) } else { percent };
        let entered = STEPS.iter().rev().find(|&&step| percent >= step).copied().unwrap_or(0);
        let kept = STEPS.iter().rev().find(|&&step| step <= self.level && percent + SLACK >= step);
        self.level = entered.max(kept.copied().unwrap_or(0));
    }

    /// Thins out more each second at 95 %, and less again below.
    fn review(&mut self, now: u32) {
        if now.saturating_sub(self.reviewed) < REVIEW {
            return;
        }
        self.reviewed = now;
        self.halvings = if self.level >= 95 && !self.slows_reader() {
            (self.halvings + 1).min(20)
        } else {
            self.halvings.saturating_sub(1)
        };
    }
}

impl Engine {
    fn percent(&self) -> u8 {
        let percent = self.charged().saturating_mul(100) / self.settings.memory_limit.max(1);
        u8::try_from(percent).unwrap_or(u8::MAX)
    }

    /// What is accounted, and three tenths more for what the allocator keeps on top of that: pages that are used in part, or were
    /// freed just now, and what is on its way out. How much that is, is a matter of its delay (`tests/burst_memory.rs`).
    fn charged(&self) -> usize {
        let accounted = self.accounted();
        accounted + accounted * 3 / 10
    }

    /// Climbs or leaves steps by what is accounted, and acts.
    pub(super) fn relieve_own(&mut self, out: &mut StageOutput) {
        let now = self.time.tick();
        self.pressure.climb(self.percent(), now);
        if self.pressure.gives_up() {
            // What is about to leave is still in its place.
            self.flush(&[], out);
            self.give_up(now);
        } else {
            self.notes_contents = false;
        }
        if self.decides() {
            self.pressure.review(now);
        }
        let step = if self.decides() { 90 } else { 85 };
        // A search looks at all that is held: once a tick is enough.
        if self.pressure.level >= step && self.pressure.acted != now {
            self.pressure.acted = now;
            if self.decides() { self.decide_heaviest(out) } else { self.release_nearest(out) }
        }
    }

    /// Gives up copies of what is held until the step is left: the log has them.
    fn give_up(&mut self, now: u32) {
        let enough = self.settings.memory_limit / 100 * usize::from(80 - SLACK);
        // What others need is not known.
        let imposed = now < self.pressure.imposed_until && self.pressure.imposed >= 80;
        let wanted = if imposed { usize::MAX } else { self.charged().saturating_sub(enough) };
        if wanted > 0 && self.decides() && !std::mem::replace(&mut self.notes_contents, true) {
            self.note_contents();
        }
        let items = self.payload.give_up(wanted);
        if items > 0 {
            self.statistics.evict("reread", items);
            self.pressure.climb(self.percent(), now);
        }
    }

    /// Whether nothing more may be read: what is in the window must leave first.
    pub fn stops_reading(&self) -> bool {
        let stops = self.pressure.level >= 100 || self.decides() && self.pressure.slows_reader();
        // What nothing waits for, time does not free.
        stops && self.wheel.next().is_some()
    }

    /// The reader lags by so much behind a log that survives.
    pub fn lags(&mut self, by: std::time::Duration) {
        self.pressure.lag = Some(u32::try_from(by.as_millis()).unwrap_or(u32::MAX));
    }

    /// The budget of the whole collector is full to `percent`.
    pub fn relieve(&mut self, percent: u8, out: &mut StageOutput) {
        (self.pressure.imposed, self.pressure.imposed_until) = (percent, self.time.tick() + IMPOSED);
        self.finish(out);
    }

    /// `annotate`: releases held logs, those first whose time is nearly over, until the step is left or none is held.
    fn release_nearest(&mut self, out: &mut StageOutput) {
        let mut logs: Vec<(u32, u32)> = Vec::new();
        for slot in self.spans.handles() {
            let entry = self.spans.get(slot);
            if entry.state != SlotState::LogsOnly || entry.held == NONE || !self.is_here(entry.held) {
                continue;
            }
            logs.push((self.held.get(entry.held).deadline, slot));
        }
        logs.sort_unstable();
        for group in logs.chunks(1024) {
            for &(_, slot) in group {
                self.release_logs(slot, Outcome::ReleasedPressure);
            }
            self.flush(&[], out);
            self.pressure.climb(self.percent(), self.time.tick());
            if self.pressure.level < 85 {
                break;
            }
        }
        self.statistics.evict("pressure_logs", logs.len() as u64);
    }

    /// Releases the logs that a slot holds, as they came.
    fn release_logs(&mut self, slot: u32, outcome: Outcome) {
        let (mut before, mut at) = (NONE, self.spans.get(slot).held);
        while at != NONE {
            let next = self.held.get(at).next;
            // What was given up takes next to nothing, and would have to be read first.
            if self.held.get(at).kind == HeldKind::Log && self.is_here(at) {
                let held = self.unlink(slot, before, at);
                let suffix = self.outbox.arena.len();
                self.leave_held(&held, suffix, outcome);
            } else {
                before = at;
            }
            at = next;
        }
    }

    /// `decide`: decides the heaviest traces on what is known of them, by bytes held times age, until the step is left.
    fn decide_heaviest(&mut self, out: &mut StageOutput) {
        let now = self.time.tick();
        let mut traces: Vec<(u64, u32)> = Vec::new();
        for handle in self.traces.handles() {
            let trace = self.traces.get(handle);
            if trace.state == TraceState::Open {
                let age = u64::from(now.saturating_sub(self.extensions[handle].first)) + 1;
                traces.push((u64::from(trace.held_bytes) * age, handle));
            }
        }
        traces.sort_unstable_by(|a, b| b.cmp(a));
        let mut rest = &traces[..];
        while !rest.is_empty() {
            // As many as give a few batches at most: what leaves takes memory until it has left.
            let mut bytes = 0;
            let fits = rest.iter().take(64).take_while(|(_, trace)| {
                let fits = bytes < OUTPUT;
                bytes += self.traces.get(*trace).held_bytes as usize;
                fits
            });
            let (group, later) = rest.split_at(fits.count());
            rest = later;
            let group: Vec<u32> = group.iter().map(|&(_, trace)| trace).collect();
            self.statistics.evict("decided_pressure", group.len() as u64);
            self.decide_traces(&group, Trigger::Pressure);
            self.flush(&[], out);
            self.pressure.climb(self.percent(), self.time.tick());
            if self.pressure.level < 90 {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_left_five_points_below_its_entry() {
        let mut pressure = Pressure::default();
        let levels = [69, 70, 66, 64, 86, 81, 79, 74, 100, 96, 94, 10].map(|percent| {
            pressure.climb(percent, 1);
            pressure.level
        });
        assert_eq!(levels, [0, 70, 70, 0, 85, 85, 80, 70, 100, 100, 95, 0]);
    }

    #[test]
    fn the_floor_rises_while_pressure_lasts_and_falls_behind_it() {
        let mut pressure = Pressure { level: 95, ..Pressure::default() };
        let floors = [10, 15, 20, 30].map(|now| {
            pressure.review(now);
            pressure.floor() as f64 / (1u64 << 56) as f64
        });
        assert_eq!(floors, [0.5, 0.5, 0.75, 0.875]);
        // A log that survives gives time before that.
        let thinned = pressure.halvings;
        pressure.lag = Some(59_999);
        pressure.review(40);
        assert!(pressure.halvings < thinned && pressure.slows_reader());
        pressure.lag = Some(60_000);
        pressure.review(50);
        assert!(pressure.halvings == thinned && !pressure.slows_reader());
        pressure.level = 0;
        (6..10).for_each(|second| pressure.review(second * 10));
        assert_eq!(pressure.floor(), 0);
    }
}
