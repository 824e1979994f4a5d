//! What goes out: encodings, compressions, paths, headers.

use std::io::Read as _;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;
use sluice_pipeline::Encoding;
use sluice_pipeline::batch::Compressed;
use sluice_pipeline::exporter::Exporter as _;
use sluice_pipeline::send::SendOutcome;

use crate::endpoint::{Endpoint, Received, status};
use crate::rig::{Rig, logs, one, payload};

/// The body, by decoders other than our own.
fn plain(received: &Received) -> Vec<u8> {
    let body = &received.body[..];
    let mut out = Vec::new();
    match received.header("content-encoding") {
        None => out.extend(body),
        Some("gzip") => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut out).unwrap()),
        Some("zlib" | "deflate") => drop(flate2::read::ZlibDecoder::new(body).read_to_end(&mut out).unwrap()),
        Some("zstd") => out = zstd::decode_all(body).unwrap(),
        Some("snappy") => out = snap::raw::Decoder::new().decompress_vec(body).unwrap(),
        Some("x-snappy-framed") => drop(snap::read::FrameDecoder::new(body).read_to_end(&mut out).unwrap()),
        Some("lz4") => drop(lz4_flex::frame::FrameDecoder::new(body).read_to_end(&mut out).unwrap()),
        Some(other) => panic!("{other}"),
    }
    out
}

#[tokio::test]
async fn protobuf_arrives_in_every_compression() {
    let cases = [
        ("none", None),
        ("\"\"", None),
        ("gzip", Some("gzip")),
        ("zstd", Some("zstd")),
        ("zlib", Some("zlib")),
        ("deflate", Some("deflate")),
        ("snappy", Some("snappy")),
        ("x-snappy-framed", Some("x-snappy-framed")),
        ("lz4", Some("lz4")),
    ];
    // Small, and large enough to be compressed elsewhere.
    for bodies in [vec!["hello".to_owned()], (0..30_000).map(|number| format!("message {number}")).collect()] {
        let parts = [logs(bodies), logs(["second"])];
        let expected = parts.iter().flat_map(|part| part.encode_to_vec()).collect::<Vec<_>>();
        for (name, encoding) in cases {
            let endpoint = Endpoint::start([status(200)]).await;
            let rig = Rig::new(&endpoint.url, &format!("compression: {name}"));
            assert_eq!(rig.send(payload(&parts)).await, SendOutcome::delivered(), "{name}");
            let received = endpoint.only();
            assert_eq!(received.line, "POST /v1/logs HTTP/1.1");
            assert_eq!(received.header("content-encoding"), encoding, "{name}");
            assert_eq!(received.header("content-type"), Some("application/x-protobuf"));
            assert!(plain(&received) == expected, "{name}");
        }
    }
}

#[tokio::test]
async fn json_arrives_in_every_compression() {
    let parts = [logs(["a \"quoted\" text", "\u{1f600}"]), logs(["second"])];
    let expected: Vec<u8> = parts.iter().flat_map(|part| part.encode_to_vec()).collect();
    let expected = ExportLogsServiceRequest::decode(&expected[..]).unwrap();
    for compression in ["none", "gzip", "zstd", "deflate", "snappy", "lz4"] {
        let endpoint = Endpoint::start([status(200)]).await;
        let rig = Rig::new(&endpoint.url, &format!("encoding: json\ncompression: {compression}"));
        assert_eq!(rig.send(payload(&parts)).await, SendOutcome::delivered());
        let received = endpoint.only();
        assert_eq!(received.header("content-type"), Some("application/json"));
        let text = plain(&received);
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let record = &json["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        assert_eq!(record["body"]["stringValue"], "a \"quoted\" text");
        assert_eq!((&record["traceId"], &record["timeUnixNano"]), (&"07".repeat(16).into(), &"17".into()));
        let read = sluice_pdata::json::read(sluice_pdata::Signal::Logs, &text).unwrap();
        let decoded = ExportLogsServiceRequest::decode(&read[..]).unwrap();
        assert_eq!(decoded, expected, "{compression}");
    }
}

