//! Points in time and durations, as Go has them: arithmetic, RFC 3339 text, duration syntax.

use std::fmt::Write as _;

const NANOS: i128 = 1_000_000_000;

/// A point in time with the offset of its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    secs: i64,
    nanos: u32,
    /// Seconds east of UTC.
    pub offset: i32,
}

/// A calendar date and time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub nanosecond: u32,
    /// 0 is Sunday.
    pub weekday: u8,
}

impl Time {
    /// Nanoseconds since the epoch, in UTC.
    pub fn from_unix_nanos(nanos: i64) -> Time {
        Time::at(i128::from(nanos))
    }

    /// Seconds since the epoch and nanoseconds on top, in UTC.
    pub fn from_unix(secs: i64, nanos: i64) -> Time {
        Time::at(i128::from(secs) * NANOS + i128::from(nanos))
    }

    fn at(nanos: i128) -> Time {
        let secs = nanos.div_euclid(NANOS).clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Time { secs: secs as i64, nanos: nanos.rem_euclid(NANOS) as u32, offset: 0 }
    }

    /// What orders points in time, whatever their zone.
    pub fn instant(self) -> (i64, u32) {
        (self.secs, self.nanos)
    }

    /// Nanoseconds since the epoch.
    pub fn nanos_since_epoch(self) -> i128 {
        i128::from(self.secs) * NANOS + i128::from(self.nanos)
    }

    /// Nanoseconds since the epoch; wraps outside the years 1678 to 2262, as Go's does.
    pub fn unix_nanos(self) -> i64 {
        self.nanos_since_epoch() as i64
    }

    /// Seconds since the epoch.
    pub fn unix_seconds(self) -> i64 {
        self.secs
    }

    /// Later by some nanoseconds, in the same zone.
    #[must_use]
    pub fn plus(self, nanos: i128) -> Time {
        Time { offset: self.offset, ..Time::at(self.nanos_since_epoch() + nanos) }
    }

    /// The nanoseconds from `other` to here, at the limits of a duration.
    pub fn since(self, other: Time) -> i64 {
        let nanos = self.nanos_since_epoch() - other.nanos_since_epoch();
        nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// Rounded down to a multiple of a duration since the start of the year 1 in UTC. Unchanged if it is not positive.
    #[must_use]
    pub fn truncated(self, duration: i64) -> Time {
        const YEAR_ONE: i128 = -62_135_596_800 * NANOS;
        if duration <= 0 {
            return self;
        }
        self.plus(-(self.nanos_since_epoch() - YEAR_ONE).rem_euclid(i128::from(duration)))
    }

    /// Date and time of day in its own zone.
    pub fn civil(self) -> Civil {
        let local = i128::from(self.secs) + i128::from(self.offset);
        let days = local.div_euclid(86_400) as i64;
        let second = local.rem_euclid(86_400) as u32;
        let (year, month, day) = date(days);
        Civil {
            year,
            month,
            day,
            hour: (second / 3600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
            nanosecond: self.nanos,
            weekday: (days + 4).rem_euclid(7) as u8,
        }
    }

    /// As Go prints it by default: `2024-02-29 23:59:59.5 +0000 UTC`.
    pub fn text(self) -> String {
        let rfc3339 = self.rfc3339();
        let local = rfc3339.get(..rfc3339.len() - if self.offset == 0 { 1 } else { 6 }).unwrap_or_default();
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.unsigned_abs() / 60;
        let zone = format!("{sign}{:02}{:02}", minutes / 60, minutes % 60);
        let name = if self.offset == 0 { "UTC" } else { &zone };
        format!("{} {zone} {name}", local.replacen('T', " ", 1))
    }

    /// RFC 3339 text with as many fractional digits as needed.
    pub fn rfc3339(self) -> String {
        let c = self.civil();
        let mut out =
            format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", c.year, c.month, c.day, c.hour, c.minute, c.second);
        if c.nanosecond > 0 {
            let digits = format!("{:09}", c.nanosecond);
            let _ = write!(out, ".{}", digits.trim_end_matches('0'));
        }
        if self.offset == 0 {
            out.push('Z');
        } else {
            let sign = if self.offset < 0 { '-' } else { '+' };
            let minutes = self.offset.unsigned_abs() / 60;
            let _ = write!(out, "{sign}{:02}:{:02}", minutes / 60, minutes % 60);
        }
        out
    }
}

/// Year, month and day of a count of days since 1970-01-01, in the proleptic Gregorian calendar.
fn date(days: i64) -> (i64, u8, u8) {
    // Years start in March here, so that the leap day comes last; an era is 400 years.
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u8, day as u8)
}

/// Reads Go's duration syntax, such as `1h30m`, `-1.5s`, `100us`. Nanoseconds.
///
/// # Errors
/// What is wrong, in Go's words.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let quoted = || crate::quote::quoted(text.get(..SHOWN).unwrap_or(text).as_bytes());
    let invalid = || format!("time: invalid duration {}", quoted());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0i128;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(number);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(invalid());
        }
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (name, tail) = tail.split_at(unit_len);
        let unit: i128 = match name {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => NANOS,
            "m" => 60 * NANOS,
            "h" => 3_600 * NANOS,
            "" => return Err(format!("time: missing unit in duration {}", quoted())),
            _ => {
                let name = crate::quote::quoted(name.get(..SHOWN).unwrap_or(name).as_bytes());
                return Err(format!("time: unknown unit {name} in duration {}", quoted()));
            }
        };
        if !whole.is_empty() {
            total += i128::from(whole.parse::<u64>().map_err(|_| invalid())?) * unit;
        }
        // Eighteen digits are more than a unit can tell apart.
        let fraction = fraction.get(..fraction.len().min(18)).unwrap_or("");
        if !fraction.is_empty() {
            let scale = 10i128.pow(fraction.len() as u32);
            total += i128::from(fraction.parse::<i64>().map_err(|_| invalid())?) * unit / scale;
        }
        if total > i128::from(i64::MAX) + i128::from(negative) {
            return Err(invalid());
        }
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

