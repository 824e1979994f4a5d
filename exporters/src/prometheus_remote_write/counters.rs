//! What the exporter tells of itself, under upstream's names.

use metrics::{Counter, Gauge};
use sluice_pipeline::ComponentId;
use sluice_pipeline::telemetry::Telemetry;

use super::encode::Content;
use super::response::Written;
use super::series::Converted;

/// Counters of one exporter.
pub struct Counters {
    pub failed_translations: Counter,
    pub translated_time_series: Counter,
    pub sent_batches: Counter,
    pub consumers: Gauge,
    pub written_samples: Counter,
    pub written_histograms: Counter,
    pub written_exemplars: Counter,
    /// 1 while the endpoint acknowledges what it does not write.
    pub nothing_written: Gauge,
}

impl Counters {
    pub fn new(telemetry: &Telemetry, id: &ComponentId) -> Self {
        let labels = [("exporter", id.as_str())];
        let counter = |name: &str, help: &str| {
            let name = format!("otelcol_exporter_prometheusremotewrite_{name}");
            telemetry.describe(&name, None, help);
            telemetry.counter(&name, &labels)
        };
        let nothing_written = "sluice_remote_write_nothing_written";
        telemetry.describe(
            nothing_written,
            None,
            "1 while the endpoint acknowledges batches of which it writes nothing.",
        );
        Counters {
            failed_translations: counter("failed_translations", "Number of translation operations that failed."),
            translated_time_series: counter("translated_time_series", "Number of Prometheus time series translated."),
            sent_batches: counter("sent_batches", "Number of remote write requests sent, whatever the answer."),
            consumers: telemetry.gauge("otelcol_exporter_prometheusremotewrite_consumers", &labels),
            written_samples: counter("written_samples", "Number of samples written by the endpoint."),
            written_histograms: counter("written_histograms", "Number of native histograms written by the endpoint."),
            written_exemplars: counter("written_exemplars", "Number of exemplars written by the endpoint."),
            nothing_written: telemetry.gauge(nothing_written, &labels),
        }
    }

    /// Counts a translation.
    pub fn translated(&self, converted: &Converted) {
        let series: usize = converted.requests.iter().map(|request| request.content.values()).sum();
        self.translated_time_series.increment(series as u64);
        self.failed_translations.increment((converted.all_drops().total() + converted.empty_metrics) as u64);
    }

    /// Counts what an endpoint wrote, or, if it does not say, what it took.
    pub fn written(&self, content: &Content, written: Option<Written>) {
        let taken = Written {
            samples: content.samples as u64,
            histograms: content.histograms as u64,
            exemplars: content.exemplars as u64,
        };
        let written = written.unwrap_or(taken);
        self.written_samples.increment(written.samples);
        self.written_histograms.increment(written.histograms);
        self.written_exemplars.increment(written.exemplars);
    }
}
