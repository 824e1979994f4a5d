//! What happens to a span that comes in (correlation §6).

use super::Engine;
use super::absorb::Item;
use super::append::Bytes;
use super::read::ReadSpan;
use crate::trace_window::entry::{HeldKind, SlotState, SpanSlot, TraceEntry, TraceState};
use crate::trace_window::slab::NONE;
use crate::trace_window::statistics::Outcome;
use crate::trace_window::symbols::Symbol;
use crate::trace_window::verdict_cache::TraceKey;

/// How far ahead of the stage's time an end may lie.
const FUTURE_NS: u64 = 300_000_000_000;

/// The ids of an item, if both are what ids are.
pub(super) fn ids(trace: &[u8], span: &[u8]) -> Option<([u8; 16], [u8; 8])> {
    let (trace, span) = (<[u8; 16]>::try_from(trace).ok()?, <[u8; 8]>::try_from(span).ok()?);
    (trace != [0; 16] && span != [0; 8]).then_some((trace, span))
}

impl Engine {
    pub(super) fn take_span(&mut self, item: &Item<'_>) {
        let mut read = ReadSpan::new(item.bytes);
        if read.fill(self.decides(), !self.settings.attach.log.is_empty()).is_err() {
            return self.pass(item, Outcome::BypassNoContext);
        }
        let (read, view) = (&read, &read.view);
        let item = &item.with(read.traits());
        let Some((trace_id, span_id)) = ids(view.trace_id, view.span_id) else {
            return self.pass(item, Outcome::BypassNoContext);
        };
        self.sources.lag(item.around.source).span(view.flags & 1 != 0);
        let key = TraceKey { tenant: item.around.tenant, id: trace_id };
        if self.decides() {
            return self.take_span_to_decide(item, read, key, span_id);
        }
        if self.pressure.passes_new() || self.is_full() {
            return self.pass(item, Outcome::BypassPressure);
        }
        let trace = self.find_trace_of(item, key).unwrap_or_else(|| self.add_trace(key));
        if self.traces.get(trace).spans as usize >= self.settings.trace_max_spans {
            self.evict_reason("trace_limit");
            return self.pass(item, Outcome::BypassPressure);
        }
        let content = self.content(item.bytes);
        // A trace that is new has no slots.
        let known = if self.traces.get(trace).head == NONE { None } else { self.find_slot(trace, span_id) };
        let slot = match known {
            Some(slot) if self.spans.get(slot).state.has_span() => return self.take_duplicate(item, slot, content),
            Some(slot) => {
                self.meet(slot, trace, read, item, content);
                slot
            }
            None => self.new_span(trace, span_id, read, item, content),
        };
        let hold = self.settings.hold_span.as_millis() as u32;
        if hold == 0 {
            self.spans.get_mut(slot).state = SlotState::Left;
            let suffix = self.append_counts(slot, Bytes::of(item));
            return self.leave(item, item.base(), suffix, Outcome::Released);
        }
        if !self.hold(slot, item, HeldKind::Span, self.time.tick_in(hold)) {
            self.spans.get_mut(slot).state = SlotState::Left;
            self.pass(item, Outcome::BypassPressure);
        }
    }

    /// A slot for a span nobody has heard of.
    pub(super) fn new_span(
        &mut self,
        trace: u32,
        id: [u8; 8],
        read: &ReadSpan<'_>,
        item: &Item<'_>,
        content: u32,
    ) -> u32 {
        let slot = self.add_slot(SpanSlot { id, trace, ..SpanSlot::default() });
        self.learn(slot, trace, read, item, content);
        slot
    }

    /// The span comes whose logs came before: they learn of it, and leave in `annotate`.
    pub(super) fn meet(&mut self, slot: u32, trace: u32, read: &ReadSpan<'_>, item: &Item<'_>, content: u32) {
        let (source, first_log, logs) = {
            let before = self.spans.get(slot);
            (before.source, before.arrival, u32::from(before.logs))
        };
        self.learn(slot, trace, read, item, content);
        let held = self.record_lags(slot);
        // Those that had to go before: their slot has kept when the first of them came.
        let missed = logs.saturating_sub(held);
        if missed > 0 {
            let lag = self.time.ms().wrapping_sub(first_log) as i32;
            let (now, from) = (self.time.tick(), self.sources.get_mut(source));
            from.missed += u64::from(missed);
            (0..missed).for_each(|_| from.lag.record(lag, now));
            (0..missed).for_each(|_| self.statistics.lag(lag));
        }
        if !self.decides() {
            if held > 0 {
                self.release_matched(slot);
            }
            let window = self.time.tick_in(self.settings.window_ms());
            self.wheel.set(window, crate::trace_window::wheel::Alarm::Span(slot));
        }
    }