/// At most this much of a text goes into an error text.
const SHOWN: usize = 100;

/// A duration as Go prints it, such as `1h30m0s` or `1.5ms`.
pub fn duration_text(nanos: i64) -> String {
    let size = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    let decimal = |size: u64, unit: u64| {
        let (whole, rest) = (size / unit, size % unit);
        if rest == 0 {
            return whole.to_string();
        }
        let width = unit.ilog10() as usize;
        format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
    };
    match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{size}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimal(size, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(size, 1_000_000)),
        _ => {
            let (minutes, rest) = (size / 60_000_000_000, size % 60_000_000_000);
            let seconds = decimal(rest, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_rfc_3339() {
        for (secs, nanos, offset, text) in [
            (0, 0, 0, "1970-01-01T00:00:00Z"),
            (1_709_164_800, 0, 0, "2024-02-29T00:00:00Z"),
            (1_709_251_199, 120_000_000, 0, "2024-02-29T23:59:59.12Z"),
            (0, 1, 5400, "1970-01-01T01:30:00.000000001+01:30"),
            (-1, 0, -3600, "1969-12-31T22:59:59-01:00"),
            (-62_135_596_800, 0, 0, "0001-01-01T00:00:00Z"),
        ] {
            let time = Time { offset, ..Time::from_unix(secs, nanos) };
            assert_eq!(time.rfc3339(), text);
        }
        assert_eq!(Time::from_unix(1_709_164_800, 0).civil().weekday, 4);
    }

    #[test]
    fn no_number_is_too_far_away() {
        for secs in [i64::MIN, i64::MAX] {
            let time = Time::from_unix(secs, i64::MAX).plus(i128::from(i64::MAX));
            let _ = (time.civil(), time.rfc3339(), time.unix_nanos(), time.truncated(i64::MAX));
        }
    }

    #[test]
    fn truncation_counts_from_year_one() {
        let time = Time::from_unix(1_709_251_199, 120_000_000);
        assert_eq!(time.truncated(3_600_000_000_000).rfc3339(), "2024-02-29T23:00:00Z");
        assert_eq!(time.truncated(7 * 86_400_000_000_000).rfc3339(), "2024-02-26T00:00:00Z");
        assert_eq!(time.truncated(0), time);
    }

    #[test]
    fn durations_print_as_in_go() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (-2_000_000, "-2ms"),
            (1_000_000_001, "1.000000001s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(duration_text(nanos), text);
        }
        assert_eq!(Time::from_unix(1, 500_000_000).text(), "1970-01-01 00:00:01.5 +0000 UTC");
    }

    #[test]
    fn durations_follow_go() {
        for (text, nanos) in [
            ("1h30m", Some(5_400_000_000_000)),
            ("-1.5s", Some(-1_500_000_000)),
            ("100us", Some(100_000)),
            ("1µs", Some(1_000)),
            (".5ms", Some(500_000)),
            ("1.s", Some(1_000_000_000)),
            ("0", Some(0)),
            ("+0", Some(0)),
            ("", None),
            ("-", None),
            ("1", None),
            (".s", None),
            ("1d", None),
            ("1..5s", None),
            ("9223372036854775807ns", Some(i64::MAX)),
            ("-9223372036854775808ns", Some(i64::MIN)),
            ("2562048h", None),
        ] {
            assert_eq!(parse_duration(text).ok(), nanos, "{text}");
        }
    }
}
