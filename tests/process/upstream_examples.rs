//! Configurations that the OpenTelemetry Collector documents for the components that are built: each loads as it is, or
//! is refused for the reason that stands beside it. One file a component in `tests/upstream`; keys and values are
//! upstream's, the arrangement is ours:
//!
//! ```text
//! === name of the example | loads
//! === name of the example | refused: part of the message
//! ```

use std::fmt::Write as _;

use crate::sluice::{root, run, text};

/// What an example leaves out.
const AROUND: &str = "yaml:receivers: {otlp: {protocols: {grpc: }}}
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}";

#[test]
fn upstreams_documented_examples_load_or_are_refused_for_the_reason_given() {
    let mut wrong = String::new();
    let (mut examples, mut loaded) = (0, 0);
    for entry in std::fs::read_dir(root().join("tests/upstream")).unwrap() {
        let path = entry.unwrap().path();
        let table = std::fs::read_to_string(&path).unwrap();
        for example in table.split("=== ").filter(|example| !example.trim().is_empty()) {
            let (head, yaml) = example.split_once('\n').unwrap();
            let (name, expected) = head.split_once(" | ").unwrap();
            let output = run(&["check", "-c", AROUND, "-c", &format!("yaml:{yaml}")]);
            let report = text(&output.stderr);
            let as_expected = match expected.split_once("refused: ") {
                None => expected == "loads" && output.status.code() == Some(0),
                // The first line of an error holds upstream's text.
                Some((_, reason)) => {
                    let mut heads = report.lines().filter(|line| line.starts_with("error["));
                    output.status.code() == Some(3) && heads.any(|line| line.contains(reason))
                }
            };
            if !as_expected {
                let _ = writeln!(wrong, "== {}: {name}: expected: {expected}\n{yaml}{report}", path.display());
            }
            examples += 1;
            loaded += usize::from(expected == "loads");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(examples >= 90 && loaded >= 50, "{examples} examples, {loaded} that load");
}
