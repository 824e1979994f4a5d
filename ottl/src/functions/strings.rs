//! Strings: parts, tests, joining and splitting. Lengths and offsets are in bytes.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use crate::ast::CompareOp;
use crate::compare::compare;
use crate::error::EvalError;
use crate::function::{Call, Function, Kind, optional, required};
use crate::text::MAX_RESULT;
use crate::value::Value;

pub(crate) const FAMILY: &[Function] = &[
    Function::converter(
        "Concat",
        &[required("values", Kind::Items(&Kind::StringLike)), required("delimiter", Kind::String)],
        concat,
    ),
    Function::converter("HasPrefix", &[required("value", Kind::String), required("prefix", Kind::String)], |call| {
        Ok(Value::Bool(call.string(0)?.starts_with(&call.string(1)?)))
    }),
    Function::converter("HasSuffix", &[required("value", Kind::String), required("suffix", Kind::String)], |call| {
        Ok(Value::Bool(call.string(0)?.ends_with(&call.string(1)?)))
    }),
    Function::converter("Index", &[required("target", Kind::Any), required("value", Kind::Any)], index),
    Function::converter("Len", &[required("target", Kind::Any)], len),
    Function::converter("Split", &[required("target", Kind::String), required("delimiter", Kind::String)], split),
    Function::converter(
        "Substring",
        &[
            required("target", Kind::String),
            required("start", Kind::Int),
            required("length", Kind::Int),
            optional("utf8_safe", Kind::LiteralBool),
        ],
        substring,
    ),
    Function::converter(
        "Trim",
        &[required("target", Kind::String), optional("replacement", Kind::LiteralString)],
        trim,
    ),
    Function::converter("TrimPrefix", &[required("value", Kind::String), required("prefix", Kind::String)], |call| {
        let (text, prefix) = (call.string(0)?, call.string(1)?);
        let start = if text.starts_with(&prefix) { prefix.len() } else { 0 };
        let end = text.len();
        Ok(Value::Str(part(text, start..end)))
    }),
    Function::converter("TrimSuffix", &[required("value", Kind::String), required("suffix", Kind::String)], |call| {
        let (text, suffix) = (call.string(0)?, call.string(1)?);
        let end = text.len() - if text.ends_with(&suffix) { suffix.len() } else { 0 };
        Ok(Value::Str(part(text, 0..end)))
    }),
];

/// A part of a text, borrowed if the text is. An impossible range gives nothing.
fn part<'r>(text: Cow<'r, [u8]>, range: Range<usize>) -> Cow<'r, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(range).unwrap_or_default()),
        Cow::Owned(mut text) => {
            text.truncate(range.end);
            text.drain(..range.start.min(text.len()));
            Cow::Owned(text)
        }
    }
}

fn concat(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let delimiter = call.string(1)?;
    let mut out = Vec::new();
    for (index, item) in call.items(0).enumerate() {
        if index > 0 {
            out.extend_from_slice(&delimiter);
        }
        out.extend_from_slice(crate::text::string_like(&item?)?.as_deref().unwrap_or(b"<nil>"));
        if out.len() > MAX_RESULT {
            return Err(EvalError::TooLarge("Concat"));
        }
    }
    Ok(Value::string(out))
}

fn index(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let (target, value) = (call.value(0)?, call.value(1)?);
    let at = match (target, &value) {
        (Value::Str(text), Value::Str(wanted)) => memmem::find(&text, wanted),
        (Value::Str(_), _) => {
            return Err(EvalError::Text("invalid value type for Index function, value must be a string"));
        }
        (target, _) => {
            let mut found = None;
            for (at, item) in crate::convert::list(target)?.iter().enumerate() {
                if compare(CompareOp::Eq, &item?, &value)? {
                    found = Some(at);
                    break;
                }
            }
            found
        }
    };
    Ok(Value::Int(at.map_or(-1, |at| at as i64)))
}

fn len(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let len = match call.value(0)? {
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Map(map) => map.len()?,
        Value::List(list) => list.len()?,
        Value::Handle(handle) if handle.kind.is_slice() => handle.len,
        other => {
            return Err(EvalError::function(format!(
                "Len: unsupported target type {}. target arg must be of type string, []any, map[string]any, pcommon.Map, \
                 pcommon.Slice, pcommon.Value (of type String, Map, Slice) or a supported slice type from the plog, \
                 pmetric or ptrace packages",
                other.dynamic_type_name()
            )));
        }
    };
    Ok(Value::Int(len as i64))
}

fn split(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let (text, delimiter) = (call.string(0)?, call.string(1)?);
    let mut ranges = Vec::new();
    if delimiter.is_empty() {
        let mut at = 0;
        for chunk in text.utf8_chunks() {
            for c in chunk.valid().chars() {
                ranges.push(at..at + c.len_utf8());
                at += c.len_utf8();
            }
            for _ in chunk.invalid() {
                ranges.push(at..at + 1);
                at += 1;
            }
        }
    } else {
        let mut start = 0;
        for at in memmem::find_iter(&text, &*delimiter) {
            ranges.push(start..at);
            start = at + delimiter.len();
        }
        ranges.push(start..text.len());
    }
    let items = match text {
        Cow::Borrowed(text) => {
            ranges.into_iter().map(|range| Value::str(text.get(range).unwrap_or_default())).collect()
        }
        Cow::Owned(text) => {
            ranges.into_iter().map(|range| Value::string(text.get(range).unwrap_or_default())).collect()
        }
    };
    Ok(Value::list(items))
}

fn substring(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let start = call.int(1)?;
    if start < 0 {
        return Err(EvalError::function(format!("invalid start for substring function, {start} cannot be negative")));
    }
    let length = call.int(2)?;
    if length <= 0 {
        return Err(EvalError::function(format!(
            "invalid length for substring function, {length} cannot be negative or zero"
        )));
    }
    let text = call.string(0)?;
    let range = usize::try_from(start).ok().zip(usize::try_from(length).ok());
    let range = range.and_then(|(start, length)| Some((start, start.checked_add(length)?)));
    let Some((mut from, mut to)) = range.filter(|(_, end)| *end <= text.len()) else {
        return Err(EvalError::function(format!(
            "invalid range for substring function, start({start})+length({length}) cannot be greater than the length of target string({})",
            text.len()
        )));
    };
    if call.given(3) && call.bool(3)? {
        let starts_char = |at: usize| text.get(at).is_none_or(|byte| byte & 0xc0 != 0x80);
        while from < text.len() && !starts_char(from) {
            from += 1;
        }
        while from < to && !starts_char(to) {
            to -= 1;
        }
        to = to.max(from);
    }
    Ok(Value::Str(part(text, from..to)))
}

fn trim(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let text = call.string(0)?;
    let set = if call.given(1) { call.string(1)? } else { Cow::Borrowed(&b" "[..]) };
    let set = String::from_utf8_lossy(&set);
    let range = match std::str::from_utf8(&text) {
        Ok(text) => {
            let behind = text.trim_start_matches(|c| set.contains(c));
            let start = text.len() - behind.len();
            start..start + behind.trim_end_matches(|c| set.contains(c)).len()
        }
        Err(_) => {
            let cut = |byte: &u8| byte.is_ascii() && set.as_bytes().contains(byte);
            let start = text.iter().position(|byte| !cut(byte)).unwrap_or(text.len());
            let end = text.iter().rposition(|byte| !cut(byte)).map_or(start, |last| last + 1);
            start..end
        }
    };
    Ok(Value::Str(part(text, range)))
}
