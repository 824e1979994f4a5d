//! The table of an overload scenario, and its verdicts.

use super::verdict::{Phase, Run};
use crate::rig::report::{Row, judge, median};
use std::fmt::Write;

/// Share of the capacity that must still get through.
const GOODPUT: f64 = 0.9;

/// How many times later the answers to accepted requests may come.
const SLOWER: f64 = 2.0;

fn of_phase<'r>(runs: &'r [Run], name: &str) -> impl Iterator<Item = &'r Phase> {
    runs.iter().flat_map(|run| &run.phases).filter(move |phase| phase.name == name)
}

/// Writes the table and the verdicts of each candidate. `timed` says whether times mean anything.
pub(in crate::rig) fn table(out: &mut String, rows: &[Row], timed: bool) {
    out.push_str(
        "| collector | phase (medians) | seconds | offered/s | accepted/s | refused/s | delivered/s | answer p50 ms | p99 ms \
         | core | RSS MiB | peak |\n",
    );
    let _ = writeln!(out, "|---|---|{}", "---:|".repeat(10));
    for row in rows {
        for name in ["unloaded", "saturated", "overload"] {
            let of = |field: fn(&Phase) -> f64| median(of_phase(&row.overloads, name).map(field)).unwrap_or_default();
            if of_phase(&row.overloads, name).next().is_none() {
                continue;
            }
            let _ = writeln!(
                out,
                "| {} | {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {:.0} % | {:.0} | {:.0} |",
                row.candidate,
                of(|phase| phase.seconds),
                of(|phase| phase.offered_per_second.unwrap_or_default()),
                of(|phase| phase.accepted_per_second),
                of(|phase| phase.refused_per_second),
                of(|phase| phase.delivered_per_second),
                of(|phase| phase.p50_us as f64 / 1e3),
                of(|phase| phase.p99_us as f64 / 1e3),
                of(|phase| phase.core_share * 100.0),
                of(|phase| phase.rss_mib),
                of(|phase| phase.peak_rss_mib),
            );
        }
    }
    for row in rows {
        let _ = writeln!(out, "\n{}:\n", row.candidate);
        if timed {
            compare(out, &row.overloads);
        }
        for run in &row.overloads {
            run.exactness().into_iter().for_each(|(holds, text)| judge(out, holds, &text));
        }
    }
    out.push('\n');
}

/// The overload against the same collector with room to spare: medians over the runs.
fn compare(out: &mut String, runs: &[Run]) {
    let of = |name: &str, field: fn(&Phase) -> f64| median(of_phase(runs, name).map(field)).unwrap_or(f64::NAN);
    let delivered: fn(&Phase) -> f64 = |phase| phase.delivered_per_second;
    let goodput = of("overload", delivered) / of("saturated", delivered);
    judge(out, goodput >= GOODPUT, &format!("overloaded it delivers {goodput:.3} × its capacity, at least {GOODPUT}"));
    let p99: fn(&Phase) -> f64 = |phase| phase.p99_us as f64 / 1e3;
    let (loaded, unloaded) = (of("overload", p99), of("unloaded", p99));
    let text = format!("the p99 of answers to accepted requests is {loaded:.2} ms, unloaded {unloaded:.2} ms");
    judge(out, loaded <= SLOWER * unloaded, &text);
}
