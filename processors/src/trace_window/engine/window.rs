//! Traces and slots come and go.

use super::Engine;
use super::absorb::Item;
use crate::trace_window::entry::{Held, HeldKind, SlotState, SpanSlot, TraceEntry, TraceExtension, TraceState};
use crate::trace_window::payload::{Chain, Place};
use crate::trace_window::slab::NONE;
use crate::trace_window::verdict_cache::{NO_RULE, TraceKey, UNKNOWN_WEIGHT};
use crate::trace_window::wheel::Alarm;
use crate::trace_window::written::Written;

/// Bits of a trace's ids beyond which its slots are indexed.
const LISTED: u32 = 16;

/// What is in the window, for gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub spans: usize,
    pub traces: usize,
    pub held: usize,
    pub bytes: usize,
    /// 0, or the rung of the ladder: 70, 80, 85, 90, 95, 100.
    pub pressure: u8,
    /// Age of the oldest item that is held, ms.
    pub oldest_ms: u32,
}

impl Engine {
    /// What is in the window.
    pub fn window(&self) -> Window {
        Window {
            spans: self.spans.len(),
            traces: self.traces.len(),
            held: self.held.len(),
            bytes: self.accounted(),
            pressure: self.pressure.level(),
            oldest_ms: self.inputs.oldest_arrival().map_or(0, |at| self.time.ms().wrapping_sub(at)),
        }
    }

    /// Bytes accounted (correlation §5): what is allocated.
    pub fn accounted(&self) -> usize {
        self.span_index.bytes()
            + self.trace_index.bytes()
            + self.outbox.bytes()
            + self.written.as_ref().map_or(0, Written::bytes)
            + self.spans.bytes()
            + self.traces.bytes()
            + self.extensions.bytes()
            + self.held.bytes()
            + self.payload.bytes()
            + self.inputs.bytes()
            + self.origins.bytes()
            + self.sources.bytes()
            + self.symbols.bytes()
            + self.errors.bytes()
            + self.wheel.bytes()
            + self.verdicts.bytes()
            + self.exemplars.bytes()
    }

    /// The trace of an item: where its group found it, unless it has left or come since.
    pub(super) fn find_trace_of(&self, item: &Item<'_>, key: TraceKey) -> Option<u32> {
        if item.trace != NONE && self.is_trace(item.trace, key) { Some(item.trace) } else { self.find_trace(key) }
    }

    /// A trace that is not there yet.
    pub(super) fn add_trace(&mut self, key: TraceKey) -> u32 {
        self.statistics.new_traces += 1;
        let first = self.time.tick();
        let deadline = match self.settings.decide {
            Some(decide) => self.time.tick_in(decide.wait.as_millis() as u32),
            None => u32::MAX,
        };
        let handle = self.traces.insert(TraceEntry {
            id: key.id,
            tenant: key.tenant,
            state: TraceState::Open,
            rule: NO_RULE,
            ..TraceEntry::default()
        });
        let hash = self.trace_hash(key);
        let (traces, hasher) = (&self.traces, &self.hasher);
        self.trace_index.insert(hash, handle, |at| {
            let trace = traces.get(at);
            hasher.hash_one(TraceKey { tenant: trace.tenant, id: trace.id })
        });
        if self.settings.decide.is_some() {
            let (randomness, threshold) = (UNKNOWN_WEIGHT, UNKNOWN_WEIGHT);
            let extension = TraceExtension { randomness, threshold, first, deadline, ..Default::default() };
            self.extensions.set(handle, extension);
            self.wheel.set(deadline, Alarm::Trace(handle));
        }
        handle
    }

