use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use tonic::Status;

use crate::body::Body;
use crate::compression::{DecompressLimits, Encoding};
use crate::listen::RequestHead;
use crate::reserve::Reserve;
use crate::survivor::MustFinish;

/// What a gRPC listener serves.
///
/// Each request passes `route` → `admit` → (the body is received) → `call`.
pub trait UnaryService: Send + Sync + 'static {
    /// Which method was called, in the service's own terms.
    type Route: Send + Sync + 'static;
    /// What `admit` found out and `call` needs, e.g. who the client is.
    type Context: Send + 'static;

    /// Finds the method of a path such as `/opentelemetry.proto.collector.trace.v1.TraceService/Export`. `None` is
    /// answered as UNIMPLEMENTED.
    fn route(&self, path: &str) -> Option<Self::Route>;

    /// Decides before the body is read: authentication, readiness, quotas.
    ///
    /// # Errors
    /// The status the client gets; its body is not read.
    fn admit(
        &self,
        route: &Self::Route,
        head: &RequestHead,
    ) -> impl Future<Output = Result<Admission<Self::Context>, Status>> + Send;

    /// Handles a request. The future is dropped when the client gives up, unless [`Request::must_finish`] was set.
    ///
    /// # Errors
    /// The status the client gets.
    fn call(&self, request: Request<Self::Route, Self::Context>) -> impl Future<Output = Result<Reply, Status>> + Send;

    /// A request was refused before [`UnaryService::call`], by this crate and not by `admit`. Every refusal is to be
    /// counted (`security.md` section 1).
    fn refused(&self, _route: Option<&Self::Route>, _cause: Refused) {}

    /// Encodings accepted for messages.
    fn encodings(&self) -> &[Encoding] {
        &[Encoding::Gzip, Encoding::Zstd, Encoding::Snappy]
    }
}

/// Why a request was refused before [`UnaryService::call`] (`delivery.md` section 6). Bodies that come too slowly are in
/// [`Counters`](crate::listen::Counters) alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Too many or too long headers.
    Head,
    /// Not POST.
    Method,
    /// Not `application/grpc`.
    ContentType,
    /// No such method of a service.
    UnknownMethod,
    /// A message encoding that is not accepted.
    Encoding,
    /// The message is over a limit of so many bytes, or can never fit the memory.
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The message is over a limit of so many bytes when it is decompressed.
    Inflates {
        /// The limit.
        limit: usize,
    },
    /// No memory was promised in time.
    Busy,
    /// The client's deadline passed.
    Deadline,
    /// The body is not one gRPC message, or its compression is corrupt.
    Malformed,
    /// The listener is on its way out.
    ShuttingDown,
    /// The handler panicked.
    Internal,
}

/// Leave to read a body.
pub struct Admission<C> {
    /// For [`UnaryService::call`].
    pub context: C,
    /// Who promises the memory.
    pub reserve: Arc<dyn Reserve>,
    /// Bytes of the message as it comes (`wire_bytes`); more is RESOURCE_EXHAUSTED without RetryInfo.
    pub max_wire_bytes: usize,
    /// What a compressed message may become. Looked at as it comes only where too many large ones come at a time.
    pub decompress: DecompressLimits,
}

/// A request with its body.
pub struct Request<R, C> {
    /// What was called.
    pub route: R,
    /// Headers, peer, deadline.
    pub head: RequestHead,
    /// What `admit` said.
    pub context: C,
    /// The message.
    pub body: Body,
    /// Set this before something begins that must not stop half-way.
    pub must_finish: MustFinish,
}

/// The answer of success.
#[derive(Default)]
pub struct Reply {
    /// The response message, uncompressed, without prefix. Empty is a valid message.
    pub message: Bytes,
    /// Of a method that streams: the messages that follow, as they come. The call lasts until they end.
    pub more: Option<BoxStream<'static, Bytes>>,
}

impl From<Bytes> for Reply {
    fn from(message: Bytes) -> Self {
        Reply { message, more: None }
    }
}
