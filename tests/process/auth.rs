//! Who may send: every way to show a credential, over every protocol, to the binary.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::durable::Folder;
use crate::sink::Sink;
use crate::sluice::{Sluice, run, text};
use crate::wire::{PROTOBUF, frame, grpc, http, trace};

pub const TRACES: &str = "/v1/traces";
pub const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
pub const TOKEN: &str = "canary-token-4711";
/// Of `canary-pass`.
pub const BCRYPT: &str = "$2y$05$abcdefghijklmnopqrstuubC196syqc6uJlI1sIoDtWoGsUpRW2dO";
/// `joe:canary-pass`, `joe:wrong`, and `bob:canary-pass`, in base64.
pub const JOE: &str = "Basic am9lOmNhbmFyeS1wYXNz";
const WRONG: &str = "Basic am9lOndyb25n";
const BOB: &str = "Basic Ym9iOmNhbmFyeS1wYXNz";

/// A receiver with this authenticator on both protocols.
fn config(extensions: &str, authenticator: &str) -> String {
    let auth = format!("auth: {{authenticator: {authenticator}}}");
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{{auth}}}, http: {{{auth}}}}}}}}}\n\
         exporters: {{nop: }}\n\
         extensions: {{{extensions}}}\n\
         service: {{extensions: [{authenticator}], pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}}}\n"
    )
}

fn bearer(rest: &str) -> String {
    config(&format!("bearertokenauth: {{token: {TOKEN}{rest}}}"), "bearertokenauth")
}

fn basic() -> String {
    config(&format!("basicauth: {{htpasswd: {{inline: 'joe:{}'}}}}", BCRYPT.replace('$', "$$")), "basicauth")
}

fn start(config: &str) -> Sluice {
    Sluice::start(&["-c", &format!("yaml:{config}")])
}

/// What each protocol says to these headers.
fn told(sluice: &Sluice, headers: &[(&str, &str)]) -> (u16, u16) {
    let with_type: Vec<_> = std::iter::once(PROTOBUF).chain(headers.iter().copied()).collect();
    let answer = http(sluice.http, "POST", TRACES, &with_type, &trace("x"));
    if answer.status == 401 {
        assert!(answer.headers.contains("www-authenticate: b"), "{}", answer.headers);
        assert!(answer.body.ends_with("unauthenticated"), "{:?}", answer.body);
    }
    let status = grpc(sluice.grpc, EXPORT, headers, &frame(&trace("x")));
    if status.code == 16 {
        assert_eq!(status.message, "unauthenticated");
    }
    (answer.status, status.code)
}

const IN: (u16, u16) = (200, 0);
const OUT: (u16, u16) = (401, 16);

#[test]
fn without_an_authenticator_whatever_is_shown_is_passed_over() {
    let sluice = Sluice::start(&[]);
    assert_eq!(told(&sluice, &[]), IN);
    assert_eq!(told(&sluice, &[("authorization", "Bearer x")]), IN);
}

#[test]
fn a_bearer_token_is_let_in_and_nothing_that_only_looks_like_it() {
    let sluice = start(&bearer(""));
    let right = format!("Bearer {TOKEN}");
    let large = format!("Bearer {}", "x".repeat(8000));
    let (lower, upper) = (right.replace("Bearer", "bearer"), right.replace("Bearer", "BEARER"));
    let (short, long) = (right[..right.len() - 1].to_owned(), format!("{right}1"));
    let (bare, glued) = (TOKEN.to_owned(), right.replace(' ', ""));
    let (listed, cased) = (format!("{right}, {right}"), format!("Bearer {}", TOKEN.to_uppercase()));
    for (value, answer) in [
        (right.as_str(), IN),
        (&lower, IN),
        (&upper, IN),
        ("Bearer wrong", OUT),
        (&large, OUT),
        (&short, OUT),
        (&long, OUT),
        (&bare, OUT),
        (&glued, OUT),
        (&listed, OUT),
        (&cased, OUT),
        ("Bearer", OUT),
        ("", OUT),
        (JOE, OUT),
    ] {
        assert_eq!(told(&sluice, &[("authorization", value)]), answer, "{value}");
    }
    assert_eq!(told(&sluice, &[]), OUT);
    let (right, wrong) = (("authorization", right.as_str()), ("authorization", "Bearer wrong"));
    for twice in [[right, right], [right, wrong], [wrong, right]] {
        assert_eq!(told(&sluice, &twice), OUT, "{twice:?}");
    }
    for elsewhere in ["proxy-authorization", "x-authorization", "cookie"] {
        assert_eq!(told(&sluice, &[(elsewhere, right.1)]), OUT, "{elsewhere}");
    }
}

