//! The journal in the binary: where it may be, who may have it, how it ends and goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::durable_load::{Load, Log};
use crate::durable_sink::Sink;
use crate::sluice::{NO_STATE, READY, Sluice, free_port, run, text};
use crate::wire::{PROTOBUF, http, trace, trace_json};

const JSON: (&str, &str) = ("content-type", "application/json");
/// From the signal to the end (delivery §8).
const SHUTDOWN: Duration = Duration::from_secs(6);

/// A directory of a test, removed at its end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("sluice-{name}-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Traces to a destination on each of the ports, by a journal in the folder.
pub fn config(folder: &Folder, ports: &[u16]) -> String {
    let extension = format!("journal/main: {{directory: '{}/journal', max_size: 256MiB}}", folder.path().display());
    with(&extension, "ack: durable, journal: journal/main, ", "", ports)
}

/// The same with another extension, other settings of delivery, and processors.
fn with(extension: &str, delivery: &str, processors: &str, ports: &[u16]) -> String {
    let exporters: Vec<String> = ports.iter().enumerate().map(|(n, port)| exporter(n, *port, "")).collect();
    let ids: Vec<String> = (0..ports.len()).map(|number| format!("otlp_grpc/{number}")).collect();
    whole(extension, &exporters.join(", "), delivery, processors, &ids.join(", "))
}

pub fn exporter(number: usize, port: u16, queue: &str) -> String {
    let retry = "initial_interval: 50ms, max_interval: 200ms";
    format!(
        "otlp_grpc/{number}: {{endpoint: '127.0.0.1:{port}', tls: {{insecure: true}}, compression: none, timeout: 60s, \
         retry_on_failure: {{{retry}}}{queue}}}"
    )
}

pub fn whole(extension: &str, exporters: &str, delivery: &str, processors: &str, ids: &str) -> String {
    format!(
        "yaml:extensions: {{{extension}}}
receivers: {{otlp: {{protocols: {{grpc: , http: }}}}}}
processors: {{redaction: }}
exporters: {{{exporters}}}
service:
  delivery: {{{delivery}allow_volatile: true}}
  pipelines: {{traces: {{receivers: [otlp], processors: [{processors}], exporters: [{ids}]}}}}"
    )
}

pub fn metrics(port: u16) -> String {
    http(port, "GET", "/metrics", &[], b"").body
}

/// The value of the first series that begins like this.
pub fn value(metrics: &str, series: &str) -> u64 {
    let line = metrics.lines().find(|line| line.starts_with(series));
    let line = line.unwrap_or_else(|| panic!("no {series} in {metrics}"));
    line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
}

/// Items that the exporter of this number still needs.
pub fn waiting(port: u16, exporter: usize) -> u64 {
    let series = format!("sluice_destination_lag_items{{exporter=\"otlp_grpc/{exporter}\",data_type=\"traces\"}}");
    value(&metrics(port), &series)
}

/// The ledger has no item too many and none too few.
pub fn balances(port: u16) {
    let text = metrics(port);
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("sluice_conservation_error{")).collect();
    assert!(!errors.is_empty(), "{text}");
    assert!(errors.iter().all(|line| line.ends_with(" 0")), "{}", errors.join("\n"));
}

/// Ends a collector by SIGTERM, in time and well.
pub fn terminate(sluice: Sluice, signals: usize) {
    let since = Instant::now();
    (0..signals).for_each(|_| sluice.signal("TERM"));
    let (status, log, _) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(since.elapsed() <= SHUTDOWN, "it took {:?}: {log}", since.elapsed());
}

#[test]
fn terminated_under_load_it_loses_nothing_and_is_quick() {
    let folder = Folder::new("term");
    let (up, down) = (free_port(), free_port());
    let config = config(&folder, &[up, down]);
    let arguments = ["-c", config.as_str()];
    let sink = Sink::start(up);
    let log = Arc::new(Log::default());
    for round in 1..=5 {
        let sluice = Sluice::start(&arguments);
        let load = Load::start(sluice.http, &log);
        log.wait_for(log.acked().len() + 500);
        terminate(sluice, if round % 2 == 0 { 2 } else { 1 });
        load.end();
    }
    let late = Sink::start(down);
    let sluice = Sluice::start(&arguments);
    let restored = metrics(sluice.metrics);
    balances(sluice.metrics);
    assert!(restored.contains("sluice_delivery_mode{pipeline=\"traces\",mode=\"durable\"} 1"), "{restored}");
    assert!(
        restored.contains("sluice_destination_lag_items{exporter=\"otlp_grpc/1\",data_type=\"traces\"} "),
        "{restored}"
    );
    let acked = log.acked();
    for sink in [&sink, &late] {
        let missing = sink.missing(&acked);
        assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), acked.len());
    }
    balances(sluice.metrics);
    terminate(sluice, 1);
}

#[test]
fn a_second_process_on_the_same_directory_is_told_who_has_it() {
    let folder = Folder::new("lock");
    let config = config(&folder, &[free_port()]);
    let first = Sluice::start(&["-c", &config]);
    let second = Sluice::spawn(&["-c", &config], NO_STATE);
    let (status, log, _) = second.end();
    assert_eq!(status.code(), Some(75), "{log}");
    assert!(log.contains(&format!("process {}", first.id())), "{log}");
    let answer = http(first.http, "POST", "/v1/traces", &[JSON], trace_json("still there").as_bytes());
    assert_eq!(answer.status, 200, "the first one goes on");
    terminate(first, 1);
}

