//! Who may send: every way to show a credential, over every protocol, to the binary; and that no secret gets out of it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::durable::Folder;
use crate::sink::Sink;
use crate::sluice::{NO_STATE, READY, Sluice, free_port, run, text};
use crate::wire::{PROTOBUF, frame, grpc, http, trace};

const TRACES: &str = "/v1/traces";
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const TOKEN: &str = "canary-token-4711";
/// Of `canary-pass`.
const BCRYPT: &str = "$2y$05$abcdefghijklmnopqrstuubC196syqc6uJlI1sIoDtWoGsUpRW2dO";
/// `joe:canary-pass`, `joe:wrong`, and `bob:canary-pass`, in base64.
const JOE: &str = "Basic am9lOmNhbmFyeS1wYXNz";
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
    assert!((50..2000).contains(&count), "{count} answers before the end");
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
fn an_authenticator_that_is_not_there_or_is_none_stops_the_start() {
    let client = "basicauth: {client_auth: {username: joe, password: x}}";
    for (config, said) in [
        (bearer("").replace("authenticator: bearertokenauth", "authenticator: nobody"), "authenticator not found"),
        (bearer("").replace("extensions: [bearertokenauth], ", ""), "authenticator not found"),
        (config(client, "basicauth"), "requested authenticator is not a server authenticator"),
    ] {
        let output = run(&["run", "-c", &format!("yaml:{config}"), "--admin", "off"]);
        assert_eq!(output.status.code(), Some(1), "{config}");
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
}

#[test]
fn health_is_told_from_start_to_stop() {
    let port = free_port();
    let health = |extra: &str| {
        format!(
            "receivers: {{otlp: {{protocols: {{grpc: , http: }}}}}}\nexporters: {{nop: }}\n\
             extensions: {{health_check: {{endpoint: '127.0.0.1:{port}'{extra}}}}}\n\
             service: {{extensions: [health_check], pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}}}\n"
        )
    };
    let folder = Folder::new("health");
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, health("")).unwrap();
    let mut sluice = Sluice::start(&["-c", path.to_str().unwrap()]);
    let answer = http(port, "GET", "/", &[], b"");
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains(r#""status":"Server available""#), "{}", answer.body);
    assert_eq!(http(port, "GET", "/other", &[], b"").status, 404);
    assert_eq!(http(port, "POST", "/", &[], b"").status, 405);
    // Another path and another body on the same address.
    std::fs::write(&path, health(", path: /health, response_body: {healthy: fine, unhealthy: ill}")).unwrap();
    sluice.signal("HUP");
    sluice.wait_for("Configuration reloaded");
    let answer = http(port, "GET", "/health", &[], b"");
    assert_eq!((answer.status, answer.body.as_str()), (200, "fine"));
    assert_eq!(http(port, "GET", "/", &[], b"").status, 404);
}

#[test]
fn pages_in_browsers_are_let_in_by_their_origin() {
    let cors = "receivers.otlp.protocols.http.cors={allowed_origins: ['https://*.example.com'], \
                allowed_headers: [x-team], exposed_headers: [x-seen], max_age: 600}";
    let sluice = Sluice::start(&["--set", cors]);
    let (origin, other) = (("origin", "https://a.example.com"), ("origin", "https://a.example.net"));
    let method = ("access-control-request-method", "POST");
    let ask = |headers: &[(&str, &str)]| http(sluice.http, "OPTIONS", TRACES, headers, b"");
    let answer = ask(&[origin, method, ("access-control-request-headers", "content-type, X-Team")]);
    assert_eq!(answer.status, 204);
    for line in [
        "access-control-allow-origin: https://a.example.com",
        "access-control-allow-credentials: true",
        "access-control-allow-methods: post",
        "access-control-allow-headers: content-type, x-team",
        "access-control-max-age: 600",
    ] {
        assert!(answer.headers.contains(line), "{line} in {}", answer.headers);
    }
    for refused in [
        vec![other, method],
        vec![method],
        vec![origin, ("access-control-request-method", "PUT")],
        vec![origin, method, ("access-control-request-headers", "x-other")],
    ] {
        let answer = ask(&refused);
        assert_eq!(answer.status, 204, "{refused:?}");
        assert!(!answer.headers.contains("access-control-allow"), "{refused:?}: {}", answer.headers);
    }
    assert_eq!(ask(&[origin]).status, 405, "no preflight");
    for (body, status) in [(trace("x"), 200), (b"\x0a\xff\xff".to_vec(), 400)] {
        let answer = http(sluice.http, "POST", TRACES, &[PROTOBUF, origin], &body);
        assert_eq!(answer.status, status);
        assert!(answer.headers.contains("access-control-allow-origin: https://a.example.com"), "{}", answer.headers);
        assert!(answer.headers.contains("access-control-expose-headers: x-seen"), "{}", answer.headers);
    }
    let answer = http(sluice.http, "POST", TRACES, &[PROTOBUF, other], &trace("x"));
    assert!(!answer.headers.contains("access-control-allow"), "{}", answer.headers);
}

/// What no output may hold: each is a secret somewhere in the configuration, in the environment or in a request.
const CANARIES: [&str; 8] = [
    "canary-token-4711",
    "canary-pass",
    "Y2FuYXJ5LXBhc3M",
    "am9lOmNhbmFyeS1wYXNz",
    "abcdefghijklmnopqrstuubC196",
    "canary-header",
    "canary-from-env",
    "canary-wrong",
];

fn no_canary(place: &str, content: &str) {
    for canary in CANARIES {
        assert!(!content.contains(canary), "{canary} in {place}:\n{content}");
    }
}

#[test]
fn no_secret_gets_out() {
    let folder = Folder::new("canaries");
    let path = folder.path().join("config.yaml");
    let (admin, gone) = (free_port(), free_port());
    let secrets = format!(
        "receivers:\n  otlp:\n    protocols:\n      grpc: {{auth: {{authenticator: bearertokenauth}}}}\n      \
           http: {{auth: {{authenticator: basicauth}}}}\n\
         exporters:\n  otlp_http: {{endpoint: 'http://127.0.0.1:{gone}', auth: {{authenticator: basicauth/out}}, \
           headers: {{x-key: canary-header}}}}\n  \
           otlp_grpc: {{endpoint: '127.0.0.1:{gone}', tls: {{insecure: true}}, auth: {{authenticator: bearertokenauth/env}}}}\n\
         extensions:\n  bearertokenauth: {{token: {TOKEN}}}\n  bearertokenauth/env: {{token: '${{env:SLUICE_CANARY}}'}}\n  \
           basicauth: {{htpasswd: {{inline: 'joe:{}'}}}}\n  \
           basicauth/out: {{client_auth: {{username: joe, password: canary-pass}}}}\n\
         service:\n  extensions: [bearertokenauth, bearertokenauth/env, basicauth, basicauth/out]\n  \
           telemetry: {{logs: {{level: debug}}}}\n  \
           pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_http, otlp_grpc]}}}}\n",
        BCRYPT.replace('$', "$$")
    );
    std::fs::write(&path, &secrets).unwrap();
    let path = path.to_str().unwrap();
    let (address, state) = (format!("127.0.0.1:{admin}"), folder.path().join("state"));
    let arguments = ["-c", path, "--admin", &address, "--data-dir", state.to_str().unwrap()];
    let mut sluice = Sluice::spawn_with(&arguments, NO_STATE, &[("SLUICE_CANARY", "canary-from-env")]);
    sluice.wait_for(READY);
    let right = format!("Bearer {TOKEN}");
    for headers in [
        &[("authorization", right.as_str())][..],
        &[("authorization", "Bearer canary-wrong")],
        &[("authorization", JOE)],
        &[("authorization", right.as_str()), ("authorization", "Bearer canary-wrong")],
        &[],
    ] {
        let with_type: Vec<_> = std::iter::once(PROTOBUF).chain(headers.iter().copied()).collect();
        for body in [trace("x"), b"\x0a\xff\xff".to_vec()] {
            let answer = http(sluice.http, "POST", TRACES, &with_type, &body);
            no_canary("an answer", &(answer.headers + &answer.body));
            let status = grpc(sluice.grpc, EXPORT, headers, &frame(&body));
            no_canary("a status", &format!("{status:?}"));
        }
    }
    let token = std::fs::read_to_string(state.join("admin.token")).unwrap();
    let shown = format!("Bearer {}", token.trim());
    let api = [("authorization", shown.as_str()), ("x-sluice-request", "test")];
    for (method, page) in [
        ("GET", "/metrics"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/admin/v1/ledger"),
        ("GET", "/admin/v1/queues"),
        ("GET", "/admin/v1/config"),
        ("POST", "/admin/v1/reload?dry_run=true"),
    ] {
        let host = format!("127.0.0.1:{admin}");
        let answer = crate::wire::http_to(&host, admin, method, page, &api, b"");
        no_canary(page, &(answer.headers + &answer.body));
    }
    no_canary("metrics", &http(sluice.metrics, "GET", "/metrics", &[], b"").body);
    // A reload that fails tells why, and one that works tells what changed.
    for config in [
        secrets.replace("level: debug", "level: debgu"),
        secrets.replace("authenticator: basicauth/out", "authenticator: nobody"),
    ] {
        std::fs::write(path, config).unwrap();
        sluice.signal("HUP");
        sluice.wait_for("Configuration not reloaded");
    }
    sluice.signal("TERM");
    let (_, log, out) = sluice.end();
    assert!(log.contains("authentication failed"), "{log}");
    no_canary("the log", &log);
    no_canary("standard output", &out);
    let memory = |wrong: &str| {
        std::fs::write(path, wrong).unwrap();
        let mut said = String::new();
        for arguments in
            [&["check", "-c", path][..], &["check", "--format", "json", "-c", path], &["print-config", "-c", path]]
        {
            let output = run(arguments);
            said += &text(&output.stdout);
            said += &text(&output.stderr);
        }
        said
    };
    no_canary("the printed configuration", &memory(&secrets));
    // Every secret in a place where it is wrong.
    for (right, wrong) in [
        (format!("token: {TOKEN}"), format!("token: [{TOKEN}]")),
        (format!("token: {TOKEN}"), format!("token: {TOKEN}, tokens: [{TOKEN}]")),
        (format!("token: {TOKEN}"), format!("tokens: {{a: {TOKEN}}}")),
        (format!("joe:{}", BCRYPT.replace('$', "$$")), "joe:canary-pass".to_owned()),
        (format!("joe:{}", BCRYPT.replace('$', "$$")), "canary-pass".to_owned()),
        ("password: canary-pass".to_owned(), "password: {a: canary-pass}".to_owned()),
        ("x-key: canary-header".to_owned(), "x-key: [canary-header]".to_owned()),
    ] {
        let config = secrets.replace(&right, &wrong);
        assert_ne!(config, secrets, "{right}");
        let said = memory(&config);
        no_canary(&format!("what is said of {wrong:?}"), &said);
    }
}
