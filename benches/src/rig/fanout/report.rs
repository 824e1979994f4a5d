//! The table of a fan-out scenario, and its verdicts.

use super::verdict::{Phase, Run, Stage};
use crate::rig::report::{Row, median};
use std::fmt::Write;

/// How much worse the first backend may be served while the second one fails.
const TOLERANCE: f64 = 0.10;

fn verdict(out: &mut String, holds: bool, text: &str) {
    let _ = writeln!(out, "- {}: {text}", if holds { "holds" } else { "**FAILS**" });
}

fn of_stage(runs: &[Run], stage: Stage) -> impl Iterator<Item = &Phase> {
    runs.iter().flat_map(|run| &run.phases).filter(move |phase| phase.stage == stage)
}

/// Writes the table and the verdicts of each candidate. `timed` says whether times mean anything.
pub(in crate::rig) fn table(out: &mut String, rows: &[Row], timed: bool) {
    out.push_str(
        "| collector | phase (medians) | seconds | accepted/s | refused/s | first backend/s | dropped | answer p50 ms | p99 ms \
         | delivery p50 ms | p99 ms | CPU ns/item | RSS MiB |\n",
    );
    let _ = writeln!(out, "|---|---|{}", "---:|".repeat(11));
    for row in rows {
        for stage in Stage::ALL {
            let of = |field: fn(&Phase) -> f64| median(of_stage(&row.fanouts, stage).map(field)).unwrap_or_default();
            if of_stage(&row.fanouts, stage).next().is_none() {
                continue;
            }
            let _ = writeln!(
                out,
                "| {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} |",
                row.candidate,
                stage.name(),
                of(|phase| phase.seconds),
                of(|phase| phase.accepted_per_second),
                of(|phase| phase.refused_per_second),
                of(|phase| phase.first_per_second),
                of(|phase| phase.dropped as f64),
                of(|phase| phase.p50_us as f64 / 1e3),
                of(|phase| phase.p99_us as f64 / 1e3),
                of(|phase| phase.delivery_p50_us as f64 / 1e3),
                of(|phase| phase.delivery_p99_us as f64 / 1e3),
                of(|phase| phase.cpu_ns_per_item),
                of(|phase| phase.rss_mib),
            );
        }
    }
    for row in rows {
        let _ = writeln!(out, "\n{}:\n", row.candidate);
        if timed {
            isolation(out, &row.fanouts);
        }
        for (number, run) in row.fanouts.iter().enumerate() {
            let _ = writeln!(out, "\nRun {}, emptied {:.1} s after the load ended:\n", number + 1, run.drained_seconds);
            for found in run.exactness().into_iter().chain(run.memory()) {
                verdict(out, found.holds, &found.text);
            }
        }
    }
    out.push('\n');
}

/// Compares the first backend's phases: the median over all phases of a kind in all runs.
fn isolation(out: &mut String, runs: &[Run]) {
    let rejects = of_stage(runs, Stage::QuotaFull).any(|phase| phase.refused_per_second > 0.0);
    for stage in [Stage::OneFails, Stage::QuotaFull] {
        if of_stage(runs, stage).next().is_none() || (stage == Stage::QuotaFull && rejects) {
            continue;
        }
        let compare = |field: fn(&Phase) -> f64| {
            let of = |stage| median(of_stage(runs, stage).map(field)).unwrap_or(f64::NAN);
            of(stage) / of(Stage::BothWell)
        };
        let rate = compare(|phase| phase.first_per_second);
        let text = format!("while {}, the first backend gets {rate:.3} × the items", stage.name());
        verdict(out, rate >= 1.0 - TOLERANCE, &text);
        let delivery: fn(&Phase) -> f64 = |phase| phase.delivery_p99_us as f64;
        let answer: fn(&Phase) -> f64 = |phase| phase.p99_us as f64;
        for (name, field) in [("delivery", delivery), ("answer", answer)] {
            let p99 = compare(field);
            let text = format!("while {}, the p99 of the {name} is {p99:.3} ×", stage.name());
            verdict(out, p99 <= 1.0 + TOLERANCE, &text);
        }
    }
}
