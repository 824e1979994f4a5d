//! The refusals as the three protocols put them (delivery §6, authoritative for every status).

use std::time::Duration;

use crate::outcome::{Refusal, clip};

mod rpc_status;

pub use rpc_status::{Detail, RpcStatus};

/// gRPC status codes that we send or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    /// The code of a number; what is not defined is `Unknown`, as the gRPC specification has it.
    pub const fn from_number(number: u32) -> Code {
        match number {
            0 => Code::Ok,
            1 => Code::Cancelled,
            3 => Code::InvalidArgument,
            4 => Code::DeadlineExceeded,
            5 => Code::NotFound,
            6 => Code::AlreadyExists,
            7 => Code::PermissionDenied,
            8 => Code::ResourceExhausted,
            9 => Code::FailedPrecondition,
            10 => Code::Aborted,
            11 => Code::OutOfRange,
            12 => Code::Unimplemented,
            13 => Code::Internal,
            14 => Code::Unavailable,
            15 => Code::DataLoss,
            16 => Code::Unauthenticated,
            _ => Code::Unknown,
        }
    }
}

/// What a refused OTLP/gRPC call gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrpcAnswer {
    /// A Trailers-Only answer. `status` gives `grpc-status`, `grpc-message` and `grpc-status-details-bin`.
    Status {
        status: RpcStatus,
        /// Send `grpc-accept-encoding`.
        accept_encoding: bool,
    },
    /// RST_STREAM without an answer.
    Reset(Reset),
    /// Close the connection without an answer.
    Close,
}

/// The error code of a stream reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    Cancel,
    RefusedStream,
    EnhanceYourCalm,
}

/// What a refused HTTP request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpAnswer {
    Status {
        /// The HTTP status.
        http: u16,
        /// The body, in the request's content type.
        status: RpcStatus,
        /// `Retry-After`, whole seconds.
        retry_after: Option<u64>,
        /// The `Allow` header.
        allow: Option<&'static str>,
        /// `Connection: close`.
        close: bool,
    },
    /// RST_STREAM on HTTP/2; close on HTTP/1.
    Reset(Reset),
    /// Close the connection without an answer.
    Close,
}

impl Refusal {
    /// The gRPC code, for refusals that are answered with one.
    const fn code(&self) -> Code {
        match self {
            Refusal::AllRejected(_) | Refusal::DestinationRejected { .. } | Refusal::Malformed { .. } => {
                Code::InvalidArgument
            }
            Refusal::Memory
            | Refusal::QueueFull
            | Refusal::QuotaFull { .. }
            | Refusal::DrainOnly
            | Refusal::Recovering
            | Refusal::AppendFailed
            | Refusal::TenantRate
            | Refusal::DestinationUnavailable { .. }
            | Refusal::Verifying
            | Refusal::ShuttingDown
            | Refusal::Streams
            | Refusal::Connections
            | Refusal::Slow => Code::Unavailable,
            Refusal::TooLarge { .. } => Code::ResourceExhausted,
            Refusal::UnknownEncoding { .. }
            | Refusal::NoPipeline(_)
            | Refusal::UnknownPath
            | Refusal::Method { .. }
            | Refusal::ContentType => Code::Unimplemented,
            Refusal::Headers | Refusal::Uri => Code::InvalidArgument,
            Refusal::Unauthenticated => Code::Unauthenticated,
            Refusal::PermissionDenied => Code::PermissionDenied,
            Refusal::DeadlineExceeded => Code::DeadlineExceeded,
            Refusal::Internal => Code::Internal,
        }
    }

    /// The status message in `google.rpc` form: RetryInfo for what may be retried, BadRequest for what all was rejected.
    fn rpc_status(&self, delay: Duration) -> RpcStatus {
        let details = match self {
            refusal if refusal.is_retryable() => vec![Detail::RetryInfo(delay)],
            Refusal::AllRejected(partial) => vec![Detail::BadRequest(partial.message.clone())],
            _ => Vec::new(),
        };
        // Fixed texts towards whoever has not authenticated (security §4.3).
        RpcStatus { code: self.code(), message: clip(self.to_string()), details }
    }

    /// The OTLP/gRPC answer. `delay` comes from [`crate::outcome::retry_delay`].
    pub fn grpc(&self, delay: Duration) -> GrpcAnswer {
        match self {
            Refusal::Connections => GrpcAnswer::Close,
            Refusal::Streams => GrpcAnswer::Reset(Reset::RefusedStream),
            Refusal::Slow => GrpcAnswer::Reset(Reset::Cancel),
            Refusal::Headers | Refusal::Uri => GrpcAnswer::Reset(Reset::EnhanceYourCalm),
            _ => GrpcAnswer::Status {
                status: self.rpc_status(delay),
                accept_encoding: matches!(self, Refusal::UnknownEncoding { .. }),
            },
        }
    }

    /// The OTLP/HTTP answer. `delay` comes from [`crate::outcome::retry_delay`].
    pub fn http(&self, delay: Duration) -> HttpAnswer {
        let http = match self {
            Refusal::Connections | Refusal::Slow => return HttpAnswer::Close,
            Refusal::Streams => return HttpAnswer::Reset(Reset::RefusedStream),
            Refusal::AllRejected(_)
            | Refusal::DestinationRejected { .. }
            | Refusal::Malformed { .. }
            | Refusal::UnknownEncoding { .. } => 400,
            Refusal::Unauthenticated => 401,
            Refusal::PermissionDenied => 403,
            Refusal::NoPipeline(_) | Refusal::UnknownPath => 404,
            Refusal::Method { .. } => 405,
            Refusal::TooLarge { .. } => 413,
            Refusal::Uri => 414,
            Refusal::ContentType => 415,
            Refusal::TenantRate => 429,
            Refusal::Headers => 431,
            Refusal::Internal => 500,
            Refusal::Memory
            | Refusal::QueueFull
            | Refusal::QuotaFull { .. }
            | Refusal::DrainOnly
            | Refusal::Recovering
            | Refusal::AppendFailed
            | Refusal::DestinationUnavailable { .. }
            | Refusal::Verifying
            // Only gRPC clients state a deadline; should an HTTP one, it may try again.
            | Refusal::DeadlineExceeded
            | Refusal::ShuttingDown => 503,
        };
        HttpAnswer::Status {
            http,
            status: self.rpc_status(delay),
            retry_after: matches!(http, 429 | 503).then(|| delay.as_secs().max(1)),
            allow: match self {
                Refusal::Method { allow } => Some(allow),
                _ => None,
            },
            close: matches!(self, Refusal::ShuttingDown),
        }
    }

    /// The answer to a remote-write request: as OTLP/HTTP, but everything retryable is 503, because Prometheus drops on 429
    /// by default (delivery §1.2), and an unknown encoding is 415 (prometheus §9). The body is the status message as text.
    pub fn remote_write(&self, delay: Duration) -> HttpAnswer {
        let mut answer = self.http(delay);
        if let HttpAnswer::Status { http, .. } = &mut answer {
            match self {
                Refusal::UnknownEncoding { .. } => *http = 415,
                _ if *http == 429 => *http = 503,
                _ => {}
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests;
