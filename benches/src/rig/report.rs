//! Results: what each run measured, the median of the runs, ratios, a table to read and JSON to keep.

use super::disk::SyncTimes;
use super::fanout;
use super::options::Options;
use super::overload;
use super::scenario::{Kind, Scenario, Unit};
use crate::Error;
use crate::signal::Signal;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// One measured window of one candidate. "Unit" is an item or a sample, as the scenario says.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Measured {
    pub(super) cpu_ns_per_unit: f64,
    /// Of the collector's core; near 1 is saturated.
    pub(super) core_share: f64,
    pub(super) accepted_per_second: f64,
    pub(super) units_per_second: f64,
    /// Items accepted over the whole run less items that arrived; 0 unless something got lost (or came twice).
    pub(super) missing: i64,
    /// Items refused or not answered over the whole run.
    pub(super) refused: u64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) max_us: u64,
    pub(super) ready_ms: f64,
    pub(super) rss_mib: f64,
    pub(super) peak_rss_mib: f64,
    pub(super) bytes_out_per_unit: f64,
    /// Units for each item accepted: where the unit is a sample, about 6.1 unless some were lost.
    pub(super) units_per_item: f64,
}

impl Measured {
    pub(super) fn line(&self) -> String {
        format!(
            "{:>8.0} ns, {:>9.0}/s, core {:>3.0} %, p50 {:.1} ms, p99 {:.1} ms, peak {:.0} MiB{}",
            self.cpu_ns_per_unit,
            self.units_per_second,
            self.core_share * 100.0,
            self.p50_us as f64 / 1e3,
            self.p99_us as f64 / 1e3,
            self.peak_rss_mib,
            if self.missing == 0 && self.refused == 0 {
                String::new()
            } else {
                format!(", MISSING {} REFUSED {}", self.missing, self.refused)
            }
        )
    }
}

/// One start of one candidate.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Footprint {
    pub(super) ready_ms: f64,
    pub(super) idle_rss_mib: f64,
    pub(super) binary_mb: f64,
}

/// All runs of a candidate.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) candidate: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) runs: Vec<Measured>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) footprints: Vec<Footprint>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) fanouts: Vec<fanout::Run>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) overloads: Vec<overload::Run>,
    /// What went wrong; a row with problems measures something else than the others.
    pub(super) problems: Vec<String>,
}

impl Row {
    pub(super) fn new(candidate: &str) -> Self {
        Self {
            candidate: candidate.to_owned(),
            runs: Vec::new(),
            footprints: Vec::new(),
            fanouts: Vec::new(),
            overloads: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn median(&self, of: impl Fn(&Measured) -> f64) -> Option<f64> {
        median(self.runs.iter().map(of))
    }
}

pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 { Some(upper) } else { values.get(middle - 1).map(|lower| (lower + upper) / 2.0) }
}

/// The rows of a scenario.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    pub(super) scenario: String,
    pub(super) measures: String,
    #[serde(skip)]
    kind: Kind,
    /// What the figures are of.
    unit: &'static str,
    #[serde(skip)]
    counts_samples: bool,
    #[serde(skip)]
    smoke: bool,
    pub(super) rows: Vec<Row>,
    /// Empty in a smoke run, whose figures mean nothing.
    budget: BTreeMap<String, f64>,
    answer_budget_ms: BTreeMap<String, f64>,
    /// What the disk itself takes, where answers wait for it: before the rounds and after them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) syncs: Vec<SyncTimes>,
    /// What a write and a sync of each request would cost by themselves: CPU ns a unit, in each round.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) disk_calls_ns: Vec<f64>,
}

impl Outcome {
    pub(super) fn new(scenario: &Scenario, smoke: bool) -> Self {
        Self {
            scenario: scenario.name.clone(),
            measures: scenario.measures.clone(),
            kind: scenario.kind,
            unit: match (scenario.unit, scenario.load.signal) {
                (Unit::Sample, _) => "sample",
                (Unit::Item, Signal::Traces) => "span",
                (Unit::Item, Signal::Logs) => "record",
                (Unit::Item, Signal::Metrics) => "point",
            },
            counts_samples: scenario.unit == Unit::Sample,
            smoke,
            rows: Vec::new(),
            budget: if smoke { BTreeMap::new() } else { scenario.budget.clone() },
            answer_budget_ms: if smoke { BTreeMap::new() } else { scenario.answer_budget_ms.clone() },
            syncs: Vec::new(),
            disk_calls_ns: Vec::new(),
        }
    }

