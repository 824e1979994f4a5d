//! HTTP/2 and gRPC framing by the rules of RFC 9113 and of gRPC over HTTP/2, one broken rule at a time.
//!
//! Numbers are sections of RFC 9113. Where a rule leaves a choice, or the HTTP/2 library makes one, all that is right is listed.

use std::fmt::Write as _;
use std::time::Duration;

use super::ask::{Call, grpc};
use super::malformed::LOOKED_AT;
use super::raw::*;
use crate::sluice::Sluice;
use crate::wire::{flagged, frame as message, http, trace};

/// What does not come within this does not come.
const PATIENCE: Duration = Duration::from_millis(1500);
const PROTOCOL: &str = "GOAWAY PROTOCOL_ERROR";
/// The HTTP/2 library says PROTOCOL_ERROR of some frames of a wrong length.
const SIZE: &str = "GOAWAY FRAME_SIZE_ERROR|GOAWAY PROTOCOL_ERROR";
const STREAM: &str = "RST PROTOCOL_ERROR";
/// The stream is over; the library may have forgotten it, and then says so.
const OVER: &str = "RST STREAM_CLOSED|GOAWAY STREAM_CLOSED|GOAWAY PROTOCOL_ERROR|answered";

/// What is sent behind preface and settings, and the ends that are right.
struct Case {
    rule: &'static str,
    sent: Vec<u8>,
    right: &'static str,
}

fn case(rule: &'static str, frames: &[Vec<u8>], right: &'static str) -> Case {
    Case { rule, sent: frames.concat(), right }
}

fn ping() -> Vec<u8> {
    frame(PING, 0, 0, &[1; 8])
}

/// HEADERS with these fields, that end the stream.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields))
}

/// The call with one more field.
fn and(name: &'static str, value: &'static str) -> Vec<u8> {
    fields(&[&CALL[..], &[(name, value)]].concat())
}

/// The call without a field.
fn but(name: &str) -> Vec<u8> {
    let kept: Vec<_> = CALL.into_iter().filter(|(known, _)| *known != name).collect();
    fields(&kept)
}

