//! Reading an item: everything that is asked of it when it comes, in one walk over its bytes.

use sluice_pdata::tags::{log_record, span, status};
use sluice_pdata::view::{AnyValueView, KeyValueView, LogRecordView, SpanView};
use sluice_pdata::wire::{Field, Value, WireType, fields};
use smallvec::SmallVec;

use crate::trace_window::attach::{ON_LOGS, ON_SPANS};
use crate::trace_window::entry::Held;

/// What is read of a span.
pub(super) struct ReadSpan<'a> {
    pub(super) view: SpanView<'a>,
    /// The status code, merged from all occurrences; `None` if one cannot be read.
    pub(super) status: Option<i32>,
    /// The attributes.
    pub(super) pairs: SmallVec<[KeyValueView<'a>; 24]>,
    /// Whether every attribute could be read.
    pub(super) whole: bool,
    pub(super) route: &'a [u8],
    pub(super) http_status: u16,
    rank: u8,
    /// Whether it has none of the attributes that may be attached to spans.
    bare: bool,
}

impl<'a> ReadSpan<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        ReadSpan {
            view: SpanView::unread(bytes),
            status: Some(0),
            pairs: SmallVec::new(),
            whole: true,
            route: &[],
            http_status: 0,
            rank: u8::MAX,
            bare: true,
        }
    }

    /// Reads the span. Without `all`, only those attributes are kept that logs may learn of; if there are no logs, none.
    pub(super) fn fill(&mut self, all: bool, logs: bool) -> Result<(), sluice_pdata::Error> {
        let mut rest = self.view.bytes;
        while !rest.is_empty() {
            let (pair, behind) = match short::<{ span::ATTRIBUTES }>(rest) {
                Some(found) => found,
                None => {
                    let Some(field) = fields(rest).next().transpose()? else { break };
                    rest = &rest[field.end..];
                    match field {
                        Field { number: span::ATTRIBUTES, value: Value::Len(pair), .. } => (pair, rest),
                        Field { number: span::STATUS, value: Value::Len(status), .. } => {
                            self.status = self.status.and_then(|before| code(status, before));
                            continue;
                        }
                        field => {
                            self.view.take(&field);
                            continue;
                        }
                    }
                }
            };
            rest = behind;
            let kept = all || logs && may_be_learned(pair);
            match KeyValueView::parse(pair) {
                Ok(pair) => {
                    self.bare &= !ON_SPANS.has(pair.key());
                    if kept {
                        self.pairs.push(pair);
                    }
                }
                // It might be any.
                Err(_) => (self.bare, self.whole) = (false, self.whole && !kept),
            }
        }
        if logs {
            self.learn();
        }
        Ok(())
    }

    /// Finds what logs may learn of.
    fn learn(&mut self) {
        for pair in &self.pairs {
            let key = pair.key();
            let place = match key.len() {
                10 if key == b"http.route" => 0,
                10 if key == b"rpc.method" => 1,
                26 if key == b"messaging.destination.name" => 2,
                25 if key == b"http.response.status_code" => {
                    if let Ok(AnyValueView::Int(code)) = pair.value() {
                        self.http_status = u16::try_from(code).unwrap_or(0);
                    }
                    continue;
                }
                _ => continue,
            };
            if place < self.rank {
                (self.rank, self.route) = (place, pair.bytes());
            }
        }
    }

    /// What an item that is held is known by.
    pub(super) fn traits(&self) -> u8 {
        (if self.bare { Held::BARE } else { 0 }) | (if self.view.trace_state.is_empty() { Held::STATELESS } else { 0 })
    }
}

/// Reads a log record, and whether it has none of the attributes that may be attached to logs.
pub(super) fn read_log(bytes: &[u8]) -> Result<(LogRecordView<'_>, u8), sluice_pdata::Error> {
    let (mut view, mut bare, mut rest) = (LogRecordView::unread(bytes), true, bytes);
    while !rest.is_empty() {
        let pair = match short::<{ log_record::ATTRIBUTES }>(rest) {
            Some((pair, behind)) => {
                rest = behind;
                pair
            }
            None => {
                let Some(field) = fields(rest).next().transpose()? else { break };
                rest = &rest[field.end..];
                match field {
                    Field { number: log_record::ATTRIBUTES, value: Value::Len(pair), .. } => pair,
                    field => {
                        view.take(&field);
                        continue;
                    }
                }
            }
        };
        bare &= KeyValueView::parse(pair).is_ok_and(|pair| !ON_LOGS.has(pair.key()));
    }
    Ok((view, if bare { Held::BARE } else { 0 }))
}

