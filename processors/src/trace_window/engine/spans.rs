//! What happens to a span that comes in (correlation §6).

use sluice_pdata::tags;
use sluice_pdata::view::{KeyValueView, Messages, SpanView};

use super::Engine;
use super::absorb::Item;
use crate::trace_window::entry::{HeldKind, SlotState, SpanSlot, TraceEntry, TraceState};
use crate::trace_window::statistics::Outcome;
use crate::trace_window::verdict_cache::TraceKey;

/// How far ahead of the stage's time an end may lie.
const FUTURE_NS: u64 = 300_000_000_000;

/// The ids of an item, if both are what ids are.
pub(super) fn ids(trace: &[u8], span: &[u8]) -> Option<([u8; 16], [u8; 8])> {
    let (trace, span) = (<[u8; 16]>::try_from(trace).ok()?, <[u8; 8]>::try_from(span).ok()?);
    (trace != [0; 16] && span != [0; 8]).then_some((trace, span))
}

/// What is read of a span's attributes.
#[derive(Default)]
struct Read<'a> {
    route: &'a [u8],
    http_status: u16,
}

impl<'a> Read<'a> {
    fn of(span: &'a [u8]) -> Self {
        let mut read = Read::default();
        let mut rank = u8::MAX;
        for pair in Messages::new(span, tags::span::ATTRIBUTES) {
            let Ok(Ok(pair)) = pair.map(KeyValueView::parse) else { continue };
            let place = match pair.key() {
                b"http.route" => 0,
                b"rpc.method" => 1,
                b"messaging.destination.name" => 2,
                b"http.response.status_code" => {
                    if let Ok(sluice_pdata::view::AnyValueView::Int(code)) = pair.value() {
                        read.http_status = u16::try_from(code).unwrap_or(0);
                    }
                    continue;
                }
                _ => continue,
            };
            if place < rank {
                (rank, read.route) = (place, pair.bytes());
            }
        }
        read
    }
}

impl Engine {
    pub(super) fn take_span(&mut self, item: &Item<'_>) {
        let Ok(view) = SpanView::parse(item.bytes) else { return self.pass(item, Outcome::BypassNoContext) };
        let Some((trace_id, span_id)) = ids(view.trace_id, view.span_id) else {
            return self.pass(item, Outcome::BypassNoContext);
        };
        self.sources.lag(item.around.source).span(view.flags & 1 != 0);
        let key = TraceKey { tenant: item.around.tenant, id: trace_id };
        if self.decides() {
            return self.take_span_to_decide(item, &view, key, span_id);
        }
        if self.pressure.passes_new() || self.is_full() {
            return self.pass(item, Outcome::BypassPressure);
        }
        let trace = self.trace(key);
        if self.traces.get(trace).spans as usize >= self.settings.trace_max_spans {
            self.evict_reason("trace_limit");
            return self.pass(item, Outcome::BypassPressure);
        }
        let content = self.content(item.bytes);
        let slot = match self.find_slot(trace, span_id) {
            Some(slot) if self.spans.get(slot).state.has_span() => return self.take_duplicate(item, slot, content),
            Some(slot) => {
                self.meet(slot, trace, &view, item, content);
                slot
            }
            None => self.new_span(trace, span_id, &view, item, content),
        };
        let hold = self.settings.hold_span.as_millis() as u32;
        if hold == 0 {
            self.spans.get_mut(slot).state = SlotState::Left;
            let suffix = self.append_log_counts(slot, item.bytes);
            return self.leave(item, item.base(), suffix, Outcome::Released);
        }
        if !self.hold(slot, item, HeldKind::Span, 0, self.time.tick_in(hold)) {
            self.spans.get_mut(slot).state = SlotState::Left;
            self.pass(item, Outcome::BypassPressure);
        }
    }

    /// A slot for a span nobody has heard of.
    pub(super) fn new_span(
        &mut self,
        trace: u32,
        id: [u8; 8],
        view: &SpanView<'_>,
        item: &Item<'_>,
        content: u32,
    ) -> u32 {
        let slot = self.add_slot(SpanSlot { id, trace, ..SpanSlot::default() });
        self.learn(slot, trace, view, item, content);
        slot
    }

    /// The span comes whose logs came before: they learn of it, and leave in `annotate`.
    pub(super) fn meet(&mut self, slot: u32, trace: u32, view: &SpanView<'_>, item: &Item<'_>, content: u32) {
        let (source, first_log, logs) = {
            let before = self.spans.get(slot);
            (before.source, before.arrival, u32::from(before.logs))
        };
        self.learn(slot, trace, view, item, content);
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
    fn learn(&mut self, slot: u32, trace: u32, view: &SpanView<'_>, item: &Item<'_>, content: u32) {
        let now = self.time.tick();
        let read = Read::of(item.bytes);
        let name = self.symbols.intern(view.name, now);
        let route = self.symbols.intern(read.route, now);
        let status = view.status().ok().flatten().map_or(0, |status| status.code.clamp(0, 2) as u8);
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
            let facts = &mut self.extensions[trace as usize];
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
        let entry = self.traces.get_mut(trace);
        if deadline < entry.deadline {
            entry.deadline = deadline;
            self.wheel.set(deadline, crate::trace_window::wheel::Alarm::Trace(trace));
        }
    }

    /// A span whose id is taken: the first one counts, and both are forwarded.
    pub(super) fn take_duplicate(&mut self, item: &Item<'_>, slot: u32, content: u32) {
        let (known, trace) = (self.spans.get(slot).content, self.spans.get(slot).trace);
        if known == content {
            self.statistics.duplicate_spans += 1;
            if self.settings.dedupe {
                return self.drop_item(item, Outcome::Deduplicated);
            }
        } else {
            self.statistics.id_conflicts += 1;
        }
        if self.decides() && self.traces.get(trace).state == TraceState::Open {
            if !self.hold(slot, item, HeldKind::Duplicate, 0, u32::MAX) {
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
        self.hasher.hash_one(bytes) as u32
    }

    pub(super) fn evict_reason(&mut self, reason: &'static str) {
        self.statistics.evict(reason, 1);
    }
}
