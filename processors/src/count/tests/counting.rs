//! Tables over small requests.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use serde_json::{Value, json};
use sluice_pipeline::Signal;

use super::{NOW, batch, build, routed};

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn bytes(signal: Signal, request: &Value) -> Vec<u8> {
    sluice_pdata::json::read(signal, request.to_string().as_bytes()).unwrap()
}

/// `resource: metric{attributes} value start..end`, sorted.
fn shown(signal: Signal, config: &str, request: &Value) -> Vec<String> {
    let connector = build(signal, config, 2).unwrap_or_else(|error| panic!("{config}\n{error}"));
    let counted = routed(&*connector, &batch(signal, bytes(signal, request)), 2).unwrap();
    let mut shown = Vec::new();
    for resource in &counted.resource_metrics {
        let of = resource.resource.as_ref().unwrap().attributes.first();
        let of = of.map_or(String::new(), |pair| plain(pair.value.as_ref().unwrap().value.as_ref()));
        for metric in resource.scope_metrics.iter().flat_map(|scope| {
            assert!(scope.scope.as_ref().unwrap().name.ends_with("/connector/countconnector"));
            &scope.metrics
        }) {
            let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
            assert!(sum.is_monotonic && sum.aggregation_temporality == 1, "{sum:?}");
            for point in &sum.data_points {
                let pairs: Vec<_> = point
                    .attributes
                    .iter()
                    .map(|pair| format!("{}={}", pair.key, plain(pair.value.as_ref().unwrap().value.as_ref())))
                    .collect();
                let Some(opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsInt(value)) = point.value
                else {
                    panic!("{point:?}")
                };
                let (start, end) = (point.start_time_unix_nano, point.time_unix_nano);
                let time = if start == NOW && end == NOW { "now".to_owned() } else { format!("{start}..{end}") };
                shown.push(format!("{of}: {}{{{}}} {value} {time}", metric.name, pairs.join(",")));
            }
        }
    }
    shown.sort();
    shown
}

fn plain(value: Option<&Any>) -> String {
    match value {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => format!("{number}i"),
        Some(Any::DoubleValue(number)) => format!("{number}f"),
        Some(Any::BoolValue(flag)) => format!("{flag}b"),
        other => format!("{other:?}"),
    }
}

fn traces() -> Value {
    let event = |name: &str, time: u64| {
        json!({"name": name, "timeUnixNano": time.to_string(),
        "attributes": [text("env", "prod")]})
    };
    let span = |name: &str, start: u64, attributes: Value, events: Value| {
        json!({"name": name, "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + 5).to_string(),
            "attributes": attributes, "events": events})
    };
    json!({"resourceSpans": [
        {"resource": {"attributes": [text("service.name", "shop"), text("zone", "eu")]}, "scopeSpans": [
            {"scope": {"name": "a", "attributes": [text("tier", "web")]}, "spans": [
                span("root", 20, json!([text("env", "prod")]), json!([event("retry", 21), event("done", 24)])),
                span("query", 10, json!([text("env", "test"), {"key": "code", "value": {"intValue": "7"}}]), json!([])),
            ]},
            {"spans": [span("get", 12, json!([]), json!([event("retry", 13)]))]},
        ]},
        {"resource": {"attributes": [text("service.name", "cart")]}, "scopeSpans": [
            {"spans": [span("put", 0, json!([text("env", "prod")]), json!([]))]},
        ]},
        {"resource": {"attributes": [text("service.name", "idle")]}, "scopeSpans": [{"spans": []}]},
    ]})
}

