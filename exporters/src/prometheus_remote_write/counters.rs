//! What the exporter tells of itself, under upstream's names.

use metrics::{Counter, Gauge};
use sluice_pipeline::ComponentId;
use sluice_pipeline::telemetry::Telemetry;

use super::encode::Content;
use super::response::Written;
use super::series::Converted;
use super::version::Version;

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
    /// The version that is sent now.
    protocol_version: Gauge,
    fallbacks: Counter,
    left_out: LeftOut,
}

/// What version 2 would have carried and version 1 has no place for.
struct LeftOut {
    start_times: Counter,
    metadata: Counter,
    custom_buckets: Counter,
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
        let protocol_version = "sluice_remote_write_protocol_version";
        telemetry.describe(protocol_version, None, "The version of the message that the endpoint is sent: 1 or 2.");
        let fallbacks = "sluice_remote_write_fallbacks_total";
        telemetry.describe(fallbacks, None, "How often the endpoint was found to read version 1 only.");
        let left_out = "sluice_remote_write_left_out_total";
        telemetry.describe(
            left_out,
            None,
            "What version 1 has no place for, by kind; the samples themselves were sent.",
        );
        let left_out = |kind| telemetry.counter(left_out, &[labels[0], ("kind", kind)]);
        Counters {
            failed_translations: counter("failed_translations", "Number of translation operations that failed."),
            translated_time_series: counter("translated_time_series", "Number of Prometheus time series translated."),
            sent_batches: counter("sent_batches", "Number of remote write requests sent, whatever the answer."),
            consumers: telemetry.gauge("otelcol_exporter_prometheusremotewrite_consumers", &labels),
            written_samples: counter("written_samples", "Number of samples written by the endpoint."),
            written_histograms: counter("written_histograms", "Number of native histograms written by the endpoint."),
            written_exemplars: counter("written_exemplars", "Number of exemplars written by the endpoint."),
            nothing_written: telemetry.gauge(nothing_written, &labels),
            protocol_version: telemetry.gauge(protocol_version, &labels),
            fallbacks: telemetry.counter(fallbacks, &labels),
            left_out: LeftOut {
                start_times: left_out("start_timestamp"),
                metadata: left_out("metadata"),
                custom_buckets: left_out("custom_buckets"),
            },
        }
    }

    /// Counts a translation.
    pub fn translated(&self, converted: &Converted) {
        let series: usize = converted.requests.iter().map(|request| request.content.values()).sum();
        self.translated_time_series.increment(series as u64);
        self.left_out.custom_buckets.increment(converted.as_classic as u64);
        self.failed_translations.increment((converted.all_drops().total() + converted.empty_metrics) as u64);
    }

    /// Shows which version is sent from now on.
    pub fn speaks(&self, version: Version) {
        self.protocol_version.set(match version {
            Version::V1 => 1.0,
            Version::V2 => 2.0,
        });
    }

    /// Counts that an endpoint turned out to read version 1 only.
    pub fn fell_back(&self) {
        self.fallbacks.increment(1);
        self.speaks(Version::V1);
    }

    /// Counts what a version 1 message that was taken did not hold.
    pub fn left_out(&self, content: &Content, metadata: bool) {
        self.left_out.start_times.increment(content.starts_left_out as u64);
        if !metadata {
            self.left_out.metadata.increment(content.values() as u64);
        }
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
