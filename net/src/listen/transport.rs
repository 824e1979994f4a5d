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
use super::told::{self, Told};
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
    /// The peer was told that its connection ends.
    said_goodbye: bool,
}

impl<S> Transport<S> {
    pub(crate) fn http1(stream: S, first: Bytes, traffic: Arc<Traffic>) -> Self {
        Transport { stream, first, traffic, watch: None, told: None, preface_left: 0, said_goodbye: false }
    }

    pub(crate) fn http2(stream: S, first: Bytes, traffic: Arc<Traffic>, counters: Arc<Counters>) -> Self {
        let watch = Some(FrameWatch::new(Instant::now()));
        let told = Some((Told::default(), counters));
        let preface_left = super::opening::PREFACE.len();
        Transport { stream, first, traffic, watch, told, preface_left, said_goodbye: false }
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
        let seen = watch.feed(frames, Instant::now);
        if let Some((told, _)) = &mut self.told {
            watch.take_reset().into_iter().for_each(|stream| told.answers.is_reset(stream));
        }
        match seen {
            Seen::HeaderBlock => self.traffic.head_begins(),
            Seen::Nothing => self.traffic.head_ends(),
            Seen::Flood => self.traffic.set_flood(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Transport<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.traffic.is_flood() {
            this.say_goodbye(cx);
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        if !this.first.is_empty() {
            let length = this.first.len().min(buf.remaining());
            buf.put_slice(this.first.get(..length).unwrap_or_default());
            this.first.advance(length);
            if this.first.is_empty() {
                this.first = Bytes::new(); // gives the memory back
            }
        } else {
            std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        }
        this.note(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Transport<S> {
    /// Notes what became of a write, and returns how much of it is written now.
    fn note_written(&self, written: &Poll<io::Result<usize>>) -> usize {
        match written {
            Poll::Pending => self.traffic.write_stalls(),
            Poll::Ready(Ok(count)) => {
                self.traffic.writes(*count);
                return *count;
            }
            Poll::Ready(Err(_)) => {}
        }
        0
    }

    fn note_flushed(&self, flushed: &Poll<io::Result<()>>) {
        match flushed {
            Poll::Pending => self.traffic.write_stalls(),
            // The HTTP library flushes when it has handed over all that it has.
            Poll::Ready(_) => self.traffic.all_written(),
        }
    }

    fn tell(&mut self, sent: &[u8]) {
        if let (Some((told, counters)), Some(watch)) = (&mut self.told, &self.watch) {
            told.feed(sent, counters, &self.traffic, |stream| watch.is_bodyless(stream));
            self.traffic.set_answer_still_since(told.answers.still_since(self.traffic.streaming()));
        }
    }

    /// Says why the connection ends, if the frames sent so far are whole and the socket takes one more. The HTTP library sees
    /// a broken socket, and says nothing.
    fn say_goodbye(&mut self, cx: &mut Context<'_>) {
        let (Some((told, _)), Some(watch), false) = (&self.told, &self.watch, self.said_goodbye) else { return };
        self.said_goodbye = true;
        if told.is_between_frames() {
            let goodbye = told::goaway(watch.last_stream(), h2::Reason::ENHANCE_YOUR_CALM);
            let written = Pin::new(&mut self.stream).poll_write(cx, &goodbye);
            if let Poll::Ready(Ok(1..)) = written {
                // As far as it goes at once; the connection ends either way.
                let _ = Pin::new(&mut self.stream).poll_flush(cx);
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        let count = this.note_written(&written);
        this.tell(buf.get(..count).unwrap_or_default());
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.note_flushed(&flushed);
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.note_flushed(&shut);
        shut
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        let mut left = this.note_written(&written);
        for buf in bufs {
            let sent = buf.get(..left.min(buf.len())).unwrap_or_default();
            this.tell(sent);
            left -= sent.len();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
