//! Pipelines behind connectors, with real destinations.

use std::time::{Duration, Instant};

use crate::durable::{Folder, balances, terminate};
use crate::sink::Sink;
use crate::sluice::Sluice;
use crate::wire::{PROTOBUF, frame, grpc, http, trace};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Longer than anything here takes on a loaded machine; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(60);

fn exporters(sinks: &[&Sink]) -> String {
    let one = |(number, sink): (usize, &&Sink)| {
        let port = sink.port;
        format!("otlp_grpc/{number}: {{endpoint: '127.0.0.1:{port}', tls: {{insecure: true}}, compression: none}}")
    };
    format!(
        "exporters: {{{}, debug: {{verbosity: detailed, use_internal_logger: false}}}}",
        sinks.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
    )
}

const OTLP: &str = "receivers: {otlp: {protocols: {grpc: , http: {include_metadata: true}}}}";

fn send(sluice: &Sluice, name: &str) {
    assert_eq!(grpc(sluice.grpc, EXPORT, &[], &frame(&trace(name))).code, 0);
}

/// Until a destination has got these spans, each once, and nothing else.
fn has(sink: &Sink, names: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    while sink.arrived().len() < names.len() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let mut arrived: Vec<(String, usize)> = sink.arrived().into_iter().collect();
    arrived.sort();
    assert_eq!(arrived, names.iter().map(|name| (name.to_string(), 1)).collect::<Vec<_>>());
}

#[test]
fn pipelines_join_and_part_through_forward_and_routing() {
    let sinks = [Sink::start(), Sink::start(), Sink::start()];
    let config = format!(
        "yaml:{OTLP}
processors:
  filter: {{trace_conditions: ['span.name == \"secret\"']}}
connectors:
  forward:
  routing:
    default_pipelines: [traces/rest]
    table:
      - {{context: span, condition: 'name == \"a\"', pipelines: [traces/a]}}
      - {{context: request, condition: 'request[\"x-team\"] == \"blue\"', pipelines: [traces/a, traces/rest]}}
{}
service:
  delivery: {{ack: memory}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [forward, routing]}}
    traces/filtered: {{receivers: [forward], processors: [filter], exporters: [otlp_grpc/0]}}
    traces/a: {{receivers: [routing], exporters: [otlp_grpc/1]}}
    traces/rest: {{receivers: [routing], exporters: [otlp_grpc/2]}}
",
        exporters(&[&sinks[0], &sinks[1], &sinks[2]])
    );
    let sluice = Sluice::start(&["-c", &config]);
    for name in ["a", "b", "secret"] {
        send(&sluice, name);
    }
    let blue = [PROTOBUF, ("x-team", "blue")];
    assert_eq!(http(sluice.http, "POST", "/v1/traces", &blue, &trace("c")).status, 200);
    has(&sinks[0], &["a", "b", "c"]);
    has(&sinks[1], &["a", "c"]);
    has(&sinks[2], &["b", "c", "secret"]);
    balances(sluice.metrics);
    terminate(sluice, 1);
}

#[test]
fn in_exported_mode_a_sender_waits_for_what_lies_behind_a_connector() {
    let sink = Sink::start();
    let config = format!(
        "yaml:{OTLP}
connectors: {{forward: }}
{}
service:
  delivery: {{ack: exported}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [forward]}}
    traces/out: {{receivers: [forward], exporters: [otlp_grpc/0]}}
",
        exporters(&[&sink])
    );
    let sluice = Sluice::start(&["-c", &config]);
    send(&sluice, "a");
    // Not a moment later.
    assert_eq!(sink.arrived().get("a"), Some(&1));
    balances(sluice.metrics);
    terminate(sluice, 1);
}

fn metered(folder: &Folder, sink: &Sink, interval: &str) -> String {
    format!(
        "yaml:{OTLP}
extensions: {{journal: {{directory: '{}/journal', max_size: 256MiB}}}}
processors: {{resource: {{attributes: [{{key: service.name, value: shop, action: insert}}]}}}}
connectors: {{span_metrics: {{metrics_flush_interval: {interval}}}}}
{}
service:
  delivery: {{ack: durable, allow_volatile: true}}
  pipelines:
    traces: {{receivers: [otlp], processors: [resource], exporters: [span_metrics, otlp_grpc/0]}}
    metrics: {{receivers: [span_metrics], exporters: [debug]}}
",
        folder.path().display(),
        exporters(&[sink])
    )
}

#[test]
fn what_a_connector_had_aggregated_before_a_kill_is_aggregated_again() {
    let (folder, sink) = (Folder::new("connectors"), Sink::start());
    let sluice = Sluice::start(&["-c", &metered(&folder, &sink, "1h")]);
    for name in ["a", "b"] {
        send(&sluice, name);
    }
    has(&sink, &["a", "b"]);
    balances(sluice.metrics);
    sluice.signal("KILL");
    let (_, log, shown) = sluice.end();
    assert!(!shown.contains("traces.span.metrics.calls"), "{shown}\n{log}");

    let sluice = Sluice::start(&["-c", &metered(&folder, &sink, "200ms")]);
    let deadline = Instant::now() + PATIENCE;
    let emitted = |text: &str| {
        text.lines()
            .any(|line| line.starts_with("sluice_items_admitted_total{pipeline=\"metrics\"") && !line.ends_with(" 0"))
    };
    while !emitted(&http(sluice.metrics, "GET", "/metrics", &[], b"").body) && Instant::now() < deadline {
        std::thread::yield_now();
    }
    balances(sluice.metrics);
    sluice.signal("TERM");
    let (status, log, shown) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(shown.contains("traces.span.metrics.calls"), "{shown}\n{log}");
}
