use std::future::Future;
use std::sync::Arc;

use ::http::{Method, Response, StatusCode};

use crate::body::Body;
use crate::compression::{DecompressLimits, Encoding};
use crate::listen::{RequestHead, ResponseBody};
use crate::reserve::Reserve;
use crate::survivor::MustFinish;

/// What an HTTP listener serves.
///
/// Each request passes `route` → `methods` → `admit` → (the body is received) → `call`.
pub trait HttpService: Send + Sync + 'static {
    /// What a path stands for, in the service's own terms.
    type Route: Send + Sync + 'static;
    /// What `admit` found out and `call` needs, e.g. who the client is.
    type Context: Send + 'static;

    /// Finds the route of a path. `None` is refused as [`Refusal::NotFound`].
    fn route(&self, path: &str) -> Option<Self::Route>;

    /// The methods a route allows.
    fn methods(&self, _route: &Self::Route) -> &[Method] {
        &[Method::POST]
    }

    /// Answers methods outside of `methods`, e.g. CORS preflight. `None` is refused as
    /// [`Refusal::MethodNotAllowed`].
    fn other_method(&self, _route: &Self::Route, _head: &RequestHead) -> Option<Response<ResponseBody>> {
        None
    }

    /// Decides before the body is read: authentication, content type, readiness, quotas.
    ///
    /// # Errors
    /// The response the client gets; its body is not read.
    fn admit(
        &self,
        route: &Self::Route,
        head: &RequestHead,
    ) -> impl Future<Output = Result<Admission<Self::Context>, Response<ResponseBody>>> + Send;

    /// Handles a request. The future is dropped when the client gives up, unless [`Request::must_finish`] was set.
    fn call(&self, request: Request<Self::Route, Self::Context>)
    -> impl Future<Output = Response<ResponseBody>> + Send;

    /// Words a refusal that was decided here. Status, `Allow`, `Retry-After` and `Connection` are added by the caller
    /// where the response lacks them.
    fn refuse(&self, head: &RequestHead, refusal: &Refusal) -> Response<ResponseBody>;

    /// Content encodings accepted.
    fn encodings(&self) -> &[Encoding] {
        &Encoding::ALL
    }
}

/// Leave to read a body.
pub struct Admission<C> {
    /// For [`HttpService::call`].
    pub context: C,
    /// Who promises the memory.
    pub reserve: Arc<dyn Reserve>,
    /// Bytes of the body as it comes (`wire_bytes`).
    pub max_wire_bytes: usize,
    /// What a compressed body may become. Looked at as it comes only where too many large ones come at a time.
    pub decompress: DecompressLimits,
}

/// A request with its body.
pub struct Request<R, C> {
    /// What was asked for.
    pub route: R,
    /// Method, headers, peer.
    pub head: RequestHead,
    /// What `admit` said.
    pub context: C,
    /// The body.
    pub body: Body,
    /// Set this before something begins that must not stop half-way.
    pub must_finish: MustFinish,
}

/// Why a request is refused before [`HttpService::call`] (`delivery.md` section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No such path.
    NotFound,
    /// Not with this method.
    MethodNotAllowed,
    /// The target is too long.
    UriTooLong,
    /// Too many headers.
    HeadersTooLarge,
    /// An encoding that is not accepted, or several.
    UnsupportedEncoding(String),
    /// The body is over a limit of so many bytes.
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The body is over a limit of so many bytes when it is decompressed.
    Inflates {
        /// The limit.
        limit: usize,
    },
    /// The body is not framed as HTTP has it, or its compression is corrupt.
    Malformed,
    /// No memory was promised in time.
    Busy,
    /// The listener is on its way out.
    ShuttingDown,
    /// The handler panicked.
    Internal,
}

impl Refusal {
    /// The status that goes with it.
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::NotFound => StatusCode::NOT_FOUND,
            Refusal::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::UriTooLong => StatusCode::URI_TOO_LONG,
            Refusal::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refusal::UnsupportedEncoding(_) | Refusal::Malformed => StatusCode::BAD_REQUEST,
            Refusal::TooLarge { .. } | Refusal::Inflates { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Busy | Refusal::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::NotFound => f.write_str("404 page not found"),
            Refusal::MethodNotAllowed => f.write_str("405 method not allowed, supported: [POST]"),
            Refusal::UriTooLong => f.write_str("URI too long"),
            Refusal::HeadersTooLarge => f.write_str("too many headers"),
            Refusal::UnsupportedEncoding(name) => write!(f, "unsupported Content-Encoding: {name}"),
            Refusal::TooLarge { limit } => write!(f, "request body exceeds the limit of {limit} bytes"),
            Refusal::Inflates { limit } => write!(f, "decompressed request body exceeds the limit of {limit} bytes"),
            Refusal::Malformed => f.write_str("malformed body"),
            Refusal::Busy => f.write_str("memory budget exhausted"),
            Refusal::ShuttingDown => f.write_str("shutting down"),
            Refusal::Internal => f.write_str("internal error"),
        }
    }
}