#[tokio::test]
async fn a_payload_that_came_compressed_is_sent_as_it_came() {
    let cases = [
        ("gzip", Encoding::Gzip, true),
        ("deflate", Encoding::Zlib, true),
        ("zstd", Encoding::Gzip, false),
        ("none", Encoding::Gzip, false),
    ];
    for (compression, came, as_it_came) in cases {
        let endpoint = Endpoint::start([status(200)]).await;
        let rig = Rig::new(&endpoint.url, &format!("compression: {compression}"));
        // Nobody looks into it.
        let body = Bytes::from_static(b"as it came");
        let compressed = Some(Compressed { encoding: came, bytes: body.clone() });
        let outcome = rig.send(sluice_pipeline::exporter::Payload { compressed, ..one() }).await;
        assert_eq!(outcome, SendOutcome::delivered());
        assert_eq!(endpoint.only().body == body, as_it_came, "{compression}");
        assert_eq!(rig.exporter.capabilities().encoding == Some(came), as_it_came, "{compression}");
    }
}

#[tokio::test]
async fn json_is_never_the_body_that_came() {
    let endpoint = Endpoint::start([status(200)]).await;
    let rig = Rig::new(&endpoint.url, "encoding: json");
    let compressed = Some(Compressed { encoding: Encoding::Gzip, bytes: Bytes::from_static(b"protobuf") });
    assert_eq!(rig.exporter.capabilities().encoding, None);
    rig.send(sluice_pipeline::exporter::Payload { compressed, ..one() }).await;
    assert!(plain(&endpoint.only()).starts_with(b"{\"resourceLogs\":"));
}

#[tokio::test]
async fn headers_credentials_and_the_name_of_the_product_are_sent() {
    let endpoint = Endpoint::start([status(200), status(200)]).await;
    let more = "headers: {X-Scope: shop, Host: inner.example.com}\nauth: {authenticator: token}";
    let rig = Rig::new(&format!("{}/otlp/", endpoint.url), more);
    rig.send(one()).await;
    let received = endpoint.only();
    assert_eq!(received.line, "POST /otlp/v1/logs HTTP/1.1");
    assert_eq!(received.header("x-scope"), Some("shop"));
    assert_eq!(received.header("host"), Some("inner.example.com"));
    assert_eq!(received.header("authorization"), Some("Bearer t"));
    let agent = received.header("user-agent").unwrap();
    assert!(agent.starts_with("sluice/") && agent.contains(" (linux/"), "{agent}");
    let rig = Rig::new(&endpoint.url, "headers: {User-Agent: mine}");
    rig.send(one()).await;
    assert_eq!(endpoint.only().header("user-agent"), Some("mine"));
}

#[tokio::test]
async fn a_signal_may_have_an_endpoint_of_its_own() {
    let endpoint = Endpoint::start([status(200)]).await;
    let more = format!("logs_endpoint: {}/api/logs?key=k", endpoint.url);
    let rig = Rig::new("http://127.0.0.1:1", &more);
    assert_eq!(rig.send(one()).await, SendOutcome::delivered());
    assert_eq!(endpoint.only().line, "POST /api/logs?key=k HTTP/1.1");
}

#[tokio::test]
async fn a_proxy_is_asked_and_alone_sees_its_credentials() {
    let proxy = Endpoint::start([status(200)]).await;
    let url = proxy.url.replace("http://", "http://user:word@");
    let rig = Rig::new("http://backend.invalid:4318", &format!("proxy_url: {url}"));
    assert_eq!(rig.send(one()).await, SendOutcome::delivered());
    let received = proxy.only();
    assert_eq!(received.line, "POST http://backend.invalid:4318/v1/logs HTTP/1.1");
    assert_eq!(received.header("proxy-authorization"), Some("Basic dXNlcjp3b3Jk"));
}

#[tokio::test]
async fn a_host_that_is_there_is_known_to_be() {
    let endpoint = Endpoint::start([]).await;
    let rig = Rig::new(&endpoint.url, "");
    assert!(rig.exporter.probe().await);
    assert!(endpoint.received().is_empty());
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(!Rig::new(&format!("http://{gone}"), "").exporter.probe().await);
}

#[tokio::test]
async fn what_cannot_be_json_is_refused_as_a_payload() {
    let rig = Rig::new("http://127.0.0.1:1", "encoding: json");
    let mut broken = one();
    broken.parts = [Bytes::from_static(b"\x0a\xff\x01")].into_iter().collect();
    assert!(matches!(rig.send(broken).await, SendOutcome::Permanent { .. }));
}
