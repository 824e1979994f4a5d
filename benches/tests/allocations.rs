//! The pass allocates for a request, not for its items: in steady state ten times the items need no allocation more.
//!
//! The counter is a global allocator that counts each thread by itself, so that tests do not disturb each other.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../benches/pass/chain.rs"]
mod chain;

use allocation_counter::measure;
use bytes::Bytes;
use chain::Processed;
use sluice_benches::payload::Shape;
use sluice_benches::signal::Signal as Sent;
use sluice_pdata::Signal;
use sluice_pdata::pass::Scratch;

/// The output grows as it is written: from a tenth of the size to the whole, its buffer doubles four times, and so may two
/// of the scratch buffers.
const GROWTH: u64 = 12;

fn request(signal: Signal, items: u32) -> Bytes {
    let signal = match signal {
        Signal::Traces => Sent::Traces,
        Signal::Metrics => Sent::Metrics,
        Signal::Logs => Sent::Logs,
    };
    Shape { signal, items, drop_share: 0.05, tracked: false }.body(1).bytes.into()
}

/// Allocations of one pass over a request of so many items, once such requests are nothing new.
fn allocations(processed: &Processed, signal: Signal, items: u32) -> u64 {
    let (request, mut scratch) = (request(signal, items), Scratch::default());
    let mut pass = || {
        let request = request.clone();
        let mut passed = processed.chain.run(request, items as usize, &processed.context, &mut scratch).unwrap();
        passed.apply_effects();
    };
    (0..3).for_each(|_| pass());
    measure(pass).count_total
}

fn none_per_item(name: &str, processed: &Processed, signal: Signal) {
    let (few, many) = (allocations(processed, signal, 200), allocations(processed, signal, 2000));
    println!("{name}, {}: {few} allocations for 200 items, {many} for 2,000", signal.name());
    assert!(many <= few + GROWTH, "{name}, {}: {few} allocations for 200 items, {many} for 2,000", signal.name());
}

#[test]
fn the_measured_chains_allocate_nothing_per_item() {
    for (scenario, signal) in [("spans-chain", Signal::Traces), ("logs-chain", Signal::Logs)] {
        for wanted in [&["filter", "redaction", "resource"][..], &["filter"], &["redaction"], &["resource"]] {
            none_per_item(&wanted.join(", "), &chain::of_scenario(scenario, signal, wanted).unwrap(), signal);
        }
    }
}

#[test]
fn detectors_and_edits_of_every_signal_allocate_nothing_per_item() {
    const PROCESSORS: &str = r#"
processors:
  redaction: {}
  attributes:
    actions:
      - {key: environment, value: production, action: insert}
      - {key: thread.id, value: "7", action: update}
      - {key: server.address, value: elsewhere, action: upsert}
      - {key: user_agent.original, action: delete}
      - {key: copied, from_attribute: url.path, action: insert}
  filter:
    error_mode: ignore
    SIGNAL:
      KIND: ['IsMatch(attributes["http.route"], "^/health.*")', 'attributes["server.port"] == 99', 'CONDITION']
service:
  pipelines:
    SIGNAL: {processors: [filter, redaction, attributes]}
"#;
    let kinds = [
        (Signal::Traces, "span", "name == \"none\" and kind == SPAN_KIND_CLIENT"),
        (Signal::Logs, "log_record", "severity_number > SEVERITY_NUMBER_FATAL or IsMatch(body, \"^no such body\")"),
        (Signal::Metrics, "datapoint", "metric.name == \"none\" and value_int == 3"),
    ];
    for (signal, kind, condition) in kinds {
        let yaml = PROCESSORS.replace("SIGNAL", signal.name()).replace("KIND:", &format!("{kind}:"));
        let yaml = yaml.replace("CONDITION", &condition.replace('\'', ""));
        for wanted in [&["filter", "redaction", "attributes"][..], &["filter"], &["redaction"], &["attributes"]] {
            let processed = chain::of_config(yaml.as_bytes(), signal, wanted).unwrap();
            none_per_item(&wanted.join(", "), &processed, signal);
        }
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![1, 2, 3]))).count_total, 1);
}
