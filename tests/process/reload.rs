//! SIGHUP: another configuration takes over, whole or not at all, and nobody who sends notices.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::durable::Folder;
use crate::load::Load;
use crate::sink::Sink;
use crate::sluice::{Sluice, free_port};
use crate::wire::{frame, grpc, http, trace};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const DONE: &str = "Configuration reloaded";
const REFUSED: &str = "Configuration not reloaded";
/// Longer than anything here takes on a loaded machine; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A configuration file that tests rewrite; gone with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, yaml: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.yaml", std::process::id()));
        std::fs::write(&path, yaml).unwrap();
        File(path)
    }

    fn start(&self) -> Sluice {
        Sluice::start(&["-c", self.0.to_str().unwrap()])
    }

    fn write(&self, yaml: &str) {
        std::fs::write(&self.0, yaml).unwrap();
    }

    /// Rewrites it, and waits for what the collector says to it.
    fn reload(&self, sluice: &mut Sluice, yaml: &str, outcome: &str) {
        self.write(yaml);
        sluice.signal("HUP");
        sluice.wait_for(outcome);
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const SHOWN: &str = "exporters: {debug: {verbosity: detailed, use_internal_logger: false}, nop: }\n";

/// Traces from `otlp`, which the test's ports belong to, through these lists.
fn config(receivers: &str, processors: &str, exporters: &str) -> String {
    let lists = format!("receivers: [{receivers}], processors: [{processors}], exporters: [{exporters}]");
    format!("{SHOWN}service: {{pipelines: {{traces: {{{lists}}}}}}}\n")
}

const OTLP: &str = "receivers: {otlp: {protocols: {grpc: , http: }}}\n";

fn base(processors: &str, lists: &str) -> String {
    format!("{OTLP}processors: {processors}\n{}", config("otlp", lists, "debug"))
}

fn metric(sluice: &Sluice, series: &str) -> Option<f64> {
    let text = http(sluice.metrics, "GET", "/metrics", &[], b"").body;
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

fn send(port: u16, name: &str) -> u16 {
    grpc(port, EXPORT, &[], &frame(&trace(name))).code
}

#[test]
fn a_good_configuration_changes_the_pipeline_behind_a_listener_that_stays() {
    let file = File::new("good", &base("{redaction: }", ""));
    let mut sluice = file.start();
    assert_eq!(metric(&sluice, "sluice_config_last_reload_success "), Some(1.0));
    let started = metric(&sluice, "sluice_config_last_reload_timestamp_seconds ").unwrap();
    let load = Load::start(sluice.grpc, sluice.http, 1);
    assert_eq!(send(sluice.grpc, "mail jane.roe@acme-mail.org"), 0);
    let masks = base("{redaction: }", "redaction");
    file.reload(&mut sluice, &masks, DONE);
    assert_eq!(send(sluice.grpc, "mail john.doe@other-mail.org"), 0);
    let sent = load.stop();
    assert_eq!((sent.failed, sent.reconnected), (Vec::new(), 0), "the connections stay");
    assert_eq!(metric(&sluice, "sluice_config_reloads_total{result=\"success\"} "), Some(1.0));
    assert!(metric(&sluice, "sluice_config_last_reload_timestamp_seconds ").unwrap() > started);
    sluice.signal("TERM");
    let (status, log, shown) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(shown.contains("jane.roe@acme-mail.org") && !shown.contains("john.doe"), "{log}");
    assert_eq!(log.matches("Starting GRPC server").count(), 1, "{log}");
}

#[test]
fn a_bad_configuration_leaves_the_one_before_and_says_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let good = base("{filter: {trace_conditions: ['span.name == \"unwanted\"']}}", "filter");
    let second = format!(
        "receivers: {{otlp: {{protocols: {{grpc: , http: }}}}, otlp/b: {{protocols: {{grpc: {{endpoint: \"{taken}\"}}}}}}}}\n"
    );
    let kept = "otlp_grpc: {endpoint: '127.0.0.1:1', tls: {insecure: true}}}";
    let promise = good.replace("service: {", "service: {delivery: {ack: durable}, ");
    let promise = promise.replace("nop: }", &format!("nop: , {kept}")).replace("[debug]", "[otlp_grpc]");
    let bad = [
        ("exporters: [", "exporters: ["),
        ("unknown processor", &*base("{filter: }", "filtre")),
        ("a rule that cannot compile", &base("{filter: {trace_conditions: ['span.nam ==']}}", "filter")),
        ("an address that is taken", &format!("{second}{}", config("otlp, otlp/b", "", "nop"))),
        ("a promise that cannot be kept", &promise),
    ];
    let file = File::new("bad", &good);
    let mut sluice = file.start();
    for (index, (what, yaml)) in bad.iter().enumerate() {
        file.reload(&mut sluice, yaml, REFUSED);
        assert_eq!(metric(&sluice, "sluice_config_last_reload_success "), Some(0.0), "{what}");
        let failures = metric(&sluice, "sluice_config_reloads_total{result=\"failure\"} ");
        assert_eq!(failures, Some(index as f64 + 1.0), "{what}");
        assert_eq!(send(sluice.grpc, "wanted"), 0, "{what}");
        assert_eq!(send(sluice.grpc, "unwanted"), 0, "{what}");
    }
    file.reload(&mut sluice, &good, DONE);
    assert_eq!(metric(&sluice, "sluice_config_last_reload_success "), Some(1.0));
    sluice.signal("TERM");
    let (_, log, shown) = sluice.end();
    assert_eq!(shown.matches("wanted").count(), bad.len(), "{shown}");
    assert!(!shown.contains("unwanted"), "{shown}");
    for told in ["filtre", "bad.yaml", &taken, "durable"] {
        let told = told.replace("bad.yaml", &format!("bad-{}.yaml:", std::process::id()));
        assert!(log.contains(&told), "{told} is not in\n{log}");
    }
}

#[test]
fn a_listener_moves_to_its_new_address_and_the_others_stay() {
    let two = |port: u16| {
        let endpoint = format!("otlp/two: {{protocols: {{grpc: {{endpoint: \"127.0.0.1:{port}\"}}}}}}");
        format!(
            "receivers: {{otlp: {{protocols: {{grpc: , http: }}}}, {endpoint}}}\n{}",
            config("otlp, otlp/two", "", "debug")
        )
    };
    let (from, to) = (free_port(), free_port());
    let file = File::new("moves", &two(from));
    let mut sluice = file.start();
    assert_eq!(send(from, "before"), 0);
    let load = Load::start(sluice.grpc, sluice.http, 1);
    file.reload(&mut sluice, &two(to), DONE);
    assert_eq!(send(to, "behind"), 0);
    assert!(std::net::TcpStream::connect(("127.0.0.1", from)).is_err(), "nobody listens there any more");
    let sent = load.stop();
    assert_eq!((sent.failed, sent.reconnected), (Vec::new(), 0));
    // Two receivers may not share what one of them had.
    let both = two(to).replace("grpc: , http: ", &format!("grpc: {{endpoint: \"127.0.0.1:{to}\"}}, http: "));
    file.reload(&mut sluice, &both.replace("otlp: {", "otlp/three: {").replace("[otlp,", "[otlp/three,"), REFUSED);
    sluice.signal("TERM");
    let (_, _, shown) = sluice.end();
    assert!(shown.contains("before") && shown.contains("behind"), "{shown}");
}

#[test]
fn up_keeps_what_it_knows_unless_its_own_config_changes() {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("up-{}", std::process::id()));
    let with = |up: &str, more: &str| {
        let jobs = "jobs: [{job_name: app, static_configs: [{targets: ['a:1']}]}]";
        let state = format!("state: {{directory: {}}}", directory.display());
        let pipelines = format!("metrics: {{receivers: [otlp], processors: [up], exporters: [nop]}}{more}");
        format!("{OTLP}processors: {{up: {{{jobs}, {state}{up}}}}}\n{SHOWN}service: {{pipelines: {{{pipelines}}}}}\n")
    };
    let file = File::new("up", &with("", ""));
    let mut sluice = file.start();
    let is_up = |sluice: &Sluice| {
        metric(sluice, "otlp_liveness_targets{job=\"app\",state=\"up\",processor=\"up\"} ") == Some(1.0)
    };
    let resource = r#"{"attributes":[{"key":"service.name","value":{"stringValue":"app"}},{"key":"service.instance.id","value":{"stringValue":"a:1"}}]}"#;
    let push = format!(
        r#"{{"resourceMetrics":[{{"resource":{resource},"scopeMetrics":[{{"metrics":[{{"name":"m","gauge":{{"dataPoints":[{{"asDouble":1,"timeUnixNano":"1"}}]}}}}]}}]}}]}}"#
    );
    let json = ("content-type", "application/json");
    let deadline = Instant::now() + PATIENCE;
    while !is_up(&sluice) {
        assert!(Instant::now() < deadline, "the target does not come up");
        assert_eq!(http(sluice.http, "POST", "/v1/metrics", &[json], push.as_bytes()).status, 200);
    }
    // Another pipeline names it, too: the instance stays, with its lock on the directory.
    let logs = ", logs: {receivers: [otlp], processors: [up], exporters: [nop]}";
    file.reload(&mut sluice, &with("", logs), DONE);
    assert!(is_up(&sluice), "what was known is known");
    // Its own config is another one: the next instance gets the directory when the one before has let go of it.
    file.reload(&mut sluice, &with(", up_after: 2", logs), DONE);
    file.reload(&mut sluice, &with(", up_after: 2, emit_to: [logs]", logs), REFUSED);
    sluice.signal("TERM");
    let (status, log, _) = sluice.end();
    let _ = std::fs::remove_dir_all(&directory);
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("could not be started") && !log.contains("starts anew"), "{log}");
    assert!(log.contains("at least one metrics pipeline must list this processor"), "{log}");
}

