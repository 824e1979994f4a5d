//! Upstream's metrics.

use std::sync::{Arc, Mutex, PoisonError};

use sluice_pdata::Signal;
use sluice_pipeline::ComponentId;
use sluice_pipeline::clock::Clock;
use sluice_pipeline::telemetry::Telemetry;

use super::config::Config;
use crate::trace_window::{Engine, Outcome, SharedEngine, Timing};

const HELP: [(&str, &str); 8] = [
    ("conf_num_traces", "Traces that may be held."),
    ("num_traces_in_memory", "Traces that are held."),
    ("num_events_in_queue", "Spans that are held."),
    ("traces_released", "Traces that went on."),
    ("spans_released", "Spans that went on."),
    ("traces_evicted", "Traces that went on before their time, for lack of room."),
    ("event_latency", "Time to take in a batch, or to let go what is due, in milliseconds."),
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

/// Bounds of latencies in milliseconds.
const LATENCIES: [f64; 8] = [5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3];

/// What is told how long a batch, or letting go, takes: under upstream's names of those events.
pub(super) fn timing(telemetry: &Telemetry, id: &ComponentId, clock: Arc<dyn Clock>) -> Timing {
    const NAME: &str = "otelcol_processor_groupbytrace_event_latency";
    telemetry.bounds(NAME, &LATENCIES);
    let of = |event| telemetry.histogram(NAME, &[("processor", id.as_str()), ("event", event)]);
    Timing { clock, absorb: of("onTraceReceived"), tick: of("onTraceExpired") }
}
