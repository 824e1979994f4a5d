//! What the connector tells about itself, as of its last flush.

use metrics::{Counter, Gauge};
use sluice_pipeline::ComponentId;
use sluice_pipeline::telemetry::Telemetry;

use super::aggregate::Counts;
use super::exemplar::Outcomes;

/// The handles of one connector.
pub struct SpanMetricsMetrics {
    spans: [Counter; 4],
    overflow: Counter,
    negative: Counter,
    thresholds: Counter,
    exemplars: [Counter; 6],
    series: Gauge,
    bytes: Gauge,
}

/// What became of a span, by the value of the label `outcome`.
const SPANS: [&str; 4] = ["aggregated", "no_service_name", "invalid", "limit_cardinality"];
/// What became of an exemplar candidate.
const EXEMPLARS: [&str; 6] = ["kept", "dropped", "surplus", "unknown", "expired", "stripped"];

const HELP: [(&str, &str); 7] = [
    ("otelcol_connector_spanmetrics_spans", "Spans that came in, by what became of them."),
    ("otelcol_connector_spanmetrics_overflow", "Spans and events that went to an overflow series."),
    ("otelcol_connector_spanmetrics_negative_durations", "Spans that ended before they started, counted as 0."),
    ("otelcol_connector_spanmetrics_threshold_errors", "Spans whose sampling threshold is not valid, counted as 1."),
    ("otelcol_connector_spanmetrics_exemplars", "Exemplar candidates, by what became of them."),
    ("otelcol_connector_spanmetrics_series", "Series that are remembered."),
    ("otelcol_connector_spanmetrics_bytes", "Memory that series, resources and candidates take."),
];

impl SpanMetricsMetrics {
    pub fn new(telemetry: &Telemetry, id: &ComponentId) -> Self {
        for (name, help) in HELP {
            telemetry.describe(name, None, help);
        }
        let connector = ("connector", id.as_str());
        let counter = |name: &str| telemetry.counter(name, &[connector]);
        let by_outcome =
            |name: &str, outcome: &'static str| telemetry.counter(name, &[connector, ("outcome", outcome)]);
        SpanMetricsMetrics {
            spans: SPANS.map(|outcome| by_outcome("otelcol_connector_spanmetrics_spans", outcome)),
            overflow: counter("otelcol_connector_spanmetrics_overflow"),
            negative: counter("otelcol_connector_spanmetrics_negative_durations"),
            thresholds: counter("otelcol_connector_spanmetrics_threshold_errors"),
            exemplars: EXEMPLARS.map(|outcome| by_outcome("otelcol_connector_spanmetrics_exemplars", outcome)),
            series: telemetry.gauge("otelcol_connector_spanmetrics_series", &[connector]),
            bytes: telemetry.gauge("otelcol_connector_spanmetrics_bytes", &[connector]),
        }
    }

    /// Adds what happened since the last call.
    pub fn add(&self, counts: &Counts, outcomes: &Outcomes) {
        let spans = [counts.aggregated, counts.without_service, counts.malformed, counts.refused];
        for (counter, spans) in self.spans.iter().zip(spans) {
            counter.increment(spans as u64);
        }
        self.overflow.increment(counts.overflow as u64);
        self.negative.increment(counts.negative as u64);
        self.thresholds.increment(counts.invalid_thresholds as u64);
        let Outcomes { attached, dropped, surplus, unknown, expired, stripped } = *outcomes;
        let outcomes = [attached, dropped, surplus, unknown, expired, stripped];
        for (counter, candidates) in self.exemplars.iter().zip(outcomes) {
            counter.increment(candidates);
        }
    }

    /// Shows the present size.
    pub fn show(&self, series: usize, bytes: usize) {
        self.series.set(series as f64);
        self.bytes.set(bytes as f64);
    }
}
