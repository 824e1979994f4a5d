//! What each verb makes of each type.

use super::Spec;
use crate::quote::quoted;
use crate::text::hex;
use crate::value::Value;

/// Deepest nesting that is printed.
const MAX_DEPTH: usize = 64;

/// Writes one value by one verb.
pub(super) fn write_value(out: &mut String, value: &Value<'_>, verb: char, spec: Spec) {
    write(out, value, verb, spec, MAX_DEPTH);
}

fn write(out: &mut String, value: &Value<'_>, verb: char, spec: Spec, depth: usize) {
    if verb == 'T' {
        return pad(out, value.dynamic_type_name(), spec);
    }
    match value {
        Value::Nil if verb == 'v' => pad(out, "<nil>", spec),
        Value::Nil => out.push_str(&format!("%!{verb}(<nil>)")),
        Value::Bool(b) => match verb {
            't' | 'v' => pad(out, if *b { "true" } else { "false" }, spec),
            _ => bad(out, value, verb),
        },
        Value::Int(n) => int(out, *n, verb, spec, value),
        Value::Float(x) => float(out, *x, verb, spec, value),
        Value::Str(text) => text_verb(out, text, verb, spec, value),
        Value::Bytes(bytes) => match verb {
            'v' | 'd' => {
                let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
                pad(out, &format!("[{}]", numbers.join(" ")), spec);
            }
            _ => text_verb(out, bytes, verb, spec, value),
        },
        Value::Time(time) => text_verb(out, time.text().as_bytes(), verb, spec, value),
        Value::Duration(nanos) => match verb {
            'd' => int(out, *nanos, verb, spec, value),
            _ => text_verb(out, crate::time::duration_text(*nanos).as_bytes(), verb, spec, value),
        },
        Value::TraceId(id) | Value::ProfileId(id) => text_verb(out, &id_text(id), verb, spec, value),
        Value::SpanId(id) => text_verb(out, &id_text(id), verb, spec, value),
        Value::Handle(_) => bad(out, value, verb),
        Value::Map(_) | Value::List(_) if depth == 0 => out.push_str("..."),
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.iter().flatten().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                write(out, &item, verb, spec, depth - 1);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push_str("map[");
            let entries = crate::compare::sorted(map).unwrap_or_default();
            for (index, (key, item)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                text_verb(out, key, verb, spec, &Value::Nil);
                out.push(':');
                write(out, item, verb, spec, depth - 1);
            }
            out.push(']');
        }
    }
}

/// An id of zeros prints as nothing.
fn id_text(id: &[u8]) -> Vec<u8> {
    if id.iter().all(|byte| *byte == 0) { Vec::new() } else { hex(id) }
}

/// A verb that the type does not have.
fn bad(out: &mut String, value: &Value<'_>, verb: char) {
    out.push_str(&format!("%!{verb}({}=", value.dynamic_type_name()));
    if !matches!(value, Value::Handle(_)) {
        write(out, value, 'v', Spec::default(), MAX_DEPTH);
    }
    out.push(')');
}

fn pad(out: &mut String, text: &str, spec: Spec) {
    let missing = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    let fill = |out: &mut String, c: char| out.extend(std::iter::repeat_n(c, missing));
    if spec.minus {
        out.push_str(text);
        fill(out, ' ');
    } else {
        fill(out, if spec.zero { '0' } else { ' ' });
        out.push_str(text);
    }
}

fn text_verb(out: &mut String, text: &[u8], verb: char, spec: Spec, value: &Value<'_>) {
    let cut = |text: &str| match spec.precision {
        Some(precision) => text.chars().take(precision).collect::<String>(),
        None => text.to_owned(),
    };
    match verb {
        's' | 'v' if verb == 's' || !spec.sharp => pad(out, &cut(&String::from_utf8_lossy(text)), spec),
        'q' | 'v' => {
            let text = cut(&String::from_utf8_lossy(text));
            let raw = spec.sharp && verb == 'q' && !text.chars().any(|c| c == '`' || c.is_control() && c != '\t');
            let text = match (raw, spec.plus) {
                (true, _) => format!("`{text}`"),
                (false, false) => quoted(text.as_bytes()),
                (false, true) => ascii_only(&quoted(text.as_bytes())),
            };
            pad(out, &text, spec);
        }
        'x' | 'X' => {
            let shown = text.get(..spec.precision.unwrap_or(text.len()).min(text.len())).unwrap_or(text);
            let mut digits = String::new();
            for (index, byte) in shown.iter().enumerate() {
                if spec.space && index > 0 {
                    digits.push(' ');
                }
                if spec.sharp && (spec.space || index == 0) {
                    digits.push_str("0x");
                }
                digits.push_str(&format!("{byte:02x}"));
            }
            pad(out, &if verb == 'X' { digits.to_uppercase() } else { digits }, spec);
        }
        _ => bad(out, value, verb),
    }
}

