use std::sync::Arc;
use std::time::Duration;

use metrics::Unit;

use super::*;
use crate::Signal;
use crate::clock::VirtualClock;
use crate::context::Transport;
use crate::id::ComponentId;
use crate::outcome::Refusal;

#[test]
fn the_exposition_is_prometheus_text() {
    let telemetry = Telemetry::new();
    telemetry.describe("b_seconds", Some(Unit::Seconds), "How long\nit took.");
    telemetry.bounds("b_seconds", &[0.1, 1.0]);
    let histogram = telemetry.histogram("b_seconds", &[("path", "a\"b\\c\nd")]);
    [0.1, 0.5, 3.0].into_iter().for_each(|value| histogram.record(value));
    telemetry.counter("a.total", &[]).increment(3);
    telemetry.gauge("c", &[("k", "v")]).set(-1.5);
    let expected = r#"# TYPE a_total counter
a_total 3
# HELP b_seconds How long\nit took.
# TYPE b_seconds histogram
b_seconds_bucket{path="a\"b\\c\nd",le="0.1"} 1
b_seconds_bucket{path="a\"b\\c\nd",le="1"} 2
b_seconds_bucket{path="a\"b\\c\nd",le="+Inf"} 3
b_seconds_sum{path="a\"b\\c\nd"} 3.6
b_seconds_count{path="a\"b\\c\nd"} 3
# TYPE c gauge
c{k="v"} -1.5
"#;
    assert_eq!(telemetry.render(&Naming::default()), expected);
}

struct Fixed;

impl Process for Fixed {
    fn resident_bytes(&self) -> Option<u64> {
        Some(4096)
    }

    fn cpu_time(&self) -> Option<Duration> {
        Some(Duration::from_millis(1500))
    }
}

#[test]
fn names_are_those_of_the_generation_that_is_asked_for() {
    let telemetry = Telemetry::new();
    let clock = VirtualClock::default();
    ProcessMetrics::install(&telemetry, Arc::new(Fixed), Arc::new(clock.clone()));
    clock.advance(Duration::from_secs(7));
    let id = ComponentId::new("otlp", "");
    let receiver = ReceiverMetrics::new(&telemetry, &id, Transport::GRPC);
    receiver.accepted(Signal::Traces, 5);
    receiver.refused(Signal::Logs, 2, &Refusal::Memory);
    ExporterMetrics::new(&telemetry, &id).in_flight.set(4.0);

    let first = telemetry.render(&Naming::default());
    for line in [
        r#"otelcol_receiver_accepted_spans{receiver="otlp",transport="grpc"} 5"#,
        r#"otelcol_receiver_refused_log_records{receiver="otlp",transport="grpc"} 2"#,
        r#"sluice_requests_refused_total{receiver="otlp",cause="memory"} 1"#,
        r#"otelcol_exporter_in_flight_requests{exporter="otlp"} 4"#,
        "# TYPE otelcol_process_uptime counter",
        "otelcol_process_uptime 7",
        "otelcol_process_cpu_seconds 1.5",
        "otelcol_process_memory_rss 4096",
    ] {
        assert!(first.lines().any(|found| found == line), "{line} not in\n{first}");
    }

    let resource = vec![("service.name".to_owned(), "sluice".to_owned())];
    let naming = Naming {
        without_type_suffix: false,
        without_units: false,
        resource: resource.clone(),
        constant_labels: resource,
    };
    let second = telemetry.render(&naming);
    for line in [
        r#"otelcol_receiver_accepted_spans_total{receiver="otlp",transport="grpc",service_name="sluice"} 5"#,
        r#"otelcol_exporter_in_flight_requests{exporter="otlp",service_name="sluice"} 4"#,
        r#"otelcol_process_uptime_seconds_total{service_name="sluice"} 7"#,
        r#"otelcol_process_cpu_seconds_total{service_name="sluice"} 1.5"#,
        r#"sluice_requests_refused_total{receiver="otlp",cause="memory",service_name="sluice"} 1"#,
        r#"target_info{service_name="sluice"} 1"#,
    ] {
        assert!(second.lines().any(|found| found == line), "{line} not in\n{second}");
    }
}

#[test]
fn a_handle_of_the_facade_counts_in_the_same_series() {
    let telemetry = Telemetry::new();
    metrics::with_local_recorder(&telemetry, || {
        metrics::counter!("x_total", "k" => "v").increment(2);
        telemetry.counter("x_total", &[("k", "v")]).increment(1);
        metrics::counter!("x_total", "k" => "v").absolute(2);
    });
    assert!(telemetry.render(&Naming::default()).contains("x_total{k=\"v\"} 3\n"));
}

#[test]
fn a_hook_ends_with_the_component_it_belongs_to() {
    let telemetry = Telemetry::new();
    let component = Arc::new(7.0);
    let gauge = telemetry.gauge("of_a_component", &[]);
    let (calls, seen) = (telemetry.counter("calls", &[]), telemetry.clone());
    telemetry.on_scrape_of(&component, move |value| {
        gauge.set(*value);
        calls.increment(1);
    });
    let shown = || seen.render(&Naming::default());
    assert!(shown().contains("of_a_component 7\n"));
    assert!(shown().contains("calls 2\n"));
    drop(component);
    assert!(shown().contains("calls 2\n"));
}

#[test]
fn what_a_series_is_set_to_can_be_read() {
    let telemetry = Telemetry::new();
    telemetry.counter("sluice_a_total", &[("exporter", "x")]).increment(3);
    telemetry.gauge("sluice_b", &[]).set(0.5);
    assert_eq!(telemetry.value("sluice_a_total", &[("exporter", "x")]), Some(3.0));
    assert_eq!(telemetry.value("sluice_b", &[]), Some(0.5));
    assert_eq!(telemetry.value("sluice_a_total", &[]), None);
    assert_eq!(telemetry.value("sluice_c", &[]), None);
}
