//! What a destination said about a payload, classified (delivery §7).

use std::ops::Range;
use std::time::Duration;

use sluice_pdata::pass::Reason;
use smallvec::SmallVec;

use crate::answer::Code;
use crate::clock::WallTime;

/// Longest server hint that is obeyed.
pub const MAX_HINT: Duration = Duration::from_secs(300);

/// The result of one attempt to send a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The destination has it. Items that the exporter could not express in the destination's format are listed with their
    /// reason, and are dropped by it.
    Delivered { dropped: SmallVec<[(Reason, usize); 1]> },
    /// As `Delivered`, but the destination has refused runs of items for good, each for itself. They are none of `dropped`.
    Refused { dropped: SmallVec<[(Reason, usize); 1]>, refused: Vec<RefusedItems> },
    /// The destination has it but for `rejected` items, which must never be sent again.
    Partial { rejected: usize, message: String },
    /// Not delivered, or not known to be: send the same bytes again under the same id.
    Retry {
        /// The destination's hint, at most [`MAX_HINT`]: a floor for the wait.
        after: Option<Duration>,
        cause: RetryCause,
        message: String,
    },
    /// Too large for the destination: send in parts. A single item goes to the dead letters.
    Split { message: String },
    /// The destination will never take this payload: find the item that is to blame.
    Permanent { message: String },
    /// The destination has a bug or trouble with this payload that a retry would not cure: dead letter, and a breaker failure.
    Internal { message: String },
    /// The destination takes nothing from us as configured: open the breaker, keep everything, raise an alarm.
    ConfigError { message: String },
}

/// Items of a payload that a destination will never take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedItems {
    /// Their places in the payload; behind those of the one before.
    pub items: Range<usize>,
    pub reason: Reason,
    /// What the destination said.
    pub message: String,
}

/// Why an attempt is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryCause {
    /// The destination asked for less (429, 503, UNAVAILABLE, RESOURCE_EXHAUSTED with a hint).
    Throttled,
    /// It answered that it failed for now.
    Unavailable,
    /// No connection, or it broke before anything was sent.
    Connection,
    /// No answer in time, or the connection broke after sending: it may have the payload.
    Ambiguous,
}

/// What servers say of a message that they cannot read, such as one with an id of a length that no id has. One item is to
/// blame, so it is looked for; the server is well.
const UNREADABLE: [&str; 5] = [
    "error unmarshalling request",       // grpc-go
    "Invalid protobuf byte sequence",    // grpc-java
    "Error deserializing request",       // grpc-js
    "Exception deserializing request",   // grpc-python
    "failed to decode Protobuf message", // prost, under tonic
];

impl SendOutcome {
    /// Everything delivered.
    pub fn delivered() -> Self {
        SendOutcome::Delivered { dropped: SmallVec::new() }
    }

    /// The code under which `sluice explain` tells what may be the cause, if it has one. A cause below the protocol is known by
    /// its text alone.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            SendOutcome::Split { .. } => Some("E0807"),
            SendOutcome::Permanent { .. } => Some("E0808"),
            SendOutcome::ConfigError { message } => Some(code_of_configuration(message)),
            SendOutcome::Retry { cause: RetryCause::Connection, message, .. } => Some(code_of_connection(message)),
            SendOutcome::Retry { cause: RetryCause::Ambiguous, message, .. } if message.contains("deadline") => {
                Some("E0806")
            }
            SendOutcome::Internal { message } if message.starts_with("invalid gRPC exchange") => Some("E0802"),
            _ => None,
        }
    }

    /// Classifies a gRPC status other than OK. `hint` is the delay of its RetryInfo
    /// ([`crate::answer::RpcStatus::read_hint`]). A server that cannot read the message says so under INTERNAL, by the text alone.
    pub fn from_grpc(code: Code, hint: Option<Duration>, message: String) -> Self {
        let after = hint.map(|hint| hint.min(MAX_HINT));
        match code {
            Code::Ok => SendOutcome::delivered(),
            Code::ResourceExhausted if after.is_none() => SendOutcome::Split { message },
            Code::ResourceExhausted | Code::Unavailable => {
                SendOutcome::Retry { after, cause: RetryCause::Throttled, message }
            }
            Code::DeadlineExceeded => SendOutcome::Retry { after, cause: RetryCause::Ambiguous, message },
            Code::Cancelled | Code::Aborted | Code::OutOfRange | Code::DataLoss => {
                SendOutcome::Retry { after, cause: RetryCause::Unavailable, message }
            }
            Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists => {
                SendOutcome::Permanent { message }
            }
            Code::Internal if UNREADABLE.iter().any(|text| message.contains(text)) => {
                SendOutcome::Permanent { message }
            }
            Code::Internal | Code::Unknown => SendOutcome::Internal { message },
            Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented | Code::NotFound => {
                SendOutcome::ConfigError { message }
            }
        }
    }

    /// Classifies an OTLP/HTTP status other than 200. `hint` comes from [`retry_after`].
    pub fn from_http(status: u16, hint: Option<Duration>, message: String) -> Self {
        let after = hint.map(|hint| hint.min(MAX_HINT));
        match status {
            200..=299 => SendOutcome::delivered(),
            429 | 503 => SendOutcome::Retry { after, cause: RetryCause::Throttled, message },
            502 | 504 => SendOutcome::Retry { after, cause: RetryCause::Unavailable, message },
            413 => SendOutcome::Split { message },
            300..=399 | 401 | 403 | 404 | 405 | 415 => SendOutcome::ConfigError { message },
            400..=499 => SendOutcome::Permanent { message },
            _ => SendOutcome::Internal { message },
        }
    }
}

