//! Text forms of values: hexadecimal, base64, JSON, floats (ottl.md §2.2).

use std::borrow::Cow;
use std::io::Write as _;

use crate::compare::sorted;
use crate::error::EvalError;
use crate::value::{List, MAX_VALUE_DEPTH, Map, Value, deeper};

/// The largest result of one expression, in bytes.
pub const MAX_RESULT: usize = 4 << 20;

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes that hexadecimal digits stand for; `None` for an odd count or another character.
pub fn decode_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|n| n as u8);
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let get = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = get(0) << 16 | get(1) << 8 | get(2);
        for at in 0..4 {
            let digit = (group >> (18 - 6 * at)) as usize & 63;
            out.push(if at <= chunk.len() { BASE64[digit] } else { b'=' });
        }
    }
    out
}

/// A float in the fewest digits; with an exponent of at least two digits below 1e-6 and from 1e21.
pub fn float(x: f64) -> String {
    let size = x.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) || !size.is_finite() {
        return format!("{x}");
    }
    let text = format!("{x:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// The text with U+FFFD for every byte that is not part of a UTF-8 character.
pub(crate) fn readable(text: &[u8]) -> Cow<'_, [u8]> {
    if text.is_ascii() || std::str::from_utf8(text).is_ok() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    for chunk in text.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    Cow::Owned(out)
}

/// How a value is turned into JSON text.
#[derive(Clone, Copy)]
struct Style {
    /// Whether `<`, `>` and `&` are escaped.
    html: bool,
    /// Whether numbers that JSON lacks are written by name, as a body's text has them.
    named: bool,
}

/// The text of a value for parameters that take anything text-like; `None` for nil.
///
/// # Errors
/// Handles; NaN and infinities; results over [`MAX_RESULT`]; nesting beyond [`MAX_VALUE_DEPTH`].
pub fn string_like<'a>(value: &Value<'a>) -> Result<Option<Cow<'a, [u8]>>, EvalError> {
    Ok(Some(match value {
        Value::Nil => return Ok(None),
        Value::Str(text) => text.clone(),
        Value::Bytes(bytes) => Cow::Owned(hex(bytes)),
        Value::Bool(b) => Cow::Borrowed(if *b { b"true" } else { b"false" }),
        Value::Int(n) => Cow::Owned(n.to_string().into_bytes()),
        Value::Duration(nanos) => Cow::Owned(nanos.to_string().into_bytes()),
        Value::Time(time) => Cow::Owned(format!("\"{}\"", time.rfc3339()).into_bytes()),
        Value::TraceId(id) | Value::ProfileId(id) => Cow::Owned(hex(id)),
        Value::SpanId(id) => Cow::Owned(hex(id)),
        Value::Float(_) | Value::Map(_) | Value::List(_) => {
            Cow::Owned(json(value, Style { html: true, named: false })?)
        }
        Value::Handle(_) => return Err(EvalError::UnsupportedType(value.type_name())),
    }))
}

/// The text of a log body: as it is if it is a string, else JSON; bytes in base64; empty for nil.
///
/// # Errors
/// As [`string_like`].
pub fn body_string<'a>(value: &Value<'a>) -> Result<Cow<'a, [u8]>, EvalError> {
    match value {
        Value::Nil => Ok(Cow::Borrowed(b"")),
        Value::Str(text) => Ok(text.clone()),
        Value::Bytes(bytes) => Ok(Cow::Owned(base64(bytes))),
        other => json(other, Style { html: false, named: true }).map(Cow::Owned),
    }
}

fn json(value: &Value<'_>, style: Style) -> Result<Vec<u8>, EvalError> {
    let mut out = Vec::new();
    write_json(&mut out, value, style, MAX_VALUE_DEPTH)?;
    Ok(out)
}

fn write_json(out: &mut Vec<u8>, value: &Value<'_>, style: Style, depth: usize) -> Result<(), EvalError> {
    if out.len() > MAX_RESULT {
        return Err(EvalError::TooLarge("JSON text"));
    }
    match value {
        Value::List(list) => write_json_list(out, list, style, deeper(depth)?),
        Value::Map(map) => write_json_map(out, map, style, deeper(depth)?),
        scalar => write_json_scalar(out, scalar, style),
    }
}

fn write_json_list(out: &mut Vec<u8>, list: &List<'_>, style: Style, depth: usize) -> Result<(), EvalError> {
    out.push(b'[');
    let mut first = true;
    for item in list.boxed() {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        write_json(out, &item?, style, depth)?;
    }
    out.push(b']');
    Ok(())
}

