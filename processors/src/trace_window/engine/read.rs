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
            self.bare &= !ON_SPANS.may_have(pair);
            if all || logs && may_be_learned(pair) {
                match KeyValueView::parse(pair) {
                    Ok(pair) => self.pairs.push(pair),
                    Err(_) => self.whole = false,
                }
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
        bare &= !ON_LOGS.may_have(pair);
    }
    Ok((view, if bare { Held::BARE } else { 0 }))
}

/// The field that a message begins with, if it is the attribute list's and short, and what follows. Attributes are the greater
/// part of items, and nearly all of them are short.
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
