//! Ways into the `otlp` receiver besides the usual one: unix sockets, other paths, every compression; and whose data it is.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use sluice_net::Encoding;
use sluice_net::compression::compress;

use crate::auth::{EXPORT, TRACES};
use crate::durable::Folder;
use crate::sink::Sink;
use crate::sluice::Sluice;
use crate::wire::{PROTOBUF, flagged, frame, grpc, http, trace, trace_json};

/// Longer than anything here takes on a loaded machine; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(receivers: &str, exporters: &str, rest: &str, names: &str) -> Sluice {
    let config = format!(
        "receivers:\n{receivers}exporters:\n{exporters}{rest}\n  delivery: {{ack: memory}}\n  \
         pipelines: {{traces: {{receivers: [{names}], exporters: [otlp_grpc]}}}}\n"
    );
    Sluice::start(&["-c", &format!("yaml:{config}")])
}

fn to(sink: &Sink, more: &str) -> String {
    format!("  otlp_grpc: {{endpoint: '127.0.0.1:{}', tls: {{insecure: true}}, compression: none{more}}}\n", sink.port)
}

/// The digest of `gateway-token`.
const GATEWAY: &str = "f15ae5b5899f8327f52779c081b7b25d5217f62042ae4b6d677b0f25096e2141";
const OTLP: &str = "  otlp: {protocols: {grpc: , http: }}\n";

/// Until all of these have arrived, and nothing else.
fn has(sink: &Sink, names: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    while sink.arrived().len() < names.len() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let mut arrived: Vec<String> = sink.arrived().into_keys().collect();
    arrived.sort();
    assert_eq!(arrived, names);
}

#[test]
fn both_protocols_listen_on_unix_sockets() {
    let (folder, sink) = (Folder::new("unix"), Sink::start());
    let socket = |name: &str| folder.path().join(name);
    let sockets = format!(
        "{OTLP}  otlp/unix:\n    protocols:\n      grpc: {{transport: unix, endpoint: '{}'}}\n      \
           http: {{transport: unix, endpoint: '{}'}}\n",
        socket("grpc").display(),
        socket("http").display(),
    );
    let sluice = start(&sockets, &to(&sink, ""), "service:", "otlp, otlp/unix");
    for name in ["grpc", "http"] {
        let mode = std::fs::metadata(socket(name)).unwrap().permissions().mode();
        // Who may write may connect.
        assert_eq!(mode & 0o022, 0, "others may connect to {name}: {mode:o}");
    }
    let mut stream = UnixStream::connect(socket("http")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = trace_json("by http");
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let stream = tokio::net::UnixStream::connect(socket("grpc")).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::post(format!("http://x{EXPORT}")).header("content-type", "application/grpc");
        let mut client = client.ready().await.unwrap();
        let (response, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
        body.send_data(frame(&trace("by grpc")).into(), true).unwrap();
        let mut incoming = response.await.unwrap().into_body();
        while let Some(data) = incoming.data().await {
            let _ = incoming.flow_control().release_capacity(data.unwrap().len());
        }
        incoming.trailers().await.unwrap().unwrap()
    });
    assert_eq!(status["grpc-status"], "0");
    has(&sink, &["by grpc", "by http"]);
    sluice.signal("TERM");
    let (status, log, _) = sluice.end();
    assert!(status.success(), "{log}");
    for name in ["grpc", "http"] {
        assert!(!socket(name).exists(), "{name} is left behind");
    }
}

#[test]
fn paths_of_http_are_those_that_are_written() {
    let sink = Sink::start();
    let other = "  otlp: {protocols: {grpc: , http: {traces_url_path: 'intake/spans', logs_url_path: /intake/logs}}}\n";
    let sluice = start(other, &to(&sink, ""), "service:", "otlp");
    let told = |path: &str| http(sluice.http, "POST", path, &[PROTOBUF], &trace("x")).status;
    assert_eq!(told("/intake/spans"), 200, "a slash is put in front");
    for path in [TRACES, "/intake", "/intake/spans/", "/INTAKE/SPANS", "/intake/logs"] {
        // Of logs there is no pipeline.
        assert_eq!(told(path), 404, "{path}");
    }
    assert_eq!(http(sluice.http, "GET", "/intake/spans", &[], b"").status, 405);
    has(&sink, &["x"]);
}

/// Snappy as a block of one literal.
fn block(body: &[u8]) -> Vec<u8> {
    let len = u8::try_from(body.len()).unwrap();
    assert!(len <= 60);
    [&[len, (len - 1) << 2], body].concat()
}

