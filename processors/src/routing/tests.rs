//! Tables over small requests.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message as _;
use serde_json::{Value, json};
use sluice_config::parse;
use sluice_pipeline::clock::{Monotonic, WallTime};
use sluice_pipeline::context::{Arrival, Context, Metadata, MetadataKeys};
use sluice_pipeline::factory::Registry;
use sluice_pipeline::{ComponentId, PipelineId};

use super::*;
use crate::model::chain::environment;

/// Three pipelines, `a` to `c`.
fn build(signal: Signal, config: &str) -> Result<Arc<dyn InlineConnector>, String> {
    let mut registry = Registry::<Connectors>::new();
    registry.register(RoutingFactory);
    let node = parse(config.as_bytes()).unwrap();
    let texts = |found: Vec<sluice_config::Diagnostic>| {
        found.into_iter().map(|found| found.message).collect::<Vec<_>>().join("\n")
    };
    let configured = registry.decode("routing", &node).unwrap().map_err(texts)?;
    let targets = ["a", "b", "c"].map(|name| PipelineId::new(signal, name)).to_vec();
    let between = Between { from: signal, to: signal, targets };
    match configured.build((environment(signal, "routing", 0), between)).map_err(|error| error.to_string())? {
        Connector::Inline(connector) => Ok(connector),
        Connector::Stage(_) => Err("a stage".to_owned()),
    }
}

fn batch(signal: Signal, request: &Value, items: usize, headers: &[(&str, &str)]) -> Batch {
    let bytes = sluice_pdata::json::read(signal, request.to_string().as_bytes()).unwrap();
    let arrival = Arrival { monotonic: Monotonic::default(), wall: WallTime(1) };
    let keys = MetadataKeys::new(headers.iter().map(|(key, _)| *key));
    let metadata = Metadata::collect(&keys, headers.iter().copied());
    let context = Context { metadata, ..Context::internal(ComponentId::new("otlp", ""), arrival) };
    Batch::new(signal, bytes.into(), items, Arc::new(context))
}

fn service(name: &str) -> Value {
    json!({"attributes": [{"key": "service.name", "value": {"stringValue": name}}]})
}

fn traces(headers: &[(&str, &str)]) -> Batch {
    let span = |name: &str, kind: u32| json!({"name": name, "kind": kind, "traceId": "0".repeat(31) + "1"});
    let request = json!({"resourceSpans": [
        {"resource": service("shop"), "scopeSpans": [{"spans": [span("root", 2), span("query", 3)]}]},
        {"resource": service("cart"), "schemaUrl": "kept", "scopeSpans": [{"scope": {"name": "http"}, "spans": [span("get", 3)]}]},
    ]});
    batch(Signal::Traces, &request, 3, headers)
}

/// The span names for each pipeline.
fn routed(connector: &dyn InlineConnector, batch: &Batch) -> [Vec<String>; 3] {
    let routed = connector.route(batch).unwrap();
    let emitted: usize = routed.outputs.iter().map(|(_, batch)| batch.items()).sum();
    let dropped: usize = routed.dropped.iter().map(|(_, items)| items).sum();
    assert_eq!(batch.items() + routed.created, emitted + dropped, "the ledger balances");
    let mut names: [Vec<String>; 3] = Default::default();
    for (place, output) in routed.outputs {
        let request = ExportTraceServiceRequest::decode(output.bytes().clone()).unwrap();
        let spans = request.resource_spans.iter().flat_map(|it| &it.scope_spans).flat_map(|it| &it.spans);
        names[place].extend(spans.map(|span| span.name.clone()));
        assert_eq!(names[place].len(), output.items());
    }
    names
}

