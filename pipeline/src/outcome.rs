//! What a sender is told: every way a request can be refused, and partial success (delivery §6).
//!
//! A component says *what happened*; [`crate::answer`] says how each protocol puts it. Nothing else may pick a status.

use std::time::Duration;

use sluice_pdata::Signal;

use crate::rng::Rng;

/// Longest text about a request that is sent back, in bytes.
pub const MESSAGE_BYTES: usize = 1024;

/// The request is safe in the sense of its ack mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Items that were rejected for good while the rest was kept.
    pub partial: Option<Partial>,
}

/// Items of an accepted request that were rejected: never to be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Exact number of spans, data points or log records.
    pub rejected: u64,
    /// Names the limit and the first offender; at most [`MESSAGE_BYTES`].
    pub message: String,
}

impl Partial {
    /// Cuts the message at its limit.
    pub fn new(rejected: u64, message: impl Into<String>) -> Self {
        Partial { rejected, message: clip(message.into()) }
    }
}

/// Why a whole request was refused. Nothing of it was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Every item was rejected for good.
    #[error("all {} items rejected: {}", .0.rejected, .0.message)]
    AllRejected(Partial),
    /// The memory budget has no room within the bounded wait.
    #[error("data refused due to high memory usage")]
    Memory,
    /// The log that holds data between receiving and delivering has no room.
    #[error("sending queue is full")]
    QueueFull,
    /// A destination of this request has used up its quota.
    #[error("sending queue is full: quota of {destination}")]
    QuotaFull { destination: String },
    /// The journal accepts nothing until space returns.
    #[error("journal is draining: no space left")]
    DrainOnly,
    /// Still reading what was kept before the start.
    #[error("recovering")]
    Recovering,
    /// The append did not reach stable storage.
    #[error("append failed")]
    AppendFailed,
    /// A tenant is over its own rate.
    #[error("tenant over its rate limit")]
    TenantRate,
    /// Mode `exported`: a destination failed for now, or did not answer in time.
    #[error("destination unavailable: {message}")]
    DestinationUnavailable { message: String },
    /// Mode `exported`: a destination rejected the data for good.
    #[error("destination rejected the data: {message}")]
    DestinationRejected { message: String },
    /// Over a size that no retry will fit.
    #[error("{what} of {size} bytes or items is over the limit of {limit}")]
    TooLarge { what: SizeLimit, size: u64, limit: u64 },
    /// The payload or its compression is broken.
    #[error("malformed request: {message}")]
    Malformed { message: String },
    /// A content encoding this listener does not read.
    #[error("unsupported Content-Encoding: {encoding}")]
    UnknownEncoding { encoding: String },
    /// No pipeline takes this signal from this receiver.
    #[error("no pipeline for {0}")]
    NoPipeline(Signal),
    /// Not a path of this listener.
    #[error("unknown path")]
    UnknownPath,
    /// HTTP method other than `allow`.
    #[error("method not allowed, use {allow}")]
    Method { allow: &'static str },
    /// HTTP content type this listener does not read.
    #[error("unsupported content type")]
    ContentType,
    /// Too many or too long headers.
    #[error("request headers too large")]
    Headers,
    #[error("URI too long")]
    Uri,
    /// Credentials missing or wrong.
    #[error("unauthenticated")]
    Unauthenticated,
    /// Too many credentials wait to be verified.
    #[error("too many credentials are being verified")]
    Verifying,
    /// Credentials right, but not for this.
    #[error("permission denied")]
    PermissionDenied,
    /// The client's deadline passed before the append.
    #[error("deadline exceeded")]
    DeadlineExceeded,
    /// More streams than the connection may have.
    #[error("too many streams")]
    Streams,
    /// More connections than the listener may have.
    #[error("too many connections")]
    Connections,
    /// Header or body came too slowly.
    #[error("request too slow")]
    Slow,
    /// No new requests from now on.
    #[error("shutting down")]
    ShuttingDown,
    /// A bug of ours that cannot be narrowed down to items.
    #[error("internal error")]
    Internal,
}

/// Which size was exceeded (security §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeLimit {
    /// The body as sent.
    Wire,
    /// The body after decompression.
    Decompressed,
    /// Output per input of a decompressor.
    Ratio,
    /// Items in one request.
    Items,
    /// One record against the whole quota of a destination.
    Record,
    /// One request against a whole `queue_size`.
    Queue,
    /// One request against its share of the memory budget.
    Memory,
}

impl SizeLimit {
    /// The name of the limit in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            SizeLimit::Wire => "wire_bytes",
            SizeLimit::Decompressed => "decompressed_bytes",
            SizeLimit::Ratio => "compression_ratio",
            SizeLimit::Items => "items_per_request",
            SizeLimit::Record => "max_bytes",
            SizeLimit::Queue => "queue_size",
            SizeLimit::Memory => "memory budget",
        }
    }
}

impl std::fmt::Display for SizeLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Refusal {
    /// Broken bytes at a known offset.
    pub fn malformed(error: sluice_pdata::Error) -> Self {
        Refusal::Malformed { message: error.to_string() }
    }

    /// The `cause` label of `sluice_requests_refused_total`.
    pub const fn cause(&self) -> &'static str {
        match self {
            Refusal::AllRejected(_) => "all_rejected",
            Refusal::Memory => "memory",
            Refusal::QueueFull => "queue_full",
            Refusal::QuotaFull { .. } => "quota_full",
            Refusal::DrainOnly => "drain_only",
            Refusal::Recovering => "recovering",
            Refusal::AppendFailed => "append_failed",
            Refusal::TenantRate => "tenant_rate",
            Refusal::DestinationUnavailable { .. } => "destination_unavailable",
            Refusal::DestinationRejected { .. } => "destination_rejected",
            Refusal::TooLarge { .. } => "too_large",
            Refusal::Malformed { .. } => "malformed",
            Refusal::UnknownEncoding { .. } => "unknown_encoding",
            Refusal::NoPipeline(_) => "no_pipeline",
            Refusal::UnknownPath => "unknown_path",
            Refusal::Method { .. } => "method",
            Refusal::ContentType => "content_type",
            Refusal::Headers => "headers",
            Refusal::Uri => "uri",
            Refusal::Unauthenticated => "unauthenticated",
            Refusal::Verifying => "verifying",
            Refusal::PermissionDenied => "permission_denied",
            Refusal::DeadlineExceeded => "deadline_exceeded",
            Refusal::Streams => "streams",
            Refusal::Connections => "connections",
            Refusal::Slow => "slow",
            Refusal::ShuttingDown => "shutting_down",
            Refusal::Internal => "internal",
        }
    }

    /// Whether the same request may succeed later, so that the answer must carry a retry hint.
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
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
        )
    }
}

/// How long a refused sender is asked to wait: whole seconds, uniform in 1 to 5, so that senders spread out.
pub fn retry_delay(rng: &dyn Rng) -> Duration {
    Duration::from_secs(1 + rng.below(5))
}

/// Cuts a text at [`MESSAGE_BYTES`], on a character boundary.
pub fn clip(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES {
        let mut end = MESSAGE_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}
