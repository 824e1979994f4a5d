//! Summary attributes, dropped items, counters: what leaves besides redacted text.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value as Member,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span::Event};
use prost::Message as _;
use sluice_pdata::Signal;

use super::pass::{pass, step};
use super::*;

fn value(member: Member) -> AnyValue {
    AnyValue { value: Some(member) }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let pair = |&(key, text): &(&str, &str)| KeyValue {
        key: key.to_owned(),
        value: Some(value(Member::StringValue(text.to_owned()))),
        ..KeyValue::default()
    };
    pairs.iter().map(pair).collect()
}

fn shown(attributes: &[KeyValue]) -> Vec<String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Member::StringValue(text)) => text.clone(),
        Some(Member::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|pair| format!("{}={}", pair.key, text(&pair.value))).collect()
}

/// One span with an event, redacted.
fn span(block: Value, attributes: &[(&str, &str)], event: &[(&str, &str)]) -> ResourceSpans {
    let span = Span {
        attributes: pairs(attributes),
        events: vec![Event { attributes: pairs(event), ..Event::default() }],
        ..Span::default()
    };
    let scope = InstrumentationScope { attributes: pairs(&[("token", "s")]), ..InstrumentationScope::default() };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: pairs(&[("token", "r")]), ..Resource::default() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans: vec![span], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    };
    let out = pass(&step(block), Signal::Traces, &request.encode_to_vec());
    ExportTraceServiceRequest::decode(out.bytes).unwrap().resource_spans.remove(0)
}

const ATTRIBUTES: [(&str, &str); 6] = [
    ("zone", "secret-1"),
    ("token", "x"),
    ("safe", "secret-2"),
    ("gone.b", "1"),
    ("gone.a", "2"),
    ("note", "fine secret-3"),
];

fn block(summary: &str) -> Value {
    json!({
        "allowed_keys": ["zone", "token", "note"], "ignored_keys": ["safe"], "blocked_key_patterns": ["token"],
        "blocked_values": ["secret-\\d"], "allowed_values": ["fine"], "summary": summary,
    })
}

#[test]
fn the_summary_names_and_counts_what_was_done() {
    let out = span(block("debug"), &ATTRIBUTES, &[("zone", "secret-9")]);
    let span = &out.scope_spans[0].spans[0];
    assert_eq!(
        shown(&span.attributes),
        [
            "zone=****",
            "token=****",
            "safe=secret-2",
            "note=fine secret-3",
            "redaction.redacted.keys=gone.a,gone.b",
            "redaction.redacted.count=2",
            "redaction.masked.keys=token,zone",
            "redaction.masked.count=2",
            "redaction.allowed.keys=note",
            "redaction.allowed.count=1",
            "redaction.ignored.count=1",
        ]
    );
    assert_eq!(
        shown(&span.events[0].attributes),
        ["zone=****", "redaction.masked.keys=zone", "redaction.masked.count=1"]
    );
    assert_eq!(shown(&out.resource.unwrap().attributes), ["token=****"], "a resource is an identity");
}

#[test]
fn info_counts_and_silent_says_nothing() {
    let out = span(block("info"), &ATTRIBUTES, &[]);
    assert_eq!(
        shown(&out.scope_spans[0].spans[0].attributes)[4..],
        [
            "redaction.redacted.count=2",
            "redaction.masked.count=2",
            "redaction.allowed.count=1",
            "redaction.ignored.count=1"
        ]
    );
    let out = span(block("silent"), &ATTRIBUTES, &[]);
    assert_eq!(out.scope_spans[0].spans[0].attributes.len(), 4);
}

#[test]
fn identities_are_summarized_on_request() {
    let mut block = block("info");
    block["summary_on_identity"] = json!(true);
    let out = span(block, &[], &[]);
    assert_eq!(shown(&out.resource.unwrap().attributes), ["token=****", "redaction.masked.count=1"]);
    assert_eq!(
        shown(&out.scope_spans[0].scope.as_ref().unwrap().attributes),
        ["token=****", "redaction.masked.count=1"]
    );
}

#[test]
fn a_second_processor_adds_to_the_summary_of_the_first() {
    let earlier = [("redaction.masked.keys", "first,zone"), ("zone", "secret-1")];
    let out = span(block("debug"), &earlier, &[]);
    assert_eq!(
        shown(&out.scope_spans[0].spans[0].attributes),
        ["zone=****", "redaction.masked.keys=first,zone,zone", "redaction.masked.count=1"]
    );
}

