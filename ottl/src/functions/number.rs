//! Numbers and digits.

use crate::error::EvalError;
use crate::function::{Call, Function, Kind, required};
use crate::quote::quoted;
use crate::value::Value;

pub(crate) const FAMILY: &[Function] = &[
    Function::converter("Log", &[required("value", Kind::FloatLike)], log),
    Function::converter("IsValidLuhn", &[required("value", Kind::StringLike)], luhn),
    Function::converter("ParseInt", &[required("target", Kind::String), required("base", Kind::Int)], parse_int),
];

fn log(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    match call.float_like(0)? {
        None => Err(EvalError::Text("invalid input: <nil>")),
        Some(x) if x <= 0.0 => {
            let shown = crate::text::float(x);
            Err(EvalError::function(format!("invalid input: expected number greater than zero but got {shown}")))
        }
        Some(x) => Ok(Value::Float(x.ln())),
    }
}

/// The check of card numbers: from the right, every second digit doubled, all digits summed to a multiple of ten.
fn luhn(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let Some(text) = call.string_like(0)? else { return Err(EvalError::Text("invalid input: <nil>")) };
    let mut sum = 0u64;
    let mut digits = 0u64;
    for byte in text.iter().rev().filter(|byte| **byte != b' ') {
        let Some(digit) = char::from(*byte).to_digit(10) else {
            let shown = quoted(&[*byte]);
            return Err(EvalError::function(format!("strconv.Atoi: parsing {shown}: invalid syntax")));
        };
        let doubled = digit * 2;
        let counted = match digits % 2 {
            0 => digit,
            _ if doubled > 9 => doubled - 9,
            _ => doubled,
        };
        sum += u64::from(counted);
        digits += 1;
    }
    Ok(Value::Bool(digits > 0 && sum.is_multiple_of(10)))
}

fn parse_int(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let text = call.string(0)?;
    if text.is_empty() {
        return Err(EvalError::Text("invalid target value for ParseInt function, target cannot be empty"));
    }
    let base = call.int(1)?;
    if base < 0 {
        return Err(EvalError::function(format!(
            "invalid base value: {base} for ParseInt function, base cannot be negative"
        )));
    }
    let shown = || quoted(text.get(..100).unwrap_or(&text));
    if base == 1 || base > 36 {
        return Err(EvalError::function(format!("strconv.ParseInt: parsing {}: invalid base {base}", shown())));
    }
    match go_int(&text, base as u32) {
        Some(Ok(n)) => Ok(Value::Int(n)),
        Some(Err(())) => Err(EvalError::function(format!("strconv.ParseInt: parsing {}: value out of range", shown()))),
        None => Err(EvalError::function(format!("strconv.ParseInt: parsing {}: invalid syntax", shown()))),
    }
}

/// Go's integer syntax. Base 0: the prefix decides, and underscores may stand between digits. `Some(Err)`: out of range.
fn go_int(text: &[u8], base: u32) -> Option<Result<i64, ()>> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (radix, digits, mut after_digit) = match (base, digits) {
        (0, [b'0', b'x' | b'X', rest @ ..]) => (16, rest, true),
        (0, [b'0', b'b' | b'B', rest @ ..]) => (2, rest, true),
        (0, [b'0', b'o' | b'O', rest @ ..]) => (8, rest, true),
        (0, [b'0', rest @ ..]) if !rest.is_empty() => (8, rest, true),
        (0, rest) => (10, rest, false),
        (base, rest) => (base, rest, false),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = Some(0i128);
    for &byte in digits {
        if byte == b'_' && base == 0 && after_digit {
            after_digit = false;
            continue;
        }
        let digit = char::from(byte).to_digit(radix)?;
        after_digit = true;
        value = value.map(|v| v * i128::from(radix) + i128::from(digit)).filter(|v| *v <= 1 << 64);
    }
    if !after_digit {
        return None; // ends in an underscore
    }
    let value = value.map(|v| if negative { -v } else { v });
    Some(value.and_then(|v| i64::try_from(v).ok()).ok_or(()))
}
