use std::time::Duration;

/// Reads `grpc-timeout`: up to eight digits and a unit. Anything else is ignored (`transport.md`).
pub(super) fn parse(value: &str) -> Option<Duration> {
    let unit = value.chars().next_back()?;
    let digits = value.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(count * 3600),
        'M' => Duration::from_secs(count * 60),
        'S' => Duration::from_secs(count),
        'm' => Duration::from_millis(count),
        'u' => Duration::from_micros(count),
        'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Writes `grpc-timeout`, rounded up to whole milliseconds, or seconds when that takes over eight digits.
pub(super) fn format(timeout: Duration) -> String {
    let millis = timeout.as_nanos().div_ceil(1_000_000);
    if millis <= 99_999_999 { format!("{millis}m") } else { format!("{}S", timeout.as_secs().clamp(1, 99_999_999)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_and_written() {
        let read = [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("4000m", Some(Duration::from_secs(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("0m", Some(Duration::ZERO)),
            ("123456789m", None),
            ("m", None),
            ("", None),
            ("5", None),
            ("5x", None),
            ("-5m", None),
            ("+5m", None),
            ("5é", None),
        ];
        for (text, expected) in read {
            assert_eq!(parse(text), expected, "{text}");
        }
        for (timeout, text) in [
            (Duration::from_secs(5), "5000m"),
            (Duration::from_micros(1), "1m"),
            (Duration::from_secs(200_000), "200000S"),
            (Duration::MAX, "99999999S"),
        ] {
            assert_eq!(format(timeout), text);
        }
    }
}
