//! Strict and lenient reading of arguments (ottl.md §2.2).

use std::borrow::Cow;

use crate::error::EvalError;
use crate::value::{List, Map, Value};

fn wrong(expected: &'static str, value: &Value<'_>) -> EvalError {
    EvalError::Type { expected, got: value.type_name() }
}

pub(crate) fn string<'a>(value: Value<'a>) -> Result<Cow<'a, [u8]>, EvalError> {
    match value {
        Value::Str(text) => Ok(text),
        other => Err(wrong("string", &other)),
    }
}

pub(crate) fn int(value: &Value<'_>) -> Result<i64, EvalError> {
    match value {
        Value::Int(n) => Ok(*n),
        other => Err(wrong("int64", other)),
    }
}

pub(crate) fn float(value: &Value<'_>) -> Result<f64, EvalError> {
    match value {
        Value::Float(x) => Ok(*x),
        other => Err(wrong("float64", other)),
    }
}

pub(crate) fn bool(value: &Value<'_>) -> Result<bool, EvalError> {
    match value {
        Value::Bool(b) => Ok(*b),
        other => Err(wrong("bool", other)),
    }
}

pub(crate) fn time(value: &Value<'_>) -> Result<crate::time::Time, EvalError> {
    match value {
        Value::Time(time) => Ok(*time),
        other => Err(wrong("time", other)),
    }
}

pub(crate) fn duration(value: &Value<'_>) -> Result<i64, EvalError> {
    match value {
        Value::Duration(nanos) => Ok(*nanos),
        other => Err(wrong("duration", other)),
    }
}

pub(crate) fn map<'a>(value: Value<'a>) -> Result<Map<'a>, EvalError> {
    match value {
        Value::Map(map) => Ok(map),
        other => Err(wrong("pcommon.Map", &other)),
    }
}

pub(crate) fn list<'a>(value: Value<'a>) -> Result<List<'a>, EvalError> {
    match value {
        Value::List(list) => Ok(list),
        other => Err(wrong("pcommon.Slice", &other)),
    }
}

/// Truncates floats; a string that is no integer counts as nil.
pub(crate) fn int_like(value: &Value<'_>) -> Result<Option<i64>, EvalError> {
    Ok(match value {
        Value::Nil => None,
        Value::Int(n) => Some(*n),
        Value::Float(x) => Some(truncated(*x)),
        Value::Bool(b) => Some(i64::from(*b)),
        Value::Str(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
        other => return Err(EvalError::UnsupportedType(other.type_name())),
    })
}

/// Toward zero. What does not fit is the smallest integer, as on the processors that upstream runs on.
fn truncated(x: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&x) { x as i64 } else { i64::MIN }
}

pub(crate) fn float_like(value: &Value<'_>) -> Result<Option<f64>, EvalError> {
    Ok(match value {
        Value::Nil => None,
        Value::Float(x) => Some(*x),
        Value::Int(n) => Some(*n as f64),
        Value::Bool(b) => Some(f64::from(*b)),
        Value::Str(text) => Some(parse_float(text).ok_or_else(|| syntax("ParseFloat", text))?),
        other => return Err(EvalError::UnsupportedType(other.type_name())),
    })
}

/// Go's float syntax: also underscores never, `inf` and `nan` in any case, a sign in front.
fn parse_float(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub(crate) fn bool_like(value: &Value<'_>) -> Result<Option<bool>, EvalError> {
    Ok(match value {
        Value::Nil => None,
        Value::Bool(b) => Some(*b),
        Value::Int(n) => Some(*n != 0),
        Value::Float(x) => Some(*x != 0.0),
        Value::Str(text) => Some(match &**text {
            b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => true,
            b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => false,
            other => return Err(syntax("ParseBool", other)),
        }),
        other => return Err(EvalError::UnsupportedType(other.type_name())),
    })
}

pub(crate) fn bytes_like<'a>(value: Value<'a>) -> Result<Option<Cow<'a, [u8]>>, EvalError> {
    Ok(Some(match value {
        Value::Nil => return Ok(None),
        Value::Bytes(bytes) | Value::Str(bytes) => bytes,
        Value::Int(n) => Cow::Owned(n.to_be_bytes().to_vec()),
        Value::Float(x) => Cow::Owned(x.to_bits().to_be_bytes().to_vec()),
        Value::Bool(b) => Cow::Owned(vec![u8::from(b)]),
        Value::TraceId(id) | Value::ProfileId(id) => Cow::Owned(id.to_vec()),
        Value::SpanId(id) => Cow::Owned(id.to_vec()),
        other => return Err(EvalError::UnsupportedType(other.type_name())),
    }))
}

/// At most this much of a text goes into an error text.
const SHOWN: usize = 100;

fn syntax(function: &str, text: &[u8]) -> EvalError {
    let text = crate::quote::quoted(text.get(..SHOWN).unwrap_or(text));
    EvalError::function(format!("strconv.{function}: parsing {text}: invalid syntax"))
}