fn write_json_map(out: &mut Vec<u8>, map: &Map<'_>, style: Style, depth: usize) -> Result<(), EvalError> {
    out.push(b'{');
    let mut first = true;
    for (key, value) in &sorted(map)? {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        write_json_string(out, key, style.html);
        out.push(b':');
        write_json(out, value, style, depth)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_json_scalar(out: &mut Vec<u8>, value: &Value<'_>, style: Style) -> Result<(), EvalError> {
    match value {
        Value::Nil => out.extend_from_slice(b"null"),
        Value::Float(x) if !x.is_finite() => match style.named {
            true if x.is_nan() => out.extend_from_slice(b"NaN"),
            true if *x > 0.0 => out.extend_from_slice(b"Infinity"),
            true => out.extend_from_slice(b"-Infinity"),
            false => return Err(EvalError::UnsupportedType("float64")),
        },
        // A body's text has exponents without leading zero.
        Value::Float(x) if style.named => out.extend_from_slice(float(*x).replace("e-0", "e-").as_bytes()),
        Value::Float(x) => out.extend_from_slice(float(*x).as_bytes()),
        Value::Str(text) => write_json_string(out, text, style.html),
        Value::Bytes(bytes) => {
            out.push(b'"');
            out.extend_from_slice(&base64(bytes));
            out.push(b'"');
        }
        other => out.extend_from_slice(&string_like(other)?.unwrap_or_default()),
    }
    Ok(())
}

fn write_json_string(out: &mut Vec<u8>, text: &[u8], html: bool) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                '\x08' => out.extend_from_slice(b"\\b"),
                '\x0c' => out.extend_from_slice(b"\\f"),
                '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => unicode_escape(out, c),
                '<' | '>' | '&' if html => unicode_escape(out, c),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for _ in chunk.invalid() {
            out.extend_from_slice("\\ufffd".as_bytes());
        }
    }
    out.push(b'"');
}

fn unicode_escape(out: &mut Vec<u8>, c: char) {
    let _ = write!(out, "\\u{:04x}", u32::from(c)); // writing to a vector cannot fail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_have_the_fewest_digits() {
        for (x, text) in [
            (0.0, "0"),
            (1.5, "1.5"),
            (-100.0, "-100"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.25e30, "1.25e+30"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-07"),
            (1e-10, "1e-10"),
        ] {
            assert_eq!(float(x), text);
        }
    }

    #[test]
    fn text_of_each_type() {
        let map =
            || Value::map(vec![(Cow::Borrowed(&b"b"[..]), Value::str("<&>")), (Cow::Borrowed(b"a"), Value::Int(1))]);
        for (value, like, body) in [
            (Value::Nil, None, ""),
            (Value::str("x\"y"), Some("x\"y"), "x\"y"),
            (Value::Bytes(Cow::Borrowed(b"\x01\xff")), Some("01ff"), "Af8="),
            (Value::Bool(true), Some("true"), "true"),
            (Value::Int(-5), Some("-5"), "-5"),
            (Value::Float(2.5), Some("2.5"), "2.5"),
            (Value::Float(2.5e-8), Some("2.5e-08"), "2.5e-8"),
            (map(), Some(r#"{"a":1,"b":"\u003c\u0026\u003e"}"#), r#"{"a":1,"b":"<&>"}"#),
            (Value::list(vec![Value::Nil, Value::str("\n\x01")]), Some(r#"[null,"\n\u0001"]"#), r#"[null,"\n\u0001"]"#),
            (Value::SpanId([1; 8]), Some("0101010101010101"), "0101010101010101"),
        ] {
            let got = string_like(&value).unwrap();
            assert_eq!(got.as_deref().map(String::from_utf8_lossy).as_deref(), like);
            assert_eq!(String::from_utf8_lossy(&body_string(&value).unwrap()), body);
        }
        assert!(string_like(&Value::Float(f64::NAN)).is_err());
        assert_eq!(*body_string(&Value::Float(f64::NEG_INFINITY)).unwrap(), *b"-Infinity");
    }

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(decode_hex(b"00fFa1"), Some(vec![0, 255, 161]));
        assert_eq!(decode_hex(b"0"), None);
        assert_eq!(decode_hex(b"0g"), None);
        assert_eq!(hex(&[0, 255, 161]), b"00ffa1");
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes), text.as_bytes());
        }
    }
}
