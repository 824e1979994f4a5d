//! Requests that are cut off, made of garbage, or nest without end.

use super::arena::{Arena, Attack};
use super::ask::{self, Call, grpc, head, post};
use crate::wire::{PROTOBUF, flagged, frame, trace, trace_json};

const JSON: (&str, &str) = ("content-type", "application/json");

/// A varint of this value.
fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field of bytes around what `inner` holds already: written backwards, so that depth costs no copy.
fn around(reversed: &mut Vec<u8>, tag: u8) {
    let mut length = Vec::new();
    varint(reversed.len(), &mut length);
    reversed.extend(length.iter().rev());
    reversed.push(tag);
}

/// A log record whose body is a list in a list, so many times.
pub fn deep(depth: usize) -> Vec<u8> {
    let mut reversed = Vec::new();
    for _ in 0..depth {
        around(&mut reversed, 0x0a); // ArrayValue.values
        around(&mut reversed, 0x2a); // AnyValue.array_value
    }
    around(&mut reversed, 0x2a); // LogRecord.body
    for tag in [0x12, 0x12, 0x0a] {
        around(&mut reversed, tag); // log_records, scope_logs, resource_logs
    }
    reversed.reverse();
    reversed
}

/// The same as JSON.
pub fn deep_json(depth: usize) -> Vec<u8> {
    let (open, close) = ("{\"arrayValue\":{\"values\":[".repeat(depth), "]}}".repeat(depth));
    format!("{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{{\"body\":{open}{close}}}]}}]}}]}}").into_bytes()
}

/// Bytes of no meaning, the same ones each time.
pub fn garbage(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(next).collect()
}

/// A request as [`PROTOBUF`] to the path of logs.
fn logs(kind: (&str, &str), body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    [&head("POST", "/v1/logs", &[kind, ("content-length", &length)]), body].concat()
}

/// An attack of one body over HTTP.
fn over_http(name: &str, expected: &'static str, request: Vec<u8>) -> Attack {
    Attack::new(name, "http", expected, move |target| ask::http(target.http, request.clone()))
}

/// An attack of one message, framed.
fn over_grpc(name: &str, expected: &'static str, body: Vec<u8>) -> Attack {
    Attack::new(name, "grpc", expected, move |target| grpc(target.grpc, Call::new(body.clone())))
}

/// The configuration in which everything is looked at: limits, redaction, a destination that needs nothing.
pub const LOOKED_AT: &str = "yaml:receivers: {otlp: {protocols: {grpc: , http: }}}
processors: {redaction: {allow_all_keys: true}}
exporters: {nop: }
service:
  limits: {value_depth: 32}
  pipelines:
    traces: {receivers: [otlp], processors: [redaction], exporters: [nop]}
    metrics: {receivers: [otlp], processors: [redaction], exporters: [nop]}
    logs: {receivers: [otlp], processors: [redaction], exporters: [nop]}";

