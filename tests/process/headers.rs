//! Headers of outgoing requests that come from incoming ones (`headers_setter`): over a crash, and never mixed.

use std::time::{Duration, Instant};

use crate::auth::{BCRYPT, EXPORT, JOE, TOKEN, TRACES};
use crate::durable::Folder;
use crate::sink::Sink;
use crate::sluice::{Sluice, free_port, run, text};
use crate::wire::{PROTOBUF, frame, grpc, http, trace};

/// Longer than anything here takes on a loaded machine; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(port: u16, delivery: &str) -> String {
    format!(
        "receivers:\n  otlp:\n    protocols:\n      grpc: {{include_metadata: true}}\n      \
           http: {{include_metadata: true, auth: {{authenticator: basicauth}}}}\n\
         exporters:\n  otlp_grpc: {{endpoint: '127.0.0.1:{port}', tls: {{insecure: true}}, compression: none, \
           auth: {{authenticator: headers_setter}}, retry_on_failure: {{initial_interval: 50ms, max_interval: 200ms}}}}\n\
         extensions:\n  basicauth: {{htpasswd: {{inline: 'joe:{}'}}}}\n  bearertokenauth: {{token: {TOKEN}}}\n  \
           headers_setter:\n    additional_auth: bearertokenauth\n    headers:\n      \
             - {{action: upsert, key: X-Scope-OrgID, from_context: x-tenant, default_value: nobody}}\n      \
             - {{action: insert, key: X-User, from_attribute: username}}\n      \
             - {{key: X-Fixed, value: fixed}}\n\
         service:\n  extensions: [headers_setter, basicauth, bearertokenauth]\n  delivery: {{{delivery}}}\n  \
           pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_grpc]}}}}\n",
        BCRYPT.replace('$', "$$"),
    )
}

/// Until that many spans have arrived: what each request had of the headers, and its spans, in order of the spans.
fn arrived(sink: &Sink, spans: usize) -> Vec<(String, String, Vec<String>)> {
    let deadline = Instant::now() + PATIENCE;
    while sink.arrived().len() < spans && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let shown = |(headers, mut names): (http::HeaderMap, Vec<String>)| {
        let text = |name: &str| headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
        assert_eq!(text("x-fixed"), "fixed");
        assert_eq!(text("authorization"), format!("Bearer {TOKEN}"));
        names.sort();
        (text("x-scope-orgid"), text("x-user"), names)
    };
    let mut requests: Vec<_> = sink.requests().into_iter().map(shown).collect();
    requests.sort_by(|a, b| a.2.cmp(&b.2));
    requests
}

