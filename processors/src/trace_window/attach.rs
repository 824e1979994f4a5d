//! What is attached to a log of what is known of its span, and to a span of its logs (correlation §7). Never over a key that is
//! there; what finds no room is left out, in the order of the list.

use sluice_pdata::msg::NewValue;
use sluice_pdata::view::{AttributesView, KeyValueView};
use sluice_pdata::wire::{WireType, field_len, put_tag, put_varint};
use smallvec::SmallVec;

use crate::sampling::Threshold;
use crate::sampling::threshold::encode_randomness;

/// A field for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogField {
    SpanName,
    SpanKind,
    SpanStatus,
    /// `http.route`, `rpc.method` or `messaging.destination.name`: what the span has.
    Route,
    HttpStatus,
    RootService,
    RootName,
    DurationMs,
    ParentSpanId,
}

impl LogField {
    /// Those of `default`.
    pub const DEFAULT: [LogField; 7] = [
        LogField::SpanName,
        LogField::SpanKind,
        LogField::SpanStatus,
        LogField::Route,
        LogField::HttpStatus,
        LogField::RootService,
        LogField::RootName,
    ];

    /// By the name in configuration.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "span.name" => LogField::SpanName,
            "span.kind" => LogField::SpanKind,
            "span.status_code" => LogField::SpanStatus,
            "http.route" | "rpc.method" | "messaging.destination.name" => LogField::Route,
            "http.response.status_code" => LogField::HttpStatus,
            "trace.root.service.name" => LogField::RootService,
            "trace.root.span.name" => LogField::RootName,
            "span.duration_ms" => LogField::DurationMs,
            "parent.span_id" => LogField::ParentSpanId,
            _ => return None,
        })
    }
}

/// A field for spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanField {
    Logs,
    Warnings,
    Errors,
    FirstError,
    /// An `exception` event from an ERROR log with `exception.*`, where the span has none.
    ExceptionEvent,
    /// Status UNSET becomes ERROR where an ERROR log was seen.
    StatusFromLogs,
}

impl SpanField {
    /// Those of `default`.
    pub const DEFAULT: [SpanField; 4] =
        [SpanField::Logs, SpanField::Warnings, SpanField::Errors, SpanField::FirstError];

    /// By the name in configuration.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "log.count" => SpanField::Logs,
            "log.warn.count" => SpanField::Warnings,
            "log.error.count" => SpanField::Errors,
            "log.first_error.body" => SpanField::FirstError,
            "exception_event" => SpanField::ExceptionEvent,
            "status_from_logs" => SpanField::StatusFromLogs,
            _ => return None,
        })
    }
}

/// What a log's span and trace are, as far as known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SpanFacts<'a> {
    pub(crate) name: &'a [u8],
    /// Kind and status as in OTLP.
    pub(crate) kind: u8,
    pub(crate) status: u8,
    /// The encoded pair.
    pub(crate) route: &'a [u8],
    pub(crate) http_status: u16,
    pub(crate) duration_ms: Option<u32>,
    pub(crate) parent: [u8; 8],
    pub(crate) root_service: &'a [u8],
    pub(crate) root_name: &'a [u8],
}

/// What the verdict adds to logs of a kept trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    /// `T`; `None`: not known.
    pub(crate) threshold: Option<Threshold>,
    pub(crate) randomness: u64,
}

pub(crate) const KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

const STATUSES: [&str; 3] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

/// The keys of the attributes that may be attached to items of a signal.
pub(crate) struct Attached {
    keys: &'static [&'static [u8]],
    /// A bit for each length that one of them has.
    lengths: u64,
}

pub(crate) const ON_LOGS: Attached = Attached::new(&[
    b"span.name",
    b"span.kind",
    b"span.status_code",
    b"http.route",
    b"rpc.method",
    b"messaging.destination.name",
    b"http.response.status_code",
    b"trace.root.service.name",
    b"trace.root.span.name",
    b"span.duration_ms",
    b"parent.span_id",
    b"trace.sampled",
    b"sampling.threshold",
    b"sampling.randomness",
    b"correlation.status",
]);

pub(crate) const ON_SPANS: Attached =
    Attached::new(&[b"log.count", b"log.warn.count", b"log.error.count", b"log.first_error.body"]);

impl Attached {
    const fn new(keys: &'static [&'static [u8]]) -> Self {
        let (mut lengths, mut at) = (0, 0);
        while at < keys.len() {
            lengths |= 1 << keys[at].len();
            at += 1;
        }
        Attached { keys, lengths }
    }

    /// Whether it is one of these keys.
    #[inline]
    pub(crate) fn has(&self, key: &[u8]) -> bool {
        // Few that are as long begin alike.
        key.len() < 64
            && self.lengths >> key.len() & 1 == 1
            && self.keys.iter().any(|known| known.first() == key.first() && *known == key)
    }
}

