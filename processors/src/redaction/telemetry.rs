//! The processor's own metrics, under the names of its specification.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use metrics::{Counter, counter, gauge};
use sluice_pdata::Signal;

use super::config::Action;
use super::counts::{Counts, FailClosed, Suppressed};
use super::engine::Engine;

/// Registered counters of one processor. Labels come from the config, never from data.
pub(crate) struct Telemetry {
    processor: String,
    /// By what is counted. Filled as counts occur: most pairs of detector and place never do.
    counters: Mutex<HashMap<Counted, Counter>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Counted {
    Finding(Signal, usize, usize, &'static str),
    Suppressed(usize, usize),
    FailClosed(usize),
    BytesScanned(Signal),
    ValuesSkipped(Signal),
    KeysRemoved(Signal),
    UnknownFields(Signal),
    SlowLaneBytes,
}

impl Telemetry {
    pub(crate) fn new(processor: &str, engine: &Engine) -> Self {
        gauge!("sluice_redaction_rules", "processor" => processor.to_owned()).set(engine.rules() as f64);
        gauge!("sluice_redaction_rules_bytes", "processor" => processor.to_owned()).set(engine.rules_bytes() as f64);
        Telemetry { processor: processor.to_owned(), counters: Mutex::default() }
    }

    /// Adds what a batch gathered.
    pub(crate) fn record(&self, signal: Signal, engine: &Engine, counts: &Counts) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut add = |counted: Counted, count: u64| {
            if count > 0 {
                counters.entry(counted).or_insert_with(|| self.register(counted, engine)).increment(count);
            }
        };
        counts.each_finding(|source, action, place, count| add(Counted::Finding(signal, source, action, place), count));
        counts.each_suppressed(|source, why, count| add(Counted::Suppressed(source, why as usize), count));
        let tally = &counts.tally;
        for (reason, &count) in tally.fail_closed.iter().enumerate() {
            add(Counted::FailClosed(reason), count);
        }
        add(Counted::BytesScanned(signal), tally.bytes_scanned);
        add(Counted::ValuesSkipped(signal), tally.values_skipped);
        add(Counted::KeysRemoved(signal), tally.keys_removed);
        add(Counted::UnknownFields(signal), tally.unknown_fields);
        add(Counted::SlowLaneBytes, tally.slow_lane_bytes);
    }

    fn register(&self, counted: Counted, engine: &Engine) -> Counter {
        let processor = self.processor.clone();
        match counted {
            Counted::Finding(signal, source, action, place) => counter!(
                "sluice_redaction_findings_total",
                "processor" => processor,
                "type" => engine.source_id(source).to_owned(),
                "action" => action_name(action),
                "signal" => signal.name(),
                "place" => place
            ),
            Counted::Suppressed(source, why) => counter!(
                "sluice_redaction_suppressed_total",
                "processor" => processor,
                "type" => engine.source_id(source).to_owned(),
                "why" => Suppressed::ALL[why].name()
            ),
            Counted::FailClosed(reason) => counter!(
                "sluice_redaction_fail_closed_total",
                "processor" => processor,
                "reason" => FailClosed::ALL[reason].name()
            ),
            Counted::BytesScanned(signal) => {
                counter!("sluice_redaction_bytes_scanned_total", "processor" => processor, "signal" => signal.name())
            }
            Counted::ValuesSkipped(signal) => {
                counter!("sluice_redaction_values_skipped_total", "processor" => processor, "signal" => signal.name())
            }
            Counted::KeysRemoved(signal) => {
                counter!("sluice_redaction_keys_removed_total", "processor" => processor, "signal" => signal.name())
            }
            Counted::UnknownFields(signal) => {
                counter!("sluice_redaction_unknown_fields_total", "processor" => processor, "signal" => signal.name())
            }
            Counted::SlowLaneBytes => {
                counter!("sluice_redaction_slow_lane_bytes_total", "processor" => processor, "rule" => "all")
            }
        }
    }
}

/// The label `action` of a column of [`Counts`].
fn action_name(column: usize) -> &'static str {
    Action::ALL.get(column).map_or("dry_run", |action| action.name())
}
