//! No secret gets out of the binary: planted ones are looked for in everything that it says.

use crate::auth::{BCRYPT, EXPORT, JOE, TOKEN, TRACES};
use crate::durable::Folder;
use crate::sluice::{NO_STATE, READY, Sluice, free_port, run, text};
use crate::wire::{PROTOBUF, frame, grpc, http, trace};

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
            [&["check", "-c", path][..], &["check", "-o", "json", "-c", path], &["print-config", "-c", path]]
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
        (
            format!("htpasswd: {{inline: 'joe:{}'}}", BCRYPT.replace('$', "$$")),
            "htpasswd: 'joe:canary-pass'".to_owned(),
        ),
        (
            format!("basicauth: {{htpasswd: {{inline: 'joe:{}'}}}}", BCRYPT.replace('$', "$$")),
            "basicauth:\n    htpasswd:\n      inline: |\n        # users\n        joe:canary-pass".to_owned(),
        ),
        (
            format!("bearertokenauth: {{token: {TOKEN}}}"),
            format!("bearertokenauth:\n    tokens:\n      - [{TOKEN}]\n      - {TOKEN}\n    tokenz: {TOKEN}"),
        ),
        ("password: canary-pass".to_owned(), "password: {a: canary-pass}".to_owned()),
        ("x-key: canary-header".to_owned(), "x-key: [canary-header]".to_owned()),
    ] {
        let config = secrets.replace(&right, &wrong);
        assert_ne!(config, secrets, "{right}");
        let said = memory(&config);
        no_canary(&format!("what is said of {wrong:?}"), &said);
    }
}