#[test]
fn each_item_goes_to_the_pipelines_of_the_first_rule_that_holds() {
    let cases: [(&str, [&[&str]; 3]); 9] = [
        // By resource, the default context.
        (
            "default_pipelines: [traces/c]
table: [{statement: 'route() where attributes[\"service.name\"] == \"shop\"', pipelines: [traces/a]}]",
            [&["root", "query"], &[], &["get"]],
        ),
        // Without a default, the rest is dropped.
        (
            "table: [{condition: 'attributes[\"service.name\"] == \"cart\"', pipelines: [traces/b]}]",
            [&[], &["get"], &[]],
        ),
        // By item, to several.
        (
            "default_pipelines: [traces/c]
table: [{context: span, condition: 'kind == SPAN_KIND_CLIENT', pipelines: [traces/a, traces/b]}]",
            [&["query", "get"], &["query", "get"], &["root"]],
        ),
        // What is moved is seen by no later rule.
        (
            "default_pipelines: [traces/c]
table:
  - {context: span, condition: 'kind == SPAN_KIND_CLIENT', pipelines: [traces/a]}
  - {context: resource, condition: 'attributes[\"service.name\"] == \"shop\"', pipelines: [traces/b]}",
            [&["query", "get"], &["root"], &[]],
        ),
        // What is copied is.
        (
            "default_pipelines: [traces/c]
table:
  - {context: span, condition: 'kind == SPAN_KIND_CLIENT', pipelines: [traces/a], action: copy}
  - {context: resource, condition: 'attributes[\"service.name\"] == \"shop\"', pipelines: [traces/b]}",
            [&["query", "get"], &["root", "query"], &["get"]],
        ),
        // By the request.
        (
            "default_pipelines: [traces/c]
table: [{context: request, condition: 'request[\"X-Team\"] == \"blue\"', pipelines: [traces/a]}]",
            [&["root", "query", "get"], &[], &[]],
        ),
        (
            "default_pipelines: [traces/c]
table: [{context: request, condition: 'request[\"x-team\"] != \"blue\"', pipelines: [traces/a]}]",
            [&[], &[], &["root", "query", "get"]],
        ),
        ("table: [{statement: route(), pipelines: [traces/b]}]", [&[], &["root", "query", "get"], &[]]),
        // A condition that fails is passed over.
        (
            "error_mode: silent
default_pipelines: [traces/c]
table: [{condition: 'ParseJSON(attributes[\"service.name\"])[\"a\"] == 1', pipelines: [traces/a]}]",
            [&[], &[], &["root", "query", "get"]],
        ),
    ];
    for (config, expected) in cases {
        let connector = build(Signal::Traces, config).unwrap_or_else(|error| panic!("{config}\n{error}"));
        let names = routed(&*connector, &traces(&[("x-team", "blue")]));
        assert_eq!(
            names,
            expected.map(|names| names.iter().map(|name| name.to_string()).collect::<Vec<_>>()),
            "{config}"
        );
    }
}

#[test]
fn envelopes_and_untouched_batches_stay_as_they_are() {
    let config = "default_pipelines: [traces/c]
table: [{condition: 'attributes[\"service.name\"] == \"cart\"', pipelines: [traces/a]}]";
    let connector = build(Signal::Traces, config).unwrap();
    let batch = traces(&[]);
    let outputs = connector.route(&batch).unwrap().outputs;
    let request = ExportTraceServiceRequest::decode(outputs[0].1.bytes().clone()).unwrap();
    assert_eq!(request.resource_spans.len(), 1);
    assert_eq!(request.resource_spans[0].schema_url, "kept");
    assert_eq!(request.resource_spans[0].scope_spans[0].scope.as_ref().unwrap().name, "http");
    let all = build(Signal::Traces, "table: [{condition: 'true', pipelines: [traces/a, traces/b]}]").unwrap();
    let routed = all.route(&batch).unwrap();
    assert!(routed.outputs.iter().all(|(_, copy)| copy.bytes().as_ptr() == batch.bytes().as_ptr()));
    assert_eq!((routed.outputs.len(), routed.created), (2, 3));
}