    /// Writes into a slot what is known of its span.
    fn learn(&mut self, slot: u32, trace: u32, read: &ReadSpan<'_>, item: &Item<'_>, content: u32) {
        let now = self.time.tick();
        let view = &read.view;
        // Only logs ask for them.
        let [name, route] = match self.settings.attach.log.is_empty() {
            true => [Symbol::NONE; 2],
            false => [view.name, read.route].map(|text| self.symbols.intern(text, now)),
        };
        let status = read.status.map_or(0, |code| code.clamp(0, 2) as u8);
        let kind = view.kind.clamp(0, 5) as u8;
        let (start, end) = (view.start_time_unix_nano, view.end_time_unix_nano);
        let odd = end < start || end > self.time.unix_ns().saturating_add(FUTURE_NS);
        self.statistics.odd_times += u64::from(odd);
        let duration = if odd { u32::MAX } else { u32::try_from((end - start) / 1000).unwrap_or(u32::MAX - 1) };
        let behind = (self.time.unix_ns() as f64 - end as f64) / 1e9;
        self.sources.get_mut(item.around.source).behind(behind);
        let arrival = self.time.ms();
        let entry = self.spans.get_mut(slot);
        entry.parent = <[u8; 8]>::try_from(view.parent_span_id).unwrap_or_default();
        (entry.source, entry.name, entry.route) = (item.around.source, name, route);
        (entry.shape, entry.state) = (kind | status << 4, SlotState::Held);
        (entry.http_status, entry.duration_us) = (read.http_status, duration);
        (entry.arrival, entry.content) = (arrival, content);
        let is_root = view.parent_span_id.is_empty() || entry.parent == [0; 8];
        let service = self.service(item.around.source);
        let entry = self.traces.get_mut(trace);
        entry.spans += 1;
        entry.errors = entry.errors.saturating_add(u16::from(status == 2));
        if is_root && entry.flags & TraceEntry::ROOT == 0 {
            entry.flags |= TraceEntry::ROOT;
            (entry.root_service, entry.root_name) = (service, name);
            self.root_came(trace);
        }
        if self.decides() && !odd {
            let facts = &mut self.extensions[trace];
            facts.start = if facts.end == 0 { start } else { facts.start.min(start) };
            facts.end = facts.end.max(end);
        }
    }

    /// A root came: the trace is decided soon.
    fn root_came(&mut self, trace: u32) {
        let Some(decide) = self.settings.decide else { return };
        if decide.wait_after_root.is_zero() || self.traces.get(trace).state != TraceState::Open {
            return;
        }
        let deadline = self.time.tick_in(decide.wait_after_root.as_millis() as u32);
        let extension = &mut self.extensions[trace];
        if deadline < extension.deadline {
            extension.deadline = deadline;
            self.wheel.set(deadline, crate::trace_window::wheel::Alarm::Trace(trace));
        }
    }

    /// A span whose id is taken: the first one counts, and both are forwarded.
    pub(super) fn take_duplicate(&mut self, item: &Item<'_>, slot: u32, content: u32) {
        let (known, trace) = (self.content_of(slot), self.spans.get(slot).trace);
        if known == content {
            self.statistics.duplicate_spans += 1;
            if self.settings.dedupe {
                return self.drop_item(item, Outcome::Deduplicated);
            }
        } else {
            self.statistics.id_conflicts += 1;
        }
        if self.decides() && self.traces.get(trace).state == TraceState::Open {
            if !self.hold(slot, item, HeldKind::Duplicate, u32::MAX) {
                self.pass(item, Outcome::BypassPressure);
            }
            return;
        }
        if self.decides() {
            return self.stream_span(item, trace, None);
        }
        self.pass(item, Outcome::Duplicate);
    }

    /// By which two spans of one id are told apart.
    pub(super) fn content(&self, bytes: &[u8]) -> u32 {
        // 0 says that it was not noted.
        (self.hasher.hash_one(bytes) as u32).max(1)
    }

    /// The same of a slot's span, while it is held or if it was noted before it left.
    pub(super) fn content_of(&self, slot: u32) -> u32 {
        let slot = self.spans.get(slot);
        let mut at = if slot.content == 0 { slot.held } else { NONE };
        while at != NONE {
            let held = self.held.get(at);
            if held.kind == HeldKind::Span && self.payload.is_here(held.place()) {
                return self.content(self.payload.get(held.place()));
            }
            at = held.next;
        }
        slot.content
    }

    /// Held spans are about to be given up: from now on slots note what those were.
    pub(super) fn note_contents(&mut self) {
        for slot in self.spans.handles() {
            if self.spans.get(slot).state == SlotState::Held && self.spans.get(slot).content == 0 {
                self.spans.get_mut(slot).content = self.content_of(slot);
            }
        }
    }

    pub(super) fn evict_reason(&mut self, reason: &'static str) {
        self.statistics.evict(reason, 1);
    }
}
