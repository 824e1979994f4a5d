//! Items leave: matched, at their deadline, or with their trace.

use sluice_pipeline::clock::WallTime;
use sluice_pipeline::stage::StageOutput;

use super::Engine;
use super::ahead::GROUP;
use super::append::Bytes;
use super::taint::Cleansed;
use crate::trace_window::entry::{Held, HeldKind, SlotState};
use crate::trace_window::outbox::Base;
use crate::trace_window::slab::NONE;
use crate::trace_window::statistics::Outcome;
use crate::trace_window::verdict_cache::TraceKey;
use crate::trace_window::wheel::Alarm;

impl Engine {
    /// Does what is due, in the order of time: the outcome is the same however often it is called.
    pub(super) fn run_until(&mut self, now: WallTime, out: &mut StageOutput) {
        self.time.advance(now);
        let to = self.time.tick();
        let mut due: Vec<Alarm> = Vec::new();
        while self.wheel.now() < to {
            self.wheel.advance(to, &mut due);
            // Who is woken twice at one tick has nothing to do the second time.
            let mut traces = Vec::new();
            for group in due.chunks(GROUP) {
                self.look_ahead_of(group);
                for alarm in group {
                    match *alarm {
                        Alarm::Span(slot) => self.wake_slot(slot),
                        Alarm::Trace(trace) => traces.push(trace),
                    }
                }
            }
            due.clear();
            self.wake_traces(traces);
            if self.outbox.len() >= 8_192 {
                self.flush(&[], out);
            }
        }
        self.verdicts.turn(to);
        self.note_turns();
        self.trim(to as usize);
    }

    /// Gives back what a burst has left, a part in each round.
    fn trim(&mut self, round: usize) {
        let Engine { spans, traces, hasher, .. } = self;
        self.span_index.trim(round, |at| {
            let slot = spans.get(at);
            hasher.hash_one((slot.trace, slot.id))
        });
        self.trace_index.trim(round, |at| {
            let trace = traces.get(at);
            hasher.hash_one(TraceKey { tenant: trace.tenant, id: trace.id })
        });
        self.extensions.trim(round, traces);
    }

    pub(super) fn wake_slot(&mut self, handle: u32) {
        if self.spans.get(handle).state == SlotState::Free {
            return;
        }
        let tick = self.wheel.now();
        let (mut before, mut at) = (NONE, self.spans.get(handle).held);
        while at != NONE {
            let next = self.held.get(at).next;
            if self.held.get(at).deadline > tick || !self.has_or_wants(handle, at) {
                before = at;
            } else {
                let held = self.unlink(handle, before, at);
                self.leave_due(handle, &held);
            }
            at = next;
        }
        let slot = self.spans.get(handle);
        if !self.decides() && slot.held == NONE && self.is_expired(slot) {
            self.remove_slot(handle);
        }
    }

    /// `annotate`: the time of a held item is over.
    fn leave_due(&mut self, slot: u32, held: &Held) {
        match held.kind {
            HeldKind::Span => {
                self.spans.get_mut(slot).state = SlotState::Left;
                let suffix = self.append_counts(slot, Bytes::held(held));
                self.leave_held(held, suffix, Outcome::Released);
            }
            HeldKind::Log => {
                let suffix = self.outbox.arena.len();
                self.leave_held(held, suffix, Outcome::ReleasedTimeout);
            }
            HeldKind::Duplicate | HeldKind::Free => {
                let suffix = self.outbox.arena.len();
                self.leave_held(held, suffix, Outcome::Duplicate);
            }
        }
    }

    /// Everything that is held leaves with what is known.
    pub fn drain(&mut self, now: WallTime, out: &mut StageOutput) {
        self.run_until(now, out);
        if self.decides() {
            self.decide_all();
        } else {
            for slot in self.spans.handles() {
                if self.spans.get(slot).state == SlotState::Free {
                    continue;
                }
                let (mut before, mut at) = (NONE, self.spans.get(slot).held);
                while at != NONE {
                    let next = self.held.get(at).next;
                    if self.has_or_wants(slot, at) {
                        let held = self.unlink(slot, before, at);
                        self.leave_due(slot, &held);
                    } else {
                        self.held.get_mut(at).deadline = 0;
                        before = at;
                    }
                    at = next;
                }
            }
        }
        self.finish(out);
    }

    /// A held item leaves as it came, with what is in the arena from `suffix` on.
    pub(super) fn leave_held(&mut self, held: &Held, suffix: usize, outcome: Outcome) {
        self.leave_held_as(held, Base::Segment(held.place()), suffix, outcome);
    }

    pub(super) fn leave_held_as(&mut self, held: &Held, base: Base, suffix: usize, outcome: Outcome) {
        let signal = self.origins.get(held.origin).signal;
        if signal == sluice_pdata::Signal::Traces && !self.exemplars.candidates.is_empty() {
            self.offer(held.origin, base, &[], outcome);
        }
        let (mut base, mut suffix) = (base, suffix);
        if self.has_taints() {
            match self.cleanse(held.origin, base, suffix, &[]) {
                Cleansed::Same => {}
                Cleansed::Written(written) => (base, suffix) = (written, self.outbox.arena.len()),
                Cleansed::Dropped => {
                    self.discard_tainted(held);
                    return self.statistics.record(signal, Outcome::Dropped);
                }
            }
        }
        self.statistics.record(signal, outcome);
        self.outbox.release(held.origin, held.entry, held.ordinal, held.place(), base, suffix);
    }

    /// Records by how much the span came behind the logs that are held in its slot. Returns how many they are.
    pub(super) fn record_lags(&mut self, slot: u32) -> u32 {
        let arrival = self.spans.get(slot).arrival;
        let mut at = self.spans.get(slot).held;
        let mut logs = 0;
        let now = self.time.tick();
        while at != NONE {
            let held = self.held.get(at);
            if held.kind == HeldKind::Log {
                logs += 1;
                let ms = arrival.wrapping_sub(self.inputs.arrival(held.entry)) as i32;
                let source = self.sources.get_mut(self.origins.get(held.origin).source);
                source.lag.record(ms, now);
                source.matched += 1;
                self.statistics.lag(ms);
            }
            at = held.next;
        }
        logs
    }

    /// The logs held in a slot whose span is known learn of it and leave.
    pub(super) fn release_matched(&mut self, slot: u32) {
        let (mut before, mut at) = (NONE, self.spans.get(slot).held);
        while at != NONE {
            let next = self.held.get(at).next;
            if self.held.get(at).kind == HeldKind::Log && self.has_or_wants(slot, at) {
                let held = self.unlink(slot, before, at);
                let suffix = self.append_facts(slot, Bytes::held(&held));
                self.leave_held(&held, suffix, Outcome::MatchedHold);
            } else {
                before = at;
            }
            at = next;
        }
    }
}
