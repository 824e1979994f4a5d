//! Walking every field of a request without looking for anything.

use sluice_pdata::Error;
use sluice_pdata::view::{AnyValueView, AttributesView, LogsView, TracesView};

/// A message being walked by hand, for the yardstick: no part of the product, and as fast as plain code gets.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    #[inline(always)]
    fn varint(&mut self) -> Option<u64> {
        match *self.0 {
            [byte @ 0..=0x7f, ref rest @ ..] => {
                self.0 = rest;
                Some(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (index, byte) in self.0.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.0 = self.0.get(index + 1..)?;
                return Some(value);
            }
        }
        None
    }

    #[inline(always)]
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Visits the fields of a message: `inner` walks the length-delimited ones by number, and what it does not know counts as a
/// leaf. `None` for malformed bytes.
#[inline(always)]
fn message(bytes: &[u8], inner: impl Fn(u32, &[u8]) -> Option<usize>) -> Option<usize> {
    let mut fields = Fields(bytes);
    let mut sum = 0usize;
    loop {
        // One-byte tag, one-byte varint or length: nearly all fields.
        let leaf = match *fields.0 {
            [tag @ 0..=0x7f, len @ 0..=0x7f, ref rest @ ..] if tag & 7 == 2 => {
                let (payload, rest) = rest.split_at_checked(len.into())?;
                fields.0 = rest;
                inner((tag >> 3).into(), payload)?
            }
            [] => return Some(sum),
            _ => {
                let tag = fields.varint()?;
                match tag & 7 {
                    0 => fields.varint()? as usize,
                    1 => fields.take(8)?.len(),
                    2 => {
                        let len = fields.varint()? as usize;
                        inner((tag >> 3) as u32, fields.take(len)?)?
                    }
                    5 => fields.take(4)?.len(),
                    _ => return None,
                }
            }
        };
        sum = sum.wrapping_add(leaf);
    }
}

fn any_value(bytes: &[u8]) -> Option<usize> {
    if let [0x0a, len @ 0..=0x7f, text @ ..] = bytes
        && text.len() == usize::from(*len)
    {
        return Some(text.len());
    }
    message(bytes, |number, payload| match number {
        5 => message(payload, |number, payload| if number == 1 { any_value(payload) } else { Some(payload.len()) }),
        6 => with_attributes(payload, 1),
        _ => Some(payload.len()),
    })
}

fn key_value(bytes: &[u8]) -> Option<usize> {
    if let [0x0a, key @ 0..=0x7f, rest @ ..] = bytes
        && let Some([0x12, len @ 0..=0x7f, value @ ..]) = rest.get(usize::from(*key)..)
        && value.len() == usize::from(*len)
    {
        return Some(usize::from(*key) + any_value(value)?);
    }
    message(bytes, |number, payload| if number == 2 { any_value(payload) } else { Some(payload.len()) })
}

/// A message whose only messages are attributes: a resource, a scope, a link.
fn with_attributes(bytes: &[u8], attributes: u32) -> Option<usize> {
    message(bytes, |number, payload| if number == attributes { key_value(payload) } else { Some(payload.len()) })
}

fn span(bytes: &[u8]) -> Option<usize> {
    message(bytes, |number, payload| match number {
        9 => key_value(payload),
        11 => with_attributes(payload, 3),
        13 => with_attributes(payload, 4),
        15 => message(payload, |_, leaf| Some(leaf.len())),
        _ => Some(payload.len()),
    })
}

fn record(bytes: &[u8]) -> Option<usize> {
    message(bytes, |number, payload| match number {
        5 => any_value(payload),
        6 => key_value(payload),
        _ => Some(payload.len()),
    })
}

/// Visits every field of a request once; returns the bytes of its leaves. `None` for malformed bytes.
pub(crate) fn by_hand(request: &[u8], traces: bool) -> Option<usize> {
    let scope = |number, payload: &[u8]| match number {
        1 => with_attributes(payload, 3),
        2 if traces => span(payload),
        2 => record(payload),
        _ => Some(payload.len()),
    };
    let group = |number, payload: &[u8]| match number {
        1 => with_attributes(payload, 1),
        2 => message(payload, scope),
        _ => Some(payload.len()),
    };
    message(request, |number, payload| if number == 1 { message(payload, group) } else { Some(payload.len()) })
}

fn value(value: AnyValueView<'_>) -> Result<usize, Error> {
    Ok(match value {
        AnyValueView::Str(bytes) | AnyValueView::Bytes(bytes) => bytes.len(),
        AnyValueView::Array(elements) => {
            elements.values().try_fold(0, |sum, element| Ok::<_, Error>(sum + self::value(element?)?))?
        }
        AnyValueView::KvList(elements) => elements.key_values().try_fold(0, |sum, pair| {
            let pair = pair?;
            Ok::<_, Error>(sum + pair.key().len() + self::value(pair.value()?)?)
        })?,
        _ => 8,
    })
}

fn attributes(attributes: AttributesView<'_>) -> Result<usize, Error> {
    attributes.iter().try_fold(0, |sum, pair| {
        let pair = pair?;
        Ok(sum + pair.key().len() + value(pair.value()?)?)
    })
}

/// Reads every field through the views.
pub(crate) fn traces(request: &[u8]) -> Result<usize, Error> {
    let mut sum = 0;
    for group in TracesView(request).resource_spans() {
        let group = group?;
        sum += attributes(group.resource()?.attributes())? + group.schema_url()?.len();
        for scope in group.scope_spans() {
            let scope = scope?;
            sum += scope.scope()?.name()?.len() + scope.scope()?.version()?.len();
            sum += attributes(scope.scope()?.attributes())?;
            for span in scope.spans() {
                let span = span?;
                sum += span.trace_id.len() + span.span_id.len() + span.parent_span_id.len();
                sum += span.name.len() + span.trace_state.len() + span.kind as usize;
                sum += span.end_time_unix_nano.wrapping_sub(span.start_time_unix_nano) as usize;
                sum += attributes(span.attributes())?;
                for event in span.events() {
                    let event = event?;
                    sum += event.name.len() + attributes(event.attributes())?;
                }
                for link in span.links() {
                    sum += attributes(link?.attributes())?;
                }
                sum += span.status()?.map_or(0, |status| status.message.len());
            }
        }
    }
    Ok(sum)
}

/// Reads every field through the views.
pub(crate) fn logs(request: &[u8]) -> Result<usize, Error> {
    let mut sum = 0;
    for group in LogsView(request).resource_logs() {
        let group = group?;
        sum += attributes(group.resource()?.attributes())? + group.schema_url()?.len();
        for scope in group.scope_logs() {
            let scope = scope?;
            sum += scope.scope()?.name()?.len() + scope.scope()?.version()?.len();
            sum += attributes(scope.scope()?.attributes())?;
            for record in scope.log_records() {
                let record = record?;
                sum += record.trace_id.len() + record.span_id.len() + record.severity_text.len();
                sum += record.severity_number as usize + record.time_unix_nano as usize;
                sum += value(record.body()?)?;
                sum += attributes(record.attributes())?;
            }
        }
    }
    Ok(sum)
}
