//! Durations as people write them in Go and Prometheus configuration: `90s`, `1m30s`, `1.5h`, `5d`.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::ser::{Serialize, Serializer};

/// Reads a duration: one or more of number and unit (`ns us µs ms s m h d w y`), or a bare `0`.
///
/// The units are the union of Go's and Prometheus'; negative durations have no meaning here and are refused.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0.0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 7.0 * 86_400.0,
            "y" => 365.0 * 86_400.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = tail;
    }
    // Nanosecond steps, so that 0.1 s is exactly 100 ms.
    let nanos = (total * 1e9).round();
    (!text.is_empty() && nanos < u64::MAX as f64).then(|| Duration::from_nanos(nanos as u64))
}

/// Writes a duration as Prometheus does: `1m`, `1h30m`, `15s`, `250ms`; zero is `0s`.
pub fn format_duration(duration: Duration) -> String {
    let mut ms = duration.as_millis();
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if ms >= size {
            out.push_str(&format!("{}{unit}", ms / size));
            ms %= size;
        }
    }
    out
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as `30s` or `1m30s`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Duration, E> {
        parse_duration(text)
            .ok_or_else(|| E::custom(format!("`{text}` is no duration; write for example `30s` or `1m30s`")))
    }
}

/// For `#[serde(with = "…")]` on a [`Duration`].
pub mod text {
    use super::*;

    /// Reads a duration from text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_str(DurationVisitor)
    }

    /// Writes it as [`format_duration`] does.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(*duration))
    }
}

/// For `#[serde(with = "…")]` on an optional duration: absent means "as the outer level says".
pub mod optional {
    use super::*;

    /// Reads a duration from text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        text::deserialize(deserializer).map(Some)
    }

    /// Writes it as [`format_duration`] does.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        duration.map(format_duration).serialize(serializer)
    }
}

/// A duration, or `auto`: the component derives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoDuration {
    /// Derived as the documentation of the key says.
    #[default]
    Auto,
    /// Given by the user.
    Fixed(Duration),
}

impl AutoDuration {
    /// The given duration, or what `derive` says for `auto`.
    pub fn or_else(self, derive: impl FnOnce() -> Duration) -> Duration {
        match self {
            AutoDuration::Auto => derive(),
            AutoDuration::Fixed(duration) => duration,
        }
    }
}

impl Serialize for AutoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            AutoDuration::Auto => serializer.serialize_str("auto"),
            AutoDuration::Fixed(duration) => text::serialize(duration, serializer),
        }
    }
}

impl<'de> Deserialize<'de> for AutoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "auto" {
            return Ok(AutoDuration::Auto);
        }
        parse_duration(&text)
            .map(AutoDuration::Fixed)
            .ok_or_else(|| D::Error::custom(format!("`{text}` is neither `auto` nor a duration such as `30s`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_and_prometheus_spellings_are_read() {
        for (text, ms) in
            [("30s", 30_000), ("1m30s", 90_000), ("1.5h", 5_400_000), ("5d", 432_000_000), ("100ms", 100), ("0", 0)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1x", "1.2.3s", "99999999999999y"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_written_duration_reads_back() {
        for ms in [0, 1, 999, 15_000, 60_000, 90_500, 86_400_000] {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }
    }
}
