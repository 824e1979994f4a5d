use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use sluice_net::compression::DecompressLimits;
use sluice_net::grpc::{self, Reply, Status, UnaryService};
use sluice_net::http::{self, HttpService, ResponseBody};
use sluice_net::{
    Encoding, Exhausted, Listener, ListenerLimits, ListenerSettings, RequestHead, Reservation, Reserve, Server,
};
use tokio::sync::Notify;

/// A budget of so many bytes that shows how many are out.
pub struct Budget {
    pub size: usize,
    pub out: Arc<AtomicUsize>,
}

impl Budget {
    pub fn of(size: usize) -> Self {
        Budget { size, out: Arc::default() }
    }
}

struct Held {
    bytes: usize,
    size: usize,
    out: Arc<AtomicUsize>,
}

impl Reserve for Budget {
    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<Box<dyn Reservation>, Exhausted>> {
        let mut held = Held { bytes: 0, size: self.size, out: Arc::clone(&self.out) };
        let reserved = held.try_grow(bytes).map(|()| Box::new(held) as Box<dyn Reservation>);
        std::future::ready(reserved).boxed()
    }
}

impl Reservation for Held {
    fn bytes(&self) -> usize {
        self.bytes
    }
    fn try_grow(&mut self, more: usize) -> Result<(), Exhausted> {
        if self.bytes + more > self.size {
            return Err(Exhausted::Never { limit: self.size });
        }
        if self.out.load(Ordering::SeqCst) + more > self.size {
            return Err(Exhausted::Busy);
        }
        self.out.fetch_add(more, Ordering::SeqCst);
        self.bytes += more;
        Ok(())
    }
    fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.out.fetch_sub(less, Ordering::SeqCst);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.out.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

/// What a request looked like to the handler.
#[derive(Debug, Clone)]
pub struct Seen {
    pub bytes: Bytes,
    pub encoding: Option<Encoding>,
    pub head: RequestHead,
    pub reserved: usize,
}

/// How the handler behaves, by path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Answers with the (decompressed) body.
    Echo,
    /// Refuses with UNAVAILABLE and RetryInfo.
    Unavailable,
    /// Waits for `release`; `finish` says whether it must finish.
    Wait { finish: bool },
    /// Panics.
    Panic,
    /// Refuses before the body is read.
    Denied,
    /// Answers at once with one message, and with another after `release`.
    Stream,
}

pub struct Handler {
    pub budget: Arc<Budget>,
    pub max_wire_bytes: usize,
    pub seen: Mutex<Vec<Seen>>,
    pub entered: Notify,
    pub release: Arc<Notify>,
    pub finished: Notify,
}

impl Default for Handler {
    fn default() -> Self {
        Handler {
            budget: Arc::new(Budget::of(64 << 20)),
            max_wire_bytes: 4 << 20,
            seen: Mutex::default(),
            entered: Notify::new(),
            release: Arc::default(),
            finished: Notify::new(),
        }
    }
}

pub const ECHO: &str = "/test.Service/Echo";
pub const UNAVAILABLE: &str = "/test.Service/Unavailable";
pub const WAIT: &str = "/test.Service/Wait";
pub const WAIT_FINISH: &str = "/test.Service/WaitFinish";
pub const PANIC: &str = "/test.Service/Panic";
pub const DENIED: &str = "/test.Service/Denied";
pub const STREAM: &str = "/test.Service/Stream";

fn route(path: &str) -> Option<Route> {
    Some(match path {
        ECHO => Route::Echo,
        UNAVAILABLE => Route::Unavailable,
        WAIT => Route::Wait { finish: false },
        WAIT_FINISH => Route::Wait { finish: true },
        PANIC => Route::Panic,
        DENIED => Route::Denied,
        STREAM => Route::Stream,
        _ => return None,
    })
}

impl Handler {
    pub fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().unwrap().clone()
    }

    fn record(&self, head: &RequestHead, body: &sluice_net::body::Body) {
        self.seen.lock().unwrap().push(Seen {
            bytes: body.bytes.clone(),
            encoding: body.encoding,
            head: head.clone(),
            reserved: body.reservation.bytes(),
        });
    }
}

impl UnaryService for Handler {
    type Route = Route;
    type Context = &'static str;

    fn route(&self, path: &str) -> Option<Route> {
        route(path)
    }

