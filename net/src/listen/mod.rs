//! Listeners: binding, accepting, and serving each connection within [`crate::ListenerLimits`].
//!
//! What a connection carries is the business of a [`Service`]: [`crate::grpc::Server`] or [`crate::http::Server`].

mod accept;
mod answers;
mod connection;
mod counters;
mod flood;
mod handshake;
mod head;
mod opening;
mod respond;
mod slots;
mod socket;
mod streams;
mod told;
mod traffic;
mod transport;
mod watchdog;

pub use accept::{Listener, ListenerSettings, Server};
pub use counters::{Counters, Snapshot};
pub use head::{ConnectionInfo, Ending, Peer, RequestHead};
pub use respond::{Chunk, ResponseBody};
pub use socket::{Bind, Sockets};
pub use traffic::Traffic;

use std::future::Future;
use std::sync::Arc;

use ::http::{Request, Response};
use hyper::body::Incoming;

use connection::Conn;

/// What a service asks for instead of a response: break off without an answer.
///
/// On HTTP/2 the stream is reset with the reason (the library finds it in the source), on HTTP/1 the connection is
/// closed.
#[derive(Debug, thiserror::Error)]
#[error("request aborted")]
pub struct Abort(#[source] h2::Error);

impl Abort {
    pub(crate) fn new(reason: h2::Reason) -> Self {
        Abort(reason.into())
    }
}

/// Which HTTP versions a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// HTTP/2 only, in plain by prior knowledge.
    Http2,
    /// HTTP/1.1 and HTTP/2.
    Both,
}

/// What serves the requests of a listener. Sealed: implemented by [`crate::grpc::Server`] and [`crate::http::Server`].
pub trait Service: sealed::Serve {}

pub(crate) mod sealed {
    use super::*;

    pub trait Serve: Send + Sync + 'static {
        const VERSIONS: Versions;

        fn serve(
            self: Arc<Self>,
            request: Request<Incoming>,
            conn: Arc<Conn>,
        ) -> impl Future<Output = Result<Response<ResponseBody>, Abort>> + Send + 'static;
    }
}

pub(crate) use connection::Conn as Connection;
pub(crate) use head::{HeadOverLimit, read_head};
pub(crate) use transport::Stream;
