//! `sluice send`: what it says it sent is what arrives, and what is refused it says, too.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::sluice::{Sluice, free_port, run, text};
use crate::wire;

/// Its exit code and its summary.
fn send(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = run(&[&["send", "-o", "json"], arguments].concat());
    let summary = serde_json::from_slice(&output.stdout);
    let summary = summary.unwrap_or_else(|error| panic!("{error}: {}{}", text(&output.stdout), text(&output.stderr)));
    (output.status.code(), summary)
}

/// Items that the receiver has accepted, over all transports.
fn received(sluice: &Sluice, items: &str) -> u64 {
    let metrics = wire::http(sluice.metrics, "GET", "/metrics", &[], b"").body;
    let name = format!("otelcol_receiver_accepted_{items}");
    let of = metrics.lines().filter(|line| line.starts_with(&name));
    of.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}

fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("sluice-send-{}-{name}.json", std::process::id()))
}

fn read(path: &PathBuf) -> Value {
    let content = std::fs::read(path).unwrap();
    std::fs::remove_file(path).unwrap();
    serde_json::from_slice(&content).unwrap()
}

#[test]
fn a_load_arrives_to_the_item_over_every_transport() {
    let sluice = Sluice::start(&[]);
    let (grpc, http) = (format!("127.0.0.1:{}", sluice.grpc), format!("http://127.0.0.1:{}", sluice.http));
    let mut expected = 0;
    for (protocol, endpoint, compression) in [
        ("grpc", &grpc, "none"),
        ("grpc", &grpc, "zstd"),
        ("http", &http, "none"),
        ("http", &http, "gzip"),
        ("json", &http, "none"),
    ] {
        expected += 1_234;
        for (signal, items) in [("traces", "spans"), ("metrics", "metric_points"), ("logs", "log_records")] {
            let target = ["--endpoint", endpoint, "--protocol", protocol, "--compression", compression];
            let (code, summary) = send(&[&[signal, "--count", "1234", "--workers", "3"], &target[..]].concat());
            assert_eq!(code, Some(0), "{summary}");
            assert_eq!((&summary["schema"], &summary["accepted"][signal]), (&"sluice.send/1".into(), &1_234.into()));
            assert_eq!((&summary["requests"], &summary["rejected"]["total"]), (&13.into(), &0.into()), "{summary}");
            assert_eq!(received(&sluice, items), expected, "{protocol} {signal}");
        }
    }
}

#[test]
fn a_scenario_arrives_as_its_truth_says() {
    let sluice = Sluice::start(&[]);
    let (endpoint, path) = (format!("127.0.0.1:{}", sluice.grpc), file("truth"));
    let shop =
        ["--scenario", "shop", "--seconds", "4", "--speed", "4", "--timers", "400ms", "--seed", "5", "--disturbed"];
    let rest = ["--sampled", "0.5", "--giant", "1500", "--endpoint", &endpoint, "--truth", path.to_str().unwrap()];
    let (code, summary) = send(&[&shop[..], &rest].concat());
    assert_eq!(code, Some(0), "{summary}");
    let truth = read(&path);
    let all = |of: &Value, what: fn(&Value) -> u64| of.as_array().unwrap().iter().map(what).sum::<u64>();
    let logs = all(&truth["logs"], |log| u64::from(!log["at"].is_null())) + truth["duplicated"][2].as_u64().unwrap();
    let points = truth["data_points"].as_u64().unwrap() - truth["data_points_lost"].as_u64().unwrap();
    let points = points + truth["duplicated"][1].as_u64().unwrap();
    assert!(logs > 50 && points > 50, "{logs} logs, {points} points");
    assert_eq!(received(&sluice, "log_records"), logs);
    assert_eq!(received(&sluice, "metric_points"), points);
    let most =
        all(&truth["traces"], |trace| trace["spans"].as_u64().unwrap()) + truth["duplicated"][0].as_u64().unwrap();
    let spans = received(&sluice, "spans");
    assert!(spans > 1_000 && spans <= most, "{spans} of {most}");
    assert_eq!(summary["accepted"]["total"].as_u64().unwrap(), spans + logs + points);
    assert!(truth["traces"].as_array().unwrap().iter().any(|trace| trace["spans"] == 1_500));
}

#[test]
fn a_rate_and_a_duration_are_kept() {
    let sluice = Sluice::start(&[]);
    let endpoint = format!("127.0.0.1:{}", sluice.grpc);
    let (code, summary) = send(&["logs", "--rate", "200", "--duration", "1500ms", "--endpoint", &endpoint]);
    let (accepted, seconds) = (summary["accepted"]["logs"].as_u64().unwrap(), summary["seconds"].as_f64().unwrap());
    // By the plan exactly 300; a machine that sleeps through the last turn sends less.
    assert!(code == Some(0) && (200..=300).contains(&accepted) && seconds > 1.0, "{summary}");
    assert_eq!(received(&sluice, "log_records"), accepted);
}

#[test]
fn planted_secrets_do_not_come_out_of_the_default_configuration() {
    let sluice = Sluice::start(&[]);
    let (endpoint, path) = (format!("127.0.0.1:{}", sluice.grpc), file("planted"));
    let mut planted = Vec::new();
    for signal in ["traces", "logs"] {
        let list = path.to_str().unwrap();
        let (code, _) = send(&[signal, "-n", "600", "--secrets=0.3", "--planted", list, "--endpoint", &endpoint]);
        assert_eq!(code, Some(0));
        planted.extend(read(&path)["planted"].as_array().unwrap().clone());
    }
    sluice.signal("TERM");
    let (_, _, shown) = sluice.end();
    // What tokens look like has to be configured; the other kinds are found by default.
    planted.retain(|one| one["kind"] != "token");
    assert!(planted.len() > 100 && shown.contains("handling"), "{} planted", planted.len());
    planted.retain(|one| shown.contains(one["value"].as_str().unwrap()));
    assert!(planted.is_empty(), "{planted:?}");
}