    async fn admit(&self, route: &Route, _head: &RequestHead) -> Result<grpc::Admission<&'static str>, Status> {
        if *route == Route::Denied {
            return Err(Status::permission_denied("not you"));
        }
        Ok(grpc::Admission {
            context: "known",
            reserve: self.budget.clone(),
            max_wire_bytes: self.max_wire_bytes,
            decompress: DecompressLimits::default(),
        })
    }

    async fn call(&self, mut request: grpc::Request<Route, &'static str>) -> Result<Reply, Status> {
        assert_eq!(request.context, "known");
        self.record(&request.head, &request.body);
        match request.route {
            Route::Echo => {
                let plain = request.body.decompressed(&Default::default()).await;
                plain.map(Reply::from).map_err(|error| Status::invalid_argument(error.to_string()))
            }
            Route::Unavailable => Err(grpc::unavailable("queue is full")),
            Route::Wait { finish } => {
                if finish {
                    request.must_finish.set();
                }
                self.entered.notify_one();
                self.release.notified().await;
                self.finished.notify_one();
                Ok(Reply::default())
            }
            Route::Panic => panic!("as asked"),
            Route::Denied => unreachable!(),
            Route::Stream => {
                let release = Arc::clone(&self.release);
                let second = async move {
                    release.notified().await;
                    Bytes::from_static(b"second")
                };
                let more = Some(futures_util::stream::once(second).boxed());
                Ok(Reply { message: Bytes::from_static(b"first"), more })
            }
        }
    }
}

pub struct HttpHandler(pub Arc<Handler>);

impl HttpService for HttpHandler {
    type Route = Route;
    type Context = ();

    fn route(&self, path: &str) -> Option<Route> {
        route(path)
    }

    async fn admit(
        &self,
        route: &Route,
        head: &RequestHead,
    ) -> Result<http::Admission<()>, http::Response<ResponseBody>> {
        if *route == Route::Denied || head.content_type() == Some("text/plain") {
            let mut response = http::Response::new(ResponseBody::default());
            *response.status_mut() = http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(response);
        }
        Ok(http::Admission {
            context: (),
            reserve: self.0.budget.clone(),
            max_wire_bytes: self.0.max_wire_bytes,
            decompress: DecompressLimits::default(),
        })
    }

    async fn call(&self, mut request: http::Request<Route, ()>) -> http::Response<ResponseBody> {
        self.0.record(&request.head, &request.body);
        match request.route {
            Route::Wait { .. } => {
                self.0.entered.notify_one();
                self.0.release.notified().await;
                http::Response::new(ResponseBody::default())
            }
            Route::Panic => panic!("as asked"),
            _ => match request.body.decompressed(&Default::default()).await {
                Ok(plain) => http::Response::new(ResponseBody::from(plain)),
                Err(error) => {
                    let mut response = http::Response::new(ResponseBody::from(Bytes::from(error.to_string())));
                    *response.status_mut() = http::StatusCode::BAD_REQUEST;
                    response
                }
            },
        }
    }

    fn refuse(&self, _head: &RequestHead, refusal: &http::Refusal) -> http::Response<ResponseBody> {
        http::Response::new(ResponseBody::from(Bytes::from(refusal.to_string())))
    }
}

pub struct Running {
    pub server: Server,
    pub handler: Arc<Handler>,
    pub address: SocketAddr,
}

impl Running {
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    pub fn out(&self) -> usize {
        self.handler.budget.out.load(Ordering::SeqCst)
    }
}

pub fn loopback() -> ListenerSettings {
    ListenerSettings::tcp("127.0.0.1:0")
}

pub async fn grpc() -> Running {
    grpc_with(loopback(), Handler::default()).await
}

pub async fn grpc_with(settings: ListenerSettings, handler: Handler) -> Running {
    let listener = Listener::bind(settings).await.unwrap();
    let address = listener.local_addr().unwrap();
    let handler = Arc::new(handler);
    let server = listener.serve(grpc::Server::new(Arc::clone(&handler)));
    Running { server, handler, address }
}

pub async fn http() -> Running {
    http_with(loopback(), Handler::default()).await
}

pub async fn http_with(settings: ListenerSettings, handler: Handler) -> Running {
    let listener = Listener::bind(settings).await.unwrap();
    let address = listener.local_addr().unwrap();
    let handler = Arc::new(handler);
    let server = listener.serve(http::Server::new(Arc::new(HttpHandler(Arc::clone(&handler)))));
    Running { server, handler, address }
}

pub fn with_limits(change: impl FnOnce(&mut ListenerLimits)) -> ListenerSettings {
    let mut settings = loopback();
    change(&mut settings.limits);
    settings
}

/// Polls a condition that becomes true without telling anybody (a counter, a reservation given back).
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if condition() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never: {what}");
}

/// Bytes that do not compress too well.
pub fn noise(len: usize) -> Bytes {
    let mut state = 1_u64;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 58) as u8
    };
    (0..len).map(letter).collect()
}
