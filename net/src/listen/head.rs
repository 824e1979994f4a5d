use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ::http::{HeaderMap, Method, Uri, Version, header, request};
use rustls::pki_types::CertificateDer;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits::ListenerLimits;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP address.
    Ip(SocketAddr),
    /// A unix socket.
    Unix,
}

impl Peer {
    /// The address without the port; `None` for unix sockets.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Peer::Ip(address) => Some(address.ip()),
            Peer::Unix => None,
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Peer::Ip(address) => address.fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

/// What all requests of a connection have in common.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// The other end.
    pub peer: Peer,
    /// The user at the other end of a unix socket, as the kernel knows him; `None` for TCP.
    pub uid: Option<u32>,
    /// This end; `None` for unix sockets.
    pub local: Option<SocketAddr>,
    /// Whether TLS is in use.
    pub tls: bool,
    /// The verified client certificate chain, leaf first; empty without one.
    pub client_certificates: Vec<CertificateDer<'static>>,
    /// Told when the connection is to end.
    pub ending: Ending,
}

/// Lets a service end a connection whose client it has had enough of: requests under way are answered, then it is closed.
#[derive(Debug, Clone, Default)]
pub struct Ending(Arc<Notify>);

impl Ending {
    /// Ends the connection. May be called before it is watched, and often.
    pub fn begin(&self) {
        self.0.notify_one();
    }

    pub(crate) async fn begun(&self) {
        self.0.notified().await;
    }
}

/// A request before its body.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The target.
    pub uri: Uri,
    /// The headers as they came.
    pub headers: HeaderMap,
    /// The HTTP version.
    pub version: Version,
    /// The connection it came on.
    pub connection: Arc<ConnectionInfo>,
    /// When the client stops waiting (`grpc-timeout`).
    pub deadline: Option<Instant>,
}

impl RequestHead {
    /// The path of the target, without the query.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The value of a header that may appear once. `None` when absent, repeated, or not visible ASCII.
    pub fn single(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        if values.next().is_some() { None } else { first.to_str().ok() }
    }

    /// The head without its headers, but for the content type and the origin.
    pub(crate) fn outline(&self) -> RequestHead {
        let mut headers = HeaderMap::new();
        for name in [header::CONTENT_TYPE, header::ORIGIN] {
            if let Some(value) = self.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        RequestHead {
            method: self.method.clone(),
            uri: self.uri.clone(),
            headers,
            version: self.version,
            connection: Arc::clone(&self.connection),
            deadline: self.deadline,
        }
    }

    /// The content type without its parameters.
    pub fn content_type(&self) -> Option<&str> {
        self.single("content-type").map(|value| value.split_once(';').map_or(value, |(kind, _)| kind).trim())
    }
}

/// What of a head is over the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadOverLimit {
    Uri,
    Headers,
}

pub(crate) fn read_head(
    parts: request::Parts,
    connection: &Arc<ConnectionInfo>,
    limits: &ListenerLimits,
) -> (RequestHead, Option<HeadOverLimit>) {
    let head = RequestHead {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        version: parts.version,
        connection: Arc::clone(connection),
        deadline: None,
    };
    // Scheme and authority of HTTP/2 are not part of what was asked for.
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let over = if target > limits.uri_bytes {
        Some(HeadOverLimit::Uri)
    } else if head.headers.len() > limits.headers {
        Some(HeadOverLimit::Headers)
    } else {
        None
    };
    (head, over)
}
