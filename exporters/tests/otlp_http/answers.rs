//! The status table of delivery §7.

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use prost::Message as _;
use sluice_pipeline::send::{RetryCause, SendOutcome};

use crate::endpoint::{Answer, Endpoint, answer, status};
use crate::rig::{Rig, one};

const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");

async fn after(answer: Answer) -> SendOutcome {
    let endpoint = Endpoint::start([answer]).await;
    let outcome = Rig::new(&endpoint.url, "").send(one()).await;
    assert_eq!(endpoint.received().len(), 1, "one attempt is one request");
    outcome
}

/// The outcome without its details.
fn kind(outcome: &SendOutcome) -> &'static str {
    match outcome {
        SendOutcome::Delivered { .. } => "delivered",
        SendOutcome::Retry { cause: RetryCause::Throttled, .. } => "throttled",
        SendOutcome::Retry { cause: RetryCause::Unavailable, .. } => "unavailable",
        SendOutcome::Retry { cause: RetryCause::Connection, .. } => "connection",
        SendOutcome::Retry { cause: RetryCause::Ambiguous, .. } => "ambiguous",
        SendOutcome::Split { .. } => "split",
        SendOutcome::Permanent { .. } => "permanent",
        SendOutcome::Internal { .. } => "internal",
        SendOutcome::ConfigError { .. } => "config",
        SendOutcome::Partial { .. } | SendOutcome::Refused { .. } => "partial",
    }
}

fn message(outcome: &SendOutcome) -> &str {
    match outcome {
        SendOutcome::Retry { message, .. }
        | SendOutcome::Split { message }
        | SendOutcome::Permanent { message }
        | SendOutcome::Internal { message }
        | SendOutcome::ConfigError { message }
        | SendOutcome::Partial { message, .. } => message,
        SendOutcome::Delivered { .. } | SendOutcome::Refused { .. } => "",
    }
}

