use std::convert::Infallible;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::{HeaderMap, HeaderValue};
use bytes::{Buf, Bytes};
use futures_util::stream::BoxStream;
use http_body::{Body, Frame, SizeHint};

use super::streams;
use super::traffic::Traffic;
use crate::body::PREFIX;
use crate::pieces::Pieces;

/// A piece of a body: an optional gRPC prefix and bytes that are sent as they are, in one write and one DATA frame,
/// without being copied together.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    prefix: [u8; PREFIX],
    /// How much of the prefix is sent already.
    sent: usize,
    bytes: Pieces,
}

impl Chunk {
    /// Bytes without a prefix.
    pub(crate) fn plain(bytes: Bytes) -> Self {
        Chunk { prefix: [0; PREFIX], sent: PREFIX, bytes: bytes.into() }
    }

    /// A gRPC message. `None` when it is longer than the prefix can say (4 GiB).
    pub(crate) fn message(compressed: bool, bytes: impl Into<Pieces>) -> Option<Self> {
        let bytes = bytes.into();
        let [a, b, c, d] = u32::try_from(bytes.len()).ok()?.to_be_bytes();
        Some(Chunk { prefix: [u8::from(compressed), a, b, c, d], sent: 0, bytes })
    }

    fn prefix_left(&self) -> &[u8] {
        self.prefix.get(self.sent..).unwrap_or_default()
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        PREFIX - self.sent + self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        if self.sent < PREFIX { self.prefix_left() } else { self.bytes.chunk() }
    }

    fn advance(&mut self, count: usize) {
        let prefix = count.min(PREFIX - self.sent);
        self.sent += prefix;
        self.bytes.advance(count - prefix);
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        let Some((slot, others)) = dst.split_first_mut() else { return 0 };
        if self.sent == PREFIX {
            return self.bytes.chunks_vectored(dst);
        }
        *slot = IoSlice::new(self.prefix_left());
        1 + self.bytes.chunks_vectored(others)
    }
}

/// The body of a response.
#[derive(Default)]
pub struct ResponseBody {
    kind: Kind,
    /// Ends the request when the body has been sent or dropped.
    active: Option<Active>,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Once(Chunk),
    /// A gRPC message with the trailers of success.
    Message(Chunk),
    /// gRPC messages as they come, then the trailers of success.
    Messages(BoxStream<'static, Bytes>),
    Trailers,
    Stream(BoxStream<'static, Bytes>),
}

impl ResponseBody {
    /// A body that comes bit by bit (for pages that follow something live).
    pub fn stream(stream: BoxStream<'static, Bytes>) -> Self {
        ResponseBody { kind: Kind::Stream(stream), active: None }
    }

    /// gRPC messages as they come. The call ends with success when there are no more.
    pub(crate) fn messages(messages: BoxStream<'static, Bytes>) -> Self {
        ResponseBody { kind: Kind::Messages(messages), active: None }
    }

    pub(crate) fn message(chunk: Chunk) -> Self {
        ResponseBody { kind: Kind::Message(chunk), active: None }
    }

    pub(crate) fn with_active(mut self, mut active: Active) -> Self {
        if matches!(self.kind, Kind::Stream(_) | Kind::Messages(_)) {
            active.streams();
        }
        self.active = Some(active);
        self
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        let kind = if bytes.is_empty() { Kind::Empty } else { Kind::Once(Chunk::plain(bytes)) };
        ResponseBody { kind, active: None }
    }
}

impl Body for ResponseBody {
    type Data = Chunk;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Chunk>, Infallible>>> {
        let this = self.get_mut();
        let frame = match std::mem::take(&mut this.kind) {
            Kind::Empty => None,
            Kind::Once(chunk) => Some(Frame::data(chunk)),
            Kind::Message(chunk) => {
                this.kind = Kind::Trailers;
                Some(Frame::data(chunk))
            }
            Kind::Messages(mut messages) => match messages.as_mut().poll_next(cx) {
                Poll::Pending => {
                    this.kind = Kind::Messages(messages);
                    streams::waits();
                    return Poll::Pending;
                }
                Poll::Ready(next) => match next.and_then(|message| Chunk::message(false, message)) {
                    Some(chunk) => {
                        this.kind = Kind::Messages(messages);
                        streams::gives();
                        Some(Frame::data(chunk))
                    }
                    None => Some(Frame::trailers(success())),
                },
            },
            Kind::Trailers => Some(Frame::trailers(success())),
            Kind::Stream(mut stream) => match stream.as_mut().poll_next(cx) {
                Poll::Pending => {
                    this.kind = Kind::Stream(stream);
                    streams::waits();
                    return Poll::Pending;
                }
                Poll::Ready(None) => None,
                Poll::Ready(Some(bytes)) => {
                    this.kind = Kind::Stream(stream);
                    streams::gives();
                    Some(Frame::data(Chunk::plain(bytes)))
                }
            },
        };
        if frame.is_none() {
            this.active = None;
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Once(chunk) => SizeHint::with_exact(chunk.remaining() as u64),
            Kind::Message(_) | Kind::Messages(_) | Kind::Trailers | Kind::Stream(_) => SizeHint::default(),
        }
    }
}

/// The trailers of success.
fn success() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers
}

/// One request in progress.
pub(crate) struct Active {
    traffic: Arc<Traffic>,
    is_streaming: bool,
}

impl Active {
    pub(crate) fn begin(traffic: &Arc<Traffic>) -> Self {
        traffic.request_begins();
        Active { traffic: Arc::clone(traffic), is_streaming: false }
    }

    /// Its response comes bit by bit.
    fn streams(&mut self) {
        self.is_streaming = true;
        self.traffic.stream_begins();
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.traffic.request_ends();
        if self.is_streaming {
            self.traffic.stream_ends();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_prefix_and_bytes_whatever_way_it_is_consumed() {
        let chunk = Chunk::message(true, Bytes::from_static(b"hello")).unwrap();
        let expected = b"\x01\0\0\0\x05hello";
        for step in 1..=10 {
            let (mut chunk, mut out) = (chunk.clone(), Vec::new());
            while chunk.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 4];
                let count = chunk.chunks_vectored(&mut slices);
                let flat: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                assert_eq!(flat.len(), chunk.remaining());
                assert!(flat.starts_with(chunk.chunk()));
                let taken = step.min(chunk.remaining());
                out.extend_from_slice(&flat[..taken]);
                chunk.advance(taken);
            }
            assert_eq!(out, expected);
        }
        assert_eq!(Chunk::plain(Bytes::from_static(b"x")).remaining(), 1);
        let one = &mut [IoSlice::new(&[]); 1];
        assert_eq!(chunk.chunks_vectored(one), 1);
    }
}