fn setting(number: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&number.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

fn whole(stream: u32) -> Vec<u8> {
    [call(stream), frame(DATA, END_STREAM, stream, &message(&trace("x")))].concat()
}

fn framing() -> Vec<Case> {
    let half = || frame(HEADERS, 0, 1, &block(&CALL));
    let window = |increment: u32| increment.to_be_bytes();
    let most = (1 << 31) - 1;
    vec![
        case("a whole call is answered", &[whole(1)], "answered"),
        case("4.1 a frame of an unknown kind is ignored", &[frame(77, 0, 0, b"x"), ping()], "pong"),
        case("4.1 unknown flags are ignored", &[frame(PING, 0xfe & !ACK, 0, &[1; 8])], "pong"),
        case("4.1 the reserved bit is ignored", &[frame(PING, 0, 1 << 31, &[1; 8])], "pong"),
        case("4.2 DATA over the frame size", &[call(1), framed((1 << 20) + 1, DATA, 0, 1, &[0; 64])], SIZE),
        case("4.2 HEADERS over the frame size", &[framed((1 << 20) + 1, HEADERS, 4, 1, &[0; 64])], SIZE),
        // The library says PROTOCOL_ERROR where the RFC has COMPRESSION_ERROR.
        case(
            "4.3 an index of HPACK that is none",
            &[frame(HEADERS, END_HEADERS, 1, &[0x80])],
            "GOAWAY COMPRESSION_ERROR|GOAWAY PROTOCOL_ERROR",
        ),
        case(
            "4.3 a header block that is cut off",
            &[frame(HEADERS, END_HEADERS, 1, &[0, 9, b'x'])],
            "GOAWAY COMPRESSION_ERROR|GOAWAY PROTOCOL_ERROR",
        ),
        case(
            "4.3 a table size over what was announced",
            &[frame(HEADERS, END_HEADERS, 1, &[0x3f, 0xe1, 0xff, 0xff, 0x0f])],
            "GOAWAY COMPRESSION_ERROR|GOAWAY PROTOCOL_ERROR",
        ),
        case("5.1 DATA on an idle stream", &[frame(DATA, 0, 1, b"x")], PROTOCOL),
        case("5.1 RST_STREAM on an idle stream", &[frame(RST_STREAM, 0, 1, &[0; 4])], PROTOCOL),
        case("5.1 WINDOW_UPDATE on an idle stream", &[frame(WINDOW_UPDATE, 0, 1, &window(1))], PROTOCOL),
        case("5.1 DATA behind the end of a stream", &[and("x", "y"), frame(DATA, 0, 1, b"x")], OVER),
        case("5.1 HEADERS behind the end of a stream", &[and("x", "y"), fields(&CALL)], OVER),
        case(
            "5.1 DATA behind a reset",
            &[call(1), frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), frame(DATA, 0, 1, b"x")],
            "RST STREAM_CLOSED|GOAWAY STREAM_CLOSED",
        ),
        case("5.1.1 a stream with an even number", &[call(2)], PROTOCOL),
        case("5.1.1 a stream with a lower number", &[call(5), call(3)], PROTOCOL),
        case("5.1.2 a stream over the cap", &[(0..=100).flat_map(|i| call(2 * i + 1)).collect()], "RST REFUSED_STREAM"),
        case("5.4 behind an error the connection ends", &[frame(DATA, 0, 0, b"x"), ping()], PROTOCOL),
        case("5.5 an unknown frame inside a header block", &[half(), frame(77, 0, 1, b"x")], PROTOCOL),
        case("6.1 DATA on stream zero", &[frame(DATA, 0, 0, b"x")], PROTOCOL),
        case("6.1 DATA with more padding than payload", &[call(1), frame(DATA, PADDED, 1, &[9, 1, 1])], PROTOCOL),
        case("6.2 HEADERS on stream zero", &[frame(HEADERS, END_HEADERS, 0, &block(&CALL))], PROTOCOL),
        case(
            "6.2 HEADERS with more padding than payload",
            &[frame(HEADERS, END_HEADERS | PADDED, 1, &[200, 0x82])],
            PROTOCOL,
        ),
        case("6.2 a frame of another stream inside a header block", &[half(), frame(DATA, 0, 3, b"x")], PROTOCOL),
        case("6.2 PING inside a header block", &[half(), ping()], PROTOCOL),
        case("6.3 PRIORITY on stream zero", &[frame(PRIORITY, 0, 0, &[0, 0, 0, 0, 1])], PROTOCOL),
        // An error of the stream by the RFC; the library knows no streams in this place.
        case(
            "6.3 PRIORITY of a wrong length",
            &[call(1), frame(PRIORITY, 0, 1, &[0; 4])],
            "RST FRAME_SIZE_ERROR|GOAWAY FRAME_SIZE_ERROR|GOAWAY PROTOCOL_ERROR",
        ),
        case(
            "5.3.1 HEADERS that depend on themselves",
            &[frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, &[&[0, 0, 0, 1, 5][..], &block(&CALL)].concat())],
            "RST PROTOCOL_ERROR|GOAWAY PROTOCOL_ERROR|open",
        ),
        case("6.4 RST_STREAM on stream zero", &[frame(RST_STREAM, 0, 0, &[0; 4])], PROTOCOL),
        case("6.4 RST_STREAM of a wrong length", &[call(1), frame(RST_STREAM, 0, 1, &[0; 3])], SIZE),
        case("6.5 SETTINGS on a stream", &[frame(SETTINGS, 0, 1, &[])], PROTOCOL),
        case("6.5 an acknowledgement with a payload", &[frame(SETTINGS, ACK, 0, &[0; 6])], SIZE),
        case("6.5 SETTINGS of a wrong length", &[frame(SETTINGS, 0, 0, &[0; 5])], SIZE),
        case("6.5.2 push that is neither on nor off", &[setting(2, 2)], PROTOCOL),
        case("6.5.2 a window over 2³¹−1", &[setting(4, 1 << 31)], "GOAWAY FLOW_CONTROL_ERROR|GOAWAY PROTOCOL_ERROR"),
        case("6.5.2 a frame size below 16 KiB", &[setting(5, 1)], PROTOCOL),
        case("6.5.2 a frame size over 16 MiB", &[setting(5, 1 << 24)], PROTOCOL),
        case("6.5.2 an unknown setting is ignored", &[setting(0x99, 7), ping()], "pong"),
        case("6.7 PING is answered", &[ping()], "pong"),
        case("6.7 an answer that nobody asked for", &[frame(PING, ACK, 0, &[9; 8]), ping()], "pong"),
        case("6.7 PING on a stream", &[frame(PING, 0, 1, &[0; 8])], PROTOCOL),
        case("6.7 PING of a wrong length", &[frame(PING, 0, 0, &[0; 6])], SIZE),
        case("6.8 GOAWAY on a stream", &[frame(GOAWAY, 0, 1, &[0; 8])], PROTOCOL),
        case("6.9 an increment of zero on the connection", &[frame(WINDOW_UPDATE, 0, 0, &window(0))], PROTOCOL),
        case(
            "6.9 an increment of zero on a stream",
            &[call(1), frame(WINDOW_UPDATE, 0, 1, &window(0))],
            "RST PROTOCOL_ERROR|GOAWAY PROTOCOL_ERROR",
        ),
        case("6.9 WINDOW_UPDATE of a wrong length", &[frame(WINDOW_UPDATE, 0, 0, &[0; 3])], SIZE),
        case(
            "6.9.1 the window of the connection overflows",
            &[frame(WINDOW_UPDATE, 0, 0, &window(most)).repeat(2)],
            "GOAWAY FLOW_CONTROL_ERROR|GOAWAY PROTOCOL_ERROR",
        ),
        case(
            "6.9.1 the window of a stream overflows",
            &[call(1), frame(WINDOW_UPDATE, 0, 1, &window(most)).repeat(2)],
            "RST FLOW_CONTROL_ERROR",
        ),
        case("6.10 CONTINUATION of nothing", &[frame(CONTINUATION, END_HEADERS, 1, &[])], PROTOCOL),
        case(
            "6.10 CONTINUATION behind the end of the block",
            &[call(1), frame(CONTINUATION, END_HEADERS, 1, &[])],
            PROTOCOL,
        ),
        case("6.10 CONTINUATION of another stream", &[half(), frame(CONTINUATION, END_HEADERS, 3, &[])], PROTOCOL),
        case("6.10 CONTINUATION on stream zero", &[half(), frame(CONTINUATION, END_HEADERS, 0, &[])], PROTOCOL),
        case(
            "6.6 a client that pushes",
            &[call(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &block(&CALL)].concat())],
            PROTOCOL,
        ),
    ]
}