#[test]
fn spans_and_events_are_counted_by_resource() {
    let cases: [(&str, &[&str]); 8] = [
        (
            "",
            &[
                "cart: trace.span.count{} 1 5..5",
                "shop: trace.span.count{} 3 10..25",
                "shop: trace.span.event.count{} 3 13..24",
            ],
        ),
        // A section that is written replaces its usual metric, an empty one leaves nothing.
        ("spans: {}\nspanevents: {}", &[]),
        (
            "spanevents: {}\nspans: {all: {description: x}, 'prod': {conditions: ['attributes[\"env\"] == \"prod\"']}}",
            &["cart: all{} 1 5..5", "cart: prod{} 1 5..5", "shop: all{} 3 10..25", "shop: prod{} 1 10..25"],
        ),
        // One condition is enough.
        (
            "spanevents: {}\nspans: {n: {conditions: ['name == \"get\"', 'attributes[\"env\"] == \"test\"']}}",
            &["shop: n{} 2 10..25"],
        ),
        // By attribute: of the item, then of its scope, then of its resource.
        (
            "spans: {n: {attributes: [{key: tier}, {key: zone}]}}\nspanevents: {}",
            &["shop: n{tier=web,zone=eu} 2 10..25"],
        ),
        (
            "spans: {n: {attributes: [{key: env, default_value: none}, {key: code, default_value: 3}]}}\nspanevents: {}",
            &[
                "cart: n{env=prod,code=3i} 1 5..5",
                "shop: n{env=none,code=3i} 1 10..25",
                "shop: n{env=prod,code=3i} 1 10..25",
                "shop: n{env=test,code=7i} 1 10..25",
            ],
        ),
        // Empty and zero are no defaults.
        ("spans: {n: {attributes: [{key: code, default_value: 0}]}}\nspanevents: {}", &["shop: n{code=7i} 1 10..25"]),
        (
            "spans: {}\nspanevents: {n: {conditions: ['name == \"retry\"'], attributes: [{key: env}]}}",
            &["shop: n{env=prod} 2 13..24"],
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(shown(Signal::Traces, config, &traces()), expected, "{config}");
    }
}

#[test]
fn metrics_and_points_of_every_kind_are_counted() {
    let point = |time: u64| json!({"timeUnixNano": time.to_string(), "attributes": [text("env", "prod")]});
    let request = json!({"resourceMetrics": [{"resource": {"attributes": [text("service.name", "shop")]}, "scopeMetrics": [
        {"metrics": [
            {"name": "g", "gauge": {"dataPoints": [point(3), point(9)]}},
            {"name": "s", "sum": {"dataPoints": [point(4)]}},
            {"name": "h", "histogram": {"dataPoints": [point(5)]}},
            {"name": "e", "exponentialHistogram": {"dataPoints": [point(6)]}},
            {"name": "q", "summary": {"dataPoints": [point(7)]}},
            {"name": "nothing"},
        ]},
    ]}]});
    let cases: [(&str, &[&str]); 3] = [
        ("", &["shop: metric.count{} 6 now", "shop: metric.datapoint.count{} 6 3..9"]),
        (
            "metrics: {n: {conditions: ['name == \"g\"', 'name == \"q\" and HasAttrOnDatapoint(\"env\", \"prod\")']}}\n\
             datapoints: {n: {conditions: ['metric.name == \"g\"'], attributes: [{key: env}]}}",
            &["shop: n{env=prod} 2 3..9", "shop: n{} 2 now"],
        ),
        ("metrics: {}\ndatapoints: {n: {attributes: [{key: env}]}}", &["shop: n{env=prod} 6 3..9"]),
    ];
    for (config, expected) in cases {
        assert_eq!(shown(Signal::Metrics, config, &request), expected, "{config}");
    }
}

#[test]
fn logs_are_counted_by_severity_and_by_attributes_of_any_type() {
    let log =
        |severity: u32, value: Value| json!({"severityNumber": severity, "attributes": [{"key": "k", "value": value}]});
    let request = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        log(17, json!({"intValue": "1"})), log(9, json!({"stringValue": "1"})), log(21, json!({"doubleValue": 1.5})),
        log(17, json!({"boolValue": true})), log(17, json!({"intValue": "1"})),
    ]}]}]});
    let cases: [(&str, &[&str]); 3] = [
        ("", &[": log.record.count{} 5 now"]),
        (
            "logs: {my.error.log.count: {conditions: [severity_number >= SEVERITY_NUMBER_ERROR]}}",
            &[": my.error.log.count{} 4 now"],
        ),
        (
            "logs: {n: {attributes: [{key: k}]}}",
            &[": n{k=1.5f} 1 now", ": n{k=1i} 2 now", ": n{k=1} 1 now", ": n{k=trueb} 1 now"],
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(shown(Signal::Logs, config, &request), expected, "{config}");
    }
}

#[test]
fn a_condition_that_fails_refuses_the_request() {
    let config = "logs: {n: {conditions: ['ParseJSON(body)[\"a\"] == 1']}}";
    let connector = build(Signal::Logs, config, 1).unwrap();
    let request = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "no JSON"}}]}]}]});
    let refusal = routed(&*connector, &batch(Signal::Logs, bytes(Signal::Logs, &request)), 1).unwrap_err();
    assert!(!refusal.is_retryable(), "{refusal:?}");
}

#[test]
fn a_long_attribute_of_the_resource_is_not_written_for_every_item() {
    let log = |at: usize| json!({"attributes": [text("id", &at.to_string())]});
    let logs: Vec<_> = (0..1000).map(log).collect();
    let long = "x".repeat(64 << 10);
    let request = json!({"resourceLogs": [{"resource": {"attributes": [text("long", &long)]}, "scopeLogs": [{"logRecords": logs}]}]});
    let config = "logs: {n: {attributes: [{key: long}, {key: id}]}}";
    let connector = build(Signal::Logs, config, 1).unwrap();
    let batch = batch(Signal::Logs, bytes(Signal::Logs, &request));
    let outputs = connector.route(&batch).unwrap().outputs;
    let (_, output) = &outputs[0];
    assert!(output.bytes().len() < 5 << 20, "{}", output.bytes().len());
    let shown = shown(Signal::Logs, config, &request);
    let of = |line: &String| line.rsplit(' ').nth(1).unwrap().parse::<usize>().unwrap();
    assert_eq!(shown.iter().map(of).sum::<usize>(), 1000, "none is left out");
    assert_eq!(shown.iter().filter(|line| line.contains("otel.metric.overflow=trueb")).count(), 1);
}

#[test]
fn what_is_wrong_is_said_in_upstreams_words() {
    let cases = [
        ("spans: {'': {}}", "spans: metric name missing"),
        ("logs: {n: {attributes: [{key: ''}]}}", "logs attributes: metric \"n\": attribute key missing"),
        ("metrics: {n: {attributes: [{key: a}]}}", "metrics attributes not supported: metric \"n\""),
        ("datapoints: {n: {conditions: ['nonsense[']}}", "datapoints condition: metric \"n\": "),
        ("spanevents: {n: {conditions: ['severity_number == 1']}}", "spanevents condition: metric \"n\": "),
        ("spans: {n: {attributes: [{key: a}, {key: a}]}}", "attribute \"a\" is there twice"),
        ("spans: {n: {descripton: x}}", "descripton"),
    ];
    for (config, expected) in cases {
        let error = build(Signal::Traces, config, 1).err().unwrap_or_else(|| panic!("{config} is accepted"));
        assert!(error.contains(expected), "{config}: {error}");
    }
}