fn hint(outcome: &SendOutcome) -> Option<Duration> {
    match outcome {
        SendOutcome::Retry { after, .. } => *after,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    let table = [
        ("delivered", &[200, 202, 204][..]),
        ("throttled", &[429, 503]),
        ("unavailable", &[502, 504]),
        ("split", &[413]),
        ("config", &[301, 302, 303, 307, 308, 401, 403, 404, 405, 415]),
        ("permanent", &[400, 402, 406, 408, 409, 410, 411, 412, 418, 422, 431]),
        ("internal", &[500, 501, 505, 507, 599]),
    ];
    for (expected, statuses) in table {
        for &code in statuses {
            let outcome = after(status(code)).await;
            assert_eq!(kind(&outcome), expected, "{code}: {outcome:?}");
            if expected != "delivered" {
                assert!(message(&outcome).contains(&format!("HTTP Status Code {code}")), "{outcome:?}");
            }
        }
    }
}

#[tokio::test]
async fn retry_after_is_obeyed_in_seconds_and_as_a_date() {
    for code in [429, 502, 503, 504] {
        let of = async |value: &str| hint(&after(answer(code, &[("Retry-After", value)], "")).await);
        assert_eq!(of("7").await, Some(Duration::from_secs(7)), "{code}");
        assert_eq!(of("100000").await, Some(Duration::from_secs(300)), "no hint is obeyed for longer than 5 min");
        for nonsense in ["-1", "soon", "1.5", ""] {
            assert_eq!(of(nonsense).await, None, "{nonsense:?}");
        }
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        let wait = of(&date).await.unwrap();
        assert!((Duration::from_secs(30)..=Duration::from_secs(60)).contains(&wait), "{wait:?}");
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT").await, Some(Duration::ZERO));
    }
}

#[tokio::test]
async fn partial_success_is_told_and_never_a_retry() {
    let partial = |rejected_log_records, error_message: &str| {
        let partial = ExportLogsPartialSuccess { rejected_log_records, error_message: error_message.to_owned() };
        ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec()
    };
    let told = |rejected, message: &str| SendOutcome::Partial { rejected, message: message.to_owned() };
    let gzip = |plain: &[u8]| sluice_net::compression::compress(sluice_net::Encoding::Gzip, None, plain).unwrap();
    let json = br#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}"#;
    let cases = [
        (answer(200, &[PROTOBUF], partial(2, "too old")), told(2, "too old")),
        (answer(200, &[PROTOBUF], partial(0, "a warning")), told(0, "a warning")),
        (answer(200, &[PROTOBUF], partial(0, "")), SendOutcome::delivered()),
        (answer(200, &[JSON], json), told(2, "too old")),
        (answer(200, &[JSON], "{}"), SendOutcome::delivered()),
        (answer(200, &[JSON, ("Content-Encoding", "gzip")], gzip(json)), told(2, "too old")),
        (answer(200, &[PROTOBUF, ("Content-Encoding", "gzip")], gzip(&partial(3, ""))), told(3, "")),
        // What is not OTLP says nothing, and the status has said it.
        (answer(200, &[("Content-Type", "text/html")], "<h1>ok</h1>"), SendOutcome::delivered()),
        (answer(200, &[PROTOBUF], "<h1>ok</h1>"), SendOutcome::delivered()),
        (answer(200, &[JSON], "not json"), SendOutcome::delivered()),
        (answer(200, &[("Content-Encoding", "br")], "?"), SendOutcome::delivered()),
    ];
    for (given, expected) in cases {
        assert_eq!(after(given.clone()).await, expected, "{given:?}");
    }
}

#[tokio::test]
async fn what_the_destination_says_is_handed_on_without_keys() {
    let protobuf = b"\x08\x03\x12\x0abad record";
    for (content, body) in [(PROTOBUF, &protobuf[..]), (JSON, br#"{"code":3,"message":"bad record"}"#)] {
        let outcome = after(answer(400, &[content], body)).await;
        assert!(message(&outcome).ends_with("HTTP Status Code 400, Message=bad record"), "{outcome:?}");
    }
    let endpoint = Endpoint::start([answer(400, &[("Content-Type", "text/plain")], "no such tenant\n")]).await;
    let rig = Rig::new("http://127.0.0.1:1", &format!("logs_endpoint: {}/in?api_key=canary", endpoint.url));
    let outcome = rig.send(one()).await;
    let expected =
        format!("request to {}/in responded with HTTP Status Code 400, Message=no such tenant", endpoint.url);
    assert_eq!(message(&outcome), expected);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = Endpoint::start([status(200)]).await;
    for code in [301, 302, 307, 308] {
        let location = format!("{}/elsewhere?token=canary", target.url);
        let outcome = after(answer(code, &[("Location", &location)], "")).await;
        assert_eq!(kind(&outcome), "config");
        assert!(message(&outcome).contains("redirects to ") && !message(&outcome).contains("canary"), "{outcome:?}");
    }
    assert!(target.received().is_empty());
}

#[tokio::test]
async fn without_an_answer_the_payload_is_sent_again() {
    let endpoint = Endpoint::start([Answer::HangUp]).await;
    let rig = Rig::new(&endpoint.url, "");
    assert_eq!(kind(&rig.send(one()).await), "ambiguous", "it may have the payload");
    let endpoint = Endpoint::start([Answer::Silence]).await;
    let rig = Rig::new(&endpoint.url, "");
    let outcome = rig.send_within(one(), Duration::from_millis(100)).await;
    assert_eq!(kind(&outcome), "ambiguous");
    assert!(message(&outcome).contains("deadline exceeded"), "{outcome:?}");
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = Rig::new(&format!("http://{gone}"), "").send(one()).await;
    assert_eq!(kind(&outcome), "connection", "{outcome:?}");
}

#[tokio::test]
async fn a_destination_that_does_not_read_a_compression_gets_none() {
    let refusal = answer(415, &[("Accept-Encoding", "identity")], "");
    let endpoint = Endpoint::start([refusal, status(200), status(200)]).await;
    let rig = Rig::new(&endpoint.url, "compression: zstd");
    assert_eq!(kind(&rig.send(one()).await), "unavailable");
    for _ in 0..2 {
        assert_eq!(rig.send(one()).await, SendOutcome::delivered());
    }
    let encodings: Vec<_> =
        endpoint.received().iter().map(|received| received.header("content-encoding").map(str::to_owned)).collect();
    assert_eq!(encodings, [Some("zstd".to_owned()), None, None]);
    // Without compression it is about the content, and final.
    let endpoint = Endpoint::start([answer(415, &[("Accept-Encoding", "identity")], "")]).await;
    assert_eq!(kind(&Rig::new(&endpoint.url, "compression: none").send(one()).await), "config");
}