#[test]
fn metrics_go_by_metric_or_by_point() {
    let point = |team: &str| json!({"asInt": "1", "attributes": [{"key": "team", "value": {"stringValue": team}}]});
    let gauge = |name: &str, points: Value| json!({"name": name, "gauge": {"dataPoints": points}});
    let request = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        gauge("cpu", json!([point("red"), point("blue")])), gauge("mem", json!([point("red")])),
    ]}]}]});
    let batch = batch(Signal::Metrics, &request, 3, &[]);
    let shown = |config: &str| {
        let outputs = build(Signal::Metrics, config).unwrap().route(&batch).unwrap().outputs;
        let mut shown: Vec<String> = Vec::new();
        for (place, output) in outputs {
            let request = ExportMetricsServiceRequest::decode(output.bytes().clone()).unwrap();
            for metric in request.resource_metrics.iter().flat_map(|it| &it.scope_metrics).flat_map(|it| &it.metrics) {
                let Some(Data::Gauge(gauge)) = &metric.data else { panic!("{metric:?}") };
                shown.push(format!("{place} {} {}", metric.name, gauge.data_points.len()));
            }
        }
        shown
    };
    let rule = |context: &str, condition: &str| {
        format!(
            "default_pipelines: [metrics/c]\ntable: [{{context: {context}, condition: '{condition}', pipelines: [metrics/a]}}]"
        )
    };
    assert_eq!(shown(&rule("metric", "name == \"cpu\"")), ["0 cpu 2", "2 mem 1"]);
    assert_eq!(shown(&rule("datapoint", "attributes[\"team\"] == \"red\"")), ["0 cpu 1", "0 mem 1", "2 cpu 1"]);
}

#[test]
fn a_condition_that_fails_refuses_the_request_unless_told_otherwise() {
    let config = "table: [{condition: 'ParseJSON(attributes[\"service.name\"])[\"a\"] == 1', pipelines: [traces/a]}]";
    let refusal = build(Signal::Traces, config).unwrap().route(&traces(&[])).unwrap_err();
    assert!(!refusal.is_retryable(), "{refusal:?}");
}

#[test]
fn what_is_wrong_is_said_in_upstreams_words() {
    let cases = [
        ("{}", "invalid routing table: the routing table is empty"),
        ("table: [{pipelines: [traces/a]}]", "invalid route: no condition or statement provided"),
        (
            "table: [{pipelines: [traces/a], condition: 'true', statement: 'route()'}]",
            "invalid route: both condition and statement provided",
        ),
        ("table: [{condition: 'true'}]", "invalid route: no pipelines defined"),
        ("table: [{condition: 'true', context: body, pipelines: [traces/a]}]", "invalid context: body"),
        (
            "table: [{statement: 'route()', context: request, pipelines: [traces/a]}]",
            "\"request\" context requires a 'condition'",
        ),
        (
            "table: [{condition: 'x == 1', context: request, pipelines: [traces/a]}]",
            "condition must have format 'request[\"<name>\"] <comparator> <value>'",
        ),
        ("table: [{statement: 'drop()', pipelines: [traces/a]}]", "a statement here is `route()`"),
        ("table: [{condition: 'nonsense[', pipelines: [traces/a]}]", "nonsense"),
        ("error_mode: loud\ntable: [{condition: 'true', pipelines: [traces/a]}]", "unknown error mode loud"),
        ("table: [{condition: 'true', pipelines: [traces/x]}]", "missing consumer: \"traces/x\""),
        (
            "table: [{condition: 'true', context: log, pipelines: [traces/a]}]",
            "\"log\" context is not supported for traces",
        ),
        ("table: [{condition: 'true', action: keep, pipelines: [traces/a]}]", "invalid action: keep"),
    ];
    for (config, expected) in cases {
        let error = build(Signal::Traces, config).err().unwrap_or_else(|| panic!("{config} is accepted"));
        assert!(error.contains(expected), "{config}: {error}");
    }
}
