//! What OTLP clients are told, row by row of the delivery rules.

use crate::sluice::Sluice;
use crate::wire::{PROTOBUF, flagged, frame, grpc, http, trace, trace_json};

const TRACES: &str = "/v1/traces";
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const JSON: (&str, &str) = ("content-type", "application/json");

type Headers<'a> = &'a [(&'a str, &'a str)];
/// Name, method, path, headers, body, status.
type HttpCase<'a> = (&'a str, &'a str, &'a str, Headers<'a>, &'a [u8], u16);
/// Name, path, headers, frame, code.
type GrpcCase<'a> = (&'a str, &'a str, Headers<'a>, &'a [u8], u16);

#[test]
fn http_clients_get_the_status_that_fits_their_mistake() {
    let sluice = Sluice::start(&["--set", "receivers.otlp.protocols.http.max_request_body_size=4096"]);
    let good = trace("good");
    let json = trace_json("good");
    let large = trace(&"x".repeat(8192));
    let cases: [HttpCase<'_>; 13] = [
        ("protobuf", "POST", TRACES, &[PROTOBUF], &good, 200),
        ("JSON", "POST", TRACES, &[JSON], json.as_bytes(), 200),
        (
            "JSON with a charset",
            "POST",
            TRACES,
            &[("content-type", "application/json; charset=utf-8")],
            json.as_bytes(),
            200,
        ),
        ("nothing to keep", "POST", TRACES, &[PROTOBUF], b"", 200),
        ("malformed protobuf", "POST", TRACES, &[PROTOBUF], b"\x0a\xff\xff", 400),
        ("malformed JSON", "POST", TRACES, &[JSON], b"{\"resourceSpans\":", 400),
        ("unknown compression", "POST", TRACES, &[PROTOBUF, ("content-encoding", "brotli-11")], &good, 400),
        ("no gzip inside gzip", "POST", TRACES, &[PROTOBUF, ("content-encoding", "gzip")], &good, 400),
        ("unknown path", "POST", "/v1/nonsense", &[PROTOBUF], &good, 404),
        ("GET", "GET", TRACES, &[], b"", 405),
        ("oversize", "POST", TRACES, &[PROTOBUF], &large, 413),
        ("wrong content type", "POST", TRACES, &[("content-type", "text/plain")], &good, 415),
        ("no content type", "POST", TRACES, &[], &good, 415),
    ];
    for (name, method, path, headers, body, status) in cases {
        let answer = http(sluice.http, method, path, headers, body);
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        if status == 405 {
            assert!(answer.headers.contains("allow: post"), "{name}: {}", answer.headers);
        }
        if matches!(status, 400 | 413) {
            assert!(!answer.headers.contains("retry-after"), "{name} cannot be retried: {}", answer.headers);
        }
    }
}

#[test]
fn an_http_error_comes_in_the_content_type_of_the_request() {
    let sluice = Sluice::start(&[]);
    for kind in [PROTOBUF, JSON] {
        let answer = http(sluice.http, "POST", TRACES, &[kind], b"\xff\xff");
        assert_eq!(answer.status, 400);
        assert!(answer.headers.contains(&format!("content-type: {}", kind.1)), "{}", answer.headers);
    }
    let answer = http(sluice.http, "POST", TRACES, &[JSON], b"[");
    assert!(answer.body.contains("\"message\""), "{}", answer.body);
}

#[test]
fn grpc_clients_get_the_status_that_fits_their_mistake() {
    let sluice = Sluice::start(&["--set", "receivers.otlp.protocols.grpc.max_recv_msg_size_mib=1"]);
    let good = frame(&trace("good"));
    let malformed = frame(b"\x0a\xff\xff");
    let garbled = flagged(1, b"no gzip at all");
    let large = frame(&trace(&"x".repeat(1 << 20)));
    let logs = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    let cases: [GrpcCase<'_>; 8] = [
        ("a good request", EXPORT, &[], &good, 0),
        ("nothing to keep", logs, &[], &frame(b""), 0),
        ("malformed protobuf", EXPORT, &[], &malformed, 3),
        ("malformed compression", EXPORT, &[("grpc-encoding", "gzip")], &garbled, 3),
        ("oversize", EXPORT, &[], &large, 8),
        ("unknown compression", EXPORT, &[("grpc-encoding", "brotli")], &garbled, 12),
        ("unknown method", "/opentelemetry.proto.collector.trace.v1.TraceService/Import", &[], &good, 12),
        ("unknown service", "/some.Service/Export", &[], &good, 12),
    ];
    for (name, path, headers, body, code) in cases {
        let status = grpc(sluice.grpc, path, headers, body);
        assert_eq!(status.code, code, "{name}: {status:?}");
        if name == "oversize" {
            assert!(!status.headers.contains_key("grpc-status-details-bin"), "no RetryInfo: {status:?}");
        }
        if name == "unknown compression" {
            assert!(status.headers.contains_key("grpc-accept-encoding"), "{status:?}");
        }
    }
}

#[test]
fn each_signal_is_taken_on_each_port() {
    let sluice = Sluice::start(&[]);
    for (path, service) in [
        ("/v1/traces", "trace.v1.TraceService"),
        ("/v1/metrics", "metrics.v1.MetricsService"),
        ("/v1/logs", "logs.v1.LogsService"),
    ] {
        assert_eq!(http(sluice.http, "POST", path, &[PROTOBUF], b"").status, 200, "{path}");
        assert_eq!(http(sluice.http, "POST", path, &[JSON], b"{}").status, 200, "{path}");
        let path = format!("/opentelemetry.proto.collector.{service}/Export");
        assert_eq!(grpc(sluice.grpc, &path, &[], &frame(b"")).code, 0, "{path}");
    }
}
