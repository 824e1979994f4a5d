//! The admin API: who may ask what, health, the ledger, reload.

use std::os::unix::fs::MetadataExt as _;

use serde_json::Value;

use crate::durable::{Folder, config};
use crate::queue::{DEST, start, terminate, with_dead};
use crate::sluice::{NO_STATE, READY, Sluice, free_port, run, text};
use crate::wire::{Answer, frame, grpc, http_to};

const MARKED: (&str, &str) = ("x-sluice-request", "test");

/// One request to the API, as its listener is named.
pub fn admin(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    http_to(&format!("127.0.0.1:{port}"), port, method, path, headers, body)
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{}: {}", answer.status, answer.body))
}

/// The ledger, which must add up.
pub fn ledger(port: u16) -> Value {
    let ledger = json(&admin(port, "GET", "/admin/v1/ledger", &[], b""));
    assert_eq!(ledger["conservation_error"], 0, "{ledger}");
    assert!(!ledger["equations"].as_array().unwrap().is_empty(), "{ledger}");
    ledger
}

#[test]
fn every_route_is_open_to_those_it_is_for() {
    let folder = Folder::new("admin");
    let (config, _) = with_dead(&folder, 1..=1);
    let (sluice, port) = start(&folder, &config);
    for (file, mode) in [("admin.token", 0o600), ("admin.sock", 0o600)] {
        let metadata = std::fs::metadata(folder.path().join(file)).unwrap();
        assert_eq!(metadata.mode() & 0o777, mode, "{file}");
    }
    let token = std::fs::read_to_string(folder.path().join("admin.token")).unwrap();
    assert_eq!(token.trim().len(), 64);
    let right = format!("Bearer {}", token.trim());
    let (right, wrong) = (("authorization", right.as_str()), ("authorization", "Bearer 00"));
    let dead = "/admin/v1/queues/otlp_grpc%2F0/dead";
    let missing = br#"{"id": 99}"#.as_slice();
    for (method, path, body, statuses) in [
        ("GET", "/livez", &b""[..], [200, 200, 200]),
        ("GET", "/readyz", b"", [200, 200, 200]),
        ("GET", "/-/healthy", b"", [200, 200, 200]),
        ("GET", "/metrics", b"", [200, 200, 200]),
        ("GET", "/admin/v1/ledger", b"", [200, 401, 200]),
        ("GET", "/admin/v1/queues", b"", [200, 401, 200]),
        ("GET", dead, b"", [200, 401, 200]),
        ("GET", &format!("{dead}?bodies=true"), b"", [401, 401, 200]),
        ("POST", "/admin/v1/queues/otlp_grpc/0/replay", missing, [401, 401, 404]),
        ("POST", "/admin/v1/queues/otlp_grpc/0/drop", missing, [401, 401, 404]),
        ("POST", "/admin/v1/queues/otlp_grpc/0/drop", b"{}", [401, 401, 400]),
        ("POST", "/admin/v1/queues/otlp_grpc/0/drop", br#"{"id": 1, "ids": [2]}"#, [401, 401, 400]),
        ("POST", "/admin/v1/queues/none/drop", missing, [401, 401, 404]),
        ("POST", "/admin/v1/reload?dry_run=true", b"", [200, 401, 200]),
        ("POST", "/admin/v1/reload", b"", [401, 401, 200]),
        ("GET", "/admin/v1/reload", b"", [405, 405, 405]),
        ("GET", "/admin/v1/queues?limit=0", b"", [400, 401, 400]),
        ("GET", "/admin/v1/nothing", b"", [404, 404, 404]),
        ("GET", "/admin/v1/queues/..%2F..%2Fquarantine/dead", b"", [404, 401, 404]),
        ("GET", "/admin/v1/queues/%00/dead", b"", [404, 401, 404]),
        ("GET", "/admin/v1/../../etc/passwd", b"", [404, 404, 404]),
    ] {
        let ask = |headers: &[(&str, &str)]| admin(port, method, path, headers, body);
        let answers = [ask(&[MARKED]), ask(&[MARKED, wrong]), ask(&[MARKED, right])];
        assert_eq!(answers.each_ref().map(|answer| answer.status), statuses, "{method} {path}");
        for answer in answers {
            assert!(!answer.body.contains(token.trim()));
            if answer.status == 401 {
                assert!(answer.headers.contains("www-authenticate: bearer"), "{}", answer.headers);
            }
            if answer.status >= 400 {
                assert!(json(&answer)["error"]["message"].is_string(), "{}", answer.body);
            }
        }
    }
    // What a browser could be talked into.
    let drop_all = |headers: &[(&str, &str)]| {
        admin(port, "POST", "/admin/v1/queues/otlp_grpc/0/drop", headers, br#"{"all": true}"#).status
    };
    assert_eq!(drop_all(&[right]), 403, "without the mark");
    assert_eq!(drop_all(&[right, MARKED, ("origin", "http://evil.example")]), 403);
    assert_eq!(drop_all(&[right, MARKED, ("sec-fetch-site", "cross-site")]), 403);
    assert_eq!(http_to("evil.example", port, "GET", "/livez", &[], b"").status, 403, "DNS rebinding");
    let large = admin(port, "POST", "/admin/v1/reload", &[right, MARKED], &[b' '; 70_000]);
    assert_eq!(large.status, 413);
    let csp = admin(port, "GET", "/livez", &[], b"").headers;
    assert!(csp.contains("content-security-policy") && !csp.contains("access-control"), "{csp}");

    // The commands by TCP.
    let url = format!("http://127.0.0.1:{port}");
    let file = folder.path().join("admin.token");
    let elsewhere = folder.path().join("elsewhere");
    let (file, elsewhere) = (file.to_str().unwrap(), elsewhere.to_str().unwrap());
    let listed = run(&["queue", "list", "--url", &url, "--data-dir", elsewhere]);
    assert!(listed.status.success() && text(&listed.stdout).contains(DEST), "{}", text(&listed.stderr));
    let refused = run(&["queue", "drop", DEST, "--all", "--yes", "--url", &url, "--data-dir", elsewhere]);
    assert_eq!(refused.status.code(), Some(5), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("token"), "{}", text(&refused.stderr));
    let dropped = run(&["queue", "drop", DEST, "--all", "--yes", "--url", &url, "--token-file", file]);
    assert_eq!(dropped.status.code(), Some(0), "{}", text(&dropped.stderr));
    assert_eq!(ledger(port)["parked"], 0);
    terminate(sluice);
    assert!(!folder.path().join("admin.sock").exists(), "the socket goes with the process");
}

#[test]
fn a_reload_by_the_api_says_what_it_changes_and_what_is_wrong() {
    let folder = Folder::new("admin-reload");
    let file = folder.path().join("config.yaml");
    let whole = config(&folder, &[free_port()]);
    let whole = whole.strip_prefix("yaml:").unwrap();
    std::fs::write(&file, whole).unwrap();
    let (sluice, port) = start(&folder, file.to_str().unwrap());
    let token = std::fs::read_to_string(folder.path().join("admin.token")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let headers = [MARKED, ("authorization", bearer.as_str())];
    let reload = |query: &str| {
        let answer = admin(port, "POST", &format!("/admin/v1/reload{query}"), &headers, b"");
        (answer.status, json(&answer))
    };
    let action = |plan: &Value, id: &str| {
        let changes = plan["changes"].as_array().unwrap();
        changes.iter().find(|change| change["id"] == id).map(|change| change["action"].as_str().unwrap().to_owned())
    };
    let exporter = format!("exporter/{DEST}");
    std::fs::write(&file, whole.replace("timeout: 60s", "timeout: 61s")).unwrap();
    let (status, plan) = reload("?dry_run=true");
    assert_eq!((status, &plan["result"]), (200, &"planned".into()), "{plan}");
    assert_eq!(action(&plan, &exporter).as_deref(), Some("restart"), "{plan}");
    let (status, plan) = reload("");
    assert_eq!((status, &plan["result"]), (200, &"applied".into()), "{plan}");
    assert_eq!(action(&plan, &exporter).as_deref(), Some("restart"), "nothing was changed before: {plan}");
    assert_eq!(action(&plan, "receiver/otlp").as_deref(), Some("keep"), "{plan}");
    std::fs::write(&file, whole.replace("timeout: 60s", "timeot: 60s")).unwrap();
    let (status, plan) = reload("");
    assert_eq!((status, &plan["result"]), (500, &"refused".into()), "{plan}");
    assert!(plan["diagnostics"][0]["message"].as_str().unwrap().contains("timeot"), "{plan}");
    assert!(!plan.to_string().contains(token.trim()));
    let service = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    assert_eq!(grpc(sluice.grpc, service, &[], &frame(b"")).code, 0, "the one before goes on");
    terminate(sluice);
}

#[test]
fn a_busy_default_port_is_no_reason_to_stop_and_one_that_was_asked_for_is() {
    // Whether this one gets it or somebody else has it already: it is busy.
    let _taken = std::net::TcpListener::bind("127.0.0.1:7070");
    let folder = Folder::new("admin-busy");
    let whole = config(&folder, &[free_port()]);
    let state = folder.path().to_str().unwrap();
    let mut sluice = Sluice::spawn(&["-c", &whole, "--data-dir", state], NO_STATE);
    sluice.wait_for("the admin API goes on without");
    sluice.wait_for(READY);
    let listed = run(&["queue", "list", "--data-dir", state]);
    assert!(listed.status.success(), "by the socket: {}", text(&listed.stderr));
    terminate(sluice);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, log, _) = Sluice::spawn(&["-c", &whole, "--admin", &address], NO_STATE).end();
    assert!(status.code() == Some(1) && log.contains("--admin"), "{log}");
    let (status, log, _) = Sluice::spawn(&["-c", &whole, "--admin", "0.0.0.0:7070"], NO_STATE).end();
    assert!(status.code() == Some(2) && log.contains("TLS"), "{log}");
}

#[test]
fn in_memory_there_are_queues_and_no_dead_letters() {
    let folder = Folder::new("admin-memory");
    let port = free_port();
    let config = format!(
        "yaml:receivers: {{otlp: {{protocols: {{grpc: , http: }}}}}}
exporters: {{otlp_grpc/0: {{endpoint: '127.0.0.1:{port}', tls: {{insecure: true}}}}}}
service:
  delivery: {{ack: memory}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_grpc/0]}}}}"
    );
    let (sluice, api) = start(&folder, &config);
    let service = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    assert_eq!(grpc(sluice.grpc, service, &[], &frame(&crate::wire::trace("x"))).code, 0);
    let listed = json(&admin(api, "GET", "/admin/v1/queues", &[], b""));
    let queue = &listed["queues"][0];
    assert_eq!((&queue["id"], &queue["kept"]), (&DEST.into(), &"memory".into()), "{listed}");
    assert_eq!((&queue["items"]["traces"], &queue["dead_letters"]), (&1.into(), &Value::Null), "{listed}");
    assert!(queue["quota_bytes"].as_u64().is_some_and(|quota| quota > 0), "{listed}");
    let state = folder.path().to_str().unwrap();
    let replay = run(&["queue", "replay", DEST, "--all", "--yes", "--data-dir", state]);
    assert_eq!(replay.status.code(), Some(1));
    assert!(text(&replay.stderr).contains("in memory"), "{}", text(&replay.stderr));
    assert_eq!(ledger(api)["lost"], 0);
    // It takes its time to deliver what would be gone with it.
    sluice.signal("TERM");
    let refused = std::iter::repeat_with(|| admin(api, "GET", "/readyz", &[], b"")).find(|answer| answer.status != 200);
    assert_eq!(refused.map(|answer| (answer.status, answer.body)), Some((503, "shutting down\n".to_owned())));
    assert_eq!(admin(api, "GET", "/livez", &[], b"").status, 200);
    sluice.signal("KILL");
    sluice.end();
    // The socket that it left behind is nobody's.
    let (sluice, api) = start(&folder, &config);
    assert_eq!(admin(api, "GET", "/-/ready", &[], b"").body, "ok\n");
    assert!(run(&["queue", "list", "--data-dir", state]).status.success());
    terminate(sluice);
}
