//! Generator and sink against each other: what one says it sent, the other says it got.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use sluice_benches::client::{Protocol, Target};
use sluice_benches::encoding::Encoding;
use sluice_benches::load::{Load, Plan, Report};
use sluice_benches::payload::Shape;
use sluice_benches::ring::{Preparation, Ring};
use sluice_benches::signal::Signal;
use sluice_benches::sink::{Mode, Sink, serve_grpc, serve_http, steering};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

struct Backend {
    sink: Arc<Sink>,
    grpc: SocketAddr,
    http: SocketAddr,
    control: SocketAddr,
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn backend(mode: Mode, track: bool) -> Backend {
    let sink = Arc::new(Sink::new(mode, track).unwrap());
    let ((grpc_listener, grpc), (http_listener, http), (control_listener, control)) =
        (listener().await, listener().await, listener().await);
    tokio::spawn(serve_grpc(grpc_listener, Arc::clone(&sink), 1 << 20));
    tokio::spawn(serve_http(http_listener, Arc::clone(&sink)));
    tokio::spawn(sluice_benches::control::serve(control_listener, steering(Arc::clone(&sink))));
    Backend { sink, grpc, http, control }
}

struct Sending {
    signal: Signal,
    protocol: Protocol,
    encoding: Encoding,
    tracked: bool,
    retry: bool,
}

const PLAIN: Sending = Sending {
    signal: Signal::Traces,
    protocol: Protocol::Grpc,
    encoding: Encoding::None,
    tracked: false,
    retry: false,
};

/// A load at 2,000 requests a second of 7 items each, so that a tenth of a second is enough.
fn load(sending: &Sending) -> Arc<Load> {
    let tracked = sending.tracked.then_some((3, 4));
    let shape = Shape { signal: sending.signal, items: 7, drop_share: 0.0, tracked: sending.tracked };
    let grpc = sending.protocol == Protocol::Grpc;
    let preparation =
        Preparation { encoding: sending.encoding, grpc, refresh: Duration::ZERO, tracked, trace_items: None };
    let plan = Plan {
        items: 7,
        to_drop: 0,
        rate: Some(14_000.0),
        inflight: 8,
        connections: 2,
        timeout: Duration::from_secs(20),
        retry: sending.retry,
        tracked,
    };
    Arc::new(Load::new(plan, Ring::new(&shape, 4, preparation)).unwrap())
}

async fn run(load: &Arc<Load>, sending: &Sending, backend: &Backend, duration: Option<Duration>) -> Report {
    let (address, path) = match sending.protocol {
        Protocol::Grpc => (backend.grpc, sending.signal.grpc_path()),
        Protocol::Http => (backend.http, sending.signal.http_path()),
    };
    let target = Target {
        address: address.to_string(),
        path: path.to_owned(),
        signal: sending.signal,
        protocol: sending.protocol,
        encoding: sending.encoding,
    };
    load.run(target, duration).await.unwrap();
    load.report()
}

async fn call(backend: &Backend, method: http::Method, path: &str, body: &str) -> serde_json::Value {
    sluice_benches::control::call(backend.control, method, path, body).await.unwrap()
}

const SHORT: Option<Duration> = Some(Duration::from_millis(100));

#[tokio::test]
async fn every_signal_protocol_and_encoding_arrives_counted_and_tracked() {
    for signal in Signal::ALL {
        for (protocol, encoding, tracked) in [
            (Protocol::Grpc, Encoding::None, false),
            (Protocol::Grpc, Encoding::None, true),
            (Protocol::Grpc, Encoding::Gzip, true),
            (Protocol::Grpc, Encoding::Zstd, false),
            (Protocol::Http, Encoding::None, true),
            (Protocol::Http, Encoding::Gzip, false),
        ] {
            let sending = Sending { signal, protocol, encoding, tracked, ..PLAIN };
            let case = format!("{signal:?} {protocol:?} {encoding:?} tracked: {tracked}");
            let backend = backend(Mode::Ok, tracked).await;
            let sent = run(&load(&sending), &sending, &backend, SHORT).await;
            assert!(sent.accepted > 0 && sent.accepted == sent.sent, "{case}: {sent:?}");
            let got = backend.sink.stats.report();
            assert_eq!(got.spans + got.logs + got.points, sent.accepted, "{case}");
            assert_eq!((got.requests, got.malformed), (sent.requests, 0), "{case}");
            if let Some(acknowledged) = &sent.acknowledged {
                let seen = backend.sink.stats.seen();
                assert_eq!(acknowledged.ranges.count(), sent.accepted, "{case}");
                assert_eq!((seen.lost(acknowledged), seen.duplicates), (0, 0), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_failing_backend_is_reported_by_its_status() {
    for (mode, protocol, status) in [
        (Mode::Fail, Protocol::Grpc, "grpc 14"),
        (Mode::Fail, Protocol::Http, "http 503"),
        (Mode::Refuse, Protocol::Grpc, "grpc 3"),
        (Mode::Refuse, Protocol::Http, "http 400"),
    ] {
        let backend = backend(mode, false).await;
        let sending = Sending { protocol, ..PLAIN };
        let sent = run(&load(&sending), &sending, &backend, SHORT).await;
        assert_eq!((sent.accepted, sent.refused), (0, sent.sent));
        assert_eq!(sent.errors.get(status), Some(&sent.requests), "{:?}", sent.errors);
        let to_be_sent_again = if mode == Mode::Fail { sent.sent } else { 0 };
        assert_eq!(sent.unhinted, to_be_sent_again, "the sink does not say when");
        assert_eq!(backend.sink.stats.report().refused, sent.requests);
    }
}

#[tokio::test]
async fn with_retry_nothing_is_lost_when_the_backend_recovers() {
    let backend = backend(Mode::Fail, true).await;
    let sending = Sending { tracked: true, retry: true, ..PLAIN };
    let load = load(&sending);
    let steer = async {
        while load.report().refused == 0 {
            tokio::task::yield_now().await;
        }
        call(&backend, http::Method::POST, "/mode", "ok").await;
        while load.report().accepted < 700 {
            tokio::task::yield_now().await;
        }
        load.stop();
    };
    let (sent, ()) = tokio::join!(run(&load, &sending, &backend, None), steer);
    let (acknowledged, seen) = (sent.acknowledged.unwrap(), backend.sink.stats.seen());
    assert!(sent.refused > 0 && sent.accepted >= 700);
    assert_eq!((seen.lost(&acknowledged), acknowledged.ranges.count()), (0, sent.accepted));
}

#[tokio::test]
async fn a_hanging_backend_answers_when_its_mode_changes() {
    let backend = backend(Mode::Hang, false).await;
    let load = load(&PLAIN);
    let steer = async {
        // All eight requests in flight wait: the generator claims no ninth.
        while load.report().sent < 8 * 7 {
            tokio::task::yield_now().await;
        }
        assert_eq!(load.report().accepted, 0);
        load.stop();
        call(&backend, http::Method::POST, "/mode", "ok").await;
    };
    let (sent, ()) = tokio::join!(run(&load, &PLAIN, &backend, None), steer);
    assert_eq!((sent.sent, sent.accepted), (56, 56));
    let stats = call(&backend, http::Method::GET, "/stats", "").await;
    assert_eq!(stats["spans"], 56);
    call(&backend, http::Method::POST, "/reset", "").await;
    assert_eq!(call(&backend, http::Method::GET, "/stats", "").await["spans"], 0);
}

#[tokio::test]
async fn a_closed_backend_refuses_connections_until_its_mode_changes() {
    let backend = backend(Mode::Ok, true).await;
    let sending = Sending { tracked: true, retry: true, ..PLAIN };
    let load = load(&sending);
    let steer = async {
        while load.report().accepted == 0 {
            tokio::task::yield_now().await;
        }
        call(&backend, http::Method::POST, "/mode", "closed").await;
        while !load.report().errors.keys().any(|error| error.contains("refused")) {
            tokio::task::yield_now().await;
        }
        call(&backend, http::Method::POST, "/mode", "ok").await;
        let accepted = load.report().accepted;
        while load.report().accepted < accepted + 700 {
            tokio::task::yield_now().await;
        }
        load.stop();
    };
    let (sent, ()) = tokio::join!(run(&load, &sending, &backend, None), steer);
    assert_eq!(backend.sink.stats.seen().lost(&sent.acknowledged.unwrap()), 0);
}

#[tokio::test]
async fn a_backend_at_its_limit_takes_so_many_items_a_second_and_no_more() {
    const RATE: u32 = 2000;
    let backend = backend(Mode::Rate(RATE), false).await;
    let begun = std::time::Instant::now();
    let sent = run(&load(&PLAIN), &PLAIN, &backend, Some(Duration::from_millis(300))).await;
    let most = begun.elapsed().as_secs_f64() * f64::from(RATE);
    assert!(sent.accepted > 0 && sent.accepted as f64 <= most, "{sent:?}, at most {most}");
}

#[tokio::test]
async fn remote_write_is_counted_and_version_two_is_answered_with_what_was_written() {
    let mut sample = sluice_benches::wire::Message::new();
    sample.double(1, 1.0).varint(2, 1);
    for (series_field, content_type, written) in [
        (1, "application/x-protobuf", None),
        (5, "application/x-protobuf;proto=io.prometheus.write.v2.Request", Some("2")),
    ] {
        let backend = backend(Mode::Ok, false).await;
        let mut series = sluice_benches::wire::Message::new();
        series.message(2, sample.clone()).message(2, sample.clone());
        let mut request = sluice_benches::wire::Message::new();
        request.message(series_field, series);
        let (bytes, _) = request.into_parts();
        let body = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
        let request = http::Request::post("/api/v1/write")
            .header("host", "sink")
            .header("content-type", content_type)
            .header("content-encoding", "snappy")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let socket = tokio::net::TcpStream::connect(backend.http).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 204);
        let header = response.headers().get("x-prometheus-remote-write-samples-written");
        assert_eq!(header.map(|value| value.to_str().unwrap()), written);
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
        let got = backend.sink.stats.report();
        assert_eq!((got.series, got.samples, got.malformed), (1, 2, 0));
    }
}