#[test]
fn a_backlog_follows_its_exporter_to_another_endpoint() {
    let sink = Sink::start();
    let to = |port: u16| {
        let exporter =
            format!("otlp_grpc: {{endpoint: \"127.0.0.1:{port}\", tls: {{insecure: true}}, compression: none}}");
        let lists = "receivers: [otlp], exporters: [otlp_grpc]";
        format!(
            "{OTLP}exporters: {{{exporter}}}\nservice: {{delivery: {{ack: memory}}, pipelines: {{traces: {{{lists}}}}}}}\n"
        )
    };
    // Nobody listens there.
    let file = File::new("backlog", &to(1));
    let mut sluice = file.start();
    let names: Vec<String> = (0..50).map(|number| format!("kept {number}")).collect();
    names.iter().for_each(|name| assert_eq!(send(sluice.grpc, name), 0));
    file.reload(&mut sluice, &to(sink.port), DONE);
    let deadline = Instant::now() + PATIENCE;
    while sink.arrived().len() < names.len() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let arrived = sink.arrived();
    assert!(names.iter().all(|name| arrived.get(name) == Some(&1)), "{arrived:?}");
    // Gone with what it has not delivered, which is counted.
    file.reload(&mut sluice, &to(1), DONE);
    assert_eq!(send(sluice.grpc, "lost"), 0);
    file.reload(&mut sluice, &base("{}", ""), DONE);
    let lost = "sluice_items_dropped_total{component=\"otlp_grpc\",reason=\"detached_destination\",signal=\"traces\"} ";
    assert_eq!(metric(&sluice, lost), Some(1.0));
    assert_eq!(
        metric(&sluice, "sluice_destination_lag_seconds{exporter=\"otlp_grpc\"} "),
        None,
        "nobody lags any more"
    );
}