#[test]
fn bytes_that_are_no_request_are_refused_as_such() {
    let mut arena = Arena::open("Malformed", &["-c", LOOKED_AT], true);
    let good = trace("good");
    let cut = &good[..good.len() - 3];
    let (json, noise) = (trace_json("good"), garbage(4096));
    // A length, and a tag, of more than ten bytes.
    let long_length = [&[0x0a][..], &[0x80; 11], &[1]].concat();
    let long_tag = [&[0xff_u8; 11][..], &[1]].concat();
    // Ten bytes are allowed; the last may hold one bit.
    let overflow = [&[0x08][..], &[0xff; 9], &[0x7f]].concat();
    let invalid = "INVALID_ARGUMENT";
    for (name, message) in [
        ("protobuf, truncated", cut),
        ("protobuf, garbage", &noise),
        ("varint of a length over ten bytes", &long_length),
        ("varint of a tag over ten bytes", &long_tag),
        ("varint over 64 bits", &overflow),
        ("group that never ends", &[0x0b; 64]),
        ("field number zero", &[0x02, 0x00]),
        ("inner length of 1 GiB", &[0x0a, 0x80, 0x80, 0x80, 0x80, 0x04]),
    ] {
        arena.face(over_http(name, "400", post(&[PROTOBUF], message)).counted("malformed"));
        arena.face(over_grpc(name, invalid, frame(message)).counted("malformed"));
    }
    arena.face(
        over_http("JSON, truncated", "400", post(&[JSON], &json.as_bytes()[..json.len() - 4])).counted("malformed"),
    );
    arena.face(over_http("JSON, garbage", "400", post(&[JSON], &noise)).counted("malformed"));
    let short = [head("POST", "/v1/traces", &[PROTOBUF, ("content-length", "100000")]), good.clone()].concat();
    let halved = move |target: super::arena::Target| half_closed(target.http, short.clone());
    arena.face(Attack::new("body shorter than its length, half-closed", "http", "closed", halved));
    let chunked =
        [head("POST", "/v1/traces", &[PROTOBUF, ("transfer-encoding", "chunked")]), b"zz\r\n".to_vec()].concat();
    arena.face(over_http("chunk size that is no number", "400", chunked).counted("malformed"));
    arena.face(over_http("request line of garbage", "400", [&noise[..200], b"\r\n\r\n"].concat()).counted("malformed"));
    let both = head("POST", "/v1/traces", &[PROTOBUF, ("content-length", "4"), ("transfer-encoding", "chunked")]);
    arena.face(over_http("length and chunks at once", "400|200", [&both[..], b"0\r\n\r\n"].concat()));
    let twice = head("POST", "/v1/traces", &[PROTOBUF, ("content-length", "4"), ("content-length", "5")]);
    arena.face(over_http("two lengths", "400", [&twice[..], b"12345"].concat()).counted("malformed"));
    let signed = head("POST", "/v1/traces", &[PROTOBUF, ("content-length", "-1")]);
    arena.face(over_http("negative length", "400", signed).counted("malformed"));
    for (name, expected, body) in [
        ("gRPC frame, prefix truncated", invalid, vec![0, 0, 0]),
        ("gRPC frame, message truncated", invalid, frame(&good)[..20].to_vec()),
        ("gRPC frame, two messages", invalid, [frame(&good), frame(&good)].concat()),
        ("gRPC frame, unknown flag", "INTERNAL", flagged(2, &good)),
        ("gRPC frame, compressed without encoding", "INTERNAL", flagged(1, &good)),
        ("no message at all", invalid, Vec::new()),
    ] {
        arena.face(over_grpc(name, expected, body).counted("malformed"));
    }
    arena.face(
        Attack::new("HTTP/1 where gRPC is spoken", "grpc", "closed", |target| {
            ask::http(target.grpc, post(&[PROTOBUF], b""))
        })
        .counted("protocol"),
    );
    arena.close();
}

/// Sends `bytes`, and that nothing more will come.
async fn half_closed(port: u16, bytes: Vec<u8>) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(mut stream) = ask::connect_from(ask::ATTACKER, port).await else { return "no connection".to_owned() };
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    match tokio::time::timeout(ask::PATIENCE, stream.read_to_end(&mut answer)).await {
        Ok(_) if answer.is_empty() => "closed".to_owned(),
        Ok(_) => String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().to_owned(),
        Err(_) => "silence".to_owned(),
    }
}

#[test]
fn values_that_nest_without_end_are_rejected_and_nobody_falls_into_them() {
    let mut arena = Arena::open("Depth, where items are looked at", &["-c", LOOKED_AT], true);
    let logs_path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    for depth in [33, 10_000, 400_000] {
        let body = deep(depth);
        let request = logs(PROTOBUF, &body);
        arena.face(over_http(&format!("AnyValue {depth} deep"), "400", request).counted("all_rejected"));
        let call = move |target: super::arena::Target| grpc(target.grpc, Call::new(frame(&body)).to(logs_path));
        let attack = Attack::new(format!("AnyValue {depth} deep"), "grpc", "INVALID_ARGUMENT", call);
        arena.face(attack.counted("all_rejected"));
    }
    for depth in [10_000, 400_000] {
        let request = logs(JSON, &deep_json(depth));
        arena.face(over_http(&format!("AnyValue {depth} deep, JSON"), "400", request).counted("malformed"));
    }
    let brackets = logs(JSON, "[".repeat(1 << 20).as_bytes());
    arena.face(over_http("a million brackets, JSON", "400", brackets).counted("malformed"));
    arena.close();
}

#[test]
fn what_nests_without_end_passes_where_nobody_looks_and_is_written_without_falling_over() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "yaml:receivers: {{otlp: {{protocols: {{grpc: , http: }}}}}}
exporters: {{debug: {{verbosity: detailed}}, file: {{path: '{0}/out.json'}}, nop: }}
service:
  delivery: {{ack: memory}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [nop]}}
    logs: {{receivers: [otlp], exporters: [debug, file]}}",
        folder.path().display()
    );
    let mut arena = Arena::open("Depth, where items are written as they are", &["-c", &config], true);
    for depth in [10_000, 100_000] {
        let request = logs(PROTOBUF, &deep(depth));
        arena.face(over_http(&format!("AnyValue {depth} deep, to debug and file"), "200", request));
    }
    arena.close();
}
