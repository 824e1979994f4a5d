//! Prometheus text exposition 0.0.4, under upstream's naming switches.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use metrics::Unit;

use super::registry::{Family, Series, Telemetry};

/// Upstream's naming switches (collector-compat §8). The default is generation 1: plain names.
///
/// They rename `otelcol_*` only; our own metrics are named as Prometheus wants from the start.
#[derive(Clone, Debug)]
pub struct Naming {
    /// `without_type_suffix`: counters do not end in `_total`.
    pub without_type_suffix: bool,
    /// `without_units`: names do not end in their unit.
    pub without_units: bool,
    /// Resource attributes: the labels of `target_info`.
    pub resource: Vec<(String, String)>,
    /// Resource attributes that every series carries (`with_resource_constant_labels`).
    pub constant_labels: Vec<(String, String)>,
}

impl Default for Naming {
    fn default() -> Self {
        Naming { without_type_suffix: true, without_units: true, resource: Vec::new(), constant_labels: Vec::new() }
    }
}

impl Naming {
    /// The name of a family on the wire.
    fn name(&self, name: &str, family: &Family) -> String {
        let mut full = name.to_owned();
        if !name.starts_with("otelcol_") {
            return full;
        }
        let unit = match family.unit {
            Some(Unit::Seconds) => "_seconds",
            Some(Unit::Bytes) => "_bytes",
            _ => "",
        };
        if !self.without_units && !full.ends_with(unit) {
            full.push_str(unit);
        }
        let counter = family.series.values().any(|series| matches!(series, Series::Counter(_) | Series::Total(_)));
        if !self.without_type_suffix && counter {
            full.push_str("_total");
        }
        full
    }
}

impl Telemetry {
    /// Everything as text, families by name. Runs the scrape hooks first.
    pub fn render(&self, naming: &Naming) -> String {
        let _alone = self.run_hooks();
        let mut out = String::new();
        for (name, family) in &*self.families() {
            if !family.series.is_empty() {
                write_family(&mut out, &sanitized(&naming.name(name, family)), family, &naming.constant_labels);
            }
        }
        if !naming.resource.is_empty() {
            out.push_str("# HELP target_info Target metadata\n# TYPE target_info gauge\n");
            sample(&mut out, "target_info", &[&naming.resource], None, 1.0);
        }
        out
    }
}

fn write_family(out: &mut String, name: &str, family: &Family, constant: &[(String, String)]) {
    let kind = match family.series.values().next() {
        Some(Series::Counter(_) | Series::Total(_)) => "counter",
        Some(Series::Gauge(_)) => "gauge",
        Some(Series::Histogram(_)) => "histogram",
        None => return,
    };
    if !family.help.is_empty() {
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(out, "# HELP {name} {help}");
    }
    let _ = writeln!(out, "# TYPE {name} {kind}");
    for (labels, series) in &family.series {
        let labels: [&[(String, String)]; 2] = [labels, constant];
        match series {
            Series::Counter(value) => {
                let value = value.load(Ordering::Relaxed);
                write_name(out, name, &labels, None);
                let _ = writeln!(out, " {value}");
            }
            Series::Gauge(bits) | Series::Total(bits) => {
                sample(out, name, &labels, None, f64::from_bits(bits.load(Ordering::Relaxed)));
            }
            Series::Histogram(buckets) => {
                let mut total = 0;
                let bounds = buckets.bounds.iter().copied().chain([f64::INFINITY]);
                for (bound, count) in bounds.zip(&buckets.counts) {
                    total += count.load(Ordering::Relaxed);
                    write_name(out, &format!("{name}_bucket"), &labels, Some(bound));
                    let _ = writeln!(out, " {total}");
                }
                sample(out, &format!("{name}_sum"), &labels, None, buckets.sum());
                write_name(out, &format!("{name}_count"), &labels, None);
                let _ = writeln!(out, " {total}");
            }
        }
    }
}

fn sample(out: &mut String, name: &str, labels: &[&[(String, String)]], le: Option<f64>, value: f64) {
    write_name(out, name, labels, le);
    out.push(' ');
    write_float(out, value);
    out.push('\n');
}

/// Name and labels. A label that occurs twice is written once, the first.
fn write_name(out: &mut String, name: &str, labels: &[&[(String, String)]], le: Option<f64>) {
    out.push_str(name);
    let mut written: Vec<String> = Vec::new();
    for (key, value) in labels.iter().copied().flatten() {
        let key = sanitized(key);
        if written.contains(&key) {
            continue;
        }
        out.push(if written.is_empty() { '{' } else { ',' });
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, "{key}=\"{value}\"");
        written.push(key);
    }
    if let Some(le) = le {
        out.push_str(if written.is_empty() { "{le=\"" } else { ",le=\"" });
        write_float(out, le);
        out.push('"');
    }
    if le.is_some() || !written.is_empty() {
        out.push('}');
    }
}

fn write_float(out: &mut String, value: f64) {
    let _ = match value {
        f64::INFINITY => write!(out, "+Inf"),
        f64::NEG_INFINITY => write!(out, "-Inf"),
        value => write!(out, "{value}"),
    };
}

/// Characters that classic names cannot have become `_`.
fn sanitized(name: &str) -> String {
    let plain = |(index, c): (usize, char)| {
        let allowed = c == '_' || c == ':' || c.is_ascii_alphabetic() || (index > 0 && c.is_ascii_digit());
        if allowed { c } else { '_' }
    };
    name.chars().enumerate().map(plain).collect()
}