#[test]
fn every_compression_is_read_under_each_of_its_names() {
    let sink = Sink::start();
    let sluice = start(OTLP, &to(&sink, ""), "service:", "otlp");
    let bodies = |name: &str, encoding| compress(encoding, None, &trace(name)).unwrap().to_vec();
    let mut expected = Vec::new();
    for (at, (content_encoding, made)) in [
        ("gzip", Some(Encoding::Gzip)),
        ("zstd", Some(Encoding::Zstd)),
        ("deflate", Some(Encoding::Deflate)),
        ("zlib", Some(Encoding::Deflate)),
        ("snappy", Some(Encoding::Snappy)),
        ("x-snappy-framed", Some(Encoding::Snappy)),
        ("lz4", Some(Encoding::Lz4)),
        ("snappy", None),
        ("identity", None),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("{at} {content_encoding}");
        let body = match (content_encoding, made) {
            (_, Some(encoding)) => bodies(&name, encoding),
            ("snappy", None) => block(&trace(&name)),
            _ => trace(&name),
        };
        let headers = [PROTOBUF, ("content-encoding", content_encoding)];
        let answer = http(sluice.http, "POST", TRACES, &headers, &body);
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        expected.push(name);
    }
    for (grpc_encoding, encoding) in [("gzip", Encoding::Gzip), ("zstd", Encoding::Zstd), ("snappy", Encoding::Snappy)]
    {
        let name = format!("grpc {grpc_encoding}");
        let body = flagged(1, &bodies(&name, encoding));
        let status = grpc(sluice.grpc, EXPORT, &[("grpc-encoding", grpc_encoding)], &body);
        assert_eq!(status.code, 0, "{name}: {}", status.message);
        expected.push(name);
    }
    expected.sort();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    has(&sink, &expected);
    let answer = http(sluice.http, "POST", TRACES, &[PROTOBUF, ("content-encoding", "br")], b"x");
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("unsupported Content-Encoding: br"), "{}", answer.body);
}

#[test]
fn the_tenant_is_that_of_the_credential_unless_it_may_name_any() {
    let (folder, sink) = (Folder::new("tenant"), Sink::start());
    let tokens = folder.path().join("tokens");
    // Of `agent-token` and `gateway-token`.
    std::fs::write(
        &tokens,
        "eb47b9ce4840a5b3ea138b8691253b78035b9289d9014409067e9844c272ef99 tenant=shop\n\
         HASH tenant=home scopes=write:traces,tenant:any\n"
            .replace("HASH", GATEWAY),
    )
    .unwrap();
    let auth = "auth: {authenticator: bearertokenauth}";
    let guarded = format!("  otlp: {{protocols: {{grpc: {{{auth}}}, http: {{{auth}}}}}}}\n");
    let rest = format!(
        "extensions:\n  bearertokenauth: {{token_hashes_file: '{}'}}\n  \
           headers_setter: {{headers: [{{key: X-Tenant, from_attribute: tenant, default_value: none}}]}}\n\
         service:\n  extensions: [bearertokenauth, headers_setter]",
        tokens.display()
    );
    let sluice = start(&guarded, &to(&sink, ", auth: {authenticator: headers_setter}"), &rest, "otlp");
    let (agent, gateway) = (("authorization", "Bearer agent-token"), ("authorization", "Bearer gateway-token"));
    let other = ("x-scope-orgid", "other");
    for (name, headers, status) in [
        ("agent", vec![agent], (200, 0)),
        ("agent of another", vec![agent, other], (200, 0)),
        ("gateway", vec![gateway], (200, 0)),
        ("gateway for another", vec![gateway, other], (200, 0)),
        ("gateway for two", vec![gateway, other, ("x-scope-orgid", "third")], (403, 7)),
        ("gateway for none", vec![gateway, ("x-scope-orgid", "../x")], (403, 7)),
    ] {
        let typed: Vec<_> = std::iter::once(PROTOBUF).chain(headers.iter().copied()).collect();
        let by_http = http(sluice.http, "POST", TRACES, &typed, &trace(name)).status;
        let by_grpc = grpc(sluice.grpc, EXPORT, &headers, &frame(&trace(name))).code;
        assert_eq!((by_http, by_grpc), status, "{name}");
    }
    has(&sink, &["agent", "agent of another", "gateway", "gateway for another"]);
    for (headers, names) in sink.requests() {
        for name in names {
            let tenant = match name.as_str() {
                "agent" | "agent of another" => "shop",
                "gateway" => "home",
                _ => "other",
            };
            assert_eq!(headers["x-tenant"], tenant, "{name}");
        }
    }
}

#[test]
fn the_memory_limit_of_an_extension_holds() {
    let sink = Sink::start();
    let limited = "  otlp: {protocols: {grpc: {middlewares: [{id: memory_limiter}]}, http: }}\n";
    // Less than the process itself needs: whoever asks is told to come again.
    let rest = "extensions: {memory_limiter: {check_interval: 1h, limit_mib: 2, spike_limit_mib: 1}}\n\
                service:\n  extensions: [memory_limiter]";
    let sluice = start(limited, &to(&sink, ""), rest, "otlp");
    // It looks at the memory for the first time when it starts, beside the receiver.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while grpc(sluice.grpc, EXPORT, &[], &frame(&trace("x"))).code != 14 {
        assert!(std::time::Instant::now() < deadline, "nothing is refused");
    }
    let answer = http(sluice.http, "POST", TRACES, &[PROTOBUF], &trace("x"));
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains("retry-after: "), "{}", answer.headers);
}