#[test]
fn a_summary_shows_no_key_that_holds_a_finding() {
    let out = span(
        json!({"packs": ["default"], "summary": "debug", "blocked_key_patterns": ["@"]}),
        &[("bob@example.org", "x")],
        &[],
    );
    assert_eq!(
        shown(&out.scope_spans[0].spans[0].attributes),
        ["[EMAIL]=****", "redaction.masked.keys=[EMAIL]", "redaction.masked.count=1"]
    );
}

fn log(block: Value, body: Member) -> LogRecord {
    let record = LogRecord { body: Some(value(body)), ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    let request =
        ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] };
    let out = pass(&step(block), Signal::Logs, &request.encode_to_vec());
    let mut out = ExportLogsServiceRequest::decode(out.bytes).unwrap();
    out.resource_logs.remove(0).scope_logs.remove(0).log_records.remove(0)
}

#[test]
fn bodies_have_a_summary_of_their_own() {
    let record = log(block("debug"), Member::StringValue("secret-1".into()));
    assert_eq!(shown(&record.attributes), ["redaction.body.masked.keys=body", "redaction.body.masked.count=1"]);

    let inner = KeyValueList { values: pairs(&[("zone", "secret-1"), ("other", "x"), ("token", "t")]) };
    let nested = KeyValue { key: "note".into(), value: Some(value(Member::KvlistValue(inner))), ..KeyValue::default() };
    let mut entries = pairs(&[("gone", "x"), ("zone", "secret-2")]);
    entries.push(nested);
    let record = log(block("debug"), Member::KvlistValue(KeyValueList { values: entries }));
    assert_eq!(
        shown(&record.attributes),
        [
            "redaction.body.redacted.keys=gone,note.other",
            "redaction.body.redacted.count=2",
            "redaction.body.masked.keys=note.token,note.zone,zone",
            "redaction.body.masked.count=3",
        ]
    );
}

#[test]
fn items_are_dropped_with_their_reason() {
    let request = |text: &str| {
        let spans =
            vec![Span { name: "stays".into(), ..Span::default() }, Span { name: text.into(), ..Span::default() }];
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
            .encode_to_vec()
    };
    let by_rule = step(json!({"detectors": {"email": {"action": "drop_record"}}}));
    let out = pass(&by_rule, Signal::Traces, &request("bob@example.org"));
    assert_eq!((out.items, out.dropped.as_slice()), (1, &[(0, "filter", 1)][..]));
    let by_limit = step(json!({"packs": ["default"], "max_value_bytes": 20, "on_limit": "drop_item"}));
    let out = pass(&by_limit, Signal::Traces, &request("a name of more than twenty bytes"));
    assert_eq!((out.items, out.dropped.as_slice()), (1, &[(0, "redaction_failed", 1)][..]));
}

#[test]
fn names_of_http_spans_are_sanitized() {
    let name = |kind: i32, name: &str, attributes: &[(&str, &str)]| {
        let span = Span { name: name.into(), kind, attributes: pairs(attributes), ..Span::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
        };
        let block = json!({"allow_all_keys": true, "url_sanitizer": {"enabled": true}});
        let out = pass(&step(block), Signal::Traces, &request.encode_to_vec());
        let mut out = ExportTraceServiceRequest::decode(out.bytes).unwrap();
        out.resource_spans.remove(0).scope_spans.remove(0).spans.remove(0).name
    };
    assert_eq!(name(2, "GET /users/42", &[]), "GET /users/*");
    assert_eq!(name(3, "GET /users/42", &[]), "GET /users/*");
    assert_eq!(name(1, "GET /users/42", &[]), "GET /users/42", "an internal span");
    assert_eq!(name(2, "fetch 42", &[]), "fetch 42", "nothing says HTTP");
    assert_eq!(name(2, "/42", &[]), "/42", "nothing would be left");
}

#[test]
fn a_dry_run_leaves_the_same_bytes() {
    let request = super::pass::planted(Signal::Logs, 3, 50);
    let out = pass(&step(json!({"dry_run": true, "packs": ["default"], "summary": "debug"})), Signal::Logs, &request);
    assert!(out.bytes == request);
}

#[test]
fn the_example_of_the_documentation_is_valid() {
    let page = include_str!("../../../../docs/components/redaction.md");
    let examples: Vec<Config> = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next()?.strip_prefix("processors:\n  redaction:\n"))
        .map(|example| serde_saphyr::from_str(example).unwrap())
        .collect();
    assert_eq!(examples.len(), 1);
    let engine = Engine::new(&examples[0]).unwrap();
    assert_eq!(run(&engine, "E-123456 paid with 4111 1111 1111 1111"), "[STAFF_ID] paid with 4111 11** **** 1111");
}
