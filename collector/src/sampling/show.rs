//! Explanations for people.

use std::fmt::Write as _;

use sluice_processors::sampling::explain::{PolicyExplanation, PolicySummary, TraceExplanation};

/// The policies of a component.
pub(super) fn table(id: &str, policies: &[PolicySummary]) -> String {
    let mut rows = vec![["POLICY", "TYPE", "NEEDS", "T", "KEEPS", "LIMIT"].map(str::to_owned)];
    rows.extend(policies.iter().map(|policy| {
        let dash = || "-".to_owned();
        let needs = if policy.needs.is_empty() { dash() } else { policy.needs.join(", ") };
        [
            policy.name.clone(),
            policy.kind.clone(),
            needs,
            policy.threshold.clone().unwrap_or_else(dash),
            policy.keeps.map_or_else(dash, percent),
            policy.limit.clone().unwrap_or_else(dash),
        ]
    }));
    let mut out = format!("{}: {} policies\n", escaped(id), policies.len());
    out.push_str(&aligned("  ", &rows));
    out.push_str("\nT: kept where the randomness of the trace is at least this. KEEPS: of those that match.\n");
    out
}

/// What became of each trace, and why.
pub(super) fn traces(id: &str, traces: &[TraceExplanation]) -> String {
    let mut out = String::new();
    for trace in traces {
        let _ = writeln!(out, "{}  {}", trace.trace_id, facts(trace));
        let rows: Vec<_> = trace.policies.iter().map(policy).collect();
        out.push_str(&aligned("  ", &rows));
        let _ = writeln!(out, "  = {}\n", verdict(trace));
    }
    let kept = traces.iter().filter(|trace| trace.kept).count();
    let _ = writeln!(out, "{}: {kept} of {} traces kept", escaped(id), traces.len());
    out
}

fn facts(trace: &TraceExplanation) -> String {
    let mut facts = format!("{} spans, {} errors", trace.spans, trace.errors);
    if trace.logs > 0 {
        let _ = write!(facts, ", {} logs", trace.logs);
    }
    if let Some(duration) = trace.duration_ms {
        let _ = write!(facts, ", {duration} ms");
    }
    if !trace.has_root {
        facts.push_str(", no root");
    }
    let _ = write!(facts, ", R {}", trace.randomness);
    facts
}

fn policy(policy: &PolicyExplanation) -> [String; 6] {
    let matched = match (policy.said, policy.matched) {
        ("not_asked", _) => "-",
        (_, true) => "yes",
        (_, false) => "no",
    };
    let threshold = policy.threshold.as_ref().map_or(String::new(), |threshold| format!("T {threshold}"));
    let values = policy.values.join("; ");
    [policy.name.clone(), policy.kind.clone(), matched.to_owned(), policy.said.replace('_', " "), threshold, values]
}

fn verdict(trace: &TraceExplanation) -> String {
    let by = trace.decided_by.as_ref().map_or("no policy wants it".to_owned(), |by| format!("by {}", escaped(by)));
    match (trace.kept, &trace.threshold, trace.adjusted_count) {
        (false, ..) => format!("dropped, {by}"),
        (true, Some(threshold), Some(count)) => format!("kept, {by}; th {threshold}, counts {}", short(count)),
        (true, ..) => format!("kept, {by}; with a probability that is not known, th is erased"),
    }
}

fn percent(share: f64) -> String {
    format!("{} %", short(share * 100.0))
}

/// Four digits behind the point at most.
fn short(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Columns as wide as their widest cell.
fn aligned<const N: usize>(indent: &str, rows: &[[String; N]]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| escaped(cell)).collect()).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
        let text: Vec<String> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(out, "{indent}{}", text.join("  ").trim_end());
    }
    out
}

/// What a recording says must not steer a terminal.
fn escaped(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}
