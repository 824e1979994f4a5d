//! Typing of plain scalars by the rules of the Go YAML parser (v3), which the Collector uses: `true`/`false` only,
//! `017` and `0o17` octal, `1e3` a float, `_` allowed in numbers, timestamps kept as text.

use crate::tree::Value;

/// Types a plain (unquoted, untagged) scalar.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let number = match text.as_bytes().first() {
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let plain = text.replace('_', "");
            integer(&plain).map(Value::Int).or_else(|| float(&plain).map(Value::Float))
        }
        Some(b'.') if separates_digits(text) => float(&text.replace('_', "")).map(Value::Float),
        _ => None,
    };
    number.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Whether every `_` stands between two digits.
fn separates_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let mut underscores = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_');
    underscores.all(|(at, _)| digit(at.checked_sub(1)) && digit(at.checked_add(1)))
}

/// Go's base-0 integers: optional sign, then `0x`, `0b`, `0o` or a plain `0` for octal, else decimal. Values beyond
/// `i64` are accepted up to `u64` when there is no sign.
fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = if let Some(hex) = lower.strip_prefix("0x") {
        (16, hex)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        (2, binary)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        (8, octal)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, lower.get(1..)?)
    } else {
        (10, lower.as_str())
    };
    if body.is_empty() || !body.bytes().all(|byte| char::from(byte).is_digit(radix)) {
        return None;
    }
    let magnitude = i128::from_str_radix(body, radix).ok()?;
    let value = sign * magnitude;
    let signed = i64::try_from(value).is_ok();
    let unsigned = !text.starts_with(['-', '+']) && u64::try_from(value).is_ok();
    (signed || unsigned).then_some(value)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`; numbers too large for `f64` are text, as in Go.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_ok = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_ok = exponent.is_none_or(|part| !part.is_empty() && digits(part));
    if !(mantissa_ok && exponent_ok) {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        match resolve(text) {
            Value::Null => "null".into(),
            Value::Bool(value) => format!("bool {value}"),
            Value::Int(value) => format!("int {value}"),
            Value::Float(value) => format!("float {value}"),
            Value::String(value) => format!("string {value}"),
            Value::Seq(_) | Value::Map(_) => "collection".into(),
        }
    }

    #[test]
    fn plain_scalars_get_the_type_the_go_parser_gives_them() {
        let cases = [
            ("", "null"),
            ("~", "null"),
            ("Null", "null"),
            ("nULL", "string nULL"),
            ("TRUE", "bool true"),
            ("tRUE", "string tRUE"),
            ("yes", "string yes"),
            ("off", "string off"),
            ("017", "int 15"),
            ("0o17", "int 15"),
            ("-0o17", "int -15"),
            ("0123", "int 83"),
            ("089", "float 89"),
            ("0x1F", "int 31"),
            ("0b101", "int 5"),
            ("1_000", "int 1000"),
            ("+12", "int 12"),
            ("-12", "int -12"),
            ("0", "int 0"),
            ("1e3", "float 1000"),
            ("1.", "float 1"),
            (".5", "float 0.5"),
            (".", "string ."),
            (".1_5", "float 0.15"),
            ("._5", "string ._5"),
            (".1__5", "string .1__5"),
            ("1e", "string 1e"),
            ("-", "string -"),
            ("0x", "string 0x"),
            ("1:30", "string 1:30"),
            ("10s", "string 10s"),
            ("2001-12-14", "string 2001-12-14"),
            (".inf", "float inf"),
            ("-.INF", "float -inf"),
            ("inf", "string inf"),
            ("nan", "string nan"),
            ("9223372036854775807", "int 9223372036854775807"),
            ("18446744073709551615", "int 18446744073709551615"),
            ("18446744073709551616", "float 18446744073709552000"),
            ("1e999", "string 1e999"),
            ("1.2.3", "string 1.2.3"),
            ("127.0.0.1", "string 127.0.0.1"),
        ];
        for (text, expected) in cases {
            assert_eq!(show(text), expected, "{text:?}");
        }
    }
}