fn messages() -> Vec<Case> {
    let trailers = |block: &[u8]| [call(1), frame(HEADERS, END_HEADERS | END_STREAM, 1, block)].concat();
    vec![
        case("8.2 a field name in upper case", &[and("X-Upper", "y")], "RST PROTOCOL_ERROR|GOAWAY PROTOCOL_ERROR"),
        case("8.2 a field name with a space", &[and("x y", "z")], "RST PROTOCOL_ERROR|GOAWAY PROTOCOL_ERROR"),
        case("8.2 a value with a line feed", &[and("x", "a\nb")], "RST PROTOCOL_ERROR|GOAWAY PROTOCOL_ERROR"),
        case("8.2.2 a field of the connection", &[and("connection", "keep-alive")], STREAM),
        case("8.2.2 te that is not trailers", &[fields(&[&CALL[..5], &[("te", "gzip")]].concat())], STREAM),
        case(
            "8.3 an unknown pseudo-header",
            &[fields(&[&[(":nonsense", "x")][..], &CALL].concat())],
            "RST PROTOCOL_ERROR|GOAWAY PROTOCOL_ERROR",
        ),
        case("8.3 a pseudo-header of responses", &[fields(&[&[(":status", "200")][..], &CALL].concat())], STREAM),
        case("8.3 a pseudo-header behind others", &[fields(&[&CALL[1..], &CALL[..1]].concat())], STREAM),
        // The library lets it pass, and nobody reads trailers: the call is answered as one without a message.
        case("8.3 a pseudo-header in trailers", &[trailers(&block(&[(":path", "/")]))], "RST PROTOCOL_ERROR|answered"),
        case("8.3.1 no method", &[but(":method")], STREAM),
        case("8.3.1 no scheme", &[but(":scheme")], STREAM),
        case("8.3.1 no path", &[but(":path")], STREAM),
        case("8.3.1 an empty path", &[fields(&[&CALL[..2], &[(":path", "")], &CALL[3..]].concat())], STREAM),
        case("8.3.1 two paths", &[fields(&[&CALL[..3], &CALL[2..]].concat())], STREAM),
        case("8.1 trailers that do not end the stream", &[call(1), call(1)], STREAM),
        case(
            "8.1.1 a shorter body than its content-length",
            &[
                frame(HEADERS, END_HEADERS, 1, &block(&[&CALL[..], &[("content-length", "9")]].concat())),
                frame(DATA, END_STREAM, 1, b"x"),
            ],
            STREAM,
        ),
        case(
            "8.1.1 a longer body than its content-length",
            &[
                frame(HEADERS, END_HEADERS, 1, &block(&[&CALL[..], &[("content-length", "1")]].concat())),
                frame(DATA, END_STREAM, 1, b"xyz"),
            ],
            STREAM,
        ),
        case("8.3.1 no authority", &[but(":authority"), ping()], "answered|pong"),
    ]
}

