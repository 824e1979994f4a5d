//! What `up` tells about itself (`up`, What is written: per collector), set just before each scrape.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::{Counter, Gauge};
use sluice_pipeline::ComponentId;
use sluice_pipeline::telemetry::Telemetry;

use super::engine::Statistics;
use super::ladder::Rung;
use super::outbox::OutboxCounts;
use super::state::State;

/// What the lanes have not brought into their pipelines, of all lanes together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoing {
    /// Samples and markers that wait.
    pub waiting: usize,
    pub counts: OutboxCounts,
    /// Times that own series could not be kept, or not be marked.
    pub degraded: u64,
}

/// The handles of one processor.
pub struct LivenessMetrics {
    telemetry: Telemetry,
    processor: Arc<str>,
    matches: [Counter; Rung::ALL.len()],
    ambiguous: [Counter; Rung::ALL.len()],
    unexpected: Gauge,
    multiple: Gauge,
    warming_up: Gauge,
    suspected_partition: Gauge,
    waiting: Gauge,
    /// In the order of [`WITHHELD`].
    withheld: [Counter; 4],
    targets_refused: Counter,
    identities_evicted: Counter,
    updates_doubted: Counter,
    stale_pushes: Counter,
    tracker_degraded: Counter,
}

/// Why something was written and did not go out, by the value of the label `reason`.
const WITHHELD: [&str; 4] = ["duplicate", "scraped", "superseded", "evicted"];

const HELP: [(&str, &str); 18] = [
    ("otlp_liveness_targets", "Expected targets, by state."),
    ("otlp_liveness_match_total", "Identities matched to a target, by the key that did."),
    ("otlp_liveness_ambiguous_matches_total", "Keys that several targets have, and that were passed over."),
    ("otlp_liveness_unexpected_identities", "Senders that no target expects."),
    ("otlp_liveness_multiple_identities", "Targets for which several instances send."),
    ("otlp_liveness_warming_up", "1 while a job warms up after a start."),
    ("otlp_liveness_suspected_partition", "1 while so many targets are silent that a partition is more likely."),
    ("otlp_liveness_sd_last_success_timestamp_seconds", "When discovery last succeeded."),
    ("otlp_liveness_sd_failures_total", "Discovery updates that failed."),
    ("otlp_liveness_sd_doubted_updates_total", "Discovery updates held back because they would remove too much."),
    ("otlp_liveness_withheld_total", "Samples that were written and did not go out."),
    ("otlp_liveness_waiting_points", "Samples and markers that a pipeline has not accepted yet."),
    ("otlp_liveness_emissions_refused_total", "Batches that a pipeline refused, each to be sent again unless lost."),
    ("otlp_liveness_emissions_lost_total", "Samples and markers that a pipeline rejected for good."),
    ("otlp_liveness_targets_refused_total", "Targets beyond max_targets."),
    ("otlp_liveness_identities_evicted_total", "Senders that no target expects, forgotten for want of room."),
    ("otlp_liveness_stale_tracker_degraded_total", "Own series of targets too many to be kept or marked stale."),
    ("otlp_liveness_stale_pushes_total", "Pushes that were no sign of life because their data was too old."),
];

impl LivenessMetrics {
    /// Registers what a processor has from the start.
    pub fn new(telemetry: &Telemetry, id: &ComponentId) -> Self {
        for (name, help) in HELP {
            telemetry.describe(name, None, help);
        }
        let processor = ("processor", id.as_str());
        let by_key = |name: &str| Rung::ALL.map(|rung| telemetry.counter(name, &[("key", rung.name()), processor]));
        let gauge = |name: &str| telemetry.gauge(name, &[processor]);
        let counter = |name: &str| telemetry.counter(name, &[processor]);
        LivenessMetrics {
            matches: by_key("otlp_liveness_match_total"),
            ambiguous: by_key("otlp_liveness_ambiguous_matches_total"),
            unexpected: gauge("otlp_liveness_unexpected_identities"),
            multiple: gauge("otlp_liveness_multiple_identities"),
            warming_up: gauge("otlp_liveness_warming_up"),
            suspected_partition: gauge("otlp_liveness_suspected_partition"),
            waiting: gauge("otlp_liveness_waiting_points"),
            withheld: WITHHELD
                .map(|reason| telemetry.counter("otlp_liveness_withheld_total", &[("reason", reason), processor])),
            targets_refused: counter("otlp_liveness_targets_refused_total"),
            identities_evicted: counter("otlp_liveness_identities_evicted_total"),
            updates_doubted: counter("otlp_liveness_sd_doubted_updates_total"),
            stale_pushes: counter("otlp_liveness_stale_pushes_total"),
            tracker_degraded: counter("otlp_liveness_stale_tracker_degraded_total"),
            processor: Arc::from(id.as_str()),
            telemetry: telemetry.clone(),
        }
    }

    /// Shows the present state.
    pub fn publish(&self, statistics: &Statistics, outgoing: &Outgoing) {
        let counters = &statistics.counters;
        for rung in Rung::ALL {
            self.matches[rung as usize].absolute(counters.matches[rung as usize]);
            self.ambiguous[rung as usize].absolute(counters.ambiguous[rung as usize]);
        }
        self.unexpected.set(statistics.unexpected_identities as f64);
        self.multiple.set(statistics.multiple_identities as f64);
        self.warming_up.set(f64::from(u8::from(statistics.warming_up)));
        self.suspected_partition.set(f64::from(u8::from(statistics.suspected_partition)));
        self.waiting.set(outgoing.waiting as f64);
        let withheld = [
            counters.withheld_duplicates,
            counters.withheld_scraped,
            outgoing.counts.superseded,
            outgoing.counts.evicted,
        ];
        for (counter, count) in self.withheld.iter().zip(withheld) {
            counter.absolute(count);
        }
        self.targets_refused.absolute(counters.refused_targets);
        self.identities_evicted.absolute(counters.evicted_identities);
        self.updates_doubted.absolute(counters.doubted_updates);
        self.stale_pushes.absolute(counters.stale_data);
        self.tracker_degraded.absolute(outgoing.degraded);
        self.publish_jobs(statistics);
    }

    /// Jobs are few: their handles are looked up.
    fn publish_jobs(&self, statistics: &Statistics) {
        let processor = ("processor", &*self.processor);
        let states: BTreeMap<(&str, &str), usize> =
            statistics.targets.iter().map(|((job, state), count)| ((job.as_str(), *state), *count)).collect();
        for job in &statistics.jobs {
            for state in State::WRITTEN {
                let count = states.get(&(job.as_str(), state.name())).copied().unwrap_or_default();
                let labels = [("job", job.as_str()), ("state", state.name()), processor];
                self.telemetry.gauge("otlp_liveness_targets", &labels).set(count as f64);
            }
        }
        for (job, failures) in &statistics.failures {
            let labels = [("job", job.as_str()), processor];
            self.telemetry.counter("otlp_liveness_sd_failures_total", &labels).absolute(*failures);
            if let Some(success) = statistics.last_success.get(job) {
                let seconds = success.as_secs_f64();
                self.telemetry.gauge("otlp_liveness_sd_last_success_timestamp_seconds", &labels).set(seconds);
            }
        }
    }
}
