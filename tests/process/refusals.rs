//! Every refusal is counted, whichever stage it came from.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::sluice::Sluice;
use crate::wire::{PROTOBUF, flagged, frame, grpc, http, trace};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The counter of refusals with this cause.
fn refused(sluice: &Sluice, cause: &str) -> u64 {
    let text = http(sluice.metrics, "GET", "/metrics", &[], b"").body;
    let series = format!("sluice_requests_refused_total{{receiver=\"otlp\",cause=\"{cause}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or_default()
}

#[test]
fn what_the_listeners_refuse_by_themselves_is_counted_once_each() {
    let sluice = Sluice::start(&[
        "--set",
        "receivers.otlp.protocols.grpc.max_recv_msg_size_mib=1",
        "--set",
        "receivers.otlp.protocols.http.max_request_body_size=4096",
    ]);
    let causes = ["too_large", "unknown_path", "unknown_encoding", "content_type", "method", "malformed", "protocol"];
    let before = causes.map(|cause| refused(&sluice, cause));
    let good = trace("good");
    let large = frame(&trace(&"x".repeat(1 << 20)));
    assert_eq!(grpc(sluice.grpc, EXPORT, &[], &large).code, 8);
    assert_eq!(grpc(sluice.grpc, "/some.Service/Export", &[], &frame(&good)).code, 12);
    assert_eq!(grpc(sluice.grpc, EXPORT, &[("grpc-encoding", "brotli")], &flagged(1, b"x")).code, 12);
    assert_eq!(grpc(sluice.grpc, EXPORT, &[], &flagged(1, b"x")).code, 13, "compressed without saying how");
    assert_eq!(http(sluice.http, "POST", "/v1/traces", &[PROTOBUF], &[0; 8192]).status, 413);
    assert_eq!(http(sluice.http, "POST", "/v1/nonsense", &[PROTOBUF], &good).status, 404);
    assert_eq!(http(sluice.http, "POST", "/v1/traces", &[PROTOBUF, ("content-encoding", "br")], &good).status, 400);
    assert_eq!(http(sluice.http, "POST", "/v1/traces", &[], &good).status, 415);
    assert_eq!(http(sluice.http, "GET", "/v1/traces", &[], b"").status, 405);
    let mut stranger = TcpStream::connect(("127.0.0.1", sluice.grpc)).unwrap();
    stranger.write_all(b"SSH-2.0-OpenSSH_9.9\r\n\r\n and whatever follows it\r\n").unwrap();
    let _ = stranger.read_to_end(&mut Vec::new());
    for ((cause, before), expected) in causes.into_iter().zip(before).zip([2, 2, 2, 1, 1, 1, 1]) {
        assert_eq!(refused(&sluice, cause) - before, expected, "{cause}");
    }
}

#[test]
fn connections_over_the_cap_of_one_source_are_counted_and_the_rest_goes_on() {
    let sluice = Sluice::start(&[]);
    let held: Vec<TcpStream> = (0..256).map(|_| TcpStream::connect(("127.0.0.1", sluice.http)).unwrap()).collect();
    // One more is closed at once, before anything is read.
    let mut over = TcpStream::connect(("127.0.0.1", sluice.http)).unwrap();
    assert_eq!(over.read_to_end(&mut Vec::new()).unwrap_or_default(), 0);
    assert!(refused(&sluice, "connections_per_ip") >= 1);
    let text = http(sluice.metrics, "GET", "/metrics", &[], b"").body;
    let open = "sluice_listener_connections{receiver=\"otlp\",transport=\"http\"} 256";
    assert!(text.contains(open), "{text}");
    drop(held);
    assert_eq!(grpc(sluice.grpc, EXPORT, &[], &frame(&trace("good"))).code, 0, "another listener");
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// Spans with these trace ids in hexadecimal, as JSON.
fn spans(ids: &[&str]) -> String {
    let spans: Vec<String> = ids.iter().map(|id| format!("{{\"traceId\":\"{id}\",\"name\":\"n\"}}")).collect();
    format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}]}}]}}]}}", spans.join(","))
}

