//! `include` and `exclude`.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::json;
use sluice_pdata::Signal;

use crate::model::small::{log_request, logs, pairs, run, value};

fn config(properties: &str) -> String {
    format!("{{{properties}, actions: [{{key: seen, value: true, action: insert}}]}}")
}

/// Whether the action ran on a log record.
fn log_matches(properties: &str) -> bool {
    let log = LogRecord {
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: Some(value(&json!("user logged in"))),
        attributes: pairs(&json!({"code": 200, "ok": true, "ratio": 0.5, "path": "/cart"})),
        ..LogRecord::default()
    };
    let mut request = log_request(Some(json!({"service.name": "shop", "host.name": "h1"})), vec![log]);
    request.resource_logs[0].scope_logs[0].scope =
        Some(InstrumentationScope { name: "lib".to_owned(), version: "1.2".to_owned(), ..Default::default() });
    let after = logs(&[("attributes", &config(properties))], request);
    after.resource_logs[0].scope_logs[0].log_records[0].attributes.iter().any(|pair| pair.key == "seen")
}

#[test]
fn each_property_must_match_and_one_text_of_each_list() {
    for (properties, matches) in [
        ("match_type: strict, services: [shop]", true),
        ("match_type: strict, services: [shop-2, shop]", true),
        ("match_type: strict, services: [sho]", false),
        ("match_type: regexp, services: [sho]", true),
        ("match_type: regexp, services: ['^ho']", false),
        ("match_type: strict, log_bodies: [user logged in]", true),
        ("match_type: regexp, log_bodies: ['log+ed']", true),
        ("match_type: strict, log_bodies: [logged]", false),
        ("match_type: strict, log_severity_texts: [WARN, INFO]", true),
        ("match_type: strict, log_severity_texts: [WARN]", false),
        ("match_type: strict, log_severity_number: {min: 9}", true),
        ("match_type: strict, log_severity_number: {min: 10}", false),
        ("match_type: strict, attributes: [{key: code}]", true),
        ("match_type: strict, attributes: [{key: absent}]", false),
        ("match_type: strict, attributes: [{key: code, value: 200}]", true),
        ("match_type: strict, attributes: [{key: code, value: '200'}]", false),
        ("match_type: regexp, attributes: [{key: code, value: '^2..$'}]", true),
        ("match_type: strict, attributes: [{key: ok, value: true}]", true),
        ("match_type: regexp, attributes: [{key: ok, value: tru}]", true),
        ("match_type: strict, attributes: [{key: ratio, value: 0.5}]", true),
        ("match_type: regexp, attributes: [{key: ratio, value: '^0\\.5$'}]", true),
        ("match_type: strict, attributes: [{key: code}, {key: path, value: /}]", false),
        ("match_type: strict, resources: [{key: host.name, value: h1}]", true),
        ("match_type: strict, resources: [{key: host.name, value: h2}]", false),
        ("match_type: strict, libraries: [{name: lib}]", true),
        ("match_type: strict, libraries: [{name: lib, version: '1.2'}]", true),
        ("match_type: strict, libraries: [{name: lib, version: ''}]", false),
        ("match_type: strict, services: [shop], log_severity_number: {min: 10}", false),
    ] {
        assert_eq!(log_matches(&format!("include: {{{properties}}}")), matches, "include {properties}");
        assert_eq!(log_matches(&format!("exclude: {{{properties}}}")), !matches, "exclude {properties}");
    }
}

#[test]
fn exclude_is_asked_after_include() {
    let both = |exclude: &str| {
        log_matches(&format!(
            "include: {{match_type: strict, services: [shop]}}, exclude: {{match_type: strict, attributes: [{exclude}]}}"
        ))
    };
    assert!(both("{key: code, value: 404}"));
    assert!(!both("{key: code, value: 200}"));
}

#[test]
fn a_resource_without_a_service_has_upstream_s_name_for_none() {
    let config = config("include: {match_type: strict, services: [<nil-service-name>]}");
    let after = logs(&[("attributes", &config)], log_request(None, vec![LogRecord::default()]));
    assert_eq!(after.resource_logs[0].scope_logs[0].log_records[0].attributes.len(), 1);
}

#[test]
fn an_undefined_severity_matches_if_asked_for() {
    for (asked, expected) in [("true", 1), ("false", 0)] {
        let properties =
            format!("include: {{match_type: strict, log_severity_number: {{min: 1, match_undefined: {asked}}}}}");
        let request = log_request(None, vec![LogRecord::default()]);
        let after = logs(&[("attributes", &config(&properties))], request);
        assert_eq!(after.resource_logs[0].scope_logs[0].log_records[0].attributes.len(), expected);
    }
}

#[test]
fn spans_match_by_name_and_kind() {
    let matches = |properties: &str| {
        let spans = vec![Span { name: "GET /cart".to_owned(), kind: 2, ..Span::default() }];
        let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
        let request =
            ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] };
        let config = config(&format!("include: {{{properties}}}"));
        let bytes = run(Signal::Traces, &[("attributes", &config)], &request).unwrap();
        let after = ExportTraceServiceRequest::decode(bytes).unwrap();
        !after.resource_spans[0].scope_spans[0].spans[0].attributes.is_empty()
    };
    assert!(matches("match_type: strict, span_names: [GET /cart]"));
    assert!(matches("match_type: regexp, span_names: ['^GET ']"));
    assert!(!matches("match_type: strict, span_names: [GET]"));
    assert!(matches("match_type: strict, span_kinds: [SPAN_KIND_SERVER]"));
    assert!(!matches("match_type: strict, span_kinds: [SPAN_KIND_CLIENT]"));
}

#[test]
fn data_points_match_by_the_name_of_their_metric() {
    let metric = |name: &str| Metric {
        name: name.to_owned(),
        data: Some(metric::Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default()] })),
        ..Metric::default()
    };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric("a"), metric("b")], ..Default::default() }];
    let request =
        ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics { scope_metrics, ..Default::default() }] };
    let config = config("include: {match_type: strict, metric_names: [b]}");
    let bytes = run(Signal::Metrics, &[("attributes", &config)], &request).unwrap();
    let after = ExportMetricsServiceRequest::decode(bytes).unwrap();
    let seen = after.resource_metrics[0].scope_metrics[0].metrics.iter().map(|metric| match &metric.data {
        Some(metric::Data::Gauge(gauge)) => gauge.data_points[0].attributes.len(),
        _ => panic!("a gauge stays a gauge"),
    });
    assert_eq!(seen.collect::<Vec<_>>(), [0, 1]);
}
