//! Changing case. Snake and camel case know ASCII only, as upstream's do (ottl.md §8).

use crate::error::EvalError;
use crate::function::{Argument, Call, Converter, Function, Kind, required};
use crate::text::readable;
use crate::value::Value;
use std::sync::Arc;

const TARGET: &[crate::function::Param] = &[required("target", Kind::String)];

pub(crate) const FAMILY: &[Function] = &[
    Function::prepared(
        "ConvertCase",
        &[required("target", Kind::String), required("toCase", Kind::LiteralString)],
        prepare,
    ),
    Function::converter("ToLowerCase", TARGET, |call| convert(call, lower)),
    Function::converter("ToUpperCase", TARGET, |call| convert(call, upper)),
    Function::converter("ToSnakeCase", TARGET, |call| convert(call, snake)),
    Function::converter("ToCamelCase", TARGET, |call| convert(call, camel)),
];

#[derive(Debug)]
struct ConvertCase(fn(&[u8]) -> Vec<u8>);

impl Converter for ConvertCase {
    fn call<'r>(&'r self, call: Call<'r>) -> Result<Value<'r>, EvalError> {
        convert(call, self.0)
    }
}

fn prepare(args: &[Argument]) -> Result<Arc<dyn Converter>, String> {
    let case = args.get(1).and_then(Argument::text).unwrap_or("");
    Ok(Arc::new(ConvertCase(match case {
        "lower" => lower,
        "upper" => upper,
        "snake" => snake,
        "camel" => camel,
        other => return Err(format!("invalid case: {other}, allowed cases are: lower, upper, snake, camel")),
    })))
}

fn convert<'r>(call: Call<'r>, to: fn(&[u8]) -> Vec<u8>) -> Result<Value<'r>, EvalError> {
    Ok(Value::string(to(&call.string(0)?)))
}

/// Maps characters one to one, as Go does: a character whose counterpart is several stays.
fn map_chars(text: &[u8], to: impl Fn(char) -> Option<char>) -> Vec<u8> {
    let text = readable(text);
    let mapped = String::from_utf8_lossy(&text).chars().map(|c| to(c).unwrap_or(c)).collect::<String>();
    mapped.into_bytes()
}

fn only<I: Iterator<Item = char>>(mut chars: I) -> Option<char> {
    chars.next().filter(|_| chars.next().is_none())
}

fn lower(text: &[u8]) -> Vec<u8> {
    if text.is_ascii() { text.to_ascii_lowercase() } else { map_chars(text, |c| only(c.to_lowercase())) }
}

fn upper(text: &[u8]) -> Vec<u8> {
    if text.is_ascii() { text.to_ascii_uppercase() } else { map_chars(text, |c| only(c.to_uppercase())) }
}

fn trimmed(text: &[u8]) -> &[u8] {
    match std::str::from_utf8(text) {
        Ok(text) => text.trim().as_bytes(),
        Err(_) => text.trim_ascii(),
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'_' | b' ' | b'-' | b'.')
}

fn snake(text: &[u8]) -> Vec<u8> {
    let text = trimmed(text);
    let mut out = Vec::with_capacity(text.len() + 8);
    for (at, &byte) in text.iter().enumerate() {
        let next = text.get(at + 1).copied().unwrap_or(0);
        let before = at.checked_sub(1).and_then(|at| text.get(at)).copied().unwrap_or(0);
        if byte.is_ascii_uppercase() && next.is_ascii_lowercase() && before.is_ascii_uppercase() {
            out.push(b'_');
        }
        out.push(if is_separator(byte) { b'_' } else { byte.to_ascii_lowercase() });
        let rises = byte.is_ascii_lowercase() && next.is_ascii_uppercase();
        let to_digit = byte.is_ascii_alphabetic() && next.is_ascii_digit();
        let from_digit = byte.is_ascii_digit() && next.is_ascii_alphabetic();
        if rises || to_digit || from_digit {
            out.push(b'_');
        }
    }
    out
}

fn camel(text: &[u8]) -> Vec<u8> {
    let text = trimmed(text);
    let mut out = Vec::with_capacity(text.len());
    let (mut capital, mut after_capital) = (true, false);
    for &byte in text {
        let is_capital = byte.is_ascii_uppercase();
        if byte.is_ascii_alphabetic() {
            out.push(match (capital, after_capital && is_capital) {
                (true, _) => byte.to_ascii_uppercase(),
                (false, true) => byte.to_ascii_lowercase(),
                (false, false) => byte,
            });
            capital = false;
        } else if byte.is_ascii_digit() {
            out.push(byte);
            capital = true;
        } else {
            capital = is_separator(byte);
        }
        after_capital = is_capital;
    }
    out
}