    fn row(&self, candidate: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.candidate == candidate)
    }

    /// CPU time per unit as a multiple of the reference's: the median over the rounds, each round against its own
    /// neighbour, so that a slow minute of the machine hits both sides of a ratio.
    fn ratio(&self, row: &Row, reference: &str) -> Option<f64> {
        let theirs = &self.row(reference)?.runs;
        median(row.runs.iter().zip(theirs).map(|(ours, theirs)| ours.cpu_ns_per_unit / theirs.cpu_ns_per_unit))
    }

    /// How much later the answers come, in milliseconds at the 99th percentile: the median over the rounds.
    fn later_ms(&self, row: &Row, reference: &str) -> Option<f64> {
        let theirs = &self.row(reference)?.runs;
        median(row.runs.iter().zip(theirs).map(|(ours, theirs)| (ours.p99_us as f64 - theirs.p99_us as f64) / 1e3))
    }

    /// Whether every row ran, delivered what it accepted, and did what it was to do.
    fn sound(&self) -> bool {
        let whole = |row: &Row| {
            row.runs.iter().all(|run| run.missing == 0)
                && row.fanouts.iter().all(fanout::Run::is_exact)
                && row.overloads.iter().all(overload::Run::is_exact)
        };
        self.rows.iter().all(|row| row.problems.is_empty() && whole(row))
    }

    fn table(&self) -> String {
        let mut out = format!("### {}: {}\n\n", self.scenario, self.measures);
        match self.kind {
            Kind::Throughput => self.throughput_table(&mut out),
            Kind::Footprint => self.footprint_table(&mut out),
            Kind::Fanout => fanout::table(&mut out, &self.rows, !self.smoke),
            Kind::Overload => overload::table(&mut out, &self.rows, !self.smoke),
        }
        for row in &self.rows {
            for problem in &row.problems {
                let _ = writeln!(out, "- **{}**: {problem}", row.candidate);
            }
        }
        out
    }

    fn throughput_table(&self, out: &mut String) {
        let references: Vec<&Row> = self.rows.iter().filter(|row| row.candidate != "sluice").collect();
        let _ = write!(out, "| collector | CPU ns/{} |", self.unit);
        for reference in &references {
            let _ = write!(out, " × {} |", reference.candidate);
        }
        // Samples have no count to compare with; how many there are of a point shows whether any are missing.
        let last = if self.counts_samples { "samples/point" } else { "missing" };
        let _ = writeln!(out, " {}s/s | core | p50 ms | p99 ms | peak MiB | {last} |", self.unit);
        let _ = writeln!(out, "|---|{}", "---:|".repeat(references.len() + 7));
        for row in &self.rows {
            let Some(cpu) = row.median(|run| run.cpu_ns_per_unit) else { continue };
            let _ = write!(out, "| {} | {cpu:.0} |", row.candidate);
            for reference in &references {
                match self.ratio(row, &reference.candidate) {
                    Some(value) if reference.candidate != row.candidate => {
                        let _ = write!(out, " {} |", ratio(value));
                    }
                    _ => out.push_str(" |"),
                }
            }
            let of = |field: fn(&Measured) -> f64| row.median(field).unwrap_or_default();
            let _ = writeln!(
                out,
                " {:.0} | {:.0} % | {:.1} | {:.1} | {:.0} | {} |",
                of(|run| run.units_per_second),
                of(|run| run.core_share) * 100.0,
                of(|run| run.p50_us as f64) / 1e3,
                of(|run| run.p99_us as f64) / 1e3,
                of(|run| run.peak_rss_mib),
                if self.counts_samples {
                    format!("{:.2}", of(|run| run.units_per_item))
                } else {
                    format!("{:.0}", of(|run| run.missing as f64))
                },
            );
        }
        out.push('\n');
        for (reference, limit) in &self.budget {
            if let Some(value) = self.row("sluice").and_then(|row| self.ratio(row, reference)) {
                let text = format!("CPU time {} × {reference}, at most {}", ratio(value), ratio(*limit));
                judge(out, value <= *limit, &text);
            }
        }
        for (reference, limit) in &self.answer_budget_ms {
            if let Some(value) = self.row("sluice").and_then(|row| self.later_ms(row, reference)) {
                let text = format!("answer p99 {value:.2} ms later than with {reference}, at most {limit:.0}");
                judge(out, value <= *limit, &text);
            }
        }
        if let Some(calls) = median(self.disk_calls_ns.iter().copied()) {
            let _ = writeln!(
                out,
                "- this disk's own calls, a write and an fdatasync for each request and nothing else, on the same core: {calls:.0} \
                 CPU ns/{}",
                self.unit
            );
        }
        for (SyncTimes { p50_ms, p99_ms, max_ms }, when) in self.syncs.iter().zip(["before", "after"]) {
            let _ = writeln!(
                out,
                "- this disk, {when} the rounds: fdatasync of 64 KiB appended takes p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms, \
                 at most {max_ms:.2} ms"
            );
        }
    }

    fn footprint_table(&self, out: &mut String) {
        out.push_str("| collector | start to ready ms | idle RSS MiB | binary MB |\n|---|---:|---:|---:|\n");
        for row in &self.rows {
            let of = |field: fn(&Footprint) -> f64| median(row.footprints.iter().map(field)).unwrap_or_default();
            let (ready, rss, size) = (of(|f| f.ready_ms), of(|f| f.idle_rss_mib), of(|f| f.binary_mb));
            let _ = writeln!(out, "| {} | {ready:.1} | {rss:.1} | {size:.1} |", row.candidate);
        }
        out.push('\n');
    }
}