#[test]
fn the_rules_of_http2_hold_on_both_ports() {
    let sluice = Sluice::start(&["-c", LOOKED_AT]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut table, mut faults) = (String::from("\nHTTP/2\n"), Vec::new());
    for case in framing().into_iter().chain(messages()) {
        let mut seen = Vec::new();
        for port in [sluice.grpc, sluice.http] {
            let ended = runtime.block_on(async {
                let mut raw = Raw::open(port).await.expect("a connection");
                raw.send(&case.sent).await;
                raw.verdict(PATIENCE).await
            });
            if !case.right.split('|').any(|right| right == ended) {
                faults.push(format!("{}: {ended} instead of {}", case.rule, case.right));
            }
            seen.push(ended);
        }
        let _ = writeln!(table, "{:<56} {:<56} {:<26} {}", case.rule, case.right, seen[0], seen[1]);
    }
    for (rule, bytes, right) in [
        ("3.4 no preface", &b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..], ["closed"; 2]),
        // The library does not wait for them.
        ("3.4 no settings behind it", &[PREFACE, &ping()].concat(), ["pong"; 2]),
    ] {
        let seen = [sluice.grpc, sluice.http].map(|port| {
            runtime.block_on(async {
                let mut raw = Raw::silent(port).await.expect("a connection");
                raw.send(bytes).await;
                raw.verdict(PATIENCE).await
            })
        });
        let _ = writeln!(table, "{rule:<56} {:<56} {:<26} {}", right[0], seen[0], seen[1]);
        if seen != right {
            faults.push(format!("{rule}: {seen:?} instead of {right:?}"));
        }
    }
    println!("{table}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(
        http(sluice.http, "POST", "/v1/traces", &[crate::wire::PROTOBUF], &trace("x")).status,
        200,
        "afterwards"
    );
}

#[test]
fn the_rules_of_grpc_framing_hold() {
    let sluice = Sluice::start(&["-c", LOOKED_AT]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let good = message(&trace("x"));
    let call = || Call::new(good.clone());
    let with = |body: Vec<u8>| Call::new(body);
    let cases = [
        ("a call that is right", call(), "OK"),
        ("no te: a proxy may have eaten it", call().without("te"), "OK"),
        ("content type with parameters", call().with("content-type", "application/grpc; charset=utf-8"), "OK"),
        ("content type +proto", call().with("content-type", "application/grpc+proto"), "OK"),
        ("content type +json", call().with("content-type", "application/grpc+json"), "HTTP 415"),
        ("content type application/grpcnonsense", call().with("content-type", "application/grpcnonsense"), "HTTP 415"),
        ("no content type", call().without("content-type"), "HTTP 415"),
        ("an encoding, and a message without", call().with("grpc-encoding", "gzip"), "OK"),
        ("identity", call().with("grpc-encoding", "identity"), "OK"),
        ("unknown encoding", call().with("grpc-encoding", "lzma"), "UNIMPLEMENTED"),
        ("compressed without encoding", with(flagged(1, &trace("x"))), "INTERNAL"),
        ("a flag that is neither 0 nor 1", with(flagged(0x80, &trace("x"))), "INTERNAL"),
        ("no message", with(Vec::new()), "INVALID_ARGUMENT"),
        ("one byte", with(vec![0]), "INVALID_ARGUMENT"),
        ("a prefix and nothing behind it", with(vec![0, 0, 0, 0, 9]), "INVALID_ARGUMENT"),
        ("an empty message", with(message(&[])), "OK"),
        ("an empty message, compressed", with(flagged(1, &[])).with("grpc-encoding", "gzip"), "OK"),
        ("a byte too many", with([&good[..], &[0]].concat()), "INVALID_ARGUMENT"),
        ("two messages", with(good.repeat(2)), "INVALID_ARGUMENT"),
        ("a length of 4 GiB", with(vec![0, 0xff, 0xff, 0xff, 0xff]), "RESOURCE_EXHAUSTED"),
        ("a timeout that is none", call().with("grpc-timeout", "soon"), "OK"),
        ("the longest timeout there is", call().with("grpc-timeout", "99999999H"), "OK"),
        ("metadata in base64 that is none", call().with("trace-bin", "***"), "OK"),
        ("a reserved header", call().with("grpc-nonsense", "x"), "OK"),
        ("a path of no method", call().to("/TraceService"), "UNIMPLEMENTED"),
        ("the path in lower case", call().to(&super::ask::EXPORT.to_lowercase()), "UNIMPLEMENTED"),
        ("a query behind the path", call().to(&format!("{}?x=y", super::ask::EXPORT)), "OK|UNIMPLEMENTED"),
    ];
    let (mut table, mut faults) = (String::from("\ngRPC\n"), Vec::new());
    for (rule, call, right) in cases {
        let seen = runtime.block_on(grpc(sluice.grpc, call));
        let _ = writeln!(table, "{rule:<48} {right:<24} {seen}");
        if !right.split('|').any(|right| right == seen) {
            faults.push(format!("{rule}: {seen} instead of {right}"));
        }
    }
    println!("{table}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
