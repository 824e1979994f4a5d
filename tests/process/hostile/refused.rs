//! Requests that are well-formed and have no business here, and heads that are too large.

use super::arena::{Arena, Attack, Target};
use super::ask::{self, Call, grpc, head, post};
use super::malformed::LOOKED_AT;
use crate::wire::{PROTOBUF, flagged, frame, trace};

/// An attack of one request over HTTP.
fn over_http(name: &str, expected: &'static str, request: Vec<u8>) -> Attack {
    Attack::new(name, "http", expected, move |target| ask::http(target.http, request.clone()))
}

/// An attack of one good message in a call that is changed.
fn over_grpc(name: &str, expected: &'static str, change: impl Fn(Call) -> Call + Send + Sync + 'static) -> Attack {
    Attack::new(name, "grpc", expected, move |target: Target| {
        grpc(target.grpc, change(Call::new(frame(&trace("good")))))
    })
}

#[test]
fn what_has_no_business_here_is_told_so() {
    let mut arena = Arena::open("No business here", &["-c", LOOKED_AT], true);
    let good = trace("good");
    let length = good.len().to_string();
    let length = ("content-length", length.as_str());
    let typed = |kind| post(&[("content-type", kind)], &good);
    arena.face(over_http("content type text/plain", "415", typed("text/plain")).counted("content_type"));
    arena.face(over_http("content type application/grpc", "415", typed("application/grpc")).counted("content_type"));
    arena.face(over_http("no content type", "415", post(&[], &good)).counted("content_type"));
    let both = post(&[PROTOBUF, ("content-type", "application/json")], &good);
    arena.face(over_http("two content types", "415", both).counted("content_type"));
    let nowhere = [head("POST", "/v1/nonsense", &[PROTOBUF, length]), good.clone()].concat();
    arena.face(over_http("unknown path", "404", nowhere).counted("unknown_path"));
    let above = [head("POST", "/v1/../v1/traces", &[PROTOBUF, length]), good.clone()].concat();
    arena.face(over_http("path with dots", "404", above).counted("unknown_path"));
    for method in ["GET", "PUT", "DELETE", "TRACE", "PATCH", "HEAD", "OPTIONS"] {
        let name = format!("method {method}");
        arena.face(over_http(&name, "405", head(method, "/v1/traces", &[])).counted("method"));
    }
    let connect = b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\nconnection: close\r\n\r\n".to_vec();
    arena.face(over_http("method CONNECT", "404|405", connect));
    let odd = post(&[PROTOBUF, ("content-encoding", "br")], &good);
    arena.face(over_http("unknown compression", "400", odd).counted("unknown_encoding"));
    let layers = post(&[PROTOBUF, ("content-encoding", "gzip, gzip")], &good);
    arena.face(over_http("two layers of compression", "400", layers).counted("unknown_encoding"));
    let upgrade = post(&[PROTOBUF, ("upgrade", "websocket"), ("expect", "nonsense")], &good);
    arena.face(over_http("upgrade and a senseless expectation", "200|417", upgrade));
    arena.face(
        over_grpc("content type text/plain", "HTTP 415", |call| call.with("content-type", "text/plain"))
            .counted("content_type"),
    );
    arena.face(
        over_grpc("content type application/grpc+json", "HTTP 415", |call| {
            call.with("content-type", "application/grpc+json")
        })
        .counted("content_type"),
    );
    arena.face(over_grpc("no content type", "HTTP 415", |call| call.without("content-type")).counted("content_type"));
    arena.face(
        over_grpc("unknown method", "UNIMPLEMENTED", |call| call.to("/some.Service/Export")).counted("unknown_path"),
    );
    arena.face(over_grpc("path of no method", "UNIMPLEMENTED", |call| call.to("/")).counted("unknown_path"));
    arena.face(
        over_grpc("method GET", "HTTP 405", |mut call| {
            call.method = "GET";
            call
        })
        .counted("method"),
    );
    arena.face(
        over_grpc("unknown compression", "UNIMPLEMENTED", |mut call| {
            call.body = flagged(1, b"x");
            call.with("grpc-encoding", "brotli")
        })
        .counted("unknown_encoding"),
    );
    arena.face(
        over_grpc("deadline that has passed", "DEADLINE_EXCEEDED", |call| call.with("grpc-timeout", "0n").open())
            .counted("deadline_exceeded"),
    );
    arena.close();
}

#[test]
fn heads_that_are_too_large_are_refused_whatever_way_they_grow() {
    let mut arena = Arena::open("Floods of headers", &["-c", LOOKED_AT], true);
    let good = trace("good");
    let many =
        |count: usize| -> Vec<(String, String)> { (0..count).map(|i| (format!("x-{i}"), "y".to_owned())).collect() };
    let http_head = |headers: Vec<(String, String)>| {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        post(&[&headers[..], &[PROTOBUF]].concat(), &good)
    };
    let long = |bytes: usize| vec![("x-long".to_owned(), "y".repeat(bytes))];
    for count in [65, 1_000] {
        let name = format!("{count} headers");
        arena.face(over_http(&name, "431", http_head(many(count))).counted("headers"));
    }
    for bytes in [17 << 10, 4 << 20] {
        let name = format!("headers of {} KiB", bytes >> 10);
        arena.face(over_http(&name, "431", http_head(long(bytes))).counted("headers"));
    }
    let target = format!("/v1/traces?{}", "x".repeat(5 << 10));
    let uri = [head("POST", &target, &[PROTOBUF, ("content-length", "0")])].concat();
    arena.face(over_http("target of 5 KiB", "414", uri).counted("uri"));
    let target = format!("/v1/traces?{}", "x".repeat(70 << 10));
    let uri = [head("POST", &target, &[PROTOBUF, ("content-length", "0")])].concat();
    arena.face(over_http("target of 70 KiB", "414|431", uri).counted("headers"));
    let no_colon = b"POST /v1/traces HTTP/1.1\r\nhost: sluice\r\nno colon\r\n\r\n".to_vec();
    arena.face(over_http("header without a colon", "400", no_colon).counted("malformed"));
    let folded = b"POST /v1/traces HTTP/1.1\r\nhost: sluice\r\nx-a: b\r\n c\r\ncontent-length: 0\r\n\r\n".to_vec();
    arena.face(over_http("folded header", "400", folded).counted("malformed"));
    for count in [65, 200] {
        let name = format!("{count} headers");
        let headers = many(count);
        let attack = over_grpc(&name, "RST ENHANCE_YOUR_CALM", move |mut call| {
            call.headers.extend(headers.iter().cloned());
            call
        });
        arena.face(attack.counted("headers"));
    }
    // What the HTTP/2 library refuses by itself it answers with a status of HTTP.
    for (bytes, expected) in [(17 << 10, "HTTP 431|RST ENHANCE_YOUR_CALM"), (60 << 10, "HTTP 431")] {
        let name = format!("headers of {} KiB", bytes >> 10);
        let attack = over_grpc(&name, expected, move |call| call.with("x-long", "y".repeat(bytes)));
        arena.face(attack.counted("headers"));
    }
    let attack = over_grpc("headers of 17 KiB, no body", "HTTP 431", |mut call| {
        call.body.clear();
        call.with("x-long", "y".repeat(17 << 10))
    });
    arena.face(attack.counted("headers"));
    let attack = over_grpc("headers of 4 MiB", "GOAWAY ENHANCE_YOUR_CALM|closed|HTTP 431", |call| {
        call.with("x-long", "y".repeat(4 << 20))
    });
    arena.face(attack);
    arena.close();
}
