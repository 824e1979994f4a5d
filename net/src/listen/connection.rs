use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use super::counters::Counters;
use super::head::ConnectionInfo;
use super::opening::{Opening, detect};
use super::respond::{Active, ResponseBody};
use super::sealed::Serve;
use super::slots::{Caps, Slot, Slots};
use super::streams::{self, Streams};
use super::traffic::Traffic;
use super::transport::{Stream, Transport};
use super::watchdog::{Verdict, Watchdog};
use super::{Abort, Versions};
use crate::body::BodyTimes;
use crate::limits::ListenerLimits;
use crate::pool::BufferPool;

/// What all connections of a listener share.
pub struct Shared {
    pub(crate) limits: ListenerLimits,
    pub(crate) pool: BufferPool,
    pub(crate) counters: Arc<Counters>,
    /// The listener is on its way out: new requests are refused.
    pub(crate) leaving: AtomicBool,
    /// Another one takes the listener's place: requests are served, and connections end with their next answer.
    pub(crate) retiring: AtomicBool,
    /// Who may have much on its way.
    pub(crate) roomy: Arc<Slots>,
}

/// Most that is read ahead, and kept of answers, on an HTTP/1 connection.
const HTTP1_BUFFER: usize = 64 << 10;

/// How long a connection without a request stays when its listener retires: a request may be on its way.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// What the requests of one connection share.
pub struct Conn {
    pub(crate) info: Arc<ConnectionInfo>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) shared: Arc<Shared>,
}

impl Conn {
    pub(crate) fn body_times(&self, deadline: Option<Instant>) -> BodyTimes {
        let limits = &self.shared.limits;
        BodyTimes {
            total: limits.body_timeout,
            rate_after: limits.body_rate_after,
            min_rate: limits.body_min_rate,
            deadline,
        }
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.shared.leaving.load(Ordering::Relaxed)
    }

