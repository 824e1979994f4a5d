//! Upstream's metrics.

use std::sync::{Mutex, PoisonError};

use sluice_pdata::Signal;
use sluice_pipeline::ComponentId;
use sluice_pipeline::telemetry::Telemetry;

use super::config::Config;
use crate::trace_window::{Engine, Outcome, SharedEngine};

const HELP: [(&str, &str); 7] = [
    ("conf_num_traces", "Traces that may be held."),
    ("num_traces_in_memory", "Traces that are held."),
    ("num_events_in_queue", "Spans that are held."),
    ("traces_released", "Traces that went on."),
    ("spans_released", "Spans that went on."),
    ("traces_evicted", "Traces that went on before their time, for lack of room."),
    ("incomplete_releases", "Traces that were gone when their time came: none."),
];

/// Shows at each scrape what the window counts.
pub(super) fn show(telemetry: &Telemetry, id: &ComponentId, config: &Config, engine: &SharedEngine) {
    let processor = ("processor", id.as_str());
    let name = |of: &str| format!("otelcol_processor_groupbytrace_{of}");
    for (of, help) in HELP {
        telemetry.describe(&name(of), None, help);
    }
    telemetry.gauge(&name("conf_num_traces"), &[processor]).set(config.num_traces as f64);
    let _ = telemetry.counter(&name("incomplete_releases"), &[processor]);
    let gauge = |of: &str| telemetry.gauge(&name(of), &[processor]);
    let total = |of: &str| telemetry.total(&name(of), &[processor]);
    let (traces, spans) = (gauge("num_traces_in_memory"), gauge("num_events_in_queue"));
    let (traces_released, spans_released) = (total("traces_released"), total("spans_released"));
    let evicted = total("traces_evicted");
    telemetry.on_scrape_of(engine.inner(), move |engine: &Mutex<Engine>| {
        let engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
        let (window, statistics) = (engine.window(), engine.statistics());
        traces.set(window.traces as f64);
        spans.set(window.held as f64);
        traces_released.set(statistics.decisions.values().map(|count| count.traces).sum::<u64>() as f64);
        spans_released.set(statistics.items(Signal::Traces, Outcome::Kept) as f64);
        let early =
            ["window_full", "decided_pressure", "trace_limit"].map(|why| statistics.evictions.get(why).copied());
        evicted.set(early.into_iter().flatten().sum::<u64>() as f64);
    });
}
