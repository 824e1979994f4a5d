use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ::http::{HeaderValue, Method, Response, StatusCode, header};
use futures_util::{FutureExt, StreamExt, stream};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status};

use super::service::{Refused, Reply, Request, UnaryService};
use super::status::unavailable;
use super::timeout;
use crate::body::{Body, Frames, Memory, ReadError, read_message};
use crate::compression::Encoding;
use crate::listen::sealed::Serve;
use crate::listen::{Abort, Chunk, Connection, Counters, RequestHead, ResponseBody, Service, Versions, read_head};
use crate::reserve::Exhausted;
use crate::survivor::{MustFinish, Survivor};

/// Serves a [`UnaryService`] over HTTP/2.
pub struct Server<S> {
    service: Arc<S>,
}

impl<S: UnaryService> Server<S> {
    /// Wraps `service` for [`crate::Listener::serve`].
    pub fn new(service: Arc<S>) -> Self {
        Server { service }
    }
}

impl<S: UnaryService> Service for Server<S> {}

impl<S: UnaryService> Serve for Server<S> {
    const VERSIONS: Versions = Versions::Http2;

    async fn serve(
        self: Arc<Self>,
        request: ::http::Request<Incoming>,
        conn: Arc<Connection>,
    ) -> Result<Response<ResponseBody>, Abort> {
        let (parts, body) = request.into_parts();
        let (head, over) = read_head(parts, &conn.info, &conn.shared.limits);
        if over.is_some() {
            Counters::add(&conn.counters().head_refused);
            self.service.refused(None, Refused::Head);
            return Err(Abort::new(h2::Reason::ENHANCE_YOUR_CALM));
        }
        if head.method != Method::POST {
            self.service.refused(None, Refused::Method);
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return Ok(response);
        }
        if !is_grpc(head.headers.get(header::CONTENT_TYPE)) {
            self.service.refused(None, Refused::ContentType);
            return Ok(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let service = Arc::clone(&self.service);
        let counting = Arc::clone(&conn);
        match AssertUnwindSafe(exchange(service, head, body, conn)).catch_unwind().await {
            Ok(Ok(reply)) => Ok(success(reply)),
            Ok(Err(Refusal::Status(status))) => Ok(status.into_http()),
            Ok(Err(Refusal::Encoding(response))) => Ok(*response),
            Ok(Err(Refusal::Abort(reason))) => Err(Abort::new(reason)),
            Err(_) => {
                Counters::add(&counting.counters().panics);
                self.service.refused(None, Refused::Internal);
                Ok(Status::internal("internal error").into_http())
            }
        }
    }
}

enum Refusal {
    Status(Status),
    /// UNIMPLEMENTED with `grpc-accept-encoding`.
    Encoding(Box<Response<ResponseBody>>),
    /// Reset the stream.
    Abort(h2::Reason),
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Refusal::Status(status)
    }
}

async fn exchange<S: UnaryService>(
    service: Arc<S>,
    mut head: RequestHead,
    body: Incoming,
    conn: Arc<Connection>,
) -> Result<Reply, Refusal> {
    let deadline = head.single("grpc-timeout").and_then(timeout::parse);
    head.deadline = deadline.and_then(|left| Instant::now().checked_add(left));
    if conn.is_leaving() {
        Counters::add(&conn.counters().refused_shutdown);
        service.refused(service.route(head.path()).as_ref(), Refused::ShuttingDown);
        return Err(unavailable("shutting down").into());
    }
    let Some(route) = service.route(head.path()) else {
        service.refused(None, Refused::UnknownMethod);
        return Err(Status::unimplemented(format!("unknown method {}", head.path())).into());
    };
    let told = |cause| service.refused(Some(&route), cause);
    let encoding = message_encoding(&head, service.encodings()).inspect_err(|_| told(Refused::Encoding))?;
    let admitting = service.admit(&route, &head);
    let admission = match head.deadline {
        None => admitting.await?,
        Some(deadline) => timeout_at(deadline, admitting).await.map_err(|_| {
            told(Refused::Deadline);
            deadline_exceeded()
        })??,
    };
    let frames = Frames::new(body, conn.body_times(head.deadline), Some(&conn.traffic));
    let memory = Memory {
        reserve: admission.reserve.as_ref(),
        pool: &conn.shared.pool,
        max_bytes: admission.max_wire_bytes,
        decompress: admission.decompress,
    };
    let message = match read_message(frames, encoding, &memory).await {
        Ok(message) => message,
        Err(error) => {
            cause_of(&error).into_iter().for_each(told);
            if error == ReadError::Exhausted(Exhausted::Busy) {
                conn.shared.pool.turns().tell_late().await;
            }
            return Err(read_refusal(error, conn.counters()));
        }
    };
    let encoding = match (message.compressed, encoding) {
        (false, _) => None,
        (true, Some(encoding)) => Some(encoding),
        (true, None) => {
            told(Refused::Malformed);
            return Err(Status::internal("compressed message without grpc-encoding").into());
        }
    };
    let must_finish = MustFinish::default();
    let body = Body::new(message.received, encoding, &conn.shared.pool);
    let request = Request { route, head, context: admission.context, body, must_finish: must_finish.clone() };
    drop(conn);
    Ok(Survivor::new(async move { service.call(request).await }, must_finish).await?)
}

fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("deadline passed before the request was taken")
}

