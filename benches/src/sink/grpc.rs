//! OTLP/gRPC on hyper's HTTP/2: items are counted frame by frame as they arrive, without collecting the message.

use super::listen::each_connection;
use super::stats::Kind;
use super::{Sink, Verdict};
use crate::encoding::Encoding;
use crate::ring::GRPC_PREFIX;
use crate::scan::{Counter, Counts, Malformed, export_request};
use crate::signal::Signal;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpListener;

const OK: u8 = 0;
const INVALID_ARGUMENT: u8 = 3;
const UNIMPLEMENTED: u8 = 12;
const UNAVAILABLE: u8 = 14;

const MIB: u32 = 1 << 20;

/// Serves the Export calls until the task is dropped. `max_frame` is the frame size the sink allows its senders.
pub async fn serve_grpc(listener: TcpListener, sink: Arc<Sink>, max_frame: u32) {
    let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    server
        .initial_stream_window_size(4 * MIB)
        .initial_connection_window_size(16 * MIB)
        .max_frame_size(max_frame)
        .max_concurrent_streams(1000);
    each_connection(listener, &sink, |socket| {
        let sink = Arc::clone(&sink);
        let service = hyper::service::service_fn(move |request| {
            let sink = Arc::clone(&sink);
            async move { Ok::<_, Infallible>(answer(export(&sink, request).await)) }
        });
        let connection = server.serve_connection(TokioIo::new(socket), service);
        async move { drop(connection.await) }
    })
    .await;
}

/// Handles one Export call and returns its gRPC status.
async fn export(sink: &Sink, request: Request<Incoming>) -> u8 {
    let (head, body) = request.into_parts();
    let Some(signal) = Signal::of_grpc_path(head.uri.path()) else { return UNIMPLEMENTED };
    let name = head.headers.get("grpc-encoding").map_or(Some(""), |value| value.to_str().ok());
    let Some(encoding) = name.and_then(Encoding::of_name) else { return UNIMPLEMENTED };
    let whole = sink.stats.tracks() || encoding != Encoding::None;
    let read = if whole { read_whole(body, signal, encoding).await } else { count_frames(body, signal).await };
    let Ok((bytes, counts, message)) = read else {
        sink.stats.malformed();
        return INVALID_ARGUMENT;
    };
    match sink.verdict(counts.items).await {
        Verdict::Unavailable => {
            sink.stats.refused();
            UNAVAILABLE
        }
        Verdict::Permanent => {
            sink.stats.refused();
            INVALID_ARGUMENT
        }
        Verdict::Accept => {
            sink.stats.track(Kind::Otlp(signal), export_request(signal), &message);
            sink.stats.accepted(Kind::Otlp(signal), bytes, counts);
            OK
        }
    }
}

type Read = Result<(usize, Counts, Vec<u8>), Malformed>;

async fn count_frames(mut body: Incoming, signal: Signal) -> Read {
    let mut counter = Counter::new(export_request(signal));
    let mut bytes = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Malformed)?.into_data() else { continue };
        // The prefix may be split across frames. Its flag is 0: compressed messages are read whole.
        let of_prefix = GRPC_PREFIX.saturating_sub(bytes).min(data.len());
        bytes += data.len();
        counter.feed(data.get(of_prefix..).unwrap_or_default())?;
    }
    if bytes < GRPC_PREFIX {
        return Err(Malformed);
    }
    Ok((bytes, counter.finish()?, Vec::new()))
}

async fn read_whole(body: Incoming, signal: Signal, encoding: Encoding) -> Read {
    let body = body.collect().await.map_err(|_| Malformed)?.to_bytes();
    let (prefix, compressed) = body.split_at_checked(GRPC_PREFIX).ok_or(Malformed)?;
    let encoding = if prefix.first() == Some(&1) { encoding } else { Encoding::None };
    let message = encoding.decompress(compressed).map_err(|_| Malformed)?;
    let mut counter = Counter::new(export_request(signal));
    counter.feed(&message)?;
    Ok((body.len(), counter.finish()?, message))
}

fn answer(status: u8) -> Response<Answer> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from(u16::from(status)));
    let mut response = Response::new(Answer { message: None, trailers: None });
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if status == OK {
        // An empty response message: the prefix alone.
        let message = Some(Bytes::from_static(&[0; GRPC_PREFIX]));
        *response.body_mut() = Answer { message, trailers: Some(trailers) };
    } else {
        response.headers_mut().extend(trailers);
    }
    response
}

/// A message, then trailers.
#[derive(Debug)]
struct Answer {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.message.take().map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.message.as_ref().map_or(0, |message| message.len() as u64))
    }
}
