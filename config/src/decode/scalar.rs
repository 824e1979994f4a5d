//! Durations and sizes as people write them.

/// Nanoseconds of a Go duration: a sequence of decimal numbers with a unit (`300ms`, `1.5h`, `1m30s`). Negative ones
/// are refused: nothing in a configuration waits for less than no time.
///
/// # Errors
/// Upstream's text, without the value.
pub(crate) fn go_duration(text: &str) -> Result<u64, &'static str> {
    const INVALID: &str = "time: invalid duration";
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(INVALID);
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_len);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(INVALID);
        }
        let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        let scale: u128 = match unit {
            "" => return Err("time: missing unit in duration"),
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err("time: unknown unit in duration"),
        };
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse::<u64>().map_err(|_| INVALID)?.into() };
        let mut part = whole * scale;
        let mut weight = scale;
        for digit in fraction.bytes() {
            weight /= 10;
            part += u128::from(digit - b'0') * weight;
        }
        total += part;
        if total > i64::MAX as u128 {
            return Err(INVALID);
        }
        rest = after;
    }
    if negative && total > 0 {
        return Err("must be non-negative");
    }
    u64::try_from(total).map_err(|_| INVALID)
}

/// Bytes of `512`, `64MiB`, `10GB`, `1.5KiB`.
pub(crate) fn byte_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1_000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        "tb" | "t" => 1_000_000_000_000,
        "kib" | "ki" => 1 << 10,
        "mib" | "mi" => 1 << 20,
        "gib" | "gi" => 1 << 30,
        "tib" | "ti" => 1 << 40,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale);
    }
    #[expect(clippy::cast_precision_loss, reason = "a scale is a small power of two or ten")]
    let bytes = number.parse::<f64>().ok().filter(|_| number.starts_with(|c: char| c.is_ascii_digit()))? * scale as f64;
    truncate(bytes).and_then(|bytes| u64::try_from(bytes).ok())
}

/// An integer field accepts a number with a fraction and drops it, as upstream's decoder does.
pub(crate) fn truncate(value: f64) -> Option<i128> {
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be within 2^64")]
    (value.is_finite() && value.abs() < LIMIT).then(|| value.trunc() as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_go() {
        let cases = [
            ("300ms", Ok(300_000_000)),
            ("1m30s", Ok(90_000_000_000)),
            ("1.5h", Ok(5_400_000_000_000)),
            (".5s", Ok(500_000_000)),
            ("1.s", Ok(1_000_000_000)),
            ("2us3µs", Ok(5_000)),
            ("0", Ok(0)),
            ("-0s", Ok(0)),
            ("+1s", Ok(1_000_000_000)),
            ("-1s", Err("must be non-negative")),
            ("5", Err("time: missing unit in duration")),
            ("5x", Err("time: unknown unit in duration")),
            ("1d", Err("time: unknown unit in duration")),
            ("", Err("time: invalid duration")),
            ("s", Err("time: invalid duration")),
            (".s", Err("time: invalid duration")),
            ("1..5s", Err("time: invalid duration")),
            ("1 s", Err("time: unknown unit in duration")),
            ("9223372036854775808ns", Err("time: invalid duration")),
            ("99999999999999999999h", Err("time: invalid duration")),
        ];
        for (text, expected) in cases {
            assert_eq!(go_duration(text), expected, "{text:?}");
        }
    }

    #[test]
    fn sizes_know_binary_and_decimal_units() {
        let cases = [
            ("512", Some(512)),
            ("64MiB", Some(64 << 20)),
            ("10GB", Some(10_000_000_000)),
            ("1.5KiB", Some(1536)),
            ("2 Gi", Some(2 << 30)),
            ("-1", None),
            ("MiB", None),
            ("1XB", None),
            ("99999999999999TiB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(byte_size(text), expected, "{text:?}");
        }
    }
}
