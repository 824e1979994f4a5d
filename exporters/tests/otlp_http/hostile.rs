//! A destination that means harm (security A13, S14): nothing grows, nothing hangs, and what is told is clean.

use std::io::Write as _;
use std::time::Duration;

use sluice_pipeline::send::SendOutcome;

use crate::endpoint::{Answer, Endpoint, answer, status};
use crate::rig::{Rig, one};

const LONG: Duration = Duration::from_secs(60);

async fn after(answer: Answer) -> SendOutcome {
    let endpoint = Endpoint::start([answer]).await;
    let rig = Rig::new(&endpoint.url, "");
    // Real time: ends long before.
    tokio::time::timeout(LONG, rig.send(one())).await.unwrap()
}

/// A body of zeros that is much smaller compressed.
fn bomb(bytes: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap()
}

#[tokio::test]
async fn an_endless_body_is_cut_off_at_4_mib() {
    let piece = vec![b'x'; 64 << 10];
    let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
    for code in [200, 400, 503] {
        let endless = format!("HTTP/1.1 {code} x\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
        let declared = format!("HTTP/1.1 {code} x\r\nContent-Length: 99999999999\r\n\r\n").into_bytes();
        for given in [Answer::Endless(endless, chunk.clone()), Answer::Endless(declared, piece.clone())] {
            match after(given).await {
                SendOutcome::Internal { message } => assert!(message.contains("4194304"), "{message}"),
                other => panic!("{code}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn endless_and_giant_headers_are_refused() {
    let line = format!("X-Much: {}\r\n", "y".repeat(1000)).into_bytes();
    let one_long = Answer::Endless(b"HTTP/1.1 200 x\r\nX-Giant: ".to_vec(), vec![b'y'; 1000]);
    let many = Answer::Endless(b"HTTP/1.1 200 x\r\n".to_vec(), line);
    for given in [one_long, many] {
        let outcome = after(given).await;
        assert!(matches!(outcome, SendOutcome::Internal { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_bomb_is_not_inflated() {
    let bomb = bomb(256 << 20);
    assert!(bomb.len() < 512 << 10);
    for kind in ["application/x-protobuf", "application/json"] {
        let headers = [("Content-Type", kind), ("Content-Encoding", "gzip")];
        match after(answer(200, &headers, &bomb)).await {
            SendOutcome::Internal { message } => assert!(message.contains("exceeds the limit"), "{message}"),
            other => panic!("{other:?}"),
        }
        // An error's status stands, and its text is left out.
        match after(answer(400, &headers, &bomb)).await {
            SendOutcome::Permanent { message } => assert!(message.ends_with("Status Code 400"), "{message}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn control_characters_and_novels_are_not_told() {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\nERROR fake log line\u{202e}\0";
    let status_of = |message: &str| {
        let mut body = vec![0x08, 0x03, 0x12];
        let mut len = message.len();
        while len >= 0x80 {
            body.push((len & 0x7f) as u8 | 0x80);
            len >>= 7;
        }
        body.push(len as u8);
        body.extend(message.bytes());
        body
    };
    let novel = evil.repeat(2000);
    let cases = [
        ("text/plain", evil.as_bytes().to_vec()),
        ("text/plain", vec![0xff; 100]),
        ("text/plain", novel.as_bytes().to_vec()),
        ("application/x-protobuf", status_of(evil)),
        ("application/x-protobuf", status_of(&novel)),
        ("application/json", br#"{"message":"\u001b[2J\r\nERROR fake log line\u202e"}"#.to_vec()),
    ];
    for (kind, body) in cases {
        for code in [400, 401, 413, 500, 503] {
            let outcome = after(answer(code, &[("Content-Type", kind)], &body)).await;
            let message = match &outcome {
                SendOutcome::Retry { message, .. }
                | SendOutcome::Split { message }
                | SendOutcome::Permanent { message }
                | SendOutcome::Internal { message }
                | SendOutcome::ConfigError { message } => message,
                other => panic!("{other:?}"),
            };
            assert!(!message.chars().any(|character| character.is_control() || character == '\u{202e}'), "{message:?}");
            assert!(message.len() < 1300, "{}", message.len());
        }
    }
    let partial = br#"{"partialSuccess":{"rejectedLogRecords":1,"errorMessage":"\u001b[2J"}}"#;
    match after(answer(200, &[("Content-Type", "application/json")], partial)).await {
        SendOutcome::Partial { message, .. } => assert_eq!(message, "\\u{1b}[2J"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_http_is_a_broken_connection_and_the_next_request_works() {
    let broken = [
        Answer::Bytes(b"\x16\x03\x01\x00\x05hello".to_vec()),
        Answer::Bytes(b"HTTP/1.1 999999 x\r\n\r\n".to_vec()),
        Answer::Bytes(b"HTTP/1.1 200 x\r\nContent-Length: 10\r\nContent-Length: 11\r\n\r\n".to_vec()),
        Answer::Bytes(b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec()),
    ];
    for given in broken {
        let endpoint = Endpoint::start([given.clone(), status(200)]).await;
        let rig = Rig::new(&endpoint.url, "");
        let outcome = tokio::time::timeout(LONG, rig.send(one())).await.unwrap();
        assert!(matches!(outcome, SendOutcome::Retry { .. }), "{given:?}: {outcome:?}");
        assert_eq!(rig.send(one()).await, SendOutcome::delivered(), "{given:?}");
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_waited_for_no_longer_than_the_timeout() {
    let begun = Answer::Bytes(b"HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\n".to_vec());
    let endpoint = Endpoint::start([begun]).await;
    let outcome = Rig::new(&endpoint.url, "").send_within(one(), Duration::from_millis(100)).await;
    assert!(matches!(outcome, SendOutcome::Retry { .. }), "{outcome:?}");
}
