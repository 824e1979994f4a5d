//! What is written, as the reference implementation of OTLP reads it.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric::Data, number_data_point};
use prost::Message;

use super::world::*;
use crate::up::config::Signal;
use crate::up::emit::encode;
use crate::up::engine::Arrival;
use crate::up::series::RejectReason;

fn decode(world: &World) -> ExportMetricsServiceRequest {
    let mut bytes = Vec::new();
    let points = encode(&world.written, &mut bytes);
    let request = ExportMetricsServiceRequest::decode(&*bytes).expect("OTLP");
    // Nothing but fields that OTLP has, in one canonical order.
    let metrics = request.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
    assert_eq!(metrics.map(|m| data_points(m).len()).sum::<usize>(), points);
    assert_eq!(request.encoded_len(), bytes.len());
    request
}

fn text(attributes: &[KeyValue]) -> String {
    let pair = |kv: &KeyValue| match kv.value.as_ref().and_then(|v| v.value.as_ref()) {
        Some(Value::StringValue(value)) => format!("{}={value}", kv.key),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(pair).collect::<Vec<_>>().join(" ")
}

fn data_points(metric: &Metric) -> &[NumberDataPoint] {
    match metric.data.as_ref() {
        Some(Data::Gauge(gauge)) => &gauge.data_points,
        Some(Data::Sum(sum)) => &sum.data_points,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_grid_point_is_one_resource_with_all_series_and_their_types() {
    let yaml = "{jobs: [{job_name: app, scrape_interval: 15s, expected_interval: 60s, static_configs: [{}]}]}";
    let mut world = World::new(yaml);
    let mut target = (*world.targets(&["a:1"])[0]).clone();
    let mut labels = target.labels.to_builder();
    labels.set("zone", "z".repeat(200));
    target.labels = labels.build();
    world.engine.sync(crate::up::engine::JobId(0), &[std::sync::Arc::new(target)], world.now());
    let newest = Some(world.unix - secs(2));
    world.push_with(&app("a:1"), Arrival { items: 7, bytes: 99, newest_data: newest, ..Arrival::new(Signal::Metrics) });
    let rejected = Some(RejectReason::TooLarge);
    world.push_with(&app("a:1"), Arrival { rejected, ..Arrival::new(Signal::Logs) });
    world.run_until(secs(15));
    let request = decode(&world);
    assert_eq!(request.resource_metrics.len(), 1);
    let resource = &request.resource_metrics[0];
    let attributes = &resource.resource.as_ref().expect("resource").attributes;
    assert_eq!(text(attributes), "service.name=app service.instance.id=a:1");
    assert_eq!(resource.scope_metrics.len(), 1);
    assert!(resource.scope_metrics[0].scope.is_none());
    let mut lines = Vec::new();
    for metric in &resource.scope_metrics[0].metrics {
        for point in data_points(metric) {
            assert_eq!(point.time_unix_nano, world.written[0].time_ms * 1_000_000);
            let Some(number_data_point::Value::AsDouble(value)) = point.value else { panic!("{point:?}") };
            let labels = text(&point.attributes).replace(&"z".repeat(200), "z…");
            lines.push(format!("{} {{{labels}}} {value} {}", metric.name, text(&metric.metadata)));
        }
        if let Some(Data::Sum(sum)) = &metric.data {
            assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
            assert_eq!(sum.data_points[0].start_time_unix_nano, START.as_nanos() as u64);
        }
    }
    let gauge = "prometheus.type=gauge";
    let mut expected = vec![
        format!("up {{zone=z…}} 1 {gauge}"),
        format!("otlp_ingest_samples {{zone=z…}} 7 {gauge}"),
        format!("otlp_ingest_requests {{zone=z…}} 2 {gauge}"),
        format!("otlp_ingest_bytes {{zone=z…}} 99 {gauge}"),
        format!("otlp_ingest_last_seen_timestamp_seconds {{zone=z… signal=metrics}} 1700000000 {gauge}"),
        format!("otlp_ingest_last_seen_timestamp_seconds {{zone=z… signal=logs}} 1700000000 {gauge}"),
        format!("otlp_ingest_data_delay_seconds {{zone=z…}} 2 {gauge}"),
        format!("otlp_ingest_expected_interval_seconds {{zone=z…}} 60 {gauge}"),
        "otlp_ingest_rejected_total {zone=z… reason=too_large} 1 prometheus.type=counter".to_owned(),
    ];
    for state in ["unknown", "never_seen", "up", "late", "down", "frozen", "leaving"] {
        let value = u8::from(state == "up");
        expected.push(format!("otlp_target_state {{zone=z… state={state}}} {value} {gauge}"));
    }
    assert_eq!(lines, expected);
}

#[test]
fn a_marker_is_a_point_without_a_value() {
    let mut world = World::new("{jobs: [{job_name: app, scrape_interval: 15s}], ingest_metrics: off}");
    world.sync(&["a:1"]);
    world.push(&app("a:1"));
    world.run_until(secs(20));
    world.written.clear();
    world.sync(&[]);
    world.run_until(secs(100));
    let request = decode(&world);
    let metric = &request.resource_metrics[0].scope_metrics[0].metrics[0];
    let [point] = data_points(metric) else { panic!("{metric:?}") };
    assert_eq!((metric.name.as_str(), point.flags, point.value), ("up", 1, None));
}

#[test]
fn less_is_written_if_less_is_wanted() {
    for (level, names) in
        [("off", &["up"][..]), ("basic", &["up", "otlp_ingest_samples", "otlp_ingest_last_seen_timestamp_seconds"])]
    {
        let mut world =
            World::new(&format!("{{jobs: [{{job_name: app, scrape_interval: 15s}}], ingest_metrics: {level}}}"));
        world.sync(&["a:1"]);
        world.push(&app("a:1"));
        world.run_until(secs(15));
        let request = decode(&world);
        let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
        assert_eq!(metrics.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), names);
    }
}
