//! `google.rpc.Status` details: written into refusals, read from answers.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status};

#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

/// One fault of a request (`google.rpc.BadRequest.FieldViolation`).
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct FieldViolation {
    /// Where.
    #[prost(string, tag = "1")]
    pub field: String,
    /// What.
    #[prost(string, tag = "2")]
    pub description: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

fn with_detail(code: Code, message: String, type_url: &str, value: Vec<u8>) -> Status {
    let details = vec![Any { type_url: type_url.to_owned(), value }];
    let rpc = RpcStatus { code: code as i32, message: message.clone(), details };
    Status::with_details(code, message, Bytes::from(rpc.encode_to_vec()))
}

/// UNAVAILABLE with RetryInfo: the refusal that makes every client send again. The delay is jittered over 1–5 s
/// (`delivery.md` section 6).
pub fn unavailable(message: impl Into<String>) -> Status {
    let delay = Duration::from_secs_f64(1.0 + 4.0 * crate::address::random_unit());
    let retry_delay = ProtoDuration {
        seconds: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(delay.subsec_nanos()).unwrap_or(0),
    };
    let info = RetryInfo { retry_delay: Some(retry_delay) };
    with_detail(Code::Unavailable, message.into(), RETRY_INFO, info.encode_to_vec())
}

/// INVALID_ARGUMENT with BadRequest: the refusal that makes every client drop.
pub fn bad_request(message: impl Into<String>, violations: Vec<FieldViolation>) -> Status {
    let detail = BadRequest { field_violations: violations };
    with_detail(Code::InvalidArgument, message.into(), BAD_REQUEST, detail.encode_to_vec())
}

/// The longest delay a server may ask for (`delivery.md` section 7).
const LONGEST_DELAY: Duration = Duration::from_secs(300);

/// The delay RetryInfo asks for in `details` (`grpc-status-details-bin`, decoded). `None` without one, or when it is
/// negative; at most 5 min. RetryInfo without a delay asks for zero.
pub fn retry_delay(details: &[u8]) -> Option<Duration> {
    let rpc = RpcStatus::decode(details).ok()?;
    let info = rpc.details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay.unwrap_or_default();
    let (seconds, nanos) = (u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?);
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos.into())).min(LONGEST_DELAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unavailable_carries_a_jittered_delay() {
        let delays: Vec<_> = (0..50).map(|_| retry_delay(unavailable("full").details()).unwrap()).collect();
        let bounds = Duration::from_secs(1)..Duration::from_secs(5);
        assert!(delays.iter().all(|delay| bounds.contains(delay)), "{delays:?}");
        assert!(delays.iter().any(|delay| *delay != delays[0]));
    }

    #[test]
    fn delays_of_servers_are_read_with_care() {
        let details = |seconds, nanos| {
            let info = RetryInfo { retry_delay: Some(ProtoDuration { seconds, nanos }) };
            let any = Any { type_url: RETRY_INFO.to_owned(), value: info.encode_to_vec() };
            RpcStatus { code: 14, message: String::new(), details: vec![any] }.encode_to_vec()
        };
        assert_eq!(retry_delay(&details(2, 500_000_000)), Some(Duration::from_millis(2500)));
        assert_eq!(retry_delay(&details(0, 0)), Some(Duration::ZERO));
        assert_eq!(retry_delay(&details(-1, 0)), None);
        assert_eq!(retry_delay(&details(0, -1)), None);
        assert_eq!(retry_delay(&details(i64::MAX, i32::MAX)), Some(Duration::from_secs(300)));
        assert_eq!(retry_delay(b"\xff\xff"), None);
        assert_eq!(retry_delay(b""), None);
        let bad = bad_request("no", vec![FieldViolation { field: "f".into(), description: "d".into() }]);
        assert_eq!(retry_delay(bad.details()), None);
        assert_eq!(bad.code(), Code::InvalidArgument);
    }
}
