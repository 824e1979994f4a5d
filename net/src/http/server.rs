use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ::http::{HeaderValue, Method, Response, StatusCode, Version, header};
use futures_util::FutureExt;
use http_body::Body as _;
use hyper::body::Incoming;

use super::service::{HttpService, Refusal, Request};
use crate::body::{Body, Frames, Memory, ReadError, read_plain};
use crate::compression::Encoding;
use crate::listen::sealed::Serve;
use crate::listen::{
    Abort, Connection, Counters, HeadOverLimit, RequestHead, ResponseBody, Service, Versions, read_head,
};
use crate::reserve::Exhausted;
use crate::survivor::{MustFinish, Survivor};

/// Serves an [`HttpService`] over HTTP/1.1 and HTTP/2.
pub struct Server<S> {
    service: Arc<S>,
}

impl<S: HttpService> Server<S> {
    /// Wraps `service` for [`crate::Listener::serve`].
    pub fn new(service: Arc<S>) -> Self {
        Server { service }
    }
}

impl<S: HttpService> Service for Server<S> {}

impl<S: HttpService> Serve for Server<S> {
    const VERSIONS: Versions = Versions::Both;

    async fn serve(
        self: Arc<Self>,
        request: ::http::Request<Incoming>,
        conn: Arc<Connection>,
    ) -> Result<Response<ResponseBody>, Abort> {
        let (parts, body) = request.into_parts();
        let (head, over) = read_head(parts, &conn.info, &conn.shared.limits);
        if let Some(over) = over {
            Counters::add(&conn.counters().head_refused);
            let refusal = match over {
                HeadOverLimit::Uri => Refusal::UriTooLong,
                HeadOverLimit::Headers => Refusal::HeadersTooLarge,
            };
            return Ok(refused(self.service.as_ref(), &head, &refusal));
        }
        // Wanted to word a refusal after the head has gone to the handler.
        let kept = head.outline();
        let answered = AssertUnwindSafe(exchange(Arc::clone(&self.service), head, body, Arc::clone(&conn)));
        let mut response = match answered.catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(Stop::Refusal(refusal))) => {
                if refusal == Refusal::Busy {
                    conn.shared.pool.turns().tell_late().await;
                }
                refused(self.service.as_ref(), &kept, &refusal)
            }
            Ok(Err(Stop::Response(response))) => *response,
            Ok(Err(Stop::Abort)) => return Err(Abort::new(h2::Reason::CANCEL)),
            Err(_) => {
                Counters::add(&conn.counters().panics);
                refused(self.service.as_ref(), &kept, &Refusal::Internal)
            }
        };
        if (conn.is_leaving() || conn.is_retiring()) && kept.version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

enum Stop {
    Refusal(Refusal),
    Response(Box<Response<ResponseBody>>),
    /// Close without an answer.
    Abort,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refusal(refusal)
    }
}

impl From<Response<ResponseBody>> for Stop {
    fn from(response: Response<ResponseBody>) -> Self {
        Stop::Response(Box::new(response))
    }
}

async fn exchange<S: HttpService>(
    service: Arc<S>,
    head: RequestHead,
    body: Incoming,
    conn: Arc<Connection>,
) -> Result<Response<ResponseBody>, Stop> {
    if conn.is_leaving() {
        Counters::add(&conn.counters().refused_shutdown);
        return Err(Refusal::ShuttingDown.into());
    }
    let route = service.route(head.path()).ok_or(Refusal::NotFound)?;
    let methods = service.methods(&route);
    if !methods.contains(&head.method) {
        return Err(match service.other_method(&route, &head) {
            Some(response) => response.into(),
            None => not_allowed(service.as_ref(), &head, methods).into(),
        });
    }
    let encoding = content_encoding(&head, service.encodings())?;
    let admission = service.admit(&route, &head).await?;
    let announced = body.size_hint().exact();
    let frames = Frames::new(body, conn.body_times(None), Some(&conn.traffic));
    let memory = Memory {
        reserve: admission.reserve.as_ref(),
        pool: &conn.shared.pool,
        max_bytes: admission.max_wire_bytes,
        decompress: admission.decompress,
    };
    let received = read_plain(frames, announced, encoding, &memory).await;
    let received = received.map_err(|error| read_refusal(&error, conn.counters()))?;
    let must_finish = MustFinish::default();
    let body = Body::new(received, encoding, &conn.shared.pool);
    let request = Request { route, head, context: admission.context, body, must_finish: must_finish.clone() };
    drop(conn);
    Ok(Survivor::new(async move { service.call(request).await }, must_finish).await)
}

fn read_refusal(error: &ReadError, counters: &Counters) -> Stop {
    match *error {
        ReadError::TooLarge { limit } | ReadError::Exhausted(Exhausted::Never { limit }) => {
            Counters::add(&counters.body_too_large);
            Refusal::TooLarge { limit }.into()
        }
        ReadError::Inflates { limit } => {
            Counters::add(&counters.body_too_large);
            Refusal::Inflates { limit }.into()
        }
        ReadError::Exhausted(Exhausted::Busy) => {
            Counters::add(&counters.body_exhausted);
            Refusal::Busy.into()
        }
        ReadError::Slow => {
            Counters::add(&counters.body_timeouts);
            Stop::Abort
        }
        ReadError::Broken | ReadError::Corrupt(_) => Refusal::Malformed.into(),
        ReadError::Deadline | ReadError::Gone | ReadError::Framing(_) | ReadError::NotOneMessage(_) => Stop::Abort,
    }
}

/// One encoding at most (`security.md` A1).
fn content_encoding(head: &RequestHead, accepted: &[Encoding]) -> Result<Option<Encoding>, Refusal> {
    let mut values = head.headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(first) = values.next() else { return Ok(None) };
    let name = if values.next().is_some() { "several" } else { first.to_str().unwrap_or("invalid") }.trim();
    match Encoding::parse(name) {
        Ok(None) => Ok(None),
        Ok(Some(encoding)) if accepted.contains(&encoding) => Ok(Some(encoding)),
        _ => Err(Refusal::UnsupportedEncoding(name.chars().take(64).collect())),
    }
}

fn not_allowed<S: HttpService>(service: &S, head: &RequestHead, methods: &[Method]) -> Response<ResponseBody> {
    let mut response = refused(service, head, &Refusal::MethodNotAllowed);
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if let Ok(names) = HeaderValue::try_from(names.join(", ")) {
        response.headers_mut().entry(header::ALLOW).or_insert(names);
    }
    response
}

/// The service's own words, with what the protocol asks for.
fn refused<S: HttpService>(service: &S, head: &RequestHead, refusal: &Refusal) -> Response<ResponseBody> {
    let mut response = service.refuse(head, refusal);
    if response.status() == StatusCode::OK {
        *response.status_mut() = refusal.status();
    }
    if refusal.status() == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = 1 + (4.0 * crate::address::random_unit()).round() as u64;
        response.headers_mut().entry(header::RETRY_AFTER).or_insert(HeaderValue::from(seconds));
    }
    let leaves_body_unread = matches!(
        refusal,
        Refusal::TooLarge { .. }
            | Refusal::Inflates { .. }
            | Refusal::Malformed
            | Refusal::Busy
            | Refusal::ShuttingDown
    );
    if leaves_body_unread && head.version < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