/// One verdict of a table.
pub(super) fn judge(out: &mut String, holds: bool, text: &str) {
    let _ = writeln!(out, "- {}: {text}", if holds { "holds" } else { "**FAILS**" });
}

/// Two digits after the point below ten, and small ones as fractions: `0.07 (1/15)`.
fn ratio(value: f64) -> String {
    if value < 0.5 { format!("{value:.3} (1/{:.1})", 1.0 / value) } else { format!("{value:.2}") }
}

/// All scenarios of one call of the rig.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    machine: String,
    seconds: f64,
    runs: u32,
    smoke: bool,
    scenarios: Vec<Outcome>,
}

impl Results {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            machine: machine(),
            seconds: options.seconds,
            runs: options.runs,
            smoke: options.smoke,
            scenarios: Vec::new(),
        }
    }

    /// Prints the scenario's table and keeps its figures.
    pub(super) fn add(&mut self, out: &Path, outcome: Outcome) -> Result<(), Error> {
        println!("{}", outcome.table());
        let file = out.join(format!("{}.json", outcome.scenario));
        let json = serde_json::to_string_pretty(&outcome).map_err(|error| Error::Invalid(error.to_string()))?;
        std::fs::write(&file, json).map_err(Error::io(file.display().to_string()))?;
        self.scenarios.push(outcome);
        Ok(())
    }

    /// Writes everything once more, as one file each for machines and readers.
    pub(super) fn finish(&self, out: &Path) -> Result<bool, Error> {
        let json = serde_json::to_string_pretty(self).map_err(|error| Error::Invalid(error.to_string()))?;
        let mut text = format!("{}; windows of {} s, median of {} runs\n\n", self.machine, self.seconds, self.runs);
        self.scenarios.iter().for_each(|outcome| text.push_str(&outcome.table()));
        for (name, content) in [("results.json", &json), ("results.md", &text)] {
            let file = out.join(name);
            std::fs::write(&file, content).map_err(Error::io(file.display().to_string()))?;
        }
        eprintln!("rig: results are in {}", out.display());
        Ok(self.scenarios.iter().all(Outcome::sound))
    }
}

/// Processor, cores and kernel.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

#[cfg(test)]
mod tests {
    use super::{median, ratio};

    #[test]
    fn medians_and_ratios() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
        assert_eq!(ratio(0.0625), "0.062 (1/16.0)");
        assert_eq!(ratio(1.333), "1.33");
    }
}