#[test]
fn a_directory_that_cannot_be_used_stops_the_start() {
    let folder = Folder::new("unusable");
    std::fs::write(folder.path().join("journal"), b"a file").unwrap();
    let (status, log, _) = Sluice::spawn(&["-c", &config(&folder, &[1])], NO_STATE).end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("extensions::journal/main") && log.contains("journal: "), "{log}");
    let (status, log, _) = Sluice::spawn(&["-c", &with("", "ack: durable, ", "", &[1])], NO_STATE).end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("no journal is configured") && log.contains(NO_STATE), "{log}");
}

#[test]
fn auto_takes_the_directory_that_the_system_keeps_and_else_senders_wait() {
    let mode = |sluice: &Sluice, mode: &str| {
        metrics(sluice.metrics).contains(&format!("sluice_delivery_mode{{pipeline=\"traces\",mode=\"{mode}\"}} 1"))
    };
    let config = with("", "", "", &[free_port()]);
    let mut sluice = Sluice::spawn(&["-c", &config], NO_STATE);
    sluice.wait_for("data is not kept on disk");
    sluice.wait_for(READY);
    assert!(mode(&sluice, "exported"));
    let folder = Folder::new("state");
    let mut sluice = Sluice::spawn(&["-c", &config], folder.path().to_str().unwrap());
    sluice.wait_for(READY);
    let volatile = !folder.path().join("journal/META").exists();
    // In a container without a volume there is no durable directory: then it must not pretend.
    assert!(mode(&sluice, if volatile { "exported" } else { "durable" }));
    let (status, log, _) = Sluice::spawn(&["-c", &with("", "strict: true, ", "", &[1])], NO_STATE).end();
    assert!(status.code() == Some(1) && log.contains("strict"), "{log}");
}

#[test]
fn a_queue_with_storage_is_kept_in_the_journal() {
    let folder = Folder::new("storage");
    let port = free_port();
    let storage = |create: &str| {
        let extension =
            format!("file_storage/q: {{directory: '{}/q', max_size: 256MiB{create}}}", folder.path().display());
        let exporter = exporter(0, port, ", sending_queue: {storage: file_storage/q}");
        whole(&extension, &exporter, "", "", "otlp_grpc/0")
    };
    let (status, log, _) = Sluice::spawn(&["-c", &storage("")], NO_STATE).end();
    assert!(status.code() == Some(1) && log.contains("directory must exist"), "{log}");
    let config = storage(", create_directory: true");
    let sluice = Sluice::start(&["-c", &config]);
    let body = trace(&crate::durable_sink::name(7));
    assert_eq!(http(sluice.http, "POST", "/v1/traces", &[PROTOBUF], &body).status, 200);
    terminate(sluice, 1);
    assert!(folder.path().join("q/sluice.journal/META").exists());
    let sink = Sink::start(port);
    let _sluice = Sluice::start(&["-c", &config]);
    assert!(sink.missing(&[7].into()).is_empty());
}

#[test]
fn references_to_no_journal_are_named_with_their_place() {
    let dangling = "yaml:receivers: {otlp: {protocols: {grpc: }}}
extensions: {journal/a: , journal/b: }
exporters: {otlp_grpc: {endpoint: 'h:1', sending_queue: {storage: file_storage/x}}}
service:
  delivery: {journal: journal/main}
  pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc], delivery: {ack: exportet}}}";
    let output = run(&["check", "-c", dangling]);
    let found = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{found}");
    for (what, place) in [("\"journal/main\"", ":5:23"), ("file_storage/x", ":3:67"), ("exportet", ":6:83")] {
        assert!(found.contains(what) && found.contains(place), "{what} at {place} in\n{found}");
    }
    let two = dangling.replace("{journal: journal/main}", "{}").replace("storage: file_storage/x", "");
    let found = text(&run(&["check", "-c", &two]).stderr);
    assert!(found.contains("one journal for the whole collector"), "{found}");
}

#[test]
fn what_redaction_takes_out_never_reaches_the_disk() {
    let holds = |processors: &str| {
        let folder = Folder::new("redacted");
        let directory = folder.path().join("journal");
        let extension = format!("journal: {{directory: '{}', max_size: 256MiB}}", directory.display());
        let config = with(&extension, "", processors, &[free_port()]);
        let sluice = Sluice::start(&["-c", &config]);
        let body = trace("mail to jane.roe@acme-mail.org");
        assert_eq!(http(sluice.http, "POST", "/v1/traces", &[PROTOBUF], &body).status, 200);
        terminate(sluice, 1);
        let segments = std::fs::read_dir(directory.join("seg")).unwrap().map(|entry| entry.unwrap().path());
        let contents: Vec<u8> = segments.flat_map(|path| std::fs::read(path).unwrap()).collect();
        let has = |text: &str| contents.windows(text.len()).any(|window| window == text.as_bytes());
        (has("mail to "), has("jane.roe"))
    };
    assert_eq!(holds("redaction"), (true, false));
    assert_eq!(holds(""), (true, true), "without redaction it is kept as it came");
}