    /// The slot of an id in a trace. Most ids are new, and no slot is touched for them.
    pub(super) fn find_slot(&self, trace: u32, id: [u8; 8]) -> Option<u32> {
        let entry = self.traces.get(trace);
        if entry.ids & self.bit(id) == 0 {
            return None;
        }
        if entry.flags & TraceEntry::INDEXED != 0 {
            return self.span_index.find(self.span_hash(trace, id), |at| {
                let slot = self.spans.get(at);
                slot.trace == trace && slot.id == id
            });
        }
        let mut at = entry.head;
        while at != NONE {
            let slot = self.spans.get(at);
            if slot.id == id {
                return Some(at);
            }
            at = slot.next;
        }
        None
    }

    /// The bit that stands for a span id. The hash is seeded: nobody can choose ids that share one.
    fn bit(&self, id: [u8; 8]) -> u64 {
        1 << (self.hasher.hash_one(u64::from_ne_bytes(id)) >> 58)
    }

    /// A new slot of its trace.
    pub(super) fn add_slot(&mut self, slot: SpanSlot) -> u32 {
        let (trace, id) = (slot.trace, slot.id);
        let bit = self.bit(id);
        let entry = self.traces.get_mut(trace);
        entry.ids |= bit;
        let (many, indexed) = (entry.ids.count_ones() > LISTED, entry.flags & TraceEntry::INDEXED != 0);
        let handle = if self.settings.decide.is_some() {
            // In front: the others are cold, and all go together.
            let handle = self.spans.insert(SpanSlot { next: entry.head, ..slot });
            entry.head = handle;
            handle
        } else {
            // At the end, since the oldest goes first.
            let handle = self.spans.insert(slot);
            match std::mem::replace(&mut entry.tail, handle) {
                NONE => entry.head = handle,
                tail => self.spans.get_mut(tail).next = handle,
            }
            self.wheel.set(self.time.tick_in(self.settings.window_ms()), Alarm::Span(handle));
            handle
        };
        if indexed {
            self.index_slot(handle, trace, id);
        } else if many {
            self.index_slots(trace);
        }
        handle
    }

    /// From here on the slots of a trace are found by the index.
    fn index_slots(&mut self, trace: u32) {
        let entry = self.traces.get_mut(trace);
        entry.flags |= TraceEntry::INDEXED;
        let mut at = entry.head;
        while at != NONE {
            let slot = self.spans.get(at);
            let (next, id) = (slot.next, slot.id);
            self.index_slot(at, trace, id);
            at = next;
        }
    }

    fn index_slot(&mut self, handle: u32, trace: u32, id: [u8; 8]) {
        let hash = self.span_hash(trace, id);
        let (spans, hasher) = (&self.spans, &self.hasher);
        self.span_index.insert(hash, handle, |at| {
            let slot = spans.get(at);
            hasher.hash_one((slot.trace, slot.id))
        });
    }

    /// Slots stay for longer than their alarms were set for.
    pub(super) fn renew_alarms(&mut self) {
        if self.decides() {
            return;
        }
        let at = self.time.tick_in(self.settings.window_ms());
        for slot in self.spans.handles() {
            if self.spans.get(slot).state != SlotState::Free {
                self.wheel.set(at, Alarm::Span(slot));
            }
        }
    }

    /// Forgets a slot that holds nothing, and its trace with its last one. Slots go in the order they came, so that the search
    /// for the one before is short.
    pub(super) fn remove_slot(&mut self, handle: u32) {
        let (trace, next) = {
            let slot = self.spans.get(handle);
            (slot.trace, slot.next)
        };
        if self.spans.get(handle).state.has_span() {
            // Limits are on what is in the window: a trace that never ends is no giant.
            let entry = self.traces.get_mut(trace);
            entry.spans = entry.spans.saturating_sub(1);
        }
        let mut before = NONE;
        let mut at = self.traces.get(trace).head;
        while at != handle && at != NONE {
            before = at;
            at = self.spans.get(at).next;
        }
        if before == NONE {
            self.traces.get_mut(trace).head = next;
        } else {
            self.spans.get_mut(before).next = next;
        }
        if next == NONE {
            self.traces.get_mut(trace).tail = before;
        }
        self.forget_slot(handle);
        if self.traces.get(trace).head == NONE {
            self.remove_trace(trace);
        }
    }