#[test]
fn a_password_is_let_in_and_nothing_that_only_looks_like_it() {
    let sluice = start(&basic());
    let (lower, unpadded) = (JOE.replace("Basic", "basic"), "Basic am9lOmNhbmFyeS1wYXNz=".to_owned());
    let large = format!("Basic {}", "YWFh".repeat(2000));
    for (value, answer) in [
        (JOE, IN),
        (JOE, IN),
        (lower.as_str(), IN),
        (WRONG, OUT),
        (BOB, OUT),
        (&unpadded, OUT),
        (&large, OUT),
        ("Basic ", OUT),
        ("Basic joe:canary-pass", OUT),
        ("Basic am9l", OUT),
        ("Bearer am9lOmNhbmFyeS1wYXNz", OUT),
    ] {
        assert_eq!(told(&sluice, &[("authorization", value)]), answer, "{value}");
    }
    assert_eq!(told(&sluice, &[]), OUT);
    assert_eq!(told(&sluice, &[("authorization", JOE), ("authorization", JOE)]), OUT);
}

#[test]
fn a_scope_that_is_not_granted_is_a_permission_that_is_denied() {
    let sluice = start(&bearer(", scopes: [write:logs]"));
    assert_eq!(told(&sluice, &[("authorization", &format!("Bearer {TOKEN}"))]), (403, 7));
    assert_eq!(told(&sluice, &[("authorization", "Bearer wrong")]), OUT);
}

#[test]
fn wrong_credentials_are_refused_before_the_body_is_read() {
    let sluice = start(&bearer(""));
    let mut stream = TcpStream::connect(("127.0.0.1", sluice.http)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // A GiB is announced, and not a byte of it comes.
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n\
                authorization: Bearer wrong\r\ncontent-length: 1073741824\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", sluice.grpc)).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::post(format!("http://sluice{EXPORT}"));
        let request = request.header("content-type", "application/grpc").header("authorization", "Bearer wrong");
        let mut client = client.ready().await.unwrap();
        // Nothing follows the head.
        let (response, _body) = client.send_request(request.body(()).unwrap(), false).unwrap();
        tokio::time::timeout(Duration::from_secs(30), response).await.unwrap().unwrap()
    });
    assert_eq!(status.headers()["grpc-status"], "16");
}

#[test]
fn who_fails_too_often_loses_its_connection_and_no_one_else_does() {
    let sluice = start(&bearer(""));
    let mut stream = TcpStream::connect(("127.0.0.1", sluice.http)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n\
                   authorization: Bearer wrong\r\ncontent-length: 0\r\n\r\n";
    // All of them at once: far more than the seconds that this takes give back.
    let _ = stream.write_all(request.repeat(2000).as_bytes());
    let mut answers = Vec::new();
    let _ = stream.read_to_end(&mut answers);
    let count = text(&answers).matches("HTTP/1.1 401").count();
    // Of the answers that were on their way, some are lost with the connection.
    assert!((1..500).contains(&count), "{count} answers before the end");
    assert_eq!(told(&sluice, &[("authorization", &format!("Bearer {TOKEN}"))]), IN);
    sluice.signal("TERM");
    let (_, log, _) = sluice.end();
    assert!(log.contains("authentication failed") && log.contains("wrong credential"), "{log}");
    let lines = log.lines().filter(|line| line.contains("authentication failed")).count();
    assert!(lines < 30, "{lines} lines for {count} failures");
}

#[test]
fn a_collector_shows_its_credentials_to_another() {
    let sink = Sink::start();
    let sets = |address: &str| format!("endpoint: '{address}'");
    let inner = format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{auth: {{authenticator: bearertokenauth}}}}, \
           http: {{auth: {{authenticator: basicauth}}}}}}}}}}\n\
         exporters: {{otlp_grpc: {{{}, tls: {{insecure: true}}, compression: none}}}}\n\
         extensions: {{bearertokenauth: {{token: {TOKEN}}}, basicauth: {{htpasswd: {{inline: 'joe:{}'}}}}}}\n\
         service: {{extensions: [bearertokenauth, basicauth], pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_grpc]}}}}}}\n",
        sets(&format!("127.0.0.1:{}", sink.port)),
        BCRYPT.replace('$', "$$"),
    );
    let inner = start(&inner);
    let outer = format!(
        "receivers: {{otlp: {{protocols: {{grpc: , http: }}}}}}\n\
         exporters:\n  otlp_grpc: {{{}, tls: {{insecure: true}}, auth: {{authenticator: bearertokenauth}}}}\n  \
           otlp_http: {{{}, auth: {{authenticator: basicauth}}, compression: snappy}}\n\
         extensions: {{bearertokenauth: {{token: {TOKEN}}}, basicauth: {{client_auth: {{username: joe, password: canary-pass}}}}}}\n\
         service: {{extensions: [bearertokenauth, basicauth], pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_grpc, otlp_http]}}}}}}\n",
        sets(&format!("127.0.0.1:{}", inner.grpc)),
        sets(&format!("http://127.0.0.1:{}", inner.http)),
    );
    let outer = start(&outer);
    assert_eq!(http(outer.http, "POST", TRACES, &[PROTOBUF], &trace("passed on")).status, 200);
    outer.signal("TERM");
    // It delivers before it ends.
    let (_, log, _) = outer.end();
    inner.signal("TERM");
    inner.end();
    assert_eq!(sink.arrived().get("passed on"), Some(&2), "by gRPC and by HTTP: {log}");
}