#[test]
fn headers_follow_their_data_through_the_journal_and_a_kill_and_are_not_mixed() {
    let folder = Folder::new("headers");
    let port = free_port();
    let path = folder.path().join("config.yaml");
    let durable = config(port, "ack: durable, journal: journal, allow_volatile: true");
    let journal =
        format!("extensions:\n  journal: {{directory: '{}/journal', max_size: 256MiB}}\n", folder.path().display());
    std::fs::write(&path, durable.replacen("extensions:\n", &journal, 1)).unwrap();
    let arguments = ["-c", path.to_str().unwrap()];
    let sluice = Sluice::start_in(folder.path(), &arguments);
    // Nobody listens there yet.
    let by_http = |name: &str, tenant: &[(&str, &str)]| {
        let headers: Vec<_> = [PROTOBUF, ("authorization", JOE)].into_iter().chain(tenant.iter().copied()).collect();
        assert_eq!(http(sluice.http, "POST", TRACES, &headers, &trace(name)).status, 200, "{name}");
    };
    let by_grpc = |name: &str, tenant: &[(&str, &str)]| {
        assert_eq!(grpc(sluice.grpc, EXPORT, tenant, &frame(&trace(name))).code, 0, "{name}");
    };
    by_http("1 blue joe", &[("X-Tenant", "blue")]);
    by_http("2 red joe", &[("x-tenant", "red")]);
    by_grpc("3 red", &[("x-tenant", "red")]);
    by_grpc("4 red", &[("x-tenant", "red")]);
    by_grpc("5 none", &[]);
    sluice.signal("KILL");
    sluice.end();
    let sink = Sink::start_at(port);
    let _sluice = Sluice::start_in(folder.path(), &arguments);
    let expected = [
        ("blue", "joe", &["1 blue joe"][..]),
        ("red", "joe", &["2 red joe"]),
        ("red", "-", &["3 red", "4 red"]),
        ("nobody", "-", &["5 none"]),
    ];
    let expected = expected.map(|(tenant, user, names)| {
        (tenant.to_owned(), user.to_owned(), names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    });
    // Neighbours that agree in all headers share a request; others do not.
    assert_eq!(arrived(&sink, 5), expected);
    let kept = walk(folder.path());
    assert!(kept.iter().any(|content| holds(content, b"blue")), "the journal was looked at");
    for credential in [&b"am9lOmNhbmFyeS1wYXNz"[..], b"canary-pass"] {
        assert!(!kept.iter().any(|content| holds(content, credential)), "a credential is on disk");
    }
}

/// The contents of all files below the state directory.
fn walk(folder: &std::path::Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else if path.extension().is_none_or(|ending| ending != "yaml") {
            found.extend(std::fs::read(&path).ok());
        }
    }
    found
}

fn holds(content: &[u8], what: &[u8]) -> bool {
    content.windows(what.len()).any(|window| window == what)
}

#[test]
fn a_reload_takes_other_headers_and_other_additional_credentials_to_the_exporter() {
    let sink = Sink::start();
    let folder = Folder::new("headers-reload");
    let path = folder.path().join("config.yaml");
    let before = config(sink.port, "ack: memory");
    let with_another = before.replace(TOKEN, "another");
    std::fs::write(&path, &before).unwrap();
    let mut sluice = Sluice::start(&["-c", path.to_str().unwrap()]);
    let send = |sluice: &Sluice, name: &str| {
        assert_eq!(grpc(sluice.grpc, EXPORT, &[("x-tenant", "blue")], &frame(&trace(name))).code, 0);
    };
    send(&sluice, "first");
    assert_eq!(arrived(&sink, 1), [("blue".to_owned(), "-".to_owned(), vec!["first".to_owned()])]);
    std::fs::write(&path, with_another).unwrap();
    sluice.signal("HUP");
    sluice.wait_for("Configuration reloaded");
    send(&sluice, "second");
    let deadline = Instant::now() + PATIENCE;
    while sink.requests().len() < 2 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let (headers, _) = sink.requests().pop().unwrap();
    assert_eq!(headers["authorization"], "Bearer another");
    assert_eq!(headers["x-scope-orgid"], "blue");
}

#[test]
fn what_cannot_be_passed_on_is_refused_and_what_nobody_keeps_is_told() {
    let right = config(4317, "ack: memory");
    let cases = [
        (right.replace("from_context: x-tenant", "from_context: authorization"), 3, "is a credential"),
        (right.replace("additional_auth: bearertokenauth", "additional_auth: headers_setter"), 0, ""),
        (right.replace("include_metadata: true", "include_metadata: false"), 0, "no receiver keeps any"),
    ];
    for (config, code, said) in cases {
        let output = run(&["check", "-c", &format!("yaml:{config}")]);
        let report = text(&output.stderr) + &text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{config}\n{report}");
        assert!(report.contains(said), "{said}: {report}");
    }
    for (additional, said) in
        [("headers_setter", "name each other in `additional_auth`"), ("nobody", "authenticator not found")]
    {
        let config = right.replace("additional_auth: bearertokenauth", &format!("additional_auth: {additional}"));
        let output = run(&["run", "-c", &format!("yaml:{config}"), "--admin", "off"]);
        assert_eq!(output.status.code(), Some(1), "{config}");
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
}
