//! Items leave: matched, at their deadline, or with their trace.

use sluice_pdata::msg::{Buffers, Message, NewValue};
use sluice_pdata::tags::{log_record, span, span_event, status};
use sluice_pdata::view::SpanView;
use sluice_pdata::wire::{put_fixed64, put_len, put_message, put_varint_field};
use sluice_pipeline::clock::WallTime;
use sluice_pipeline::stage::StageOutput;

use super::Engine;
use super::absorb::Item;
use super::ahead::GROUP;
use super::taint::Cleansed;
use crate::sampling::Weight;
use crate::sampling::threshold::rewrite;
use crate::trace_window::attach::{Appender, SpanFacts, SpanField, Stamp};
use crate::trace_window::entry::{Held, HeldKind, SlotState, SpanSlot, TraceEntry};
use crate::trace_window::outbox::Base;
use crate::trace_window::payload::{Payload, Place};
use crate::trace_window::slab::NONE;
use crate::trace_window::statistics::Outcome;
use crate::trace_window::symbols::Symbols;
use crate::trace_window::verdict_cache::TraceKey;
use crate::trace_window::wheel::Alarm;

/// An item that something is appended to.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a> {
    at: At<'a>,
    traits: u8,
}

/// Where its bytes are.
#[derive(Clone, Copy)]
enum At<'a> {
    Input(&'a [u8]),
    Held(Place),
}

impl<'a> Bytes<'a> {
    /// Of an item that comes.
    pub(super) fn of(item: &Item<'a>) -> Self {
        Bytes { at: At::Input(item.bytes), traits: item.traits }
    }

    pub(super) fn held(held: &Held) -> Self {
        Bytes { at: At::Held(held.place()), traits: held.traits }
    }

    fn get<'b>(&self, payload: &'b Payload) -> &'b [u8]
    where
        'a: 'b,
    {
        match self.at {
            At::Input(bytes) => bytes,
            At::Held(place) => payload.get(place),
        }
    }

    fn is_bare(&self) -> bool {
        self.traits & Held::BARE != 0
    }
}

/// The verdict that an item of a kept trace is stamped with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeptBy {
    pub(super) weight: Weight,
    pub(super) randomness: u64,
}