/// Appends attributes to an item's encoding: fields that follow an item's bytes are fields of the item.
pub(crate) struct Appender<'a> {
    /// The list that is there.
    present: AttributesView<'a>,
    /// Its keys, once they were asked for; `None` where it cannot be read.
    keys: Option<SmallVec<[&'a [u8]; 24]>>,
    read: bool,
    number: u32,
    out: &'a mut Vec<u8>,
    /// Bytes that may still be added.
    room: usize,
    skipped: u64,
}

impl<'a> Appender<'a> {
    /// To an item whose attributes are field `number`. `bare`: it is known to have none of those that may be added.
    pub(crate) fn new(item: &'a [u8], bare: bool, number: u32, out: &'a mut Vec<u8>, room: usize) -> Self {
        let present = AttributesView::new(item, number);
        let keys = bare.then(SmallVec::new);
        Appender { present, keys, read: bare, number, out, room, skipped: 0 }
    }

    /// Fields that found no room.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Whether a key is there. A list that cannot be read might have it.
    fn has(&mut self, key: &[u8]) -> bool {
        debug_assert!(ON_LOGS.has(key) || ON_SPANS.has(key), "what is bare was told by these lists");
        if !self.read {
            // One walk for all that is added.
            self.read = true;
            self.keys = self.present.iter().map(|pair| pair.map(|pair| pair.key())).collect::<Result<_, _>>().ok();
        }
        self.keys.as_ref().is_none_or(|keys| keys.contains(&key))
    }

    /// Adds an attribute, unless its key is there or the room is used up.
    pub(crate) fn add(&mut self, key: &str, value: NewValue<'_>) {
        let key = key.as_bytes();
        if self.fits(key, value.pair_len(key)) {
            value.write_pair(key, self.out);
        }
    }

    fn add_pair(&mut self, key: &[u8], pair: &[u8]) {
        if self.fits(key, pair.len()) {
            self.out.extend_from_slice(pair);
        }
    }

    /// Begins a pair of `len` bytes, unless its key is there or the room is used up.
    fn fits(&mut self, key: &[u8], len: usize) -> bool {
        if self.has(key) {
            return false;
        }
        let Some(left) = self.room.checked_sub(field_len(self.number, len)) else {
            self.skipped += 1;
            return false;
        };
        self.room = left;
        put_tag(self.out, self.number, WireType::Len);
        put_varint(self.out, len as u64);
        true
    }

    /// Adds what is known of a log's span.
    pub(crate) fn span_facts(&mut self, fields: &[LogField], facts: &SpanFacts<'_>) {
        for field in fields {
            match field {
                LogField::SpanName if !facts.name.is_empty() => self.add("span.name", NewValue::Str(facts.name)),
                LogField::SpanKind => {
                    let kind = KINDS.get(usize::from(facts.kind)).unwrap_or(&KINDS[0]);
                    self.add("span.kind", NewValue::Str(kind.as_bytes()));
                }
                LogField::SpanStatus => {
                    let status = STATUSES.get(usize::from(facts.status)).unwrap_or(&STATUSES[0]);
                    self.add("span.status_code", NewValue::Str(status.as_bytes()));
                }
                LogField::Route if !facts.route.is_empty() => {
                    if let Ok(pair) = KeyValueView::parse(facts.route) {
                        self.add_pair(pair.key(), facts.route);
                    }
                }
                LogField::HttpStatus if facts.http_status > 0 => {
                    self.add("http.response.status_code", NewValue::Int(i64::from(facts.http_status)));
                }
                LogField::RootService if !facts.root_service.is_empty() => {
                    self.add("trace.root.service.name", NewValue::Str(facts.root_service));
                }
                LogField::RootName if !facts.root_name.is_empty() => {
                    self.add("trace.root.span.name", NewValue::Str(facts.root_name));
                }
                LogField::DurationMs => {
                    if let Some(ms) = facts.duration_ms {
                        self.add("span.duration_ms", NewValue::Int(i64::from(ms)));
                    }
                }
                LogField::ParentSpanId if facts.parent != [0; 8] => {
                    let text = format!("{:016x}", u64::from_be_bytes(facts.parent));
                    self.add("parent.span_id", NewValue::Str(text.as_bytes()));
                }
                _ => {}
            }
        }
    }

    /// Adds the verdict of a kept trace: a log has no tracestate, so attributes carry its weight.
    pub(crate) fn stamp(&mut self, stamp: Stamp) {
        self.room = usize::MAX; // a weight is never left out
        self.add("trace.sampled", NewValue::Bool(true));
        if let Some(threshold) = stamp.threshold.filter(|threshold| *threshold != Threshold::ALWAYS) {
            self.add("sampling.threshold", NewValue::Str(threshold.encode().as_bytes()));
            self.add("sampling.randomness", NewValue::Str(encode_randomness(stamp.randomness).as_bytes()));
        }
    }
}
