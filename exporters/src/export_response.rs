//! What a destination says in the body of an answer: partial success, or a status, in protobuf or JSON.
//!
//! Each reader is lenient: what cannot be read says nothing. Nothing here grows beyond the body.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use sluice_pdata::wire::{Value, fields};
use sluice_pipeline::send::SendOutcome;

use crate::client::sanitised;

/// `partial_success` of an `Export*ServiceResponse`; the fields are the same for all signals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartialSuccess {
    /// Items that the destination has refused and that must never be sent again.
    pub(crate) rejected: u64,
    pub(crate) message: String,
}

impl PartialSuccess {
    /// Reads a response in protobuf.
    pub(crate) fn from_protobuf(response: &[u8]) -> Self {
        const PARTIAL_SUCCESS: u32 = 1;
        const REJECTED: u32 = 1;
        const ERROR_MESSAGE: u32 = 2;
        let mut partial = PartialSuccess::default();
        for field in fields(response).map_while(Result::ok) {
            let (PARTIAL_SUCCESS, Value::Len(message)) = (field.number, field.value) else { continue };
            for field in fields(message).map_while(Result::ok) {
                match (field.number, field.value) {
                    // Signed on the wire: a negative count is none.
                    (REJECTED, Value::Varint(count)) => partial.rejected = count_of(count.cast_signed()),
                    (ERROR_MESSAGE, Value::Len(text)) => partial.message = sanitised(&String::from_utf8_lossy(text)),
                    _ => {}
                }
            }
        }
        partial
    }

    /// Reads a response in JSON.
    pub(crate) fn from_json(response: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Response {
            #[serde(rename = "partialSuccess", alias = "partial_success")]
            partial: Option<Partial>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Partial {
            #[serde(
                rename = "rejectedSpans",
                alias = "rejected_spans",
                alias = "rejectedDataPoints",
                alias = "rejected_data_points",
                alias = "rejectedLogRecords",
                alias = "rejected_log_records"
            )]
            rejected: Count,
            #[serde(rename = "errorMessage", alias = "error_message")]
            message: Option<String>,
        }
        let response: Response = serde_json::from_slice(response).unwrap_or_default();
        let partial = response.partial.unwrap_or_default();
        PartialSuccess { rejected: partial.rejected.0, message: sanitised(&partial.message.unwrap_or_default()) }
    }

    /// What it means for the payload.
    pub(crate) fn outcome(self) -> SendOutcome {
        if self.rejected == 0 && self.message.is_empty() {
            return SendOutcome::delivered();
        }
        SendOutcome::Partial { rejected: usize::try_from(self.rejected).unwrap_or(usize::MAX), message: self.message }
    }
}

/// The `message` of a `google.rpc.Status`, if there is any.
pub(crate) fn status_message(body: &[u8], json: bool) -> Option<String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Status {
        message: Option<String>,
    }
    let message = if json {
        serde_json::from_slice::<Status>(body).unwrap_or_default().message.unwrap_or_default()
    } else {
        sluice_pipeline::answer::RpcStatus::read_hint(body).0
    };
    Some(sanitised(&message)).filter(|message| !message.is_empty())
}

fn count_of(signed: i64) -> u64 {
    u64::try_from(signed).unwrap_or(0)
}

/// A 64-bit number of proto3 JSON: a number, or a string of digits.
#[derive(Clone, Copy, Default)]
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl<'de> Visitor<'de> for Number {
            type Value = Count;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of items")
            }
            fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
                Ok(Count(count))
            }
            fn visit_i64<E>(self, count: i64) -> Result<Count, E> {
                Ok(Count(count_of(count)))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Count, E> {
                text.parse::<i64>().map(|count| Count(count_of(count))).map_err(E::custom)
            }
            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count(0))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Err(A::Error::custom("expected a number"))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
    use prost::Message as _;

    use super::*;

    fn protobuf(rejected_spans: i64, message: &str) -> Vec<u8> {
        let partial = ExportTracePartialSuccess { rejected_spans, error_message: message.to_owned() };
        ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec()
    }

    #[test]
    fn partial_success_is_read_from_protobuf() {
        let read = PartialSuccess::from_protobuf(&protobuf(3, "no quota\x1b"));
        assert_eq!(read, PartialSuccess { rejected: 3, message: "no quota\\u{1b}".to_owned() });
        assert_eq!(PartialSuccess::from_protobuf(&protobuf(-3, "")).rejected, 0);
        for broken in [&b""[..], b"\x0a", b"\x0a\xff\xff\xff\xff\x0f", b"<html>"] {
            assert_eq!(PartialSuccess::from_protobuf(broken).outcome(), SendOutcome::delivered(), "{broken:?}");
        }
    }

    #[test]
    fn partial_success_is_read_from_json() {
        let cases = [
            (r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no"}}"#, 3, "no"),
            (r#"{"partialSuccess":{"rejectedLogRecords":7}}"#, 7, ""),
            (r#"{"partial_success":{"rejected_data_points":"1","more":[{}]}, "x": {"y": []}}"#, 1, ""),
            (r#"{"partialSuccess":{"errorMessage":"slow down"}}"#, 0, "slow down"),
            (r#"{"partialSuccess":{"rejectedSpans":-1}}"#, 0, ""),
            (r#"{"partialSuccess":null}"#, 0, ""),
            ("{}", 0, ""),
            ("", 0, ""),
            ("<html>", 0, ""),
            (r#"{"partialSuccess":{"rejectedSpans":{"a":1}}}"#, 0, ""),
        ];
        for (json, rejected, message) in cases {
            let read = PartialSuccess::from_json(json.as_bytes());
            assert_eq!(read, PartialSuccess { rejected, message: message.to_owned() }, "{json}");
        }
        let deep = format!("{{\"x\":{}", "[".repeat(1 << 20));
        assert_eq!(PartialSuccess::from_json(deep.as_bytes()), PartialSuccess::default());
    }

    #[test]
    fn a_status_is_read_from_either() {
        let message = |body: &[u8], json| status_message(body, json);
        assert_eq!(message(br#"{"code":3,"message":"bad span\n"}"#, true).as_deref(), Some("bad span"));
        assert_eq!(message(b"\x08\x03\x12\x08bad span", false).as_deref(), Some("bad span"));
        for (body, json) in [(&b"{}"[..], true), (b"<html>", true), (b"\x08\x03", false), (b"\x12\xff", false)] {
            assert_eq!(message(body, json), None, "{body:?}");
        }
    }
}
