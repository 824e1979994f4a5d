//! What happens to a log record that comes in (correlation §6).

use sluice_pdata::msg::NewValue;
use sluice_pdata::tags::log_record;
use sluice_pdata::view::LogRecordView;

use super::Engine;
use super::absorb::Item;
use super::append::Bytes;
use super::read::error_texts;
use crate::trace_window::attach::Appender;
use crate::trace_window::entry::{Held, HeldKind, SlotState, SpanSlot};
use crate::trace_window::statistics::Outcome;
use crate::trace_window::verdict_cache::TraceKey;

/// Severity numbers from which a log counts as a warning, and as an error.
const WARN: i32 = 13;
const ERROR: i32 = 17;

impl Engine {
    pub(super) fn take_log(&mut self, item: &Item<'_>, view: &LogRecordView<'_>) {
        let Ok(trace_id) = <[u8; 16]>::try_from(view.trace_id) else {
            return self.pass(item, Outcome::BypassNoContext);
        };
        let span_id = <[u8; 8]>::try_from(view.span_id).unwrap_or_default();
        if trace_id == [0; 16] || (span_id == [0; 8] && !self.decides()) {
            return self.pass(item, Outcome::BypassNoContext);
        }
        let now = self.time.tick();
        self.sources.lag(item.around.source).log(view.flags & 1 != 0, now);
        let key = TraceKey { tenant: item.around.tenant, id: trace_id };
        if self.decides() {
            return self.take_log_to_decide(item, view, key, span_id);
        }
        let known = self.find_trace_of(item, key).and_then(|trace| self.find_slot(trace, span_id));
        if let Some(slot) = known.filter(|&slot| self.spans.get(slot).state.has_span()) {
            return self.log_of_known_span(item, view, slot);
        }
        if self.pressure.passes_new() || (known.is_none() && self.is_full()) {
            return self.pass(item, Outcome::BypassPressure);
        }
        if view.flags & 1 == 0 && self.sources.lag(item.around.source).never_sampled(now, item.entry.0) {
            return self.pass(item, Outcome::BypassUnsampled);
        }
        self.log_of_unknown_span(item, view, key, span_id, known);
    }

    /// The span is there: the log learns of it and leaves.
    fn log_of_known_span(&mut self, item: &Item<'_>, view: &LogRecordView<'_>, slot: u32) {
        let outcome = match self.spans.get(slot).state {
            SlotState::Left => Outcome::SpanSummaryLate,
            _ => Outcome::MatchedImmediate,
        };
        self.count_log(slot, view);
        self.lag_of_known_span(slot, item.around.source);
        let suffix = self.append_facts(slot, Bytes::of(item));
        self.leave(item, item.base(), suffix, outcome);
    }

    /// A log's span was there before it.
    pub(super) fn lag_of_known_span(&mut self, slot: u32, source: u32) {
        let ms = self.spans.get(slot).arrival.wrapping_sub(self.time.ms()) as i32;
        let (now, from) = (self.time.tick(), self.sources.get_mut(source));
        from.lag.record(ms, now);
        from.matched += 1;
        self.statistics.lag(ms);
    }

    fn log_of_unknown_span(
        &mut self,
        item: &Item<'_>,
        view: &LogRecordView<'_>,
        key: TraceKey,
        span_id: [u8; 8],
        known: Option<u32>,
    ) {
        let severity = view.severity_number.clamp(0, 24) as u8;
        let hold = self.log_hold(item, severity);
        // If it is not held, it is remembered, so that its span's delay is seen.
        let slot = known.unwrap_or_else(|| {
            let trace = self.find_trace_of(item, key).unwrap_or_else(|| self.add_trace(key));
            self.logs_only(trace, span_id, item.around.source)
        });
        self.count_log(slot, view);
        match hold {
            None => self.pass(item, Outcome::ReleasedTimeout),
            Some(0) => {
                let suffix = self.outbox.arena.len();
                let bare = item.traits & Held::BARE != 0;
                let arena = &mut self.outbox.arena;
                let mut appender = Appender::new(item.bytes, bare, log_record::ATTRIBUTES, arena, usize::MAX);
                appender.add("correlation.status", NewValue::Str(b"pending"));
                drop(appender);
                self.leave(item, item.base(), suffix, Outcome::Pending);
            }
            Some(hold) => {
                let trace = self.spans.get(slot).trace;
                if self.traces.get(trace).held_bytes as usize >= self.settings.trace_max_bytes {
                    self.evict_reason("trace_limit");
                    return self.pass(item, Outcome::BypassPressure);
                }
                if !self.hold(slot, item, HeldKind::Log, self.time.tick_in(hold)) {
                    self.pass(item, Outcome::BypassPressure);
                }
            }
        }
    }

    /// How long a log of this source waits, ms: 0 where its severity says so, `None` where its source has no hope.
    fn log_hold(&mut self, item: &Item<'_>, severity: u8) -> Option<u32> {
        let hold = &self.settings.hold_log;
        let max = hold.max.as_millis() as u32;
        if let Some((.., own)) = hold.severity.iter().find(|(low, high, _)| (*low..=*high).contains(&severity)) {
            return Some(own.as_millis() as u32);
        }
        if !hold.adaptive {
            return Some(max).filter(|max| *max > 0);
        }
        let quantile = if self.pressure.shortens_holds() { 900 } else { 999 };
        Some(self.sources.lag(item.around.source).hold(max, quantile, item.entry.0)).filter(|hold| *hold > 0)
    }

    /// A slot that only logs have named so far.
    pub(super) fn logs_only(&mut self, trace: u32, id: [u8; 8], source: u32) -> u32 {
        let arrival = self.time.ms();
        self.add_slot(SpanSlot { id, trace, source, arrival, state: SlotState::LogsOnly, ..SpanSlot::default() })
    }

    /// Counts a log of a slot, and remembers its first error.
    pub(super) fn count_log(&mut self, slot: u32, view: &LogRecordView<'_>) {
        let is_error = view.severity_number >= ERROR;
        let is_warning = (WARN..ERROR).contains(&view.severity_number);
        let entry = self.spans.get_mut(slot);
        entry.logs = entry.logs.saturating_add(1);
        entry.warnings = entry.warnings.saturating_add(u8::from(is_warning));
        entry.errors = entry.errors.saturating_add(u8::from(is_error));
        let (first, trace) = (is_error && entry.first_error == 0, entry.trace);
        if first {
            let number = self.errors.push(error_texts(view.bytes));
            self.spans.get_mut(slot).first_error = number;
        }
        let entry = self.traces.get_mut(trace);
        entry.logs += 1;
        entry.log_errors = entry.log_errors.saturating_add(u16::from(is_error));
    }
}
