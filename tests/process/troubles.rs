//! A start that fails and a destination that does: each cause has its code, and the message says what to do.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};

use crate::sluice::{Sluice, free_port, run, text};

/// A configuration whose only listener is this one.
fn listening(endpoint: &str) -> String {
    configured(&format!("{{grpc: {{{endpoint}}}}}"), "exporters: {nop: }", "")
}

fn configured(protocols: &str, more: &str, extensions: &str) -> String {
    format!(
        "yaml:receivers: {{otlp: {{protocols: {protocols}}}}}
{more}
service:
  delivery: {{ack: memory}}
  extensions: [{extensions}]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}"
    )
}

/// A start that fails: its exit code and what it says.
fn failed(config: &str, more: &[&str]) -> (Option<i32>, String) {
    let output = run(&[&["run", "--admin", "off", "-c", config], more].concat());
    let said = text(&output.stderr);
    assert!(said.lines().last().unwrap().starts_with("Error: "), "the last line is upstream's: {said}");
    (output.status.code(), said)
}

#[test]
fn a_port_that_is_taken_is_named_with_its_owner_and_a_way_out() {
    let taken = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let address = taken.local_addr().unwrap();
    let config = listening(&format!("endpoint: '{address}'"));
    let (status, said) = failed(&config, &[]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains(&format!("error[E0701]: address in use: {address}\n")), "{said}");
    assert!(said.contains("┌─ <yaml #1>:1:") && said.contains(&format!("'{address}'")), "its place: {said}");
    assert!(said.contains(&format!("pid {} (", std::process::id())), "its owner: {said}");
    assert!(said.contains("sluice explain E0701"), "{said}");
    let (_, rest) = said.split_once("--set ").unwrap_or_else(|| panic!("a way out: {said}"));
    let set = rest.lines().next().unwrap().trim();
    // What it says to do works: another port, and the plan is as before.
    assert!(set.starts_with("receivers.otlp.protocols.grpc.endpoint=127.0.0.1:"), "{set}");
    let (_, elsewhere) = set.split_once('=').unwrap();
    assert!(TcpListener::bind(elsewhere).is_ok(), "{elsewhere} is free");
    let output = run(&["run", "--dry-run", "-c", &config, "--set", set]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn each_cause_of_a_failed_start_has_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no certificate").unwrap();
    let file = file.to_str().unwrap();
    let tls = |cert: &str| listening(&format!("endpoint: '127.0.0.1:0', tls: {{cert_file: {cert}, key_file: {cert}}}"));
    let here = "{grpc: {endpoint: '127.0.0.1:0'}}";
    let tokens = "exporters: {nop: }\nextensions: {bearertokenauth: {filename: /nonexistent/tokens}}";
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let cases: [(&str, String, &[&str]); 8] = [
        ("E0701", listening(&format!("endpoint: '{}'", taken.local_addr().unwrap())), &[]),
        // Nobody may make a file there, not even root.
        ("E0702", listening("transport: unix, endpoint: /sys/sluice.sock"), &[]),
        ("E0703", listening("endpoint: '127.0.0.1:0'"), &["--data-dir", file]),
        ("E0704", tls("/nonexistent/tls.crt"), &[]),
        ("E0704", tls(file), &[]),
        ("E0706", configured(here, tokens, "bearertokenauth"), &[]),
        ("E0707", listening("endpoint: '192.0.2.7:4317'"), &[]),
        ("E0703", journal(file), &[]),
    ];
    let mut seen = BTreeSet::new();
    for (code, config, more) in cases {
        let (status, said) = failed(&config, more);
        assert_eq!(status, Some(1), "{code}: {said}");
        assert!(said.contains(&format!("error[{code}]: ")), "{code}: {said}");
        assert!(
            said.contains("  = ") && said.contains(&format!("sluice explain {code}")),
            "{code}: what to do: {said}"
        );
        seen.insert(code);
    }
    // Two processes and one journal.
    let state = folder.path().join("journal");
    let config = journal(state.to_str().unwrap());
    let first = Sluice::start(&["--admin", "off", "-c", &config]);
    let (status, said) = failed(&config, &[]);
    assert_eq!(status, Some(75), "{said}");
    assert!(said.contains(&format!("error[E0705]: another process uses the journal: pid {}", first.id())), "{said}");
    seen.insert("E0705");
    first.signal("TERM");
    first.end();
    let all = sluice_config::codes::ALL.iter().map(|(code, _)| *code).filter(|code| code.starts_with("E07"));
    assert_eq!(seen, all.collect(), "every code of the start is seen here");
}

fn journal(directory: &str) -> String {
    let more = format!("exporters: {{nop: }}\nextensions: {{journal: {{directory: {directory}, max_size: 256MiB}}}}");
    let config = configured("{grpc: {endpoint: '127.0.0.1:0'}, http: {endpoint: '127.0.0.1:0'}}", &more, "journal");
    let config = config.replace("ack: memory", "ack: durable, allow_volatile: true, allow_network_fs: true");
    // `nop` observes only, and needs no journal.
    config.replace("nop", "file").replace("file: }", &format!("file: {{path: {directory}.json}} }}"))
}

/// A server that reads a little and then answers each connection in its own way.
fn server(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || answer(stream));
        }
    });
    port
}

