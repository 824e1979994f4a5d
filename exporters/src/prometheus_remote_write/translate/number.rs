//! Numbers as label text, appended to a buffer.

use std::io::Write as _;

use serde::{Deserialize, Serialize};

/// How bounds and quantiles are written (`le_format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LeFormat {
    /// Parity by origin: what came as OTLP as [`LeFormat::Legacy`], what was scraped as [`LeFormat::OpenMetrics`].
    #[default]
    Auto,
    /// Shortest decimal without exponent: `1`, `0.005`, `1000000`.
    Legacy,
    /// Always with a point or an exponent: `1.0`, `0.005`, `1e+06`.
    OpenMetrics,
}

/// Appends a bound or quantile. `scraped`: the metric came from a scrape.
pub fn bound(out: &mut Vec<u8>, value: f64, format: LeFormat, scraped: bool) {
    let open_metrics = match format {
        LeFormat::Auto => scraped,
        LeFormat::Legacy => false,
        LeFormat::OpenMetrics => true,
    };
    if special(out, value) {
        return;
    }
    if !open_metrics {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{value}");
        return;
    }
    let start = out.len();
    // The shortest digits either way; the exponent decides which way.
    let exponent = if value == 0.0 { 0 } else { scientific(out, value) };
    if (-4..6).contains(&exponent) {
        out.truncate(start);
        let _ = write!(out, "{value}");
    } else {
        pad_exponent(out, start, 2);
    }
    if !out[start..].iter().any(|byte| matches!(byte, b'.' | b'e')) {
        out.extend_from_slice(b".0");
    }
}

/// Appends a number as ECMAScript writes it, which is how the Go Collector writes attribute values.
pub fn double(out: &mut Vec<u8>, value: f64) {
    if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
        return;
    }
    let start = out.len();
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        scientific(out, value);
        pad_exponent(out, start, 1);
    } else {
        let _ = write!(out, "{value}");
    }
}

/// Appends an integer.
pub fn int(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends what is not finite.
fn special(out: &mut Vec<u8>, value: f64) -> bool {
    let text: &[u8] = if value.is_nan() {
        b"NaN"
    } else if value == f64::INFINITY {
        b"+Inf"
    } else if value == f64::NEG_INFINITY {
        b"-Inf"
    } else {
        return false;
    };
    out.extend_from_slice(text);
    true
}

/// Appends the shortest digits with an exponent (`1.5e-7`), and returns that exponent.
fn scientific(out: &mut Vec<u8>, value: f64) -> i32 {
    let start = out.len();
    let _ = write!(out, "{value:e}");
    let text = std::str::from_utf8(&out[start..]).unwrap_or_default();
    text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

/// Gives the exponent at the end of what was written since `start` a sign and at least `digits` digits.
fn pad_exponent(out: &mut Vec<u8>, start: usize, digits: usize) {
    let Some(e) = out[start..].iter().rposition(|&byte| byte == b'e') else { return };
    let mut at = start + e + 1;
    if out.get(at) == Some(&b'-') {
        at += 1;
    } else {
        out.insert(at, b'+');
        at += 1;
    }
    while out.len() - at < digits {
        out.insert(at, b'0');
    }
}
