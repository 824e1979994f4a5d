//! What delivery tells of a destination (delivery §10).

use metrics::{Counter, Gauge};
use sluice_pipeline::ComponentId;
use sluice_pipeline::telemetry::Telemetry;

const CONFIG_ERROR: &str = "sluice_destination_config_error";
const BREAKER_STATE: &str = "sluice_destination_breaker_state";
const CONCURRENCY: &str = "sluice_destination_concurrency";
const WINDOW: &str = "sluice_destination_window_bytes";
const LETTERS_FULL: &str = "sluice_destination_dead_letters_full";

/// Handles of one exporter.
pub(super) struct Metrics {
    pub(super) config_error: Gauge,
    /// Sending has stopped, as what fails for good has no room.
    pub(super) letters_full: Gauge,
    pub(super) retries: Counter,
    /// Attempts of which nobody knows whether they delivered.
    pub(super) ambiguous: Counter,
    /// Requests that the search for bad items cost.
    pub(super) bisect_sends: Counter,
}

impl Metrics {
    pub(super) fn new(telemetry: &Telemetry, exporter: &ComponentId) -> Self {
        let label = [("exporter", exporter.as_str())];
        telemetry.describe(CONFIG_ERROR, None, "1 while the destination refuses us as configured.");
        telemetry.describe(LETTERS_FULL, None, "1 while sending has stopped because the dead letters are full.");
        telemetry.describe("sluice_exporter_retries_total", None, "Attempts after the first.");
        telemetry.describe("sluice_exporter_ambiguous_total", None, "Attempts that may have delivered or not.");
        telemetry.describe("sluice_exporter_bisect_sends_total", None, "Requests to find items that are refused.");
        Metrics {
            config_error: telemetry.gauge(CONFIG_ERROR, &label),
            letters_full: telemetry.gauge(LETTERS_FULL, &label),
            retries: telemetry.counter("sluice_exporter_retries_total", &label),
            ambiguous: telemetry.counter("sluice_exporter_ambiguous_total", &label),
            bisect_sends: telemetry.counter("sluice_exporter_bisect_sends_total", &label),
        }
    }

    /// Breaker state and limits, for the gate.
    pub(super) fn of_gate(telemetry: &Telemetry, exporter: &ComponentId) -> [Gauge; 3] {
        let label = [("exporter", exporter.as_str())];
        telemetry.describe(BREAKER_STATE, None, "0 closed, 1 open, 2 half-open.");
        telemetry.describe(CONCURRENCY, None, "Payloads that may be in flight.");
        telemetry.describe(WINDOW, None, "Bytes from which on no further payload is sent until others are answered.");
        [BREAKER_STATE, CONCURRENCY, WINDOW].map(|name| telemetry.gauge(name, &label))
    }
}

/// Takes back what was said of a destination that is not configured any more: nobody would ever take an alarm back.
pub fn forget(exporter: &ComponentId, telemetry: &Telemetry) {
    for name in [CONFIG_ERROR, BREAKER_STATE, CONCURRENCY, WINDOW, LETTERS_FULL] {
        telemetry.forget(name, &[("exporter", exporter.as_str())]);
    }
}