#[test]
fn tokens_are_exchanged_without_a_restart() {
    let folder = Folder::new("auth-exchange");
    let path = folder.path().join("tokens");
    std::fs::write(&path, "old\n").unwrap();
    let extension = format!("bearertokenauth: {{filename: '{}'}}", path.display());
    let mut sluice = start(&config(&extension, "bearertokenauth"));
    assert_eq!(told(&sluice, &[("authorization", "Bearer old")]), IN);
    std::fs::write(&path, "new\n").unwrap();
    sluice.wait_for("credentials were read again");
    assert_eq!(told(&sluice, &[("authorization", "Bearer old")]), OUT);
    assert_eq!(told(&sluice, &[("authorization", "Bearer new")]), IN);
}

#[test]
fn a_reload_with_another_token_takes_it_to_the_receiver() {
    let folder = Folder::new("auth-reload");
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, bearer("")).unwrap();
    let mut sluice = Sluice::start(&["-c", path.to_str().unwrap()]);
    assert_eq!(told(&sluice, &[("authorization", &format!("Bearer {TOKEN}"))]), IN);
    std::fs::write(&path, bearer("").replace(TOKEN, "another")).unwrap();
    sluice.signal("HUP");
    sluice.wait_for("Configuration reloaded");
    assert_eq!(told(&sluice, &[("authorization", &format!("Bearer {TOKEN}"))]), OUT);
    assert_eq!(told(&sluice, &[("authorization", "Bearer another")]), IN);
}

#[test]
fn an_authenticator_or_middleware_that_is_not_there_or_is_none_stops_the_start() {
    let middleware = |id: &str| bearer("").replace("grpc: {", &format!("grpc: {{middlewares: [{{id: {id}}}], "));
    let client = "basicauth: {client_auth: {username: joe, password: x}}";
    for (config, said) in [
        (bearer("").replace("authenticator: bearertokenauth", "authenticator: nobody"), "authenticator not found"),
        (bearer("").replace("extensions: [bearertokenauth], ", ""), "authenticator not found"),
        (config(client, "basicauth"), "requested authenticator is not a server authenticator"),
        (middleware("nobody"), "failed to resolve middleware \"nobody\": middleware not found"),
        (middleware("bearertokenauth"), "requested extension is not a middleware"),
    ] {
        let output = run(&["run", "-c", &format!("yaml:{config}"), "--admin", "off"]);
        assert_eq!(output.status.code(), Some(1), "{config}");
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
}

#[test]
fn a_token_in_the_query_counts_where_that_is_configured_and_is_told_to_nobody() {
    let config = bearer(", scheme: '', header: api_token").replace(
        "http: {auth: {authenticator: bearertokenauth}}",
        "http: {auth: {authenticator: bearertokenauth, request_params: [api_token]}}",
    );
    let sluice = start(&config);
    let status = |path: &str| http(sluice.http, "POST", path, &[PROTOBUF], &trace("x")).status;
    assert_eq!(status(&format!("{TRACES}?api_token={TOKEN}")), 200);
    assert_eq!(status(&format!("{TRACES}?api_token={TOKEN}x")), 401);
    assert_eq!(status(&format!("{TRACES}?token={TOKEN}")), 401, "another parameter");
    assert_eq!(status(TRACES), 401);
    sluice.signal("TERM");
    let (_, log, _) = sluice.end();
    assert!(!log.contains(TOKEN), "{log}");
}