fn ascii_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c) {
            0..=0x7f => out.push(c),
            code @ 0x80..=0xffff => out.push_str(&format!("\\u{code:04x}")),
            code => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out
}

fn int(out: &mut String, n: i64, verb: char, spec: Spec, value: &Value<'_>) {
    let size = n.unsigned_abs();
    let (digits, prefix) = match verb {
        'v' | 'd' => (size.to_string(), ""),
        'b' => (format!("{size:b}"), "0b"),
        'o' => (format!("{size:o}"), "0"),
        'O' => (format!("{size:o}"), "0o"),
        'x' => (format!("{size:x}"), "0x"),
        'X' => (format!("{size:X}"), "0X"),
        'c' | 'q' | 'U' => {
            let c = u32::try_from(n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
            let text = match verb {
                'c' => c.to_string(),
                'q' => format!("'{}'", c.escape_default()),
                _ => format!("U+{n:04X}"),
            };
            return pad(out, &text, Spec { zero: false, ..spec });
        }
        _ => return bad(out, value, verb),
    };
    let prefix = if spec.sharp || verb == 'O' { prefix } else { "" };
    let mut digits = match spec.precision {
        Some(0) if n == 0 => return pad(out, "", Spec { zero: false, ..spec }),
        Some(precision) => format!("{digits:0>precision$}"),
        None => digits,
    };
    let sign = sign(n < 0, spec);
    if spec.zero && !spec.minus && spec.precision.is_none() {
        let room = spec.width.unwrap_or(0).saturating_sub(sign.len());
        digits = format!("{digits:0>room$}");
    }
    pad(out, &format!("{sign}{prefix}{digits}"), Spec { zero: false, ..spec });
}

fn sign(negative: bool, spec: Spec) -> &'static str {
    match (negative, spec.plus, spec.space) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        _ => "",
    }
}

fn float(out: &mut String, x: f64, verb: char, spec: Spec, value: &Value<'_>) {
    if !matches!(verb, 'v' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G') {
        return bad(out, value, verb);
    }
    let size = x.abs();
    let (digits, finite) = if x.is_nan() {
        ("NaN".to_owned(), false)
    } else if size.is_infinite() {
        ("Inf".to_owned(), false)
    } else {
        let text = match verb {
            'e' | 'E' => exponential(size, spec.precision.unwrap_or(6)),
            'f' | 'F' => format!("{size:.*}", spec.precision.unwrap_or(6)),
            _ => general(size, spec.precision),
        };
        (if verb == 'E' || verb == 'G' { text.to_uppercase() } else { text }, true)
    };
    let sign =
        sign(x.is_sign_negative() && !x.is_nan(), Spec { plus: spec.plus || (size.is_infinite() && x > 0.0), ..spec });
    if spec.zero && !spec.minus && finite {
        let room = spec.width.unwrap_or(0).saturating_sub(sign.len());
        return out.push_str(&format!("{sign}{digits:0>room$}"));
    }
    pad(out, &format!("{sign}{digits}"), Spec { zero: false, ..spec });
}

/// Digits and an exponent of at least two digits.
fn exponential(size: f64, precision: usize) -> String {
    go_exponent(&format!("{size:.precision$e}"))
}

fn go_exponent(text: &str) -> String {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// The shorter of both forms: an exponent below 1e-4 and from the precision, or from 1e6.
fn general(size: f64, precision: Option<usize>) -> String {
    let significant = precision.map(|precision| precision.max(1));
    let rounded = match significant {
        Some(digits) => format!("{size:.*e}", digits - 1),
        None => format!("{size:e}"),
    };
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let limit = significant.map_or(6, |digits| digits as i32);
    let short = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    if size != 0.0 && (exponent < -4 || exponent >= limit) {
        return go_exponent(&format!("{short}e{exponent}"));
    }
    match significant {
        Some(digits) => {
            let places = (digits as i32 - 1 - exponent).max(0) as usize;
            let text = format!("{size:.places$}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
        None => format!("{size}"),
    }
}