#[test]
fn nobody_there_is_found_out_at_once() {
    let endpoint = format!("127.0.0.1:{}", free_port());
    for protocol in ["grpc", "http"] {
        let began = Instant::now();
        let (code, summary) = send(&["traces", "--endpoint", &endpoint, "--protocol", protocol]);
        assert_eq!((code, &summary["unreachable"]), (Some(5), &true.into()), "{summary}");
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

/// An HTTP/1.1 server that gives these answers one after another, and then ends.
fn answers(answers: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    endpoint
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const LATER: &str = "HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfull";
const NEVER: &str = "HTTP/1.1 400 Bad\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbad";
/// Partial success: two are rejected, "no".
const PARTLY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\n\n\u{6}\u{8}\u{2}\u{12}\u{2}no";

#[test]
fn what_is_refused_for_now_is_sent_again_when_the_server_wants_it() {
    let endpoint = answers(&[LATER, OK]);
    let began = Instant::now();
    let (code, summary) = send(&["traces", "-n", "10", "--protocol", "http", "--endpoint", &endpoint]);
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(
        (code, &summary["retries"], &summary["accepted"]["traces"]),
        (Some(0), &1.into(), &10.into()),
        "{summary}"
    );
    assert!(summary["refusals"][0]["message"].as_str().unwrap().contains("full"), "{summary}");
}

/// A gRPC server that asks to be left alone for 300 ms, and then takes everything.
fn busy_at_first() -> String {
    use base64::Engine as _;
    const TYPE: &[u8] = b"type.googleapis.com/google.rpc.RetryInfo";
    // RetryInfo { retry_delay: { nanos: 300_000_000 } }.
    let delay = [0x0a, 6, 0x10, 0x80, 0xc6, 0x86, 0x8f, 0x01];
    let detail = [&[0x0a, TYPE.len() as u8], TYPE, &[0x12, delay.len() as u8], &delay].concat();
    let status = [&[8, 14, 0x1a, detail.len() as u8], &detail[..]].concat();
    let status = base64::engine::general_purpose::STANDARD_NO_PAD.encode(status);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let mut calls = 0;
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                calls += 1;
                let response = http::Response::builder().header("content-type", "application/grpc");
                if calls == 1 {
                    let refusal = response.header("grpc-status", "14").header("grpc-message", "busy");
                    let refusal = refusal.header("grpc-status-details-bin", status.as_str()).body(()).unwrap();
                    respond.send_response(refusal, true).unwrap();
                } else {
                    let mut stream = respond.send_response(response.body(()).unwrap(), false).unwrap();
                    stream.send_data(bytes::Bytes::from_static(&[0; 5]), false).unwrap();
                    let trailers = http::HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
                    stream.send_trailers(trailers).unwrap();
                }
            }
        });
    });
    endpoint
}

#[test]
fn a_busy_server_is_left_alone_for_as_long_as_it_says() {
    let endpoint = busy_at_first();
    let began = Instant::now();
    let (code, summary) = send(&["logs", "-n", "10", "--endpoint", &endpoint]);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(
        (code, &summary["retries"], &summary["accepted"]["logs"]),
        (Some(0), &1.into(), &10.into()),
        "{summary}"
    );
    assert!(summary["refusals"][0]["message"].as_str().unwrap().contains("busy"), "{summary}");
}

#[test]
fn what_is_refused_for_good_is_counted_and_said() {
    let endpoint = answers(&[OK, NEVER, PARTLY]);
    let load = ["traces", "-n", "30", "--batch", "10", "--protocol", "http", "--endpoint", &endpoint];
    let (code, summary) = send(&load);
    assert_eq!(code, Some(1), "{summary}");
    assert_eq!((&summary["accepted"]["traces"], &summary["rejected"]["traces"]), (&18.into(), &12.into()), "{summary}");
    let said = summary["refusals"].to_string();
    assert!(said.contains("bad") && said.contains("\"no\""), "{said}");
}

#[test]
fn a_request_that_is_refused_for_too_long_is_given_up() {
    let endpoint = answers(&[LATER]);
    let load = ["logs", "-n", "5", "--protocol", "http", "--retry-for", "500ms", "--endpoint", &endpoint];
    let (code, summary) = send(&load);
    assert_eq!((code, &summary["rejected"]["logs"]), (Some(1), &5.into()), "{summary}");
}

#[test]
fn wrong_arguments_are_refused_before_anything_is_sent() {
    for wrong in [
        &["send"][..],
        &["send", "traces", "--scenario", "shop"],
        &["send", "traces", "--rate", "0"],
        &["send", "traces", "--secrets=2"],
        &["send", "traces", "--header", "no"],
        &["send", "traces", "--error-ratio", "2"],
        &["send", "traces", "--insecure", "--tls"],
        &["send", "traces", "--endpoint", "not a host"],
        &["send", "--scenario", "shop", "--count", "5"],
        &["send", "--scenario", "shop", "--sampled", "7"],
        &["send", "--scenario", "shop", "--timers", "never"],
    ] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
