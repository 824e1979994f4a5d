//! Values and times as upstream prints them.

use std::fmt::Write as _;

use sluice_pdata::Error;
use sluice_pdata::view::{AnyValueView, NumberValue, text};

/// Nesting beyond this is cut short.
const DEPTH: usize = 16;

/// Replaces control characters, so that telemetry cannot drive the terminal.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' && character != '\t' {
            let _ = write!(out, "\\x{:02x}", character as u32);
        } else {
            out.push(character);
        }
    }
    out
}

/// A value with its type: `Str(shop)`.
pub(super) fn any_value(value: AnyValueView<'_>) -> Result<String, Error> {
    let kind = match value {
        AnyValueView::Empty | AnyValueView::StrIndex(_) => return Ok("Empty()".to_owned()),
        AnyValueView::Str(_) => "Str",
        AnyValueView::Bool(_) => "Bool",
        AnyValueView::Int(_) => "Int",
        AnyValueView::Double(_) => "Double",
        AnyValueView::Array(_) => "Slice",
        AnyValueView::KvList(_) => "Map",
        AnyValueView::Bytes(_) => "Bytes",
    };
    Ok(format!("{kind}({})", plain(value)?))
}

/// A value without its type; containers as JSON.
pub(super) fn plain(value: AnyValueView<'_>) -> Result<String, Error> {
    match value {
        AnyValueView::Str(bytes) => Ok(escaped(&text(bytes))),
        other => {
            let mut out = String::new();
            json(other, &mut out, 0)?;
            Ok(out)
        }
    }
}

fn json(value: AnyValueView<'_>, out: &mut String, depth: usize) -> Result<(), Error> {
    if depth > DEPTH {
        out.push('…');
        return Ok(());
    }
    match value {
        AnyValueView::Empty | AnyValueView::StrIndex(_) => {}
        AnyValueView::Str(bytes) => quoted(&text(bytes), out),
        AnyValueView::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        AnyValueView::Int(value) => {
            let _ = write!(out, "{value}");
        }
        AnyValueView::Double(value) => {
            let _ = write!(out, "{value}");
        }
        AnyValueView::Bytes(bytes) => out.push_str(&super::hex(bytes)),
        AnyValueView::Array(elements) => {
            out.push('[');
            for (index, element) in elements.values().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                json(element?, out, depth + 1)?;
            }
            out.push(']');
        }
        AnyValueView::KvList(elements) => {
            out.push('{');
            for (index, pair) in elements.key_values().enumerate() {
                let pair = pair?;
                if index > 0 {
                    out.push(',');
                }
                quoted(&text(pair.key()), out);
                out.push(':');
                json(pair.value()?, out, depth + 1)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04x}", control as u32);
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// The value of a number point or exemplar.
pub(super) fn number(value: NumberValue) -> String {
    match value {
        NumberValue::Empty => String::new(),
        NumberValue::Int(value) => value.to_string(),
        NumberValue::Double(value) => format!("{value:.6}"),
    }
}

/// Nanoseconds since the epoch as Go prints a UTC time: `2026-01-02 03:04:05.678 +0000 UTC`.
pub(super) fn time(unix_nano: u64) -> String {
    let (secs, nanos) = (unix_nano / 1_000_000_000, unix_nano % 1_000_000_000);
    let (days, in_day) = ((secs / 86_400) as i64, secs % 86_400);
    // Civil date from days, after H. Hinnant's public-domain algorithm.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let mut out =
        format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", in_day / 3600, in_day / 60 % 60, in_day % 60);
    if nanos > 0 {
        let fraction = format!("{nanos:09}");
        let _ = write!(out, ".{}", fraction.trim_end_matches('0'));
    }
    out.push_str(" +0000 UTC");
    out
}
