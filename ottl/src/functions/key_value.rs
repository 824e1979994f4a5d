//! `key=value` text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::error::EvalError;
use crate::function::{Argument, Call, Converter, Function, Kind, optional, required};
use crate::quote::quoted;
use crate::text::{MAX_RESULT, body_string};
use crate::value::{Entry, Value};

pub(crate) const FAMILY: &[Function] = &[
    Function::prepared(
        "ParseKeyValue",
        &[
            required("target", Kind::String),
            optional("delimiter", Kind::LiteralString),
            optional("pair_delimiter", Kind::LiteralString),
        ],
        |args| Ok(Arc::new(ParseKeyValue(Delimiters::prepare(args)?))),
    ),
    Function::prepared(
        "ToKeyValueString",
        &[
            required("target", Kind::Map),
            optional("delimiter", Kind::LiteralString),
            optional("pair_delimiter", Kind::LiteralString),
            optional("sort_output", Kind::LiteralBool),
        ],
        |args| Ok(Arc::new(ToKeyValueString(Delimiters::prepare(args)?))),
    ),
];

#[derive(Debug)]
struct Delimiters {
    value: Vec<u8>,
    pair: Vec<u8>,
}

impl Delimiters {
    fn prepare(args: &[Argument]) -> Result<Delimiters, String> {
        let value = args.get(1).and_then(Argument::text).unwrap_or("=");
        let pair = args.get(2).and_then(Argument::text).unwrap_or(" ");
        if value.is_empty() {
            return Err("delimiter cannot be set to an empty string".to_owned());
        }
        if pair.is_empty() {
            return Err("pair delimiter cannot be set to an empty string".to_owned());
        }
        if value == pair {
            let (pair, value) = (quoted(pair.as_bytes()), quoted(value.as_bytes()));
            return Err(format!("pair delimiter {pair} cannot be equal to delimiter {value}"));
        }
        Ok(Delimiters { value: value.as_bytes().to_vec(), pair: pair.as_bytes().to_vec() })
    }
}

#[derive(Debug)]
struct ParseKeyValue(Delimiters);

impl Converter for ParseKeyValue {
    fn call<'r>(&'r self, call: Call<'r>) -> Result<Value<'r>, EvalError> {
        let text = call.string(0)?;
        if text.is_empty() {
            return Err(EvalError::Text("cannot parse from empty target"));
        }
        let mut entries: Vec<Entry<'r>> = Vec::new();
        let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut faults = Vec::new();
        for pair in split_unquoted(&text, &self.0.pair)? {
            let Some(at) = memchr::memmem::find(&pair, &self.0.value) else {
                if faults.len() < SHOWN_FAULTS {
                    let shown = quoted(pair.get(..100).unwrap_or(&pair));
                    faults.push(format!("cannot split {shown} into 2 items, got 1 item(s)"));
                }
                continue;
            };
            let key = pair[..at].trim_ascii().to_vec();
            let value = Value::string(pair[at + self.0.value.len()..].trim_ascii());
            match places.get(&key) {
                Some(place) => entries[*place].1 = value,
                None => {
                    places.insert(key.clone(), entries.len());
                    entries.push((Cow::Owned(key), value));
                }
            }
        }
        if !faults.is_empty() {
            let faults = faults.join("; ");
            return Err(EvalError::function(format!("failed to split pairs into key-values: {faults}")));
        }
        Ok(Value::map(entries))
    }
}

/// At most this many faults go into an error text.
const SHOWN_FAULTS: usize = 10;

/// Splits at a delimiter outside quotes; the quotes go, a backslash keeps the quote behind it, empty parts are left out.
fn split_unquoted(text: &[u8], delimiter: &[u8]) -> Result<Vec<Vec<u8>>, EvalError> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut quote = None;
    let mut escaped = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if quote.is_none() && text[at..].starts_with(delimiter) {
            if !part.is_empty() {
                parts.push(std::mem::take(&mut part));
            }
            at += delimiter.len();
            continue;
        }
        at += 1;
        if escaped {
            escaped = false;
        } else {
            if quote.is_none() && matches!(byte, b'"' | b'\'') {
                quote = Some(byte);
                continue;
            }
            if quote == Some(byte) {
                quote = None;
                continue;
            }
            escaped = byte == b'\\';
        }
        part.push(byte);
    }
    if quote.is_some() {
        let shown = quoted(text.get(..100).unwrap_or(text));
        return Err(EvalError::function(format!(
            "splitting source {shown} into pairs failed: never reached the end of a quoted value"
        )));
    }
    if !part.is_empty() {
        parts.push(part);
    }
    Ok(parts)
}

#[derive(Debug)]
struct ToKeyValueString(Delimiters);

impl Converter for ToKeyValueString {
    fn call<'r>(&'r self, call: Call<'r>) -> Result<Value<'r>, EvalError> {
        let map = call.map(0)?;
        let mut entries: Vec<Entry<'r>> = map.iter().collect::<Result<_, _>>()?;
        if call.given(3) && call.bool(3)? {
            entries.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let mut out = Vec::new();
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(&self.0.pair);
            }
            self.write(&mut out, key);
            out.extend_from_slice(&self.0.value);
            self.write(&mut out, &body_string(value)?);
            if out.len() > MAX_RESULT {
                return Err(EvalError::TooLarge("ToKeyValueString"));
            }
        }
        Ok(Value::string(out))
    }
}

impl ToKeyValueString {
    /// Quotes are escaped; text that holds a delimiter is put in quotes.
    fn write(&self, out: &mut Vec<u8>, text: &[u8]) {
        let holds = |delimiter: &[u8]| memchr::memmem::find(text, delimiter).is_some();
        // The escaped text is what is looked at, but escaping adds no delimiter unless that is a backslash and a quote.
        let wrap = holds(&self.0.pair) || holds(&self.0.value);
        if wrap {
            out.push(b'"');
        }
        for &byte in text {
            if byte == b'"' {
                out.push(b'\\');
            }
            out.push(byte);
        }
        if wrap {
            out.push(b'"');
        }
    }
}