/// What an error log says: its body, and type and message of its exception; each empty if it is not there, or no text.
pub(super) fn error_texts(log: &[u8]) -> [&[u8]; 3] {
    let (mut body, mut exception) = (None, [None; 2]);
    let mut rest = log;
    while !rest.is_empty() {
        let pair = match short::<{ log_record::ATTRIBUTES }>(rest) {
            Some((pair, behind)) => {
                rest = behind;
                pair
            }
            None => {
                let Some(Ok(field)) = fields(rest).next() else { break };
                rest = &rest[field.end..];
                match field {
                    Field { number: log_record::ATTRIBUTES, value: Value::Len(pair), .. } => pair,
                    Field { number: log_record::BODY, value: Value::Len(value), .. } => {
                        body = Some(value);
                        continue;
                    }
                    _ => continue,
                }
            }
        };
        let Ok(pair) = KeyValueView::parse(pair) else { continue };
        let place = match pair.key() {
            b"exception.type" => 0,
            b"exception.message" => 1,
            _ => continue,
        };
        // Of several the first one counts.
        exception[place].get_or_insert(pair);
    }
    let body = body.and_then(|value| AnyValueView::parse(value).ok()?.as_str());
    let [kind, message] = exception.map(|pair| pair.and_then(|pair: KeyValueView<'_>| pair.value().ok()?.as_str()));
    [body, kind, message].map(Option::unwrap_or_default)
}

/// The field that a message begins with, if it is the attribute list's and short, and what follows. Attributes are the greater
/// part of items, and nearly all of them are short. Each reader has a loop of its own: an iterator for all of them cost a tenth of mode
/// `annotate`.
#[inline]
fn short<const NUMBER: u32>(message: &[u8]) -> Option<(&[u8], &[u8])> {
    match message {
        [tag, len @ 0..=0x7f, behind @ ..] if u32::from(*tag) == NUMBER << 3 | WireType::Len as u32 => {
            behind.split_at_checked(usize::from(*len))
        }
        _ => None,
    }
}

/// Whether an attribute may be one that logs learn of: its key, which everybody writes first and once, is as long as one of
/// theirs.
fn may_be_learned(pair: &[u8]) -> bool {
    match pair {
        [0x0a, len, ..] => matches!(len, 10 | 25 | 26),
        _ => true,
    }
}

/// The code of one occurrence of a status, or that of those before it.
fn code(status: &[u8], before: i32) -> Option<i32> {
    let mut code = before;
    for field in fields(status) {
        if let Field { number: status::CODE, value: Value::Varint(found), .. } = field.ok()? {
            code = found as i32;
        }
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    use sluice_pdata::msg::NewValue;
    use sluice_pdata::tags::key_value;
    use sluice_pdata::wire::{put_fixed32, put_len, put_message, put_varint_field};

    use super::*;

    fn with(number: u32, key: &str, value: &str, item: &[u8]) -> Vec<u8> {
        let mut item = item.to_vec();
        put_message(&mut item, number, |out| NewValue::Str(value.as_bytes()).write_pair(key.as_bytes(), out));
        item
    }

    fn log() -> Vec<u8> {
        let mut log = Vec::new();
        put_varint_field(&mut log, log_record::SEVERITY_NUMBER, 17);
        put_message(&mut log, log_record::BODY, |out| NewValue::Str(b"it broke").write(out));
        let log = with(log_record::ATTRIBUTES, "thread.id", "17", &log);
        let mut log = with(log_record::ATTRIBUTES, "text", &"long ".repeat(60), &log);
        put_fixed32(&mut log, log_record::FLAGS, 1);
        put_len(&mut log, log_record::SPAN_ID, b"01234567");
        log
    }

    #[test]
    fn what_could_be_attached_and_is_there_is_seen_however_it_is_written() {
        let log = log();
        let (view, traits) = read_log(&log).unwrap();
        let whole = LogRecordView::parse(&log).unwrap();
        assert_eq!((view.flags, view.severity_number, view.span_id), (1, 17, whole.span_id));
        assert_eq!(traits, Held::BARE);
        let bare = |log: &[u8]| read_log(log).unwrap().1 == Held::BARE;
        assert!(bare(&with(log_record::ATTRIBUTES, "span.size", "9", &log)), "as long as another");
        for value in ["SERVER", &"x".repeat(300)] {
            assert!(!bare(&with(log_record::ATTRIBUTES, "span.kind", value, &log)));
        }
        // The value first; and a key that another one replaces.
        let mut odd = log.clone();
        put_message(&mut odd, log_record::ATTRIBUTES, |out| {
            put_message(out, key_value::VALUE, |out| NewValue::Bool(true).write(out));
            put_len(out, key_value::KEY, b"trace.sampled");
        });
        assert!(!bare(&odd));
        let mut odd = log.clone();
        put_message(&mut odd, log_record::ATTRIBUTES, |out| {
            put_len(out, key_value::KEY, b"other");
            put_len(out, key_value::KEY, b"http.route");
        });
        assert!(!bare(&odd));
        let mut broken = log.clone();
        put_len(&mut broken, log_record::ATTRIBUTES, &[0x0a, 9, b's']);
        assert!(!bare(&broken), "who cannot be read may be anything");
    }

    #[test]
    fn of_spans_the_counts_of_logs_and_the_trace_state() {
        let traits = |span: &[u8]| {
            let mut read = ReadSpan::new(span);
            read.fill(false, true).unwrap();
            read.traits()
        };
        let span = with(span::ATTRIBUTES, "http.route", "/cart", &[]);
        assert_eq!(traits(&span), Held::BARE | Held::STATELESS);
        assert_eq!(traits(&with(span::ATTRIBUTES, "log.count", "1", &span)), Held::STATELESS);
        let mut stated = span;
        put_len(&mut stated, span::TRACE_STATE, b"ot=th:8");
        assert_eq!(traits(&stated), Held::BARE);
    }

    #[test]
    fn an_error_is_its_body_and_its_exception() {
        let log = log();
        assert_eq!(error_texts(&log), [&b"it broke"[..], b"", b""]);
        let log = with(log_record::ATTRIBUTES, "exception.message", "no such cart", &log);
        let log = with(log_record::ATTRIBUTES, "exception.type", "CartError", &log);
        let log = with(log_record::ATTRIBUTES, "exception.type", "Second", &log);
        assert_eq!(error_texts(&log), [&b"it broke"[..], b"CartError", b"no such cart"]);
        assert_eq!(error_texts(&[0xff]), [&b""[..]; 3]);
    }
}
