//! What conditions of each context drop, and what goes or stays with it.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span};
use prost::Message;
use serde_json::{Value as Json, json};
use sluice_pdata::Signal;

use crate::model::small::{log_request, logs, pairs, record, run, value};

/// Spans as `resource/scope/span` with their events in brackets; an envelope that is empty is shown alone.
fn spans_left(config: &str) -> Vec<String> {
    let event = |name: &str| span::Event { name: name.to_owned(), ..Default::default() };
    let span = |name: &str, kind: i32, events: &[&str]| Span {
        name: name.to_owned(),
        kind,
        parent_span_id: if name == "child" { vec![1; 8] } else { Vec::new() },
        events: events.iter().map(|name| event(name)).collect(),
        ..Span::default()
    };
    let scope = |name: &str, spans: Vec<Span>| ScopeSpans {
        scope: Some(InstrumentationScope { name: name.to_owned(), ..Default::default() }),
        spans,
        schema_url: "scope-url".to_owned(),
    };
    let resource = |name: &str, scope_spans: Vec<ScopeSpans>| ResourceSpans {
        resource: Some(Resource { attributes: pairs(&json!({"service.name": name})), ..Default::default() }),
        scope_spans,
        schema_url: "resource-url".to_owned(),
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![
            resource(
                "shop",
                vec![
                    scope("http", vec![span("root", 2, &["retry", "exception"]), span("child", 3, &["retry"])]),
                    scope("db", vec![span("query", 3, &[])]),
                ],
            ),
            resource("cart", vec![scope("http", vec![span("root", 1, &[])])]),
            // Empty from the start: nobody emptied it.
            resource("idle", vec![scope("http", vec![])]),
        ],
    };
    let bytes = run(Signal::Traces, &[("filter", config)], &request).unwrap();
    let after = ExportTraceServiceRequest::decode(bytes).unwrap();
    let mut left = Vec::new();
    for group in &after.resource_spans {
        let service = group.resource.as_ref().map(|resource| crate::model::small::shown(&resource.attributes));
        let service = service.unwrap()["service.name"].as_str().unwrap().to_owned();
        for scope in &group.scope_spans {
            let name = &scope.scope.as_ref().unwrap().name;
            if scope.spans.is_empty() {
                left.push(format!("{service}/{name}"));
            }
            for span in &scope.spans {
                let events: Vec<_> = span.events.iter().map(|event| event.name.as_str()).collect();
                left.push(format!("{service}/{name}/{}{events:?}", span.name).replace('"', ""));
            }
        }
    }
    left
}

const ROOT: &str = "shop/http/root[retry, exception]";
const CHILD: &str = "shop/http/child[retry]";
const QUERY: &str = "shop/db/query[]";
const CART: &str = "cart/http/root[]";
const IDLE: &str = "idle/http";