/// Reads an HTTP/1 request and answers with a status, again and again.
fn http(status: &'static str) -> u16 {
    server(move |mut stream| {
        let mut read = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            read.extend_from_slice(&buffer[..length]);
            if !read.ends_with(b"\r\n0\r\n\r\n") && !is_whole(&read) {
                continue;
            }
            read.clear();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// Whether this is a request with all of its body, or none that is known here.
fn is_whole(read: &[u8]) -> bool {
    let shown = String::from_utf8_lossy(read).to_lowercase();
    let Some((head, _)) = shown.split_once("\r\n\r\n") else { return shown.starts_with("pri * http/2.0") };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let body = read.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    read.len() >= body + length.unwrap_or(0)
}

/// Speaks TLS with a certificate that nobody has issued.
fn tls(folder: &Path) -> Sluice {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (cert_file, key_file) = (folder.join("tls.crt"), folder.join("tls.key"));
    std::fs::write(&cert_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let tls = format!("{{tls: {{cert_file: {}, key_file: {}}}}}", cert_file.display(), key_file.display());
    let config = configured(&format!("{{grpc: {tls}, http: {tls}}}"), "exporters: {nop: }", "");
    Sluice::start(&["--admin", "off", "-c", &config])
}

#[test]
fn each_cause_of_a_failing_destination_has_its_code() {
    let silent = free_port();
    let plain = server(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    });
    let folder = tempfile::tempdir().unwrap();
    let secure = tls(folder.path());
    let cases: [(&str, String); 11] = [
        ("E0801", format!("otlp_http/a: {{endpoint: 'http://127.0.0.1:{}'", http("401 Unauthorized"))),
        ("E0802", format!("otlp_http/b: {{endpoint: 'http://127.0.0.1:{}'", http("404 Not Found"))),
        ("E0802", format!("otlp_grpc/c: {{endpoint: '127.0.0.1:{plain}', tls: {{insecure: true}}")),
        ("E0803", format!("otlp_grpc/d: {{endpoint: '127.0.0.1:{plain}'")),
        ("E0803", format!("otlp_http/e: {{endpoint: 'https://127.0.0.1:{plain}'")),
        ("E0804", format!("otlp_grpc/f: {{endpoint: 'localhost:{}'", secure.grpc)),
        ("E0804", format!("otlp_http/g: {{endpoint: 'https://localhost:{}'", secure.http)),
        ("E0805", "otlp_grpc/h: {endpoint: 'no-such-host.invalid:4317', tls: {insecure: true}".to_owned()),
        ("E0806", format!("otlp_grpc/i: {{endpoint: '127.0.0.1:{silent}', tls: {{insecure: true}}")),
        ("E0807", format!("otlp_http/j: {{endpoint: 'http://127.0.0.1:{}'", http("413 Content Too Large"))),
        ("E0808", format!("otlp_http/k: {{endpoint: 'http://127.0.0.1:{}'", http("400 Bad Request"))),
    ];
    let mut seen = BTreeSet::new();
    for (code, exporter) in &cases {
        let (id, _) = exporter.split_once(':').unwrap();
        let exporters =
            format!("exporters:\n  {exporter}, compression: none, retry_on_failure: {{initial_interval: 50ms}}}}");
        let config = configured("{grpc: , http: }", &exporters, "").replace("[nop]", &format!("[{id}]"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, config.strip_prefix("yaml:").unwrap()).unwrap();
        let mut sluice = Sluice::start(&["--admin", "off", "-c", path.to_str().unwrap()]);
        send(&sluice);
        sluice.wait_for(&format!("\"code\": \"{code}\""));
        sluice.signal("TERM");
        sluice.signal("TERM");
        sluice.end();
        seen.insert(*code);
    }
    let all = sluice_config::codes::ALL.iter().map(|(code, _)| *code).filter(|code| code.starts_with("E08"));
    assert_eq!(seen, all.collect(), "every code of running is seen here");
}

/// One span.
fn send(sluice: &Sluice) {
    let to = format!("127.0.0.1:{}", sluice.grpc);
    let output = run(&["send", "traces", "--count", "1", "--to", &to]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