/// Reads `Retry-After`: seconds, or an HTTP date in any of the forms of RFC 9110. Negative or unparsable is no hint; capped
/// at [`MAX_HINT`].
pub fn retry_after(value: &str, now: WallTime) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?;
            let since_epoch = date.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
            since_epoch.saturating_sub(Duration::from_nanos(now.0))
        }
    };
    Some(wait.min(MAX_HINT))
}

/// Of what is configured wrongly, here or there.
fn code_of_configuration(message: &str) -> &'static str {
    const REFUSED: [&str; 4] = ["Status Code 401", "Status Code 403", "Unauthenticated", "PermissionDenied"];
    match () {
        () if message.contains("certificate") => "E0804",
        () if REFUSED.iter().any(|text| message.contains(text)) => "E0801",
        () => "E0802",
    }
}

/// Of a connection that was not made, or broke before anything was sent.
fn code_of_connection(message: &str) -> &'static str {
    const NAMES: [&str; 3] = ["lookup", "resolve", "Name or service not known"];
    const TLS: [&str; 4] = ["corrupt message", "InvalidContentType", "received TLS", "answers in TLS"];
    const PROTOCOL: [&str; 4] = ["HTTP/1", "http2 error", "frame with invalid size", "invalid preface"];
    let has = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    match () {
        () if has(&NAMES) => "E0805",
        () if has(&TLS) => "E0803",
        () if has(&PROTOCOL) => "E0802",
        () => "E0806",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_statuses_are_read_as_delivery_7_says() {
        use Code::*;
        let hint = Some(Duration::from_secs(9000));
        let read = |code, hint| SendOutcome::from_grpc(code, hint, String::new());
        for code in [Cancelled, DeadlineExceeded, Aborted, OutOfRange, Unavailable, DataLoss] {
            assert!(matches!(read(code, None), SendOutcome::Retry { after: None, .. }), "{code:?}");
            assert!(matches!(read(code, hint), SendOutcome::Retry { after: Some(MAX_HINT), .. }), "{code:?}");
        }
        assert!(matches!(read(ResourceExhausted, hint), SendOutcome::Retry { after: Some(MAX_HINT), .. }));
        assert!(matches!(read(ResourceExhausted, None), SendOutcome::Split { .. }));
        for code in [InvalidArgument, FailedPrecondition, AlreadyExists] {
            assert!(matches!(read(code, hint), SendOutcome::Permanent { .. }), "{code:?}");
        }
        for code in [Internal, Unknown] {
            assert!(matches!(read(code, hint), SendOutcome::Internal { .. }), "{code:?}");
        }
        for code in [Unauthenticated, PermissionDenied, Unimplemented, NotFound] {
            assert!(matches!(read(code, hint), SendOutcome::ConfigError { .. }), "{code:?}");
        }
    }

    #[test]
    fn a_message_that_a_server_cannot_read_is_searched_for_the_item_to_blame() {
        let read = |code, text: &str| SendOutcome::from_grpc(code, None, text.into());
        for text in [
            "INTERNAL: grpc: error unmarshalling request: unmarshal: invalid TraceID length",
            "INTERNAL: Invalid protobuf byte sequence",
            "INTERNAL: Error deserializing request: invalid wire type 7 at offset 3",
            "INTERNAL: Exception deserializing request!",
            "INTERNAL: failed to decode Protobuf message: AnyValue.value: invalid string value: data is not UTF-8 encoded",
        ] {
            assert!(matches!(read(Code::Internal, text), SendOutcome::Permanent { .. }), "{text}");
            assert!(matches!(read(Code::Unknown, text), SendOutcome::Internal { .. }), "{text}");
        }
    }

    #[test]
    fn http_statuses_are_read_as_delivery_7_says() {
        let read = |status| SendOutcome::from_http(status, Some(Duration::from_secs(2)), String::new());
        for status in [429, 502, 503, 504] {
            assert!(matches!(read(status), SendOutcome::Retry { after: Some(_), .. }), "{status}");
        }
        assert!(matches!(read(413), SendOutcome::Split { .. }));
        for status in [400, 402, 408, 409, 410, 422, 499] {
            assert!(matches!(read(status), SendOutcome::Permanent { .. }), "{status}");
        }
        for status in [500, 501, 505, 599] {
            assert!(matches!(read(status), SendOutcome::Internal { .. }), "{status}");
        }
        for status in [301, 307, 401, 403, 404, 405, 415] {
            assert!(matches!(read(status), SendOutcome::ConfigError { .. }), "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // Sun, 06 Nov 1994 08:49:37 GMT is 784,111,777 s.
        let now = WallTime(784_111_767_000_000_000);
        let cases = [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("100000", Some(300)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
        ];
        for (text, seconds) in cases {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
