//! Upstream's metrics (correlation §15).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Histogram};
use sluice_pdata::Signal;
use sluice_pipeline::ComponentId;
use sluice_pipeline::telemetry::Telemetry;

use crate::sampling::{Counted, PolicyCounts, RuleIndex, Sampler};
use crate::trace_window::{Engine, Outcome, SharedEngine};

const PREFIX: &str = "otelcol_processor_tail_sampling_";

const HELP: [(&str, &str); 15] = [
    ("count_traces_sampled", "Traces by what each policy said of them."),
    ("count_spans_sampled", "Spans by what each policy said of their trace."),
    ("count_bytes_sampled", "Bytes by what each policy said of their trace."),
    ("global_count_traces_sampled", "Traces by what was decided."),
    ("new_trace_id_received", "New traces."),
    ("early_releases_from_cache_decision", "Spans that came after the decision over their trace, and followed it."),
    ("sampling_decision_latency", "Time of a decision over one trace, in microseconds."),
    ("sampling_decision_timer_latency", "Time of the decisions of one tick, in milliseconds."),
    ("sampling_late_span_age", "Time from the decision to keep a trace to a span of it that came late, in seconds."),
    ("sampling_trace_removal_age", "Time from the first span of a trace until it left the window, in seconds."),
    ("sampling_policy_evaluation_error", "Conditions that failed on a span."),
    ("sampling_trace_dropped_too_early", "Traces that went undecided: none, the oldest are decided before their time."),
    ("sampling_traces_on_memory", "Traces in the window."),
    ("traces_dropped_too_large", "Traces beyond maximum_trace_size_bytes."),
    (
        "count_spans_with_unparseable_tracestate",
        "Spans with a sampling threshold that is malformed or contradicts itself.",
    ),
];

/// Bounds of ages in seconds: OpenTelemetry's default, as upstream's.
const AGES: [f64; 15] = [0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1e3, 2.5e3, 5e3, 7.5e3, 1e4];

/// The three outcomes, as the labels `sampled` and `decision`.
const OUTCOMES: [(&str, &str); 3] = [("true", "sampled"), ("false", "not_sampled"), ("false", "dropped")];

/// Counters of traces, spans and bytes of one policy, by outcome.
type PolicyCounters = [[Counter; 3]; 3];

/// What is counted at decisions.
pub(super) struct DecisionMetrics {
    policies: Vec<PolicyCounters>,
    global: [Counter; 3],
    latency: Histogram,
    timer: Histogram,
    late: Histogram,
    removal: Histogram,
    errors: Counter,
}

fn name(of: &str) -> String {
    format!("{PREFIX}{of}")
}

impl DecisionMetrics {
    pub(super) fn new(telemetry: &Telemetry, id: &ComponentId, sampler: &Sampler) -> Self {
        for (of, help) in HELP {
            telemetry.describe(&name(of), None, help);
        }
        for of in ["sampling_late_span_age", "sampling_trace_removal_age"] {
            telemetry.bounds(&name(of), &AGES);
        }
        let processor = ("processor", id.as_str());
        let policy = |rule: usize| {
            let policy = sampler.rule_name(RuleIndex(rule as u16));
            // As upstream: with the component's own name, if it has one.
            let label = if id.name().is_empty() { policy.to_owned() } else { format!("{}.{policy}", id.name()) };
            ["count_traces_sampled", "count_spans_sampled", "count_bytes_sampled"].map(|of| {
                OUTCOMES.map(|(sampled, decision)| {
                    let labels = [processor, ("policy", &label), ("sampled", sampled), ("decision", decision)];
                    telemetry.counter(&name(of), &labels)
                })
            })
        };
        let global = OUTCOMES.map(|(sampled, decision)| {
            let labels = [processor, ("sampled", sampled), ("decision", decision)];
            telemetry.counter(&name("global_count_traces_sampled"), &labels)
        });
        let _ = telemetry.counter(&name("sampling_trace_dropped_too_early"), &[processor]);
        DecisionMetrics {
            policies: (0..sampler.rule_count()).map(policy).collect(),
            global,
            latency: telemetry.histogram(&name("sampling_decision_latency"), &[processor]),
            timer: telemetry.histogram(&name("sampling_decision_timer_latency"), &[processor]),
            late: telemetry.histogram(&name("sampling_late_span_age"), &[processor]),
            removal: telemetry.histogram(&name("sampling_trace_removal_age"), &[processor]),
            errors: telemetry.counter(&name("sampling_policy_evaluation_error"), &[processor]),
        }
    }

    /// What a policy has said since the last call.
    pub(super) fn policy(&self, rule: RuleIndex, counts: &PolicyCounts) {
        let Some([traces, spans, bytes]) = self.policies.get(usize::from(rule.0)) else { return };
        let outcomes: [Counted; 3] = [counts.sampled, counts.not_sampled, counts.dropped];
        for (at, counted) in outcomes.iter().enumerate() {
            traces[at].increment(counted.traces);
            spans[at].increment(counted.spans);
            bytes[at].increment(counted.bytes);
        }
    }

    pub(super) fn decided(&self, kept: bool, dropped_by_policy: bool) {
        let outcome = match (kept, dropped_by_policy) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        };
        self.global[outcome].increment(1);
    }

    pub(super) fn took(&self, time: Duration, traces: usize) {
        if traces > 0 {
            self.latency.record(time.as_secs_f64() * 1e6 / traces as f64);
            self.timer.record(time.as_secs_f64() * 1e3);
        }
    }

    pub(super) fn came_late(&self, seconds: f64) {
        self.late.record(seconds);
    }

    pub(super) fn removed(&self, seconds: f64) {
        self.removal.record(seconds);
    }

    pub(super) fn failed(&self, errors: u64) {
        self.errors.increment(errors);
    }
}

/// Shows at each scrape what the window counts.
pub(super) fn show_window(telemetry: &Telemetry, id: &ComponentId, engine: &SharedEngine) {
    let processor = ("processor", id.as_str());
    let new = telemetry.total(&name("new_trace_id_received"), &[processor]);
    let late =
        |sampled| telemetry.total(&name("early_releases_from_cache_decision"), &[processor, ("sampled", sampled)]);
    let (late_kept, late_dropped) = (late("true"), late("false"));
    let thresholds = telemetry.total(&name("count_spans_with_unparseable_tracestate"), &[processor]);
    let traces = telemetry.gauge(&name("sampling_traces_on_memory"), &[processor]);
    let too_large = telemetry.total(&name("traces_dropped_too_large"), &[processor]);
    telemetry.on_scrape_of(engine.inner(), move |engine: &Mutex<Engine>| {
        let engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
        let statistics = engine.statistics();
        new.set(statistics.new_traces as f64);
        late_kept.set(statistics.items(Signal::Traces, Outcome::LateKept) as f64);
        late_dropped.set(statistics.items(Signal::Traces, Outcome::LateDropped) as f64);
        thresholds.set(statistics.threshold_errors as f64);
        let oversize = if engine.settings.drop_oversize {
            statistics.evictions.get("trace_limit").copied().unwrap_or(0)
        } else {
            0
        };
        too_large.set(oversize as f64);
        traces.set(engine.window().traces as f64);
    });
}
