//! OTLP/HTTP at `/v1/…`, and Prometheus remote write 1.0 and 2.0 at every other path.

use super::listen::each_connection;
use super::stats::Kind;
use super::{Sink, Verdict};
use crate::encoding::Encoding;
use crate::scan::{Counter, Counts, Malformed, Node, WRITE_V1, WRITE_V2, export_request};
use crate::signal::Signal;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;

/// A remote-write request larger than this when decompressed is refused.
const LIMIT: usize = 256 << 20;
const V2: &str = "io.prometheus.write.v2.Request";

/// Serves until the task is dropped.
pub async fn serve_http(listener: TcpListener, sink: Arc<Sink>) {
    each_connection(listener, &sink, |socket| {
        let sink = Arc::clone(&sink);
        let service = hyper::service::service_fn(move |request| {
            let sink = Arc::clone(&sink);
            async move { Ok::<_, Infallible>(handle(&sink, request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
        async move { drop(connection.await) }
    })
    .await;
}

/// A request that was read and counted.
struct Arrived {
    kind: Kind,
    root: &'static Node,
    bytes: usize,
    counts: Counts,
    message: Vec<u8>,
}

async fn handle(sink: &Sink, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).map_err(|_| Malformed);
    let arrived = body.and_then(|body| match Signal::of_http_path(head.uri.path()) {
        Some(signal) => otlp(signal, &head.headers, &body),
        None => remote_write(&head.headers, &body),
    });
    let mut response = Response::new(Full::default());
    let Ok(arrived) = arrived else {
        sink.stats.malformed();
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    match sink.verdict(arrived.counts.items.max(arrived.counts.samples)).await {
        Verdict::Unavailable => {
            sink.stats.refused();
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        Verdict::Permanent => {
            sink.stats.refused();
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        Verdict::Accept => {
            sink.stats.track(arrived.kind, arrived.root, &arrived.message);
            sink.stats.accepted(arrived.kind, arrived.bytes, arrived.counts);
            match arrived.kind {
                Kind::Otlp(_) => {
                    let protobuf = HeaderValue::from_static("application/x-protobuf");
                    response.headers_mut().insert(header::CONTENT_TYPE, protobuf);
                }
                Kind::RemoteWrite => {
                    *response.status_mut() = StatusCode::NO_CONTENT;
                    if std::ptr::eq(arrived.root, &WRITE_V2) {
                        written(response.headers_mut(), arrived.counts);
                    }
                }
            }
        }
    }
    response
}

fn written(headers: &mut HeaderMap, counts: Counts) {
    headers.insert("x-prometheus-remote-write-samples-written", HeaderValue::from(counts.samples));
    headers.insert("x-prometheus-remote-write-histograms-written", HeaderValue::from(counts.histograms));
    headers.insert("x-prometheus-remote-write-exemplars-written", HeaderValue::from(0));
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn otlp(signal: Signal, headers: &HeaderMap, body: &[u8]) -> Result<Arrived, Malformed> {
    let encoding = Encoding::of_name(text(headers, "content-encoding")).ok_or(Malformed)?;
    let message = encoding.decompress(body).map_err(|_| Malformed)?;
    count(Kind::Otlp(signal), export_request(signal), body.len(), message)
}

fn remote_write(headers: &HeaderMap, body: &[u8]) -> Result<Arrived, Malformed> {
    if text(headers, "content-encoding") != "snappy" {
        return Err(Malformed);
    }
    if snap::raw::decompress_len(body).map_err(|_| Malformed)? > LIMIT {
        return Err(Malformed);
    }
    let message = snap::raw::Decoder::new().decompress_vec(body).map_err(|_| Malformed)?;
    let root = if text(headers, "content-type").contains(V2) { &WRITE_V2 } else { &WRITE_V1 };
    count(Kind::RemoteWrite, root, body.len(), message)
}

fn count(kind: Kind, root: &'static Node, bytes: usize, message: Vec<u8>) -> Result<Arrived, Malformed> {
    let mut counter = Counter::new(root);
    counter.feed(&message)?;
    Ok(Arrived { kind, root, bytes, counts: counter.finish()?, message })
}
