//! OTLP (UCUM) units as words.

use super::Compat;

/// The words that a unit puts into a metric name: the unit itself and what it is counted per (`per_<x>`). Either may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitWords {
    pub main: String,
    pub per: String,
}

impl UnitWords {
    /// Reads a unit: its two halves at the first `/`, each mapped by the table or taken as it is. A half that is empty or
    /// annotated with `{…}` does not count.
    pub fn of(unit: &str, compat: Compat) -> Self {
        let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
        let counts = |half: &str| !half.is_empty() && !half.contains(['{', '}']);
        let (main, per) = (main.trim(), per.trim());
        let main = if counts(main) { main_word(main, compat).to_owned() } else { String::new() };
        let per = if counts(per) { format!("per_{}", per_word(per)) } else { String::new() };
        UnitWords { main, per }
    }

    /// The same, fit for legacy names.
    pub fn escaped(unit: &str, compat: Compat) -> Self {
        let UnitWords { main, per } = Self::of(unit, compat);
        let (mut main, mut per) = (clean(&main), clean(&per));
        if per == "per_" {
            per.clear();
        }
        if per.ends_with('_') {
            per.pop();
        }
        if !per.is_empty() && main.ends_with('_') {
            main.pop();
        }
        UnitWords { main, per }
    }

    /// The unit of a metric's metadata.
    pub fn joined(&self) -> String {
        match (self.main.is_empty(), self.per.is_empty()) {
            (false, false) => format!("{}_{}", self.main, self.per),
            _ => format!("{}{}", self.main, self.per),
        }
    }
}

/// Invalid characters become `_`, runs of `_` one, a leading one goes.
fn clean(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        if c.is_ascii_alphanumeric() || c == ':' {
            out.push(c);
        } else if !out.ends_with('_') {
            out.push('_');
        }
    }
    if out.starts_with('_') {
        out.remove(0);
    }
    out
}

fn main_word(unit: &str, compat: Compat) -> &str {
    match (unit, compat) {
        // Time.
        ("d", _) => "days",
        ("h", _) => "hours",
        ("min", _) => "minutes",
        ("s", _) => "seconds",
        ("ms", _) => "milliseconds",
        ("us", _) => "microseconds",
        ("ns", _) => "nanoseconds",
        // Bytes.
        ("By", _) => "bytes",
        ("KiBy", _) => "kibibytes",
        ("MiBy", _) => "mebibytes",
        ("GiBy", _) => "gibibytes",
        ("TiBy", Compat::Prometheus) => "tibibytes", // Prometheus' spelling: series keep their names
        ("TiBy", Compat::OtelSpec) => "tebibytes",
        ("KBy", Compat::Prometheus) | ("kBy", Compat::OtelSpec) => "kilobytes",
        ("MBy", _) => "megabytes",
        ("GBy", _) => "gigabytes",
        ("TBy", _) => "terabytes",
        // SI.
        ("m", _) => "meters",
        ("V", _) => "volts",
        ("A", _) => "amperes",
        ("J", _) => "joules",
        ("W", _) => "watts",
        ("g", _) => "grams",
        // Others.
        ("Cel", _) => "celsius",
        ("Hz", _) => "hertz",
        ("1", _) => "",
        ("%", _) => "percent",
        (other, _) => other,
    }
}

fn per_word(unit: &str) -> &str {
    match unit {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        other => other,
    }
}
