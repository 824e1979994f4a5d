//! Decided traces leave the window: with all they hold, or without it (correlation §2).

use super::Engine;
use super::absorb::Item;
use super::append::{Bytes, KeptBy};
use crate::trace_window::entry::{Held, HeldKind, TraceEntry, TraceState};
use crate::trace_window::outbox::Base;
use crate::trace_window::slab::NONE;
use crate::trace_window::statistics::Outcome;
use crate::trace_window::verdict_cache::unpack;

impl Engine {
    /// The logs that waited for a span of a trace that is kept leave with it.
    pub(super) fn stream_logs(&mut self, slot: u32, trace: u32) {
        self.release_slot(slot, trace);
    }

    /// A decided trace leaves the window with all it holds: at once, or when the rest of it has been read again.
    pub(super) fn close(&mut self, trace: u32, keeps: bool) {
        if keeps && self.payload.has_given_up() && !self.release_what_is_here(trace) {
            return;
        }
        if self.traces.get(trace).state == TraceState::Kept {
            self.restart.streaming = self.restart.streaming.saturating_sub(1);
        }
        let mut at = self.traces.get(trace).head;
        while at != NONE {
            if keeps {
                self.release_slot(at, trace);
            } else {
                self.drop_held(at);
            }
            let next = self.spans.get(at).next;
            self.forget_slot(at);
            at = next;
        }
        self.remove_trace(trace);
    }

    /// What a slot holds is dropped: nobody reads it any more.
    fn drop_held(&mut self, slot: u32) {
        let mut at = std::mem::replace(&mut self.spans.get_mut(slot).held, NONE);
        while at != NONE {
            let held = self.held.remove(at);
            let signal = self.origins.get(held.origin).signal;
            self.statistics.record(signal, Outcome::Dropped);
            self.dropped[signal as usize] += 1;
            self.payload.free(held.place());
            self.inputs.done(held.entry);
            self.origins.release(held.origin);
            at = held.next;
        }
    }

    /// All that a kept trace holds leaves, but for what has to be read again; until then it streams. `true` if nothing is left.
    fn release_what_is_here(&mut self, trace: u32) -> bool {
        let (mut at, mut left) = (self.traces.get(trace).head, false);
        while at != NONE {
            self.release_slot(at, trace);
            left |= self.spans.get(at).held != NONE;
            at = self.spans.get(at).next;
        }
        let entry = self.traces.get_mut(trace);
        if left && entry.state == TraceState::Open {
            entry.state = TraceState::Kept;
            self.restart.streaming += 1;
        }
        if left {
            self.traces.get_mut(trace).flags |= TraceEntry::CLOSING;
        }
        !left
    }

    /// What a slot holds leaves. What is not here is wanted, and stays until then.
    pub(super) fn release_slot(&mut self, slot: u32, trace: u32) {
        let (mut before, mut at) = (NONE, self.spans.get(slot).held);
        while at != NONE {
            let handle = at;
            at = self.held.get(handle).next;
            if !self.has_or_wants(slot, handle) {
                before = handle;
                continue;
            }
            let held = self.unlink(slot, before, handle);
            self.leave_kept(slot, trace, &held);
        }
    }

    fn leave_kept(&mut self, slot: u32, trace: u32, held: &Held) {
        let (base, bytes) = (Base::Segment(held.place()), Bytes::held(held));
        let by = self.kept_by(trace);
        let (base, suffix) = match held.kind {
            HeldKind::Log => self.stamped_log(base, bytes, Some(slot), by),
            HeldKind::Span => self.stamped_span(base, bytes, held.traits & Held::STATELESS != 0, Some(slot), by),
            HeldKind::Duplicate | HeldKind::Free => self.stamped_span(base, bytes, false, None, by),
        };
        let rule = self.traces.get(trace).rule;
        let held = self.recorded_held(held, rule, self.sub_rule);
        self.leave_held_as(&held, base, suffix, Outcome::Kept);
    }

    /// The verdict that items of a kept trace are stamped with; none in a dry run.
    pub(super) fn kept_by(&self, trace: u32) -> Option<KeptBy> {
        if self.settings.decide.is_none_or(|decide| decide.dry_run) {
            return None;
        }
        let weight = unpack(self.extensions[trace].threshold);
        Some(KeptBy { weight, randomness: self.randomness_of(trace) })
    }

    /// A span of a trace that is kept leaves at once.
    pub(super) fn stream_span(&mut self, item: &Item<'_>, trace: u32, slot: Option<u32>) {
        let by = self.kept_by(trace);
        let rule = self.traces.get(trace).rule;
        let item = &self.recorded_item(item, rule, None, false);
        let (base, suffix) = self.stamped_span(item.base(), Bytes::of(item), false, slot, by);
        self.leave(item, base, suffix, Outcome::Kept);
    }
}