/// What a service is told of a body that could not be received; nothing if the client is gone, or too slow.
fn cause_of(error: &ReadError) -> Option<Refused> {
    match *error {
        ReadError::TooLarge { limit } | ReadError::Exhausted(Exhausted::Never { limit }) => {
            Some(Refused::TooLarge { limit })
        }
        ReadError::Inflates { limit } => Some(Refused::Inflates { limit }),
        ReadError::Exhausted(Exhausted::Busy) => Some(Refused::Busy),
        ReadError::Deadline => Some(Refused::Deadline),
        ReadError::Framing(_) | ReadError::NotOneMessage(_) | ReadError::Corrupt(_) => Some(Refused::Malformed),
        ReadError::Slow | ReadError::Gone | ReadError::Broken => None,
    }
}

/// The answers of `delivery.md` section 6 to a body that could not be received.
fn read_refusal(error: ReadError, counters: &Counters) -> Refusal {
    match error {
        ReadError::TooLarge { limit } | ReadError::Exhausted(Exhausted::Never { limit }) => {
            Counters::add(&counters.body_too_large);
            Status::resource_exhausted(format!("message exceeds the limit of {limit} bytes")).into()
        }
        ReadError::Inflates { limit } => {
            Counters::add(&counters.body_too_large);
            Status::resource_exhausted(format!("decompressed message exceeds the limit of {limit} bytes")).into()
        }
        ReadError::Exhausted(Exhausted::Busy) => {
            Counters::add(&counters.body_exhausted);
            unavailable("memory budget exhausted").into()
        }
        ReadError::Slow => {
            Counters::add(&counters.body_timeouts);
            Refusal::Abort(h2::Reason::CANCEL)
        }
        ReadError::Deadline => deadline_exceeded().into(),
        ReadError::Gone | ReadError::Broken => Refusal::Abort(h2::Reason::CANCEL),
        ReadError::Framing(reason) => Status::internal(reason).into(),
        ReadError::NotOneMessage(reason) | ReadError::Corrupt(reason) => Status::invalid_argument(reason).into(),
    }
}

/// `application/grpc`, `application/grpc+proto`, either with parameters.
pub(super) fn is_grpc(content_type: Option<&HeaderValue>) -> bool {
    let Some(Ok(value)) = content_type.map(HeaderValue::to_str) else { return false };
    let kind = value.split_once(';').map_or(value, |(kind, _)| kind).trim();
    ["application/grpc", "application/grpc+proto"].iter().any(|known| kind.eq_ignore_ascii_case(known))
}

fn message_encoding(head: &RequestHead, accepted: &[Encoding]) -> Result<Option<Encoding>, Refusal> {
    let Some(value) = head.headers.get("grpc-encoding") else { return Ok(None) };
    let name = head.single("grpc-encoding").unwrap_or_default();
    match Encoding::parse(name) {
        Ok(None) if !value.is_empty() && !name.is_empty() => Ok(None),
        Ok(Some(encoding)) if accepted.contains(&encoding) => Ok(Some(encoding)),
        _ => {
            let status = Status::unimplemented(format!("message encoding {name:?} is not supported"));
            let mut response = status.into_http();
            let names: Vec<&str> = std::iter::once("identity").chain(accepted.iter().map(|one| one.name())).collect();
            if let Ok(names) = HeaderValue::try_from(names.join(",")) {
                response.headers_mut().insert("grpc-accept-encoding", names);
            }
            Err(Refusal::Encoding(Box::new(response)))
        }
    }
}

fn success(reply: Reply) -> Response<ResponseBody> {
    let body = match reply.more {
        Some(more) => ResponseBody::messages(stream::iter([reply.message]).chain(more).boxed()),
        None => match Chunk::message(false, reply.message) {
            Some(chunk) => ResponseBody::message(chunk),
            None => return Status::new(Code::Internal, "response message too large").into_http(),
        },
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn plain(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::default());
    *response.status_mut() = status;
    // A bare status is the HTTP library's own, and counted as such.
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}
