//! Values as conditions and conversions see them.

use std::cell::RefCell;
use std::collections::HashMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use regex::Regex;

use super::tree::{hidden, readable, real};

/// A double as JSON and Go print it: shortest; with an exponent below 1e-6 and from 1e21.
pub fn double(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) || !value.is_finite() {
        return format!("{value}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

/// An exponent of at least two digits, as the JSON of text-like arguments has it.
fn two_digits(text: String) -> String {
    match text.split_once("e-") {
        Some((digits, exponent)) => format!("{digits}e-{exponent:0>2}"),
        None => text,
    }
}

/// JSON text: keys sorted, of equal keys the last; bytes in base64; `None` if a number has no JSON form and `named` does not
/// allow names. `html`: `<`, `>` and `&` are escaped.
pub fn json(value: Option<&Value>, html: bool, named: bool) -> Option<String> {
    Some(match value {
        None | Some(Value::StringValueStrindex(_)) => "null".to_owned(),
        Some(Value::StringValue(text)) => json_string(text, html),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) if number.is_finite() && named => double(*number),
        Some(Value::DoubleValue(number)) if number.is_finite() => two_digits(double(*number)),
        Some(Value::DoubleValue(number)) => {
            if !named {
                return None;
            }
            let name = match number {
                number if number.is_nan() => "NaN",
                number if *number > 0.0 => "Infinity",
                _ => "-Infinity",
            };
            name.to_owned()
        }
        Some(Value::BytesValue(bytes)) => format!("\"{}\"", base64(bytes)),
        Some(Value::ArrayValue(list)) => {
            let items: Option<Vec<_>> =
                list.values.iter().map(|value| json(value.value.as_ref(), html, named)).collect();
            format!("[{}]", items?.join(","))
        }
        Some(Value::KvlistValue(list)) => {
            let mut entries: Vec<String> = Vec::new();
            for pair in last_of_each_key(&list.values) {
                let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
                entries.push(format!("{}:{}", json_string(&pair.key, html), json(value, html, named)?));
            }
            format!("{{{}}}", entries.join(","))
        }
    })
}

/// The pairs sorted by key; of equal keys the last.
pub fn last_of_each_key(pairs: &[KeyValue]) -> Vec<&KeyValue> {
    let mut sorted: Vec<&KeyValue> = Vec::new();
    for pair in pairs {
        sorted.retain(|known| known.key != pair.key);
        sorted.push(pair);
    }
    sorted.sort_by_key(|pair| real(&pair.key));
    sorted
}

fn json_string(text: &str, html: bool) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' if html => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            char => match hidden(char) {
                Some(_) => out.push_str("\\ufffd"),
                None => out.push(char),
            },
        }
    }
    out.push('"');
    out
}

pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) as usize & 63;
            out.push(if digit <= chunk.len() { DIGITS[index].into() } else { '=' });
        }
    }
    out
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A pattern with RE2's meaning: its digits are those of ASCII.
pub fn re2(pattern: &str) -> Regex {
    Regex::new(&pattern.replace("\\d", "[0-9]")).unwrap()
}

/// Whether a pattern occurs in a text; what is not UTF-8 counts as U+FFFD.
pub fn matches(pattern: &str, text: &str) -> bool {
    thread_local!(static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::default());
    COMPILED.with_borrow_mut(|compiled| {
        let regex = compiled.entry(pattern.to_owned()).or_insert_with(|| re2(pattern));
        regex.is_match(&readable(text))
    })
}

/// The text of a scalar; `None` for anything else.
pub fn scalar_text(value: Option<&Value>) -> Option<String> {
    Some(match value? {
        Value::StringValue(text) => text.clone(),
        Value::BoolValue(flag) => flag.to_string(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) if number.is_nan() => "NaN".to_owned(),
        Value::DoubleValue(number) if number.is_infinite() => {
            if *number > 0.0 {
                "+Inf".to_owned()
            } else {
                "-Inf".to_owned()
            }
        }
        Value::DoubleValue(number) => double(*number),
        _ => return None,
    })
}