    /// Takes a slot out of its tables, not out of its trace's list.
    pub(super) fn forget_slot(&mut self, handle: u32) {
        let slot = self.spans.get(handle);
        if self.traces.get(slot.trace).flags & TraceEntry::INDEXED != 0 {
            let hash = self.span_hash(slot.trace, slot.id);
            self.span_index.remove(hash, handle);
        }
        self.spans.remove(handle);
    }

    /// Forgets a trace that has no slots any more.
    pub(super) fn remove_trace(&mut self, handle: u32) {
        let trace = self.traces.get(handle);
        if let Some(judge) = &mut self.judge {
            judge.removed(f64::from(self.time.tick().saturating_sub(self.extensions[handle].first)) / 10.0);
        }
        let hash = self.trace_hash(TraceKey { tenant: trace.tenant, id: trace.id });
        self.trace_index.remove(hash, handle);
        self.traces.remove(handle);
    }

    /// Holds an item in a slot until `deadline`, in ticks. `false` if there is no room whatever: then it must leave.
    pub(super) fn hold(&mut self, slot: u32, item: &Item<'_>, kind: HeldKind, deadline: u32) -> bool {
        let chain = if kind == HeldKind::Log && !self.decides() { Chain::Logs } else { Chain::Spans };
        let Some(place) = self.payload.push(chain, item.bytes) else { return false };
        let before = self.spans.get(slot).held;
        let mut held = Held::default();
        (held.next, held.deadline, held.kind, held.traits) = (before, deadline, kind, item.traits);
        (held.origin, held.entry, held.ordinal) = (item.origin, item.entry, item.ordinal);
        held.set_place(place);
        let handle = self.held.insert(held);
        self.spans.get_mut(slot).held = handle;
        self.inputs.hold(item.entry);
        self.origins.hold(item.origin);
        let trace = self.spans.get(slot).trace;
        let entry = self.traces.get_mut(trace);
        entry.held_bytes = entry.held_bytes.saturating_add(place.len);
        // One alarm wakes all of a slot that go at the same tick.
        if deadline != u32::MAX && (before == NONE || self.held.get(before).deadline != deadline) {
            self.wheel.set(deadline, Alarm::Span(slot));
        }
        true
    }

    /// Takes one item out of the list of its slot; `before` is the one in front of it there.
    pub(super) fn unlink(&mut self, slot: u32, before: u32, handle: u32) -> Held {
        let held = self.held.remove(handle);
        if before == NONE {
            self.spans.get_mut(slot).held = held.next;
        } else {
            self.held.get_mut(before).next = held.next;
        }
        let trace = self.spans.get(slot).trace;
        let entry = self.traces.get_mut(trace);
        entry.held_bytes = entry.held_bytes.saturating_sub(held.place().len);
        held
    }

    /// Copies what is left in sparse segments forward, when enough of them are.
    pub(super) fn compact(&mut self) {
        if !self.payload.wants_compaction() {
            return;
        }
        for at in self.held.handles() {
            let held = self.held.get(at);
            let place: Place = held.place();
            if held.kind == HeldKind::Free || !self.payload.sparse(place.segment) {
                continue;
            }
            let chain = if held.kind == HeldKind::Log && !self.decides() { Chain::Logs } else { Chain::Spans };
            if let Some(place) = self.payload.carry(chain, place) {
                self.held.get_mut(at).set_place(place);
            }
        }
    }

    /// Whether the window has no room for another span.
    pub(super) fn is_full(&self) -> bool {
        self.spans.len() >= self.settings.max_live_spans
    }

    /// Whether a slot's time in the window is over.
    pub(super) fn is_expired(&self, slot: &SpanSlot) -> bool {
        let now = u64::from(self.wheel.now()) * 100;
        slot.state != SlotState::Held && (now as u32).wrapping_sub(slot.arrival) >= self.settings.window_ms()
    }
}