impl KeptBy {
    fn stamp(self) -> Stamp {
        Stamp { threshold: self.weight.threshold(), randomness: self.randomness }
    }
}

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

    /// Appends to a log what is known of its span. Returns where in the arena that begins.
    pub(super) fn append_facts(&mut self, slot: u32, log: Bytes<'_>) -> usize {
        let Engine { spans, traces, symbols, payload, outbox, settings, statistics, .. } = self;
        let entry = spans.get(slot);
        let facts = facts(entry, traces.get(entry.trace), symbols);
        let suffix = outbox.arena.len();
        let (number, room) = (log_record::ATTRIBUTES, settings.attach.log_max_bytes);
        let mut appender = Appender::new(log.get(payload), log.is_bare(), number, &mut outbox.arena, room);
        appender.span_facts(&settings.attach.log, &facts);
        statistics.fields_skipped += appender.skipped();
        suffix
    }

    /// Appends to a span what is known of its logs. Returns where in the arena that begins.
    pub(super) fn append_counts(&mut self, slot: u32, span: Bytes<'_>) -> usize {
        let Engine { spans, payload, outbox, settings, statistics, errors, .. } = self;
        let suffix = outbox.arena.len();
        let entry = spans.get(slot);
        if entry.logs == 0 {
            return suffix;
        }
        let bytes = span.get(payload);
        let (number, room) = (span::ATTRIBUTES, settings.attach.span_max_bytes);
        let mut appender = Appender::new(bytes, span.is_bare(), number, &mut outbox.arena, room);
        let error = errors.get(entry.first_error);
        for field in &settings.attach.span {
            match field {
                SpanField::Logs => appender.add("log.count", NewValue::Int(entry.logs.into())),
                SpanField::Warnings => appender.add("log.warn.count", NewValue::Int(entry.warnings.into())),
                SpanField::Errors => appender.add("log.error.count", NewValue::Int(entry.errors.into())),
                SpanField::FirstError => {
                    if let Some([body, ..]) = error.filter(|[body, ..]| !body.is_empty()) {
                        appender.add("log.first_error.body", NewValue::Str(body));
                    }
                }
                SpanField::ExceptionEvent | SpanField::StatusFromLogs => {}
            }
        }
        statistics.fields_skipped += appender.skipped();
        drop(appender);
        let asked = |field| settings.attach.span.contains(&field);
        if entry.errors == 0 || !(asked(SpanField::StatusFromLogs) || asked(SpanField::ExceptionEvent)) {
            return suffix;
        }
        let Ok(view) = SpanView::parse(bytes) else { return suffix };
        if asked(SpanField::StatusFromLogs) && entry.shape >> 4 == 0 {
            // Occurrences of a message merge: this sets the code alone.
            put_message(&mut outbox.arena, span::STATUS, |out| put_varint_field(out, status::CODE, 2));
        }
        let has_event = || view.events().any(|event| event.is_ok_and(|event| event.name == b"exception"));
        if asked(SpanField::ExceptionEvent)
            && let Some([_, kind, message]) = error.filter(|[_, kind, message]| !kind.is_empty() || !message.is_empty())
            && !has_event()
        {
            put_message(&mut outbox.arena, span::EVENTS, |out| {
                put_fixed64(out, span_event::TIME_UNIX_NANO, view.end_time_unix_nano);
                put_len(out, span_event::NAME, b"exception");
                for (key, value) in [(&b"exception.type"[..], kind), (b"exception.message", message)] {
                    if !value.is_empty() {
                        put_message(out, span_event::ATTRIBUTES, |out| NewValue::Str(value).write_pair(key, out));
                    }
                }
            });
        }
        suffix
    }

    /// Stamps a kept span: writes it anew if its trace state changes, or appends one where it has none (`stateless`; then
    /// nothing needs to be read). Returns where its bytes are and where what is appended begins.
    pub(super) fn stamped_span(
        &mut self,
        base: Base,
        span: Bytes<'_>,
        stateless: bool,
        slot: Option<u32>,
        by: Option<KeptBy>,
    ) -> (Base, usize) {
        let Engine { payload, outbox, statistics, .. } = self;
        let bytes = span.get(payload);
        let state = if stateless { Ok(&[][..]) } else { SpanView::parse(bytes).map(|view| view.trace_state) };
        let (mut base, mut suffix) = (base, None);
        if let (Some(by), Ok(state)) = (by, state) {
            let new = rewrite(state, by.weight, by.randomness);
            statistics.threshold_errors += u64::from(new.invalid || new.no_room);
            match new.changed {
                Some(text) if stateless => {
                    suffix = Some(outbox.arena.len());
                    put_len(&mut outbox.arena, span::TRACE_STATE, &text);
                }
                Some(text) => {
                    let mut buffers = Buffers::default();
                    let mut message = Message::new(bytes, &mut buffers);
                    if message.set_len(span::TRACE_STATE, &text).is_ok() {
                        let at = outbox.arena.len();
                        message.write(&mut outbox.arena);
                        base = Base::Arena(at, outbox.arena.len() - at);
                    }
                }
                None => {}
            }
        }
        let counts = match slot {
            Some(slot) => self.append_counts(slot, span),
            None => self.outbox.arena.len(),
        };
        (base, suffix.unwrap_or(counts))
    }

    /// Writes what a log of a kept trace is given: what is known of its span, the verdict, and the sampled flag.
    pub(super) fn stamped_log(
        &mut self,
        base: Base,
        log: Bytes<'_>,
        slot: Option<u32>,
        by: Option<KeptBy>,
    ) -> (Base, usize) {
        let Engine { payload, outbox, .. } = self;
        let bytes = log.get(payload);
        let mut base = base;
        if by.is_some()
            && let Ok(view) = sluice_pdata::view::LogRecordView::parse(bytes)
            && view.flags & 1 == 0
        {
            let mut buffers = Buffers::default();
            let mut message = Message::new(bytes, &mut buffers);
            if message.set_fixed32(log_record::FLAGS, view.flags | 1).is_ok() {
                let at = outbox.arena.len();
                message.write(&mut outbox.arena);
                base = Base::Arena(at, outbox.arena.len() - at);
            }
        }
        let known = slot.filter(|&slot| self.spans.get(slot).state.has_span());
        let suffix = match known {
            Some(slot) => self.append_facts(slot, log),
            None => self.outbox.arena.len(),
        };
        if let Some(by) = by {
            let Engine { payload, outbox, .. } = self;
            let (bytes, number, arena) = (log.get(payload), log_record::ATTRIBUTES, &mut outbox.arena);
            Appender::new(bytes, log.is_bare(), number, arena, usize::MAX).stamp(by.stamp());
        }
        (base, suffix)
    }
}

/// What is known of a span, for its logs.
fn facts<'a>(slot: &SpanSlot, trace: &TraceEntry, symbols: &'a Symbols) -> SpanFacts<'a> {
    SpanFacts {
        name: symbols.text(slot.name),
        kind: slot.shape & 15,
        status: slot.shape >> 4,
        route: symbols.text(slot.route),
        http_status: slot.http_status,
        duration_ms: (slot.duration_us != u32::MAX).then_some(slot.duration_us / 1000),
        parent: slot.parent,
        root_service: symbols.text(trace.root_service),
        root_name: symbols.text(trace.root_name),
    }
}
