use std::time::Duration;

use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use tonic::{Code, Status};

use super::status::retry_delay;
use crate::compression::Encoding;
use crate::pieces::Pieces;

/// A request to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The method, e.g. `/opentelemetry.proto.collector.trace.v1.TraceService/Export`.
    pub path: &'static str,
    /// The message without prefix, compressed already if `encoding` says so. It is not copied.
    pub message: Pieces,
    /// How `message` is compressed.
    pub encoding: Option<Encoding>,
    /// For the whole call: connecting, sending and receiving. `None`: no limit.
    pub timeout: Option<Duration>,
    /// Sent besides the configured ones, and instead of those of the same name (credentials).
    pub headers: HeaderMap,
}

/// The answer of success.
#[derive(Debug, Clone)]
pub struct Response {
    /// The message, decompressed.
    pub message: Bytes,
    /// The headers before it.
    pub headers: HeaderMap,
}

/// An answer other than OK.
#[derive(Debug, Clone)]
pub struct CallStatus {
    /// The code.
    pub code: Code,
    /// The text as the server sent it; hostile until sanitised.
    pub message: String,
    /// RetryInfo's delay (or `Retry-After` of a proxy), at most 5 min.
    pub retry_delay: Option<Duration>,
    /// The server's `grpc-accept-encoding`, to choose from after UNIMPLEMENTED.
    pub accept_encoding: Option<String>,
    /// The HTTP status, when the answer was not gRPC's own.
    pub http_status: Option<StatusCode>,
}

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// No connection, so nothing was sent.
    #[error("connection error: {message}")]
    Connect {
        /// What happened.
        message: String,
        /// A certificate or a name did not hold: trying again will not help.
        certificate: bool,
    },
    /// The connection or stream broke.
    #[error("stream broken: {message}")]
    Reset {
        /// What happened.
        message: String,
        /// The server says, or it is certain, that it did not look at the request (GOAWAY, REFUSED_STREAM).
        unprocessed: bool,
    },
    /// The timeout passed.
    #[error("deadline exceeded after {0:?}")]
    Timeout(Duration),
    /// The server answered with a status.
    #[error("{:?}: {}", .0.code, .0.message)]
    Status(Box<CallStatus>),
    /// The response exceeds a limit.
    #[error("response exceeds the limit of {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The response is not valid gRPC, or the request cannot be expressed in it.
    #[error("invalid gRPC exchange: {0}")]
    Protocol(&'static str),
}

impl CallStatus {
    /// Reads the status from headers (trailers-only) or trailers. `None` without `grpc-status`.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<CallStatus> {
        let status = Status::from_header_map(headers)?;
        Some(CallStatus {
            code: status.code(),
            message: status.message().to_owned(),
            retry_delay: retry_delay(status.details()),
            accept_encoding: None,
            http_status: None,
        })
    }

    /// What gRPC makes of an HTTP status without `grpc-status`.
    pub(super) fn from_http(status: StatusCode) -> CallStatus {
        let code = match status.as_u16() {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502 | 503 | 504 => Code::Unavailable,
            _ => Code::Unknown,
        };
        CallStatus {
            code,
            message: format!("unexpected HTTP status {status}"),
            retry_delay: None,
            accept_encoding: None,
            http_status: Some(status),
        }
    }
}
