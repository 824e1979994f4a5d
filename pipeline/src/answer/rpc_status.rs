//! `google.rpc.Status` with the two details that OTLP names, as protobuf and as JSON.

use std::time::Duration;

use sluice_pdata::wire::{Value, fields, put_len, put_message, put_varint_field};

use super::Code;

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

/// A status as peers exchange it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcStatus {
    pub code: Code,
    pub message: String,
    pub details: Vec<Detail>,
}

/// A machine-readable part of a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Try again, but not before this time.
    RetryInfo(Duration),
    /// The request is wrong; one violation with this description.
    BadRequest(String),
}

impl RpcStatus {
    /// The message in protobuf: the body of an HTTP error, and `grpc-status-details-bin` before base64.
    pub fn to_protobuf(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint_field(&mut out, 1, self.code as u64);
        put_len(&mut out, 2, self.message.as_bytes());
        for detail in &self.details {
            put_message(&mut out, 3, |any| match detail {
                Detail::RetryInfo(delay) => {
                    put_len(any, 1, RETRY_INFO.as_bytes());
                    put_message(any, 2, |info| {
                        put_message(info, 1, |duration| {
                            put_varint_field(duration, 1, delay.as_secs());
                            put_varint_field(duration, 2, u64::from(delay.subsec_nanos()));
                        });
                    });
                }
                Detail::BadRequest(description) => {
                    put_len(any, 1, BAD_REQUEST.as_bytes());
                    put_message(any, 2, |bad| {
                        put_message(bad, 1, |violation| put_len(violation, 2, description.as_bytes()));
                    });
                }
            });
        }
        out
    }

    /// The message in the JSON form of protobuf.
    pub fn to_json(&self) -> String {
        let details: Vec<serde_json::Value> = self
            .details
            .iter()
            .map(|detail| match detail {
                Detail::RetryInfo(delay) => {
                    serde_json::json!({"@type": RETRY_INFO, "retryDelay": format!("{}s", delay.as_secs_f64())})
                }
                Detail::BadRequest(description) => {
                    serde_json::json!({"@type": BAD_REQUEST, "fieldViolations": [{"description": description}]})
                }
            })
            .collect();
        let mut status = serde_json::json!({"code": self.code as u8, "message": self.message});
        if !details.is_empty() {
            status["details"] = details.into();
        }
        status.to_string()
    }

    /// Reads a peer's status in protobuf: its message, and the delay of its RetryInfo. Broken bytes and unknown details
    /// count as absent.
    pub fn read_hint(bytes: &[u8]) -> (String, Option<Duration>) {
        let (mut message, mut delay) = (String::new(), None);
        for field in fields(bytes).map_while(Result::ok) {
            match (field.number, field.value) {
                (2, Value::Len(text)) => message = String::from_utf8_lossy(text).into_owned(),
                (3, Value::Len(any)) => delay = retry_info(any).or(delay),
                _ => {}
            }
        }
        (message, delay)
    }
}

/// The delay in an `Any` that is a RetryInfo; a negative one counts as absent.
fn retry_info(any: &[u8]) -> Option<Duration> {
    if sub(any, 1)? != RETRY_INFO.as_bytes() {
        return None;
    }
    let info = sub(any, 2).unwrap_or_default();
    let mut delay = Duration::ZERO;
    for field in fields(sub(info, 1).unwrap_or_default()).map_while(Result::ok) {
        match (field.number, field.value) {
            // Both are signed: what does not fit is negative or absurd.
            (1, Value::Varint(seconds)) => delay += Duration::from_secs(u64::from(u32::try_from(seconds).ok()?)),
            (2, Value::Varint(nanos)) => delay += Duration::from_nanos(u64::from(u32::try_from(nanos).ok()?)),
            _ => {}
        }
    }
    Some(delay)
}

/// The last length-delimited field of a number.
fn sub(message: &[u8], number: u32) -> Option<&[u8]> {
    fields(message).map_while(Result::ok).filter(|field| field.number == number).filter_map(|f| f.value.len()).last()
}