    pub(crate) fn is_retiring(&self) -> bool {
        self.shared.retiring.load(Ordering::Relaxed)
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve<S: Serve>(
    mut stream: Stream,
    negotiated_h2: Option<bool>,
    service: Arc<S>,
    conn: Arc<Conn>,
    leave: watch::Receiver<bool>,
) {
    let opening = match (negotiated_h2, S::VERSIONS) {
        (Some(false), Versions::Both) => Some(Opening::Http1(Bytes::new())),
        (Some(false), Versions::Http2) => None,
        _ => detect(&mut stream, S::VERSIONS, &conn, leave.clone()).await,
    };
    match opening {
        None => {}
        Some(Opening::Http1(first)) => {
            let io = TokioIo::new(Transport::http1(stream, first, Arc::clone(&conn.traffic)));
            let served = http1_builder(&conn.shared.limits).serve_connection(io, service_fn(answer(&service, &conn)));
            if let Err(error) = watch_over(Box::pin(served), false, &conn, leave).await {
                count_head(&error, conn.counters());
            }
        }
        Some(Opening::Http2(first)) => {
            let counters = Arc::clone(&conn.shared.counters);
            let io = TokioIo::new(Transport::http2(stream, first, Arc::clone(&conn.traffic), counters));
            let room = Room::of(&conn);
            let served = http2_builder(&conn.shared, &room, S::VERSIONS)
                .serve_connection(io, service_fn(answer(&service, &conn)));
            if watch_over(Box::pin(served), true, &conn, leave).await.is_err_and(|error| error.is_timeout()) {
                Counters::add(&conn.counters().ping_timeouts);
            }
        }
    }
    if conn.traffic.is_flood() {
        Counters::add(&conn.counters().floods);
    }
}

/// The HTTP library answers a head that it cannot read, and tells only by how the connection ended.
fn count_head(error: &hyper::Error, counters: &Counters) {
    if error.is_parse_too_large() {
        Counters::add(&counters.head_too_large);
    } else if error.is_parse() {
        Counters::add(&counters.head_malformed);
    }
}

/// A request being served.
type Answering = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Abort>> + Send>>;

/// The function the HTTP library calls for each request.
fn answer<S: Serve>(service: &Arc<S>, conn: &Arc<Conn>) -> impl Fn(Request<Incoming>) -> Answering {
    let (service, conn) = (Arc::clone(service), Arc::clone(conn));
    move |request| {
        let active = Active::begin(&conn.traffic);
        conn.traffic.head_ends();
        Counters::add(&conn.counters().requests);
        let (service, conn) = (Arc::clone(&service), Arc::clone(&conn));
        Box::pin(async move {
            // Begun in here: a future that is captured has room twice, once where it was and once where it is waited for.
            let response = service.serve(request, conn).await?.map(|body| body.with_active(active));
            streams::gives();
            Ok(response)
        })
    }
}

fn http1_builder(limits: &ListenerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The library's timer would run between requests too; `watch_over` has separate ones.
        .header_read_timeout(None)
        .keep_alive(limits.http1_keep_alive)
        // The library reads ahead as much as this, before anybody is asked for the memory.
        .max_buf_size((limits.header_bytes as usize).max(HTTP1_BUFFER))
        .max_header_size(limits.header_bytes as usize);
    if limits.headers > 100 {
        builder.max_headers(limits.headers); // below, the library's own default is cheaper and checked later
    }
    builder
}

/// What may be on its way to us.
struct Room {
    frame_bytes: u32,
    stream_window: u32,
    connection_window: u32,
    _right: Option<Slot>,
}

impl Room {
    /// The HTTP library keeps frames until they are whole, and what was not asked for yet, before anybody is asked for the
    /// memory: a crowd may not do so with much.
    fn of(conn: &Conn) -> Self {
        let limits = &conn.shared.limits;
        let caps = Caps { total: limits.roomy, of_one_source: limits.roomy_per_ip };
        let right = conn.shared.roomy.take(conn.info.peer.ip(), caps, limits).ok();
        let most = if right.is_some() { u32::MAX } else { limits.narrow_bytes };
        Room {
            frame_bytes: limits.frame_bytes.min(most),
            stream_window: limits.stream_window.min(most.saturating_mul(2)),
            connection_window: limits.connection_window.min(most.saturating_mul(4)),
            _right: right,
        }
    }
}

fn http2_builder(shared: &Arc<Shared>, room: &Room, versions: Versions) -> http2::Builder<Streams> {
    let limits = &shared.limits;
    let mut builder = http2::Builder::new(Streams(Arc::clone(shared)));
    builder
        .timer(TokioTimer::new())
        .auto_date_header(versions == Versions::Both) // gRPC has no use for it
        .initial_stream_window_size(room.stream_window)
        .initial_connection_window_size(room.connection_window)
        .max_frame_size(room.frame_bytes)
        .max_header_list_size(limits.header_bytes)
        .header_table_size(limits.header_table_bytes)
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(limits.pending_accept_resets)
        .max_local_error_reset_streams(limits.local_error_resets)
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout);
    builder
}

/// A connection that can be asked to end.
trait Graceful: Future {
    fn leave(self: Pin<&mut Self>);
}

impl<I, S> Graceful for http1::Connection<I, S>
where
    http1::Connection<I, S>: Future,
    S: hyper::service::HttpService<Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S::ResBody: 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, E> Graceful for http2::Connection<I, S, E>
where
    http2::Connection<I, S, E>: Future,
    S: hyper::service::HttpService<Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S::ResBody: 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, S::ResBody>,
{
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Drives a connection and ends it when it is too old, too idle, or stuck. Returns how it ended if it ended by itself.
///
/// The connection is in a box, as what the library keeps of one is several times what those need that never get so far.
async fn watch_over<C>(
    mut served: Pin<Box<C>>,
    is_http2: bool,
    conn: &Conn,
    mut leave: watch::Receiver<bool>,
) -> Result<(), hyper::Error>
where
    C: Graceful<Output = Result<(), hyper::Error>>,
{
    let mut leave = pin!(async move { leave.wait_for(|leave| *leave).await.is_ok() });
    let mut ended = pin!(conn.info.ending.begun());
    let mut asked = false;
    let mut unwanted = false;
    let mut watchdog = Watchdog::new(conn, is_http2);
    let mut timer = pin!(sleep_until(watchdog.soonest()));
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = served.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            if !asked && leave.as_mut().poll(cx).is_ready() {
                asked = true;
                // No cut-off of our own: the server cuts all connections at its deadline.
                watchdog.leaves(None);
                if !is_http2 && conn.is_retiring() {
                    // HTTP/1 can say so only with its next answer.
                    watchdog.lingers();
                } else {
                    served.as_mut().leave();
                }
                continue;
            }
            if !unwanted && ended.as_mut().poll(cx).is_ready() {
                unwanted = true;
                // A client that does not read its answer is cut.
                watchdog.leaves(Some(Instant::now() + LINGER));
                served.as_mut().leave();
                continue;
            }
            if !is_due(timer.as_mut(), watchdog.soonest(), cx) {
                return Poll::Pending;
            }
            match watchdog.look(Instant::now()) {
                Verdict::Fine => {}
                Verdict::Leave => served.as_mut().leave(),
                Verdict::Close => return Poll::Ready(Ok(())),
            }
        }
    })
    .await
}

/// Whether the moment `soonest` has come; registers `cx` otherwise. A timer set too early is left alone, it costs less
/// to look once in vain than to move it with every request.
fn is_due(mut timer: Pin<&mut Sleep>, soonest: Instant, cx: &mut Context<'_>) -> bool {
    if soonest < timer.deadline() {
        timer.as_mut().reset(soonest);
    }
    while timer.as_mut().poll(cx).is_ready() {
        if timer.deadline() >= soonest {
            return true;
        }
        timer.as_mut().reset(soonest);
    }
    false
}