/// Where a collector keeps what it acknowledged.
struct Keeping {
    extensions: String,
    delivery: &'static str,
}

/// A configuration of the storm: what changes with its number.
fn stormy(number: usize, kept: &Keeping, [sink, other, extra]: [u16; 3]) -> (String, bool) {
    let Keeping { extensions, delivery } = kept;
    let mut timeout = "5s";
    let (mut receivers, mut listed) = ("otlp: {protocols: {grpc: , http: }}".to_owned(), "otlp");
    let (mut processors, mut exporters) = (Vec::new(), vec!["otlp_grpc"]);
    let mut more = String::new();
    let mut good = true;
    match number % 9 {
        0 => processors.push("filter"),
        // The exporter is replaced, and takes over what waits.
        1 => timeout = "7s",
        // Its reader merges otherwise.
        2 => processors.extend(["resource", "batch"]),
        3 => {
            receivers += &format!(", otlp/extra: {{protocols: {{grpc: {{endpoint: \"127.0.0.1:{extra}\"}}}}}}");
            listed = "otlp, otlp/extra";
        }
        // A destination comes, and goes with what it has not delivered.
        4 => exporters.push("otlp_grpc/other"),
        5 => more = ", logs: {receivers: [otlp], exporters: [nop]}".to_owned(),
        6 => (processors, good) = (vec!["nonsense"], false),
        // The receiver itself is replaced, at the same addresses.
        7 => receivers = receivers.replace("grpc: ", "grpc: {max_recv_msg_size_mib: 8}"),
        _ => {
            receivers += &format!(", otlp/extra: {{protocols: {{grpc: {{endpoint: \"127.0.0.1:{sink}\"}}}}}}");
            (listed, good) = ("otlp, otlp/extra", false);
        }
    }
    let (processors, exporters) = (processors.join(", "), exporters.join(", "));
    let client = "tls: {insecure: true}, compression: none";
    let yaml = format!(
        "extensions: {{{extensions}}}
receivers: {{{receivers}}}
processors:
  filter: {{trace_conditions: ['span.name == \"never\"']}}
  resource: {{attributes: [{{key: round, value: a, action: upsert}}]}}
  batch: {{timeout: 5ms}}
exporters:
  nop:
  otlp_grpc: {{endpoint: \"127.0.0.1:{sink}\", {client}, timeout: {timeout}}}
  otlp_grpc/other: {{endpoint: \"127.0.0.1:{other}\", {client}}}
service:
  delivery: {{{delivery}}}
  pipelines: {{traces: {{receivers: [{listed}], processors: [{processors}], exporters: [{exporters}]}}{more}}}
"
    );
    (yaml, good)
}

/// Of each protocol.
const CLIENTS: usize = 3;

/// Reloads of the storm. The long form is `SLUICE_RELOADS=100` (delivery §12, D11: 500).
fn reloads() -> usize {
    std::env::var("SLUICE_RELOADS").ok().and_then(|count| count.parse().ok()).unwrap_or(20)
}

#[test]
fn reloads_under_load_fail_no_request_whose_sender_waits_for_the_destinations() {
    storm("storm-exported", &Keeping { extensions: String::new(), delivery: "ack: exported" });
}

#[test]
fn reloads_under_load_fail_no_request_and_lose_nothing() {
    storm("storm", &Keeping { extensions: String::new(), delivery: "ack: memory" });
}

#[test]
fn reloads_under_load_with_the_journal_fail_no_request_and_lose_nothing() {
    let folder = Folder::new("storm");
    let extensions = format!("journal: {{directory: '{}/journal', max_size: 256MiB}}", folder.path().display());
    storm("storm-on-disk", &Keeping { extensions, delivery: "ack: durable, allow_volatile: true" });
}

fn storm(name: &str, kept: &Keeping) {
    let (sink, other) = (Sink::start(), Sink::start());
    let extra = free_port();
    let of = |number| stormy(number, kept, [sink.port, other.port, extra]);
    let file = File::new(name, &of(0).0);
    let mut sluice = file.start();
    let load = Load::start(sluice.grpc, sluice.http, CLIENTS);
    let mut outcomes = [0, 0];
    for number in 1..=reloads() {
        let (yaml, good) = of(number);
        file.reload(&mut sluice, &yaml, if good { DONE } else { REFUSED });
        outcomes[usize::from(good)] += 1;
    }
    let sent = load.stop();
    assert_eq!(sent.failed, Vec::<String>::new());
    // Only a receiver that is replaced says good-bye to its clients: when it goes and when it comes back.
    let good_byes = (1..=reloads()).filter(|number| matches!(number % 9, 7 | 8)).count() * 2 * CLIENTS;
    assert!(sent.reconnected <= good_byes, "{} > {good_byes}", sent.reconnected);
    assert!(sent.acknowledged.len() > 10 * reloads(), "{}", sent.acknowledged.len());
    let deadline = Instant::now() + PATIENCE;
    while sink.arrived().len() < sent.acknowledged.len() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let arrived = sink.arrived();
    let missing: Vec<&String> = sent.acknowledged.iter().filter(|name| !arrived.contains_key(*name)).collect();
    let twice: Vec<_> = arrived.iter().filter(|(_, count)| **count > 1).collect();
    assert_eq!((missing, twice), (Vec::new(), Vec::new()));
    assert_eq!(arrived.len(), sent.acknowledged.len(), "nothing arrives that was not acknowledged");
    let text = http(sluice.metrics, "GET", "/metrics", &[], b"").body;
    for (result, count) in [("failure", outcomes[0]), ("success", outcomes[1])] {
        let line = format!("sluice_config_reloads_total{{result=\"{result}\"}} {count}");
        assert!(text.lines().any(|is| is == line), "{line} is not in\n{text}");
    }
    let errors = text.lines().filter(|line| line.starts_with("sluice_conservation_error"));
    errors.for_each(|line| assert!(line.ends_with(" 0"), "{line}"));
    sluice.signal("TERM");
    let (status, log, _) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(
        ["does not balance", "panicked", "still under way", "still busy"].iter().all(|bad| !log.contains(bad)),
        "{log}"
    );
}