#[test]
fn an_id_that_is_none_is_rejected_by_redaction_and_the_sender_is_told() {
    let sluice = Sluice::start(&[]);
    // Text of 20 bytes.
    let odd = "6a616e652e646f65406578616d706c652e6f7267";
    let good = "0af7651916cd43dd8448eb211c80319c";
    let answer = http(sluice.http, "POST", "/v1/traces", &[JSON], spans(&[good, odd, ""]).as_bytes());
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("\"rejectedSpans\":\"1\"") && answer.body.contains("invalid"), "{}", answer.body);
    let answer = http(sluice.http, "POST", "/v1/traces", &[JSON], spans(&[odd]).as_bytes());
    assert_eq!(answer.status, 400, "nothing is left: {}", answer.body);
    assert!(!answer.body.contains("jane"), "{}", answer.body);
    let text = http(sluice.metrics, "GET", "/metrics", &[], b"").body;
    let dropped = text.lines().find(|line| {
        line.starts_with("sluice_items_dropped_total") && line.contains("redaction") && line.contains("invalid")
    });
    assert!(dropped.is_some_and(|line| line.ends_with(" 1")), "{text}");
}

#[test]
fn limits_that_are_written_hold_for_requests_and_for_what_is_in_them() {
    let sluice = Sluice::start(&[
        "--set",
        "service.limits.items_per_request=3",
        "--set",
        "service.limits.wire_bytes=1KiB",
        "--set",
        "service.limits.attributes=1",
    ]);
    let good = "0af7651916cd43dd8448eb211c80319c";
    let post = |body: &[u8]| http(sluice.http, "POST", "/v1/traces", &[JSON], body);
    assert_eq!(post(spans(&[good; 3]).as_bytes()).status, 200);
    assert_eq!(post(spans(&[good; 4]).as_bytes()).status, 413);
    assert_eq!(post(&[b' '; 1025]).status, 413);
    let attributes: Vec<String> =
        (0..3).map(|i| format!("{{\"key\":\"k{i}\",\"value\":{{\"stringValue\":\"kept{i}\"}}}}")).collect();
    let span = format!("{{\"attributes\":[{}],\"name\":\"n\"}}", attributes.join(","));
    let request = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{span}]}}]}}]}}");
    assert_eq!(post(request.as_bytes()).status, 200);
    let text = http(sluice.metrics, "GET", "/metrics", &[], b"").body;
    let trimmed = "sluice_limit_applied_total{limit=\"attributes\",action=\"trim\",signal=\"traces\"} 1";
    assert!(text.contains(trimmed), "{text}");
    sluice.signal("TERM");
    let (status, _, shown) = sluice.end();
    assert!(status.success());
    assert!(shown.contains("kept0") && !shown.contains("kept1"), "{shown}");
}

#[test]
fn while_the_collector_refuses_pushes_its_targets_are_frozen() {
    // Nobody listens on port 1: the queue fills, and stays full.
    let config = "yaml:receivers: {otlp: {protocols: {grpc: , http: }}}
processors: {up: {jobs: [{job_name: app, static_configs: [{targets: ['a:1']}]}]}}
exporters: {otlp_grpc: {endpoint: '127.0.0.1:1', tls: {insecure: true}, sending_queue: {max_bytes: 2KiB}}}
service: {delivery: {ack: memory}, pipelines: {metrics: {receivers: [otlp], processors: [up], exporters: [otlp_grpc]}}}";
    let sluice = Sluice::start(&["-c", config]);
    let targets = |state: &str| {
        let text = http(sluice.metrics, "GET", "/metrics", &[], b"").body;
        let series = format!("otlp_liveness_targets{{job=\"app\",state=\"{state}\",processor=\"up\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok())
    };
    assert_eq!((targets("unknown"), targets("frozen")), (Some(1), Some(0)));
    let points = ["{\"asDouble\":1}"; 20].join(",");
    let push = format!(
        "{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"m\",\"gauge\":{{\"dataPoints\":[{points}]}}}}]}}]}}]}}"
    );
    let refused = (0..100).any(|_| http(sluice.http, "POST", "/v1/metrics", &[JSON], push.as_bytes()).status == 503);
    assert!(refused, "the queue is full");
    // The processor looks at what was refused at its next turn.
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while targets("frozen") != Some(1) {
        assert!(std::time::Instant::now() < patience, "the target is not frozen");
    }
}
