//! The metrics of `correlate` (correlation §15), set from the engine's totals just before each scrape.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::{ComponentId, Signal};

use crate::trace_window::{Engine, ExemplarOutcome, LAG_BOUNDS_MS, Outcome, SharedEngine, Statistics};

/// Services with a series of their own; the rest is `other`.
const MAX_ORIGINS: usize = 100;

const PREFIX: &str = "otelcol_processor_correlate_";

const HELP: [(&str, &str); 24] = [
    ("records_total", "Items by what became of them."),
    ("lag_seconds", "By how much spans came behind their logs; negative if before."),
    ("recall_estimate", "Share of the logs with a span that met it in time."),
    ("window_spans", "Span ids in the window."),
    ("window_traces", "Traces in the window."),
    ("window_bytes", "Bytes accounted."),
    ("window_held_logs", "Items held."),
    ("pressure_level", "Step of the pressure ladder: 0, 70, 80, 85, 90, 95, 100."),
    ("low_watermark_lag_seconds", "Age of the oldest item held."),
    ("evictions_total", "Entries let go before their time."),
    ("decisions_total", "Traces decided."),
    ("dry_run_decisions_total", "Traces that would have been decided so."),
    ("exemplars_total", "Exemplars by what became of them."),
    ("split_decisions_total", "Traces decided twice because a cache had forgotten."),
    ("id_conflicts_total", "Spans whose id another span of the trace has."),
    ("duplicate_spans_total", "Spans that repeat one byte by byte."),
    ("restart_repeats_total", "Items read again after a restart that had left before it."),
    ("rootless_traces_total", "Traces decided without a root."),
    ("threshold_errors_total", "Thresholds that were malformed, inconsistent, or found no room."),
    ("fields_skipped_total", "Fields that found no room in an item."),
    ("odd_times_total", "Spans whose times make no sense."),
    ("verdict_rotations_early_total", "Verdict generations that were full before their time."),
    ("window_too_short", "1 when spans often come after the wait for a decision."),
    ("evaluation_errors_total", "Conditions that failed, by policy or rule."),
];

/// Shows an engine's totals at each scrape for as long as it lives.
pub(super) fn publish(telemetry: &Telemetry, id: &ComponentId, engine: &SharedEngine) {
    for (name, help) in HELP {
        telemetry.describe(&format!("{PREFIX}{name}"), None, help);
    }
    let (own, id) = (telemetry.clone(), id.as_str().to_owned());
    let seen = Mutex::new((0, 0));
    telemetry.on_scrape_of(engine.inner(), move |engine| {
        let mut engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
        let scrape = Scrape { telemetry: &own, id: &id };
        scrape.show(&mut engine);
        scrape.lateness(engine.statistics(), &mut seen.lock().unwrap_or_else(PoisonError::into_inner));
    });
}

struct Scrape<'a> {
    telemetry: &'a Telemetry,
    id: &'a str,
}

impl Scrape<'_> {
    fn counter(&self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.telemetry.counter(&format!("{PREFIX}{name}"), &self.labels(labels)).absolute(value);
    }

    fn gauge(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.telemetry.gauge(&format!("{PREFIX}{name}"), &self.labels(labels)).set(value);
    }

    fn labels<'l>(&'l self, labels: &[(&'l str, &'l str)]) -> Vec<(&'l str, &'l str)> {
        [&[("processor", self.id)], labels].concat()
    }

    fn show(&self, engine: &mut Engine) {
        let window = engine.window();
        self.gauge("window_spans", &[], window.spans as f64);
        self.gauge("window_traces", &[], window.traces as f64);
        self.gauge("window_bytes", &[], window.bytes as f64);
        self.gauge("window_held_logs", &[], window.held as f64);
        self.gauge("pressure_level", &[], f64::from(window.pressure));
        self.gauge("low_watermark_lag_seconds", &[], f64::from(window.oldest_ms) / 1000.0);
        self.recall(engine);
        for (rule, errors) in engine.take_evaluation_errors() {
            let labels = self.labels(&[("rule", &rule)]);
            self.telemetry.counter(&format!("{PREFIX}evaluation_errors_total"), &labels).increment(errors);
        }
        let statistics = engine.statistics();
        for signal in Signal::ALL {
            for outcome in Outcome::ALL {
                let items = statistics.items(signal, outcome);
                if items > 0 {
                    self.counter("records_total", &[("signal", signal.name()), ("outcome", outcome.name())], items);
                }
            }
        }
        let mut sum = 0;
        for (at, count) in statistics.lags.iter().enumerate() {
            sum += count;
            let bound = LAG_BOUNDS_MS.get(at).map_or("+Inf".to_owned(), |ms| format!("{}", f64::from(*ms) / 1000.0));
            self.counter("lag_seconds_bucket", &[("le", &bound)], sum);
        }
        self.counter("lag_seconds_count", &[], sum);
        self.gauge("lag_seconds_sum", &[], statistics.lag_sum as f64 / 1000.0);
        for (reason, entries) in &statistics.evictions {
            self.counter("evictions_total", &[("reason", reason)], *entries);
        }
        let decisions = if engine.is_dry_run() { "dry_run_decisions_total" } else { "decisions_total" };
        for (kind, count) in &statistics.decisions {
            let verdict = if kind.kept { "kept" } else { "dropped" };
            let rule = kind.rule.map_or("none", |rule| engine.rule_name(rule));
            let labels = [("verdict", verdict), ("rule", rule), ("trigger", kind.trigger.name())];
            self.counter(decisions, &labels, count.traces);
        }
        for outcome in ExemplarOutcome::ALL {
            self.counter("exemplars_total", &[("outcome", outcome.name())], statistics.exemplars[outcome as usize]);
        }
        let totals = [
            ("split_decisions_total", statistics.split_decisions),
            ("id_conflicts_total", statistics.id_conflicts),
            ("duplicate_spans_total", statistics.duplicate_spans),
            ("restart_repeats_total", statistics.repeated),
            ("rootless_traces_total", statistics.rootless_traces),
            ("threshold_errors_total", statistics.threshold_errors),
            ("fields_skipped_total", statistics.fields_skipped),
            ("odd_times_total", statistics.odd_times),
            ("verdict_rotations_early_total", statistics.early_rotations),
        ];
        totals.into_iter().for_each(|(name, value)| self.counter(name, &[], value));
    }

    /// Since the scrape before: did more than one span in a hundred come after the verdict of its trace?
    fn lateness(&self, statistics: &Statistics, seen: &mut (u64, u64)) {
        let items = |outcome| statistics.items(Signal::Traces, outcome);
        let late = items(Outcome::LateKept) + items(Outcome::LateDropped);
        let all = late + items(Outcome::Kept) + items(Outcome::Dropped);
        let (late_before, all_before) = std::mem::replace(seen, (late, all));
        let too_short = (late - late_before) * 100 > all - all_before;
        if too_short {
            tracing::warn!(processor = self.id, "more than 1 % of spans come after the decision over their trace");
        }
        self.gauge("window_too_short", &[], f64::from(u8::from(too_short)));
    }

    fn recall(&self, engine: &Engine) {
        let mut origins: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (service, matched, missed) in engine.recall_by_service() {
            let known = origins.len() < MAX_ORIGINS || origins.contains_key(&service);
            let sums = origins.entry(if known { service } else { "other".to_owned() }).or_default();
            *sums = (sums.0 + matched, sums.1 + missed);
        }
        for (origin, (matched, missed)) in origins {
            self.gauge("recall_estimate", &[("origin", &origin)], matched as f64 / (matched + missed) as f64);
        }
    }
}
