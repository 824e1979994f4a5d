//! The status table of delivery §6, row by row.

use std::time::Duration;

use sluice_pdata::Signal;

use super::*;
use crate::outcome::{MESSAGE_BYTES, Partial, SizeLimit, retry_delay};
use crate::rng::SplitMix;

const DELAY: Duration = Duration::from_secs(3);

fn every_refusal() -> Vec<(Refusal, Option<Code>, Option<u16>, bool)> {
    let text = || "x".to_owned();
    vec![
        (Refusal::AllRejected(Partial::new(3, "value_depth")), Some(Code::InvalidArgument), Some(400), false),
        (Refusal::Memory, Some(Code::Unavailable), Some(503), true),
        (Refusal::QueueFull, Some(Code::Unavailable), Some(503), true),
        (Refusal::QuotaFull { destination: text() }, Some(Code::Unavailable), Some(503), true),
        (Refusal::DrainOnly, Some(Code::Unavailable), Some(503), true),
        (Refusal::Recovering, Some(Code::Unavailable), Some(503), true),
        (Refusal::AppendFailed, Some(Code::Unavailable), Some(503), true),
        (Refusal::TenantRate, Some(Code::Unavailable), Some(429), true),
        (Refusal::DestinationUnavailable { message: text() }, Some(Code::Unavailable), Some(503), true),
        (Refusal::DestinationRejected { message: text() }, Some(Code::InvalidArgument), Some(400), false),
        (
            Refusal::TooLarge { what: SizeLimit::Wire, size: 2, limit: 1 },
            Some(Code::ResourceExhausted),
            Some(413),
            false,
        ),
        (Refusal::Malformed { message: text() }, Some(Code::InvalidArgument), Some(400), false),
        (Refusal::UnknownEncoding { encoding: text() }, Some(Code::Unimplemented), Some(400), false),
        (Refusal::NoPipeline(Signal::Logs), Some(Code::Unimplemented), Some(404), false),
        (Refusal::UnknownPath, Some(Code::Unimplemented), Some(404), false),
        (Refusal::Method { allow: "POST" }, Some(Code::Unimplemented), Some(405), false),
        (Refusal::ContentType, Some(Code::Unimplemented), Some(415), false),
        (Refusal::Headers, None, Some(431), false),
        (Refusal::Uri, None, Some(414), false),
        (Refusal::Unauthenticated, Some(Code::Unauthenticated), Some(401), false),
        (Refusal::PermissionDenied, Some(Code::PermissionDenied), Some(403), false),
        (Refusal::DeadlineExceeded, Some(Code::DeadlineExceeded), Some(503), false),
        (Refusal::Streams, None, None, false),
        (Refusal::Connections, None, None, false),
        (Refusal::Slow, None, None, false),
        (Refusal::ShuttingDown, Some(Code::Unavailable), Some(503), true),
        (Refusal::Internal, Some(Code::Internal), Some(500), false),
    ]
}

#[test]
fn every_row_has_its_statuses_and_a_hint_exactly_if_retryable() {
    for (refusal, code, http, hint) in every_refusal() {
        assert_eq!(refusal.is_retryable(), hint, "{refusal:?}");
        match (refusal.grpc(DELAY), code) {
            (GrpcAnswer::Status { status, accept_encoding }, Some(code)) => {
                assert_eq!(status.code, code, "{refusal:?}");
                assert_eq!(status.details.contains(&Detail::RetryInfo(DELAY)), hint, "{refusal:?}");
                assert_eq!(accept_encoding, matches!(refusal, Refusal::UnknownEncoding { .. }));
            }
            (GrpcAnswer::Reset(_) | GrpcAnswer::Close, None) => {}
            (answer, _) => panic!("{refusal:?} got {answer:?}"),
        }
        match (refusal.http(DELAY), http) {
            (HttpAnswer::Status { http, retry_after, close, allow, .. }, Some(expected)) => {
                assert_eq!(http, expected, "{refusal:?}");
                assert_eq!(retry_after, matches!(http, 429 | 503).then_some(3), "{refusal:?}");
                assert_eq!(close, refusal == Refusal::ShuttingDown);
                assert_eq!(allow.is_some(), http == 405);
            }
            (HttpAnswer::Reset(_) | HttpAnswer::Close, None) => {}
            (answer, _) => panic!("{refusal:?} got {answer:?}"),
        }
    }
}

