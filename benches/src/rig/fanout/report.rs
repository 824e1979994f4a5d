//! The table of a fan-out scenario, and its verdicts.

use super::verdict::{Phase, Recovery, Run, Stage};
use crate::rig::report::{Row, judge as verdict, median};
use std::fmt::Write;

/// How much worse the others may be served while one fails.
const TOLERANCE: f64 = 0.10;

/// How much more memory a backlog on disk may cost, in MiB.
const GROWTH_MIB: f64 = 16.0;

/// How soon it begins to.
const RESUMES: f64 = 5.0;

/// How much faster than new items come in a backlog must go out.
const CATCH_UP: f64 = 2.0;

fn of_stage(runs: &[Run], stage: Stage) -> impl Iterator<Item = &Phase> {
    runs.iter().flat_map(|run| &run.phases).filter(move |phase| phase.stage == stage)
}

/// The same times beside it, where all was well.
fn beside(runs: &[Run], stage: Stage) -> impl Iterator<Item = &Phase> {
    runs.iter().flat_map(|run| &run.beside).filter(move |phase| phase.stage == stage)
}

/// Writes the table and the verdicts of each candidate. `timed` says whether times mean anything.
pub(in crate::rig) fn table(out: &mut String, rows: &[Row], timed: bool) {
    out.push_str(
        "| collector | phase (medians) | seconds | accepted/s | refused/s | others/s | dropped | answer p50 ms | p99 ms \
         | delivery p50 ms | p99 ms | CPU ns/item | RSS MiB | peak |\n",
    );
    let _ = writeln!(out, "|---|---|{}", "---:|".repeat(12));
    for row in rows {
        for stage in Stage::ALL {
            line(out, &row.candidate, stage, &of_stage(&row.fanouts, stage).collect::<Vec<_>>());
            line(out, "beside it", stage, &beside(&row.fanouts, stage).collect::<Vec<_>>());
        }
    }
    for row in rows {
        let _ = writeln!(out, "\n{}:\n", row.candidate);
        if timed {
            isolation(out, &row.fanouts);
            growth(out, &row.fanouts);
            catch_up(out, &row.fanouts);
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

/// The medians of some phases of a kind, if there are any.
fn line(out: &mut String, name: &str, stage: Stage, phases: &[&Phase]) {
    if phases.is_empty() {
        return;
    }
    let of = |field: fn(&Phase) -> f64| median(phases.iter().map(|phase| field(phase))).unwrap_or_default();
    let _ = writeln!(
        out,
        "| {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} |",
        name,
        stage.name(),
        of(|phase| phase.seconds),
        of(|phase| phase.accepted_per_second),
        of(|phase| phase.refused_per_second),
        of(|phase| phase.others_per_second),
        of(|phase| phase.dropped as f64),
        of(|phase| phase.p50_us as f64 / 1e3),
        of(|phase| phase.p99_us as f64 / 1e3),
        of(|phase| phase.delivery_p50_us as f64 / 1e3),
        of(|phase| phase.delivery_p99_us as f64 / 1e3),
        of(|phase| phase.cpu_ns_per_item),
        of(|phase| phase.rss_mib),
        of(|phase| phase.peak_rss_mib),
    );
}

/// Peak memory while one fails against the phase before, in the worst of all outages.
fn growth(out: &mut String, runs: &[Run]) {
    let mut worst = None;
    for run in runs.iter().filter(|run| run.durable) {
        let mut before = None;
        for phase in &run.phases {
            match (phase.stage, before) {
                (Stage::AllWell, _) => before = Some(phase.peak_rss_mib),
                (Stage::OneFails | Stage::QuotaFull, Some(before)) => {
                    let grown: f64 = phase.peak_rss_mib - before;
                    worst = Some(worst.map_or(grown, |worst: f64| worst.max(grown)));
                }
                _ => {}
            }
        }
    }
    if let Some(grown) = worst {
        let text = format!("while one fails, peak RSS grows by {grown:.1} MiB at most, of {GROWTH_MIB:.0}");
        verdict(out, grown <= GROWTH_MIB, &text);
    }
}

/// How fast the backlog went out, in the slowest of all recoveries.
fn catch_up(out: &mut String, runs: &[Run]) {
    let Some(usual) = median(of_stage(runs, Stage::AllWell).map(|phase| phase.accepted_per_second)) else { return };
    let recoveries = || runs.iter().flat_map(|run| &run.recoveries);
    let Some(slowest) = recoveries().map(Recovery::per_second).min_by(f64::total_cmp) else { return };
    let resumed = recoveries().map(|recovery| recovery.resumed).fold(0.0, f64::max);
    let text = format!("after an outage the backend gets {:.1} × what comes in, at least {CATCH_UP}", slowest / usual);
    verdict(out, slowest >= CATCH_UP * usual, &text);
    let text = format!("the first of it comes {resumed:.1} s after the end of the outage, at most {RESUMES}");
    verdict(out, resumed <= RESUMES, &text);
}

/// Compares the healthy backends' phases with those before, or with what was at the same times beside it: the median over all
/// phases of a kind in all runs.
fn isolation(out: &mut String, runs: &[Run]) {
    let rejects = of_stage(runs, Stage::QuotaFull).any(|phase| phase.refused_per_second > 0.0);
    for stage in [Stage::OneFails, Stage::QuotaFull] {
        if of_stage(runs, stage).next().is_none() || (stage == Stage::QuotaFull && rejects) {
            continue;
        }
        let compare = |field: fn(&Phase) -> f64| {
            let usual = match median(beside(runs, stage).map(field)) {
                Some(beside) => Some(beside),
                None => median(of_stage(runs, Stage::AllWell).map(field)),
            };
            median(of_stage(runs, stage).map(field)).zip(usual).map_or(f64::NAN, |(now, usual)| now / usual)
        };
        let rate = compare(|phase| phase.others_per_second);
        let text = format!("while {}, the others get {rate:.3} × the items", stage.name());
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
