use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;
use tokio_rustls::TlsStream;

use super::counters::Counters;
use super::flood::{FrameWatch, Seen};
use super::told::Told;
use super::traffic::Traffic;

/// An accepted socket, in plain or under TLS.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            Stream::Unix($inner) => $call,
            Stream::Tls($inner) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, inner => inner.is_write_vectored())
    }
}

/// A connection's socket as the HTTP library sees it: first the bytes already read to tell the protocol, then the
/// socket, with everything that passes noted in [`Traffic`].
pub(crate) struct Transport<S> {
    stream: S,
    first: Bytes,
    traffic: Arc<Traffic>,
    /// `Some` on HTTP/2, from after the connection preface on.
    watch: Option<FrameWatch>,
    /// The same of what is sent.
    told: Option<(Told, Arc<Counters>)>,
    preface_left: usize,
}

impl<S> Transport<S> {
    pub(crate) fn http1(stream: S, first: Bytes, traffic: Arc<Traffic>) -> Self {
        Transport { stream, first, traffic, watch: None, told: None, preface_left: 0 }
    }

    pub(crate) fn http2(stream: S, first: Bytes, traffic: Arc<Traffic>, counters: Arc<Counters>) -> Self {
        let watch = Some(FrameWatch::new(Instant::now()));
        let told = Some((Told::default(), counters));
        Transport { stream, first, traffic, watch, told, preface_left: super::connection::PREFACE.len() }
    }

    fn note(&mut self, bytes: &[u8]) {
        self.traffic.add_read(bytes.len());
        let Some(watch) = &mut self.watch else {
            // HTTP/1: whatever comes between two requests begins the next one's head.
            if self.traffic.requests() == 0 && !bytes.is_empty() {
                self.traffic.head_begins();
            }
            return;
        };
        let preface = bytes.len().min(self.preface_left);
        self.preface_left -= preface;
        let frames = bytes.get(preface..).unwrap_or_default();
        match watch.feed(frames, Instant::now) {
            Seen::HeaderBlock => self.traffic.head_begins(),
            Seen::Nothing => self.traffic.head_ends(),
            Seen::Flood => self.traffic.set_flood(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Transport<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.traffic.is_flood() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        if !this.first.is_empty() {
            let length = this.first.len().min(buf.remaining());
            buf.put_slice(this.first.get(..length).unwrap_or_default());
            this.first.advance(length);
        } else {
            std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        }
        this.note(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Transport<S> {
    fn noted<T>(&self, written: Poll<T>) -> Poll<T> {
        self.traffic.write_stalls(written.is_pending());
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        if let (Some((told, counters)), Poll::Ready(Ok(count))) = (&mut this.told, &written) {
            told.feed(buf.get(..*count).unwrap_or_default(), counters);
        }
        this.noted(written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.noted(shut)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        if let (Some((told, counters)), Poll::Ready(Ok(count))) = (&mut this.told, &written) {
            let mut left = *count;
            for buf in bufs {
                let sent = buf.get(..left.min(buf.len())).unwrap_or_default();
                told.feed(sent, counters);
                left -= sent.len();
            }
        }
        this.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
