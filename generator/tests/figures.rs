//! How often signals find each other, against the design figures of correlation §1.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use sluice_generator::oracle::Arrivals;
use sluice_generator::settings::{MILLISECOND, SECOND, Timers};
use sluice_generator::{Settings, Shop};

fn arrivals(settings: Settings) -> Arrivals {
    let exports: Vec<_> = Shop::new(settings).unwrap().collect();
    Arrivals::read(exports.iter().map(|export| (export.arrival, export.signal, export.bytes.as_slice()))).unwrap()
}

fn ten_minutes() -> Settings {
    Settings { duration: 600 * SECOND, instances: 12, traces_per_second: 8.0, ..Settings::default() }
}

/// In percent, where the design says one.
type Share = Option<f64>;

/// Wait in ms, and what the design expects: logs, spans, traces.
const DESIGN: [(u64, Share, Share, Share); 6] = [
    (0, Some(9.0), Some(90.0), Some(8.0)),
    (1_000, Some(28.0), Some(99.9), Some(39.0)),
    (1_500, None, Some(100.0), None),
    (2_000, Some(48.0), None, Some(59.0)),
    (3_000, Some(68.0), None, Some(70.0)),
    (5_000, Some(99.4), None, Some(100.0)),
];

#[test]
fn the_design_figures_hold_for_this_shop() {
    let arrivals = arrivals(ten_minutes());
    let shown = |measured: f64, design: Option<f64>| match design {
        Some(design) => format!("{measured:.1} % ({design})"),
        None => format!("{measured:.1} %"),
    };
    let mut of_traces = Vec::new();
    let mut rows = [const { Vec::new() }; 3];
    for (wait, logs, spans, traces) in DESIGN {
        let wait = wait * MILLISECOND;
        let found = arrivals.recall(wait).percent();
        let summed = arrivals.complete_summaries(wait);
        let (complete, all) = arrivals.complete_traces(wait);
        let complete = 100.0 * complete as f64 / all as f64;
        rows[0].push(shown(found, logs));
        rows[1].push(shown(summed, spans));
        rows[2].push(shown(complete, traces));
        let near = |measured: f64, design: Option<f64>, tolerance: f64, what: &str| {
            let off = design.map_or(0.0, |design| (measured - design).abs());
            assert!(off <= tolerance, "{what} at {wait} ns: {measured} for {design:?}");
        };
        near(found, logs, if wait == 5 * SECOND { 1.0 } else { 4.0 }, "logs");
        near(summed, spans, if wait == 0 { 4.0 } else { 1.0 }, "spans");
        of_traces.push(complete);
    }
    for (name, row) in
        ["logs that find their span", "spans that have all their logs", "traces complete after root arrival"]
            .into_iter()
            .zip(rows)
    {
        println!("//! | {name} | {} |", row.join(" | "));
    }
    // A request of this shop mostly touches fewer processes than those of the design: more traces are complete at once.
    assert!(
        of_traces.is_sorted() && of_traces[0] < 30.0 && of_traces[3] < 75.0 && of_traces[5] > 99.0,
        "{of_traces:?}"
    );
}

#[test]
fn short_timers_need_short_holds() {
    let settings = Settings { timers: Timers::every(SECOND), duration: 120 * SECOND, ..ten_minutes() };
    let arrivals = arrivals(settings);
    assert!(arrivals.recall(0).percent() < 60.0);
    assert!(arrivals.recall(SECOND).percent() > 97.0, "{}", arrivals.recall(SECOND).percent());
    assert!(arrivals.waits(5 * SECOND).0 < 600 * MILLISECOND, "{:?}", arrivals.waits(5 * SECOND));
}