#[test]
fn causes_are_distinct() {
    let mut causes: Vec<_> = every_refusal().iter().map(|(refusal, ..)| refusal.cause()).collect();
    causes.sort_unstable();
    let all = causes.len();
    causes.dedup();
    assert_eq!(causes.len(), all);
}

#[test]
fn statuses_that_clients_misread_are_never_sent() {
    for (refusal, ..) in every_refusal() {
        if let GrpcAnswer::Status { status, .. } = refusal.grpc(DELAY) {
            assert!(!matches!(status.code, Code::OutOfRange | Code::Aborted | Code::DataLoss | Code::Unknown));
            assert!(status.code != Code::ResourceExhausted || status.details.is_empty());
        }
        for answer in [refusal.http(DELAY), refusal.remote_write(DELAY)] {
            if let HttpAnswer::Status { http, .. } = answer {
                assert!(!matches!(http, 408 | 502 | 504));
            }
        }
    }
}

#[test]
fn remote_write_never_answers_429() {
    for (refusal, ..) in every_refusal() {
        if let HttpAnswer::Status { http, retry_after, .. } = refusal.remote_write(DELAY) {
            assert_ne!(http, 429);
            assert!(!refusal.is_retryable() || (http == 503 && retry_after == Some(3)), "{refusal:?}");
        }
    }
    let unknown = Refusal::UnknownEncoding { encoding: "gzip".to_owned() };
    assert!(matches!(unknown.remote_write(DELAY), HttpAnswer::Status { http: 415, .. }));
}

#[test]
fn a_status_is_written_as_google_rpc_has_it() {
    let status = RpcStatus {
        code: Code::Unavailable,
        message: "sending queue is full".to_owned(),
        details: vec![Detail::RetryInfo(DELAY)],
    };
    let mut expected = b"\x08\x0e\x12\x15sending queue is full\x1a\x30\x0a\x28".to_vec();
    expected.extend_from_slice(b"type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x03");
    // Zero nanos may be written or not; both read the same.
    let written = status.to_protobuf();
    assert_eq!(RpcStatus::read_hint(&written), ("sending queue is full".to_owned(), Some(DELAY)));
    assert_eq!(RpcStatus::read_hint(&expected), ("sending queue is full".to_owned(), Some(DELAY)));
    assert_eq!(
        status.to_json(),
        r#"{"code":14,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"3s"}],"message":"sending queue is full"}"#
    );
}

#[test]
fn a_negative_or_broken_hint_is_no_hint() {
    let any = |info: &[u8]| {
        let mut out = Vec::new();
        put(&mut out, info);
        out
    };
    fn put(out: &mut Vec<u8>, info: &[u8]) {
        sluice_pdata::wire::put_message(out, 3, |any| {
            sluice_pdata::wire::put_len(any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
            sluice_pdata::wire::put_len(any, 2, info);
        });
    }
    let negative = b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    assert_eq!(RpcStatus::read_hint(&any(negative)).1, None);
    assert_eq!(RpcStatus::read_hint(&any(b"")).1, Some(Duration::ZERO));
    assert_eq!(RpcStatus::read_hint(b"\xff\xff").1, None);
}

#[test]
fn delays_are_whole_seconds_from_one_to_five() {
    let rng = SplitMix::seeded(1);
    let mut seen = [0; 6];
    for _ in 0..1000 {
        let delay = retry_delay(&rng);
        assert_eq!(delay.subsec_nanos(), 0);
        seen[delay.as_secs() as usize] += 1;
    }
    assert_eq!(seen[0], 0);
    assert!(seen[1..].iter().all(|&times| times > 100), "{seen:?}");
}

#[test]
fn messages_are_cut_on_a_character_boundary() {
    let partial = Partial::new(1, "ä".repeat(MESSAGE_BYTES));
    assert_eq!(partial.message.len(), MESSAGE_BYTES);
    let partial = Partial::new(1, format!("x{}", "ä".repeat(MESSAGE_BYTES)));
    assert_eq!(partial.message.len(), MESSAGE_BYTES - 1);
}
