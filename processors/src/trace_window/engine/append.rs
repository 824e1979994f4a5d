//! What leaves is given what was learned: facts of its span, counts of its logs, the verdict.

use sluice_pdata::msg::{Buffers, Message, NewValue};
use sluice_pdata::tags::{log_record, span, span_event, status};
use sluice_pdata::view::{LogRecordView, SpanView};
use sluice_pdata::wire::{put_fixed64, put_len, put_message, put_varint_field};

use super::Engine;
use super::absorb::Item;
use crate::sampling::Weight;
use crate::sampling::threshold::rewrite;
use crate::trace_window::attach::{Appender, SpanFacts, SpanField, Stamp};
use crate::trace_window::entry::{Held, SpanSlot, TraceEntry};
use crate::trace_window::outbox::Base;
use crate::trace_window::payload::{Payload, Place};
use crate::trace_window::symbols::Symbols;
use crate::trace_window::written::FactsKey;

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
    /// Appends to a log what is known of its span. Returns where in the arena that begins.
    pub(super) fn append_facts(&mut self, slot: u32, log: Bytes<'_>) -> usize {
        let Engine { spans, traces, symbols, payload, outbox, written, settings, statistics, hasher, .. } = self;
        let entry = spans.get(slot);
        let trace = traces.get(entry.trace);
        let (suffix, room) = (outbox.arena.len(), settings.attach.log_max_bytes);
        // Where nothing stands in the way, the same is appended to the logs of all spans that are alike.
        let mut written = written.as_mut().filter(|_| log.is_bare()).map(|written| {
            let key = facts_key(entry, trace);
            (written, hasher.hash_one(key), key)
        });
        if let Some((written, hash, key)) = &mut written
            && let Some(text) = written.get(*hash, *key, symbols.turns()).filter(|text| text.len() <= room)
        {
            outbox.arena.extend_from_slice(text);
            return suffix;
        }
        let facts = facts(entry, trace, symbols);
        let bytes = log.get(payload);
        let mut appender = Appender::new(bytes, log.is_bare(), log_record::ATTRIBUTES, &mut outbox.arena, room);
        appender.span_facts(&settings.attach.log, &facts);
        let skipped = appender.skipped();
        drop(appender);
        statistics.fields_skipped += skipped;
        if let Some((written, hash, key)) = written
            && skipped == 0
        {
            written.put(hash, key, &outbox.arena[suffix..]);
        }
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
            && let Ok(view) = LogRecordView::parse(bytes)
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

/// By what is known of a span that can be the same for others.
fn facts_key(slot: &SpanSlot, trace: &TraceEntry) -> FactsKey {
    FactsKey {
        name: slot.name,
        route: slot.route,
        root_service: trace.root_service,
        root_name: trace.root_name,
        http_status: slot.http_status,
        shape: slot.shape,
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
