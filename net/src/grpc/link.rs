//! An HTTP/2 client connection on h2 itself. With hyper in between, a request's headers and its message leave in two
//! writes and pass two more tasks; for small requests that is a fifth of the cost.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderMap, Request, response};
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong, RecvStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::call::CallError;
use super::client::Keepalive;
use crate::listen::{Chunk, Stream};

/// Windows are for responses, which are small.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Headers and trailers of a response (`security.md` A13).
const HEADER_LIST: u32 = 16 << 10;

/// A connection that carries many calls. Clones share it; it closes when the last is gone.
#[derive(Clone)]
pub(super) struct Link {
    send: SendRequest<Chunk>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    closed: AtomicBool,
    /// A call was given up during which nothing came at all.
    silent: Notify,
    calls: AtomicUsize,
    bytes_read: AtomicU64,
}

/// A call that is given up later than this, and during which nothing was read, tells of a connection that is dead: packets may
/// go nowhere for a quarter of an hour before the system says so.
const SILENCE: Duration = Duration::from_millis(500);
/// What is still to come for other calls has this long.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl Link {
    /// Exchanges the first bytes and leaves the connection to a task of its own.
    pub(super) async fn new(stream: Stream, keepalive: Option<Keepalive>) -> Result<Self, h2::Error> {
        let state = Arc::new(State::default());
        let counted = Counted { stream, state: Arc::clone(&state) };
        let (send, mut connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_LIST)
            .handshake(counted)
            .await?;
        let pings = connection.ping_pong().zip(keepalive);
        let driven = Arc::clone(&state);
        tokio::spawn(async move {
            let dead = async {
                match pings {
                    Some((pings, keepalive)) => no_answer(pings, keepalive, &driven).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                },
                () = dead => tracing::debug!("connection does not answer pings"),
                () = driven.given_up() => tracing::debug!("connection is silent"),
            }
            driven.closed.store(true, Ordering::Release);
        });
        Ok(Link { send, state })
    }

    /// Whether a new call would certainly fail.
    pub(super) fn is_closed(&self) -> bool {
        self.state.closed.load(Ordering::Acquire)
    }

    /// Sends a request with one message and waits for the response's head. Dropping the future resets the stream.
    pub(super) async fn send(
        &self,
        request: Request<()>,
        message: Chunk,
    ) -> Result<(response::Parts, Incoming), CallError> {
        let mut call = InCall::begin(&self.state);
        let mut send = self.send.clone().ready().await.map_err(|error| broken(&error, true))?;
        let (response, mut body) = send.send_request(request, false).map_err(|error| broken(&error, true))?;
        // Without waiting for window: the library holds the bytes (by reference) until there is some, and headers and
        // message leave together.
        body.send_data(message, true).map_err(|error| broken(&error, false))?;
        let response = response.await;
        call.was_answered();
        let (head, body) = response.map_err(|error| broken(&error, false))?.into_parts();
        Ok((head, Incoming { body, _call: call }))
    }
}

impl State {
    /// Ends some time after a call has found the connection silent.
    async fn given_up(&self) {
        self.silent.notified().await;
        sleep_until(Instant::now() + LAST_WORDS).await;
    }
}

/// The body of a response.
pub(super) struct Incoming {
    body: RecvStream,
    _call: InCall,
}

impl Incoming {
    /// The next piece of data.
    pub(super) async fn data(&mut self) -> Result<Option<Bytes>, CallError> {
        match self.body.data().await {
            None => Ok(None),
            // An answer before the request was read to its end is followed by this reset (RFC 9113 section 8.1).
            Some(Err(error)) if error.reason() == Some(h2::Reason::NO_ERROR) && error.is_reset() => Ok(None),
            Some(Err(error)) => Err(broken(&error, false)),
            Some(Ok(data)) => {
                // Fails only for more than was received.
                let _ = self.body.flow_control().release_capacity(data.len());
                Ok(Some(data))
            }
        }
    }

    /// What comes after the data.
    pub(super) async fn trailers(&mut self) -> Result<Option<HeaderMap>, CallError> {
        match self.body.trailers().await {
            Err(error) if error.reason() == Some(h2::Reason::NO_ERROR) && error.is_reset() => Ok(None),
            trailers => trailers.map_err(|error| broken(&error, false)),
        }
    }
}

fn broken(error: &h2::Error, unsent: bool) -> CallError {
    // Found here and not said by the server: its response breaks the protocol or a limit, and would again.
    if error.is_reset() && error.is_library() {
        return CallError::Protocol("response with headers over 16 KiB or against HTTP/2");
    }
    // A server that goes away names the last stream it looked at; only later ones learn of it by this error.
    let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM) || (error.is_go_away() && error.is_remote());
    CallError::Reset { message: error.to_string(), unprocessed: unsent || refused }
}

struct InCall {
    state: Arc<State>,
    /// When it began, and what had been read by then; none once there is an answer.
    unanswered: Option<(Instant, u64)>,
}

impl InCall {
    fn begin(state: &Arc<State>) -> Self {
        state.calls.fetch_add(1, Ordering::Relaxed);
        let unanswered = Some((Instant::now(), state.bytes_read.load(Ordering::Relaxed)));
        InCall { state: Arc::clone(state), unanswered }
    }

    fn was_answered(&mut self) {
        self.unanswered = None;
    }
}

impl Drop for InCall {
    fn drop(&mut self) {
        self.state.calls.fetch_sub(1, Ordering::Relaxed);
        if let Some((since, read)) = self.unanswered
            && since.elapsed() >= SILENCE
            && self.state.bytes_read.load(Ordering::Relaxed) == read
        {
            // No call is begun on it any more; the next one connects anew.
            self.state.closed.store(true, Ordering::Release);
            self.state.silent.notify_one();
        }
    }
}

/// Pings whenever nothing was read for `keepalive.time`; returns when a ping is not answered.
async fn no_answer(mut pings: PingPong, keepalive: Keepalive, state: &State) {
    // A time of zero would ping without pause.
    let time = keepalive.time.max(Duration::from_millis(10));
    let mut seen = state.bytes_read.load(Ordering::Relaxed);
    let mut due = Instant::now() + time;
    loop {
        sleep_until(due).await;
        due = Instant::now() + time;
        let read = state.bytes_read.load(Ordering::Relaxed);
        let quiet = read == seen;
        seen = read;
        let wanted = keepalive.permit_without_stream || state.calls.load(Ordering::Relaxed) > 0;
        if !quiet || !wanted {
            continue;
        }
        match timeout(keepalive.timeout, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // The connection is ending anyway; its own future says so.
            Ok(Err(_)) => pending().await,
            Err(_) => return,
        }
    }
}

/// Counts what is read.
struct Counted {
    stream: Stream,
    state: Arc<State>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.state.bytes_read.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
