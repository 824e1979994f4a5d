//! Conditions with what the OpenTelemetry Collector 0.159.0 says when it loads them in its filter.

use sluice_ottl::{Compiler, Context, Registry, infer};

const TRACES: &[Context] = &[Context::Resource, Context::Scope, Context::Span, Context::SpanEvent];
const METRICS: &[Context] = &[Context::Resource, Context::Scope, Context::Metric, Context::DataPoint];
const LOGS: &[Context] = &[Context::Resource, Context::Scope, Context::Log];

/// Where we mean to differ: the condition, and what we say. Nothing: it loads.
const MEANT: &[(&str, &str)] = &[
    // Keys may be computed from literals.
    ("span.attributes[1+1] == nil", ""),
    // Parameters also have the names of the documentation.
    ("HasPrefix(value=span.name, prefix=\"x\")", ""),
    // The old name of the scope stands alone, too.
    ("instrumentation_scope.name == \"x\"", ""),
    // Paths that upstream lacks.
    ("datapoint.min == nil", ""),
    // What can never work is refused at load.
    ("span.trace_state[1] == \"b\"", "trace_state indexing type must be a string"),
];

fn load(candidates: &[Context], condition: &str) -> String {
    let registry = Registry::filter();
    let none: &[&str] = &[];
    let result = infer(&registry, candidates, none, &[condition])
        .and_then(|context| Compiler::new(context, &registry).condition(condition));
    result.map_or_else(|error| error.to_string(), |_| String::new())
}

/// What both say, without what differs in form only.
fn essence(text: &str, condition: &str) -> String {
    // We name the condition in front of every error, the Collector not of those that it meets while inferring.
    let text = text.strip_prefix(&format!("unable to parse OTTL condition {condition:?}: ")).unwrap_or(text);
    let text = text.split("; did you mean").next().unwrap_or(text);
    // Types of Go that mean nothing to a user.
    let text = text.split("[*github.com/").next().unwrap_or(text);
    let text = text.replace("[]interface {}", "pcommon.Slice");
    let text = text.split(": encoding/hex: invalid byte").next().unwrap_or(&text);
    // The Collector lists contexts in no order.
    for kind in ["missing context name for path", "unable to infer context from"] {
        if text.starts_with(kind) {
            return kind.to_owned();
        }
    }
    if text.contains("is not a supported context") {
        return "is not a supported context".to_owned();
    }
    let inferred = text.find("inferred context").unwrap_or(0);
    text[inferred..].to_owned()
}

#[test]
fn loading_agrees_with_the_collector() {
    let mut differences = Vec::new();
    let mut compared = 0;
    for line in include_str!("testdata/collector.tsv").lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [signal, condition, theirs] = columns[..] else { panic!("{line}") };
        let candidates = match signal {
            "trace" => TRACES,
            "metric" => METRICS,
            _ => LOGS,
        };
        let meant = MEANT.iter().find(|(known, _)| *known == condition).map(|(_, ours)| *ours);
        let expected = meant.map_or_else(|| essence(theirs, condition), str::to_owned);
        let ours = essence(&load(candidates, condition), condition);
        compared += 1;
        if ours != expected {
            differences.push(format!("{condition}\n  expected: {expected}\n  ours:     {ours}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(compared > 150);
}