#[test]
fn each_trace_context_drops_its_own_and_empty_parents_vanish() {
    for (conditions, left) in [
        (r#"traces: {span: ['name == "root"']}"#, vec![CHILD, QUERY, IDLE]),
        (r#"traces: {span: ['name == "query"']}"#, vec![ROOT, CHILD, CART, IDLE]),
        (r#"traces: {span: ['kind == SPAN_KIND_CLIENT', 'kind.string == "Server"']}"#, vec![CART, IDLE]),
        (r#"traces: {span: ['IsRootSpan()']}"#, vec![CHILD, IDLE]),
        (r#"traces: {resource: ['attributes["service.name"] == "shop"']}"#, vec![CART, IDLE]),
        (
            r#"traces: {span: ['resource.attributes["service.name"] == "shop" and instrumentation_scope.name == "db"']}"#,
            vec![ROOT, CHILD, CART, IDLE],
        ),
        (r#"trace_conditions: ['scope.name == "http"']"#, vec![QUERY]),
        (
            r#"trace_conditions: ['span.name == "child"', 'resource.attributes["service.name"] == "cart"']"#,
            vec![ROOT, QUERY, IDLE],
        ),
        (r#"trace_conditions: [{context: span, conditions: ['name == "child"']}]"#, vec![ROOT, QUERY, CART, IDLE]),
        (r#"trace_conditions: [{conditions: ['span.name == "child"', 'scope.name == "db"']}]"#, vec![ROOT, CART, IDLE]),
        // What is around is seen from inside, schema URLs too.
        (
            r#"trace_conditions: ['span.name == "child" and resource.schema_url == "resource-url" and scope.schema_url == "scope-url"']"#,
            vec![ROOT, QUERY, CART, IDLE],
        ),
        (r#"traces: {span: ['true']}"#, vec![IDLE]),
        (r#"traces: {span: ['false']}"#, vec![ROOT, CHILD, QUERY, CART, IDLE]),
    ] {
        assert_eq!(spans_left(&format!("{{{conditions}}}")), left, "{conditions}");
    }
}

#[test]
fn a_span_without_events_stays() {
    assert_eq!(
        spans_left(r#"{traces: {spanevent: ['name == "retry"']}}"#),
        ["shop/http/root[exception]", "shop/http/child[]", QUERY, CART, IDLE,]
    );
    // An index is that of the span as it came.
    assert_eq!(
        spans_left(r#"{traces: {spanevent: ['event_index == 1 or span.name == "child"']}}"#)[..2],
        ["shop/http/root[retry]", "shop/http/child[]",]
    );
}

/// Metrics as `name: values of the points`.
fn points_left(config: &str) -> Vec<String> {
    let point = |value: i64, attributes: Json| NumberDataPoint {
        value: Some(opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsInt(value)),
        attributes: pairs(&attributes),
        ..NumberDataPoint::default()
    };
    let metric = |name: &str, points: Vec<NumberDataPoint>| Metric {
        name: name.to_owned(),
        data: Some(metric::Data::Gauge(Gauge { data_points: points })),
        ..Metric::default()
    };
    let metrics = vec![
        metric("cpu", vec![point(1, json!({"state": "user"})), point(2, json!({"state": "idle"}))]),
        metric("memory", vec![point(3, json!({"state": "free"}))]),
        metric("none", vec![]),
    ];
    let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
    let request =
        ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics { scope_metrics, ..Default::default() }] };
    let bytes = run(Signal::Metrics, &[("filter", config)], &request).unwrap();
    let after = ExportMetricsServiceRequest::decode(bytes).unwrap();
    let metrics = after.resource_metrics.iter().flat_map(|group| &group.scope_metrics).flat_map(|group| &group.metrics);
    let shown = metrics.map(|metric| {
        let Some(metric::Data::Gauge(gauge)) = &metric.data else { panic!("a gauge stays a gauge") };
        let values: Vec<_> = gauge
            .data_points
            .iter()
            .map(|point| match point.value {
                Some(opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsInt(value)) => value,
                _ => panic!("an integer stays an integer"),
            })
            .collect();
        format!("{}: {values:?}", metric.name)
    });
    shown.collect()
}

#[test]
fn metrics_go_whole_or_by_point_and_with_their_last_point() {
    let (cpu, memory, none) = ("cpu: [1, 2]", "memory: [3]", "none: []");
    for (conditions, left) in [
        (r#"metrics: {metric: ['name == "cpu"']}"#, vec![memory, none]),
        (r#"metrics: {metric: ['type == METRIC_DATA_TYPE_GAUGE and name != "cpu"']}"#, vec![cpu]),
        (r#"metrics: {metric: ['HasAttrKeyOnDatapoint("state")']}"#, vec![none]),
        (r#"metrics: {metric: ['HasAttrOnDatapoint("state", "user")']}"#, vec![memory, none]),
        (r#"metrics: {datapoint: ['attributes["state"] == "user"']}"#, vec!["cpu: [2]", memory, none]),
        (r#"metrics: {datapoint: ['value_int >= 2']}"#, vec!["cpu: [1]", none]),
        (r#"metrics: {datapoint: ['metric.name == "memory"']}"#, vec![cpu, none]),
        (r#"metric_conditions: ['metric.name == "none"', 'datapoint.value_int == 3']"#, vec![cpu]),
    ] {
        assert_eq!(points_left(&format!("{{{conditions}}}")), left, "{conditions}");
    }
}

fn bodies_left(processors: &[(&str, &str)], records: Vec<LogRecord>) -> Vec<Json> {
    let after = logs(processors, log_request(Some(json!({"service.name": "shop"})), records));
    let records = after.resource_logs.iter().flat_map(|group| &group.scope_logs).flat_map(|group| &group.log_records);
    records.map(|record| crate::model::small::shown(&record.attributes)["id"].clone()).collect()
}

#[test]
fn log_conditions_read_every_kind_of_field() {
    let records = || {
        vec![
            LogRecord {
                severity_number: 5,
                severity_text: "DEBUG".to_owned(),
                body: Some(value(&json!("GET /healthz"))),
                ..record(json!({"id": 1, "n": 7, "tags": ["a"]}))
            },
            LogRecord {
                severity_number: 17,
                body: Some(value(&json!({"msg": "failed", "n": 1.5}))),
                ..record(json!({"id": 2, "n": "7"}))
            },
            LogRecord { event_name: "login".to_owned(), ..record(json!({"id": 3, "n": null})) },
        ]
    };
    for (condition, left) in [
        (r#"severity_number < SEVERITY_NUMBER_INFO and severity_number > 0"#, vec![2, 3]),
        (r#"severity_text == "DEBUG""#, vec![2, 3]),
        (r#"body == "GET /healthz""#, vec![2, 3]),
        (r#"IsMatch(body, "healthz$")"#, vec![2, 3]),
        (r#"body["msg"] == "failed""#, vec![1, 3]),
        (r#"IsMap(body) and body["n"] > 1"#, vec![1, 3]),
        (r#"event_name == "login""#, vec![1, 2]),
        (r#"attributes["n"] == 7"#, vec![2, 3]),
        (r#"attributes["n"] == "7""#, vec![1, 3]),
        (r#"attributes["n"] == nil"#, vec![1, 2]),
        (r#"attributes["n"] != nil"#, vec![3]),
        (r#"attributes["tags"][0] == "a""#, vec![2, 3]),
        (r#"not (attributes["id"] == 2)"#, vec![2]),
        (r#"resource.attributes["service.name"] == "shop" and attributes["id"] == 3"#, vec![1, 2]),
        (r#"HasPrefix(severity_text, "DEB")"#, vec![2, 3]),
        (r#"attributes["id"] == 1 or attributes["id"] == 3"#, vec![2]),
    ] {
        let config = format!("{{logs: {{log_record: ['{condition}']}}}}");
        assert_eq!(bodies_left(&[("filter", &config)], records()), left, "{condition}");
    }
}

#[test]
fn behind_redaction_conditions_see_what_redaction_left() {
    let records =
        || vec![record(json!({"id": 1, "user": "bob@example.org"})), record(json!({"id": 2, "user": "[EMAIL]"}))];
    let redaction = ("redaction", "{}");
    let filter = ("filter", r#"{logs: {log_record: ['attributes["user"] == "[EMAIL]"']}}"#);
    assert_eq!(bodies_left(&[filter, redaction], records()), [1]);
    assert_eq!(bodies_left(&[redaction, filter], records()), Vec::<Json>::new());
    let filter = ("filter", r#"{logs: {log_record: ['IsMatch(attributes["user"], "@")']}}"#);
    assert_eq!(bodies_left(&[filter, redaction], records()), [2]);
    assert_eq!(bodies_left(&[redaction, filter], records()), [1, 2]);
}

#[test]
fn behind_another_step_conditions_see_what_it_made() {
    let attributes = ("attributes", "{actions: [{key: seen, value: yes, action: insert}]}");
    let resource = ("resource", "{attributes: [{key: zone, value: a, action: insert}]}");
    let filter =
        ("filter", r#"{logs: {log_record: ['attributes["seen"] == "yes" and resource.attributes["zone"] == "a"']}}"#);
    let records = || vec![record(json!({"id": 1}))];
    assert_eq!(bodies_left(&[attributes, resource, filter], records()), Vec::<Json>::new());
    assert_eq!(bodies_left(&[attributes, filter, resource], records()), [1]);
    assert_eq!(bodies_left(&[resource, filter, attributes], records()), [1]);
}
