//! The file exporter on a real disk: what is in the files, and what is not after something has failed.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use sluice_config::Problems;
use sluice_exporters::file::{Config, FileExporter};
use sluice_pdata::Signal;
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::clock::{Clock as _, VirtualClock, WallTime};
use sluice_pipeline::component::{Component as _, Environment};
use sluice_pipeline::exporter::{Attempt, Exporter as _, Payload};
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::factory::Validate as _;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::send::SendOutcome;
use sluice_pipeline::spine::{Seq, SeqRange};
use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::{ComponentId, Context};

/// 2022-09-14T05:02:14.173Z
const NOW: u64 = 1_663_131_734_173;

struct Rig {
    exporter: FileExporter,
    clock: VirtualClock,
}

fn decode(yaml: &str) -> Result<Config, String> {
    let node = sluice_config::parse(yaml.as_bytes()).unwrap();
    let config: Config = sluice_config::decode(&node).map_err(|found| format!("{found:?}"))?;
    let mut problems = Problems::new(&node);
    config.validate("", &mut problems);
    if problems.has_errors() { Err(format!("{:?}", problems.into_diagnostics())) } else { Ok(config) }
}

impl Rig {
    fn new(path: &Path, more: &str) -> Self {
        let clock = VirtualClock::new(WallTime(NOW * 1_000_000));
        let environment = Environment {
            id: ComponentId::new("file", ""),
            signals: Arc::new(Signal::ALL),
            pipeline: None,
            pipelines: Arc::from([]),
            clock: Arc::new(clock.clone()),
            rng: Arc::new(SplitMix::seeded(1)),
            memory: MemBudget::new(1 << 30, Arc::new(clock.clone())),
            telemetry: Telemetry::new(),
            extensions: Extensions::default(),
            verdicts: sluice_pipeline::verdict::VerdictBoard::default(),
            gates: Default::default(),
        };
        let config = decode(&format!("path: {:?}\n{more}", path.display())).unwrap_or_else(|found| panic!("{found}"));
        Rig { exporter: FileExporter::new(&config, &environment), clock }
    }

    async fn started(path: &Path, more: &str) -> Self {
        let rig = Rig::new(path, more);
        rig.exporter.start().await.unwrap();
        rig
    }

    async fn send(&self, request: &ExportLogsServiceRequest) -> SendOutcome {
        let clock = VirtualClock::new(WallTime(0));
        let context = Context::internal(ComponentId::new("test", ""), clock.arrival());
        let payload = Payload {
            signal: Signal::Logs,
            parts: [Bytes::from(request.encode_to_vec())].into_iter().collect(),
            items: 1,
            context: Arc::new(context),
            compressed: None,
            range: SeqRange { first: Seq(1), last: Seq(1) },
        };
        self.exporter.send(payload, &Attempt { number: 0, deadline: None }).await
    }
}

fn text(value: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) })
}

/// A request with one record for each pair: what its resource says, and its body.
fn logs(pairs: &[(Option<&str>, &str)]) -> ExportLogsServiceRequest {
    let resource = |(segment, body): &(Option<&str>, &str)| ResourceLogs {
        resource: Some(Resource {
            attributes: segment
                .iter()
                .map(|&segment| KeyValue { key: "file".to_owned(), value: text(segment), ..KeyValue::default() })
                .collect(),
            ..Resource::default()
        }),
        scope_logs: vec![ScopeLogs {
            log_records: vec![LogRecord { body: text(body), ..LogRecord::default() }],
            ..ScopeLogs::default()
        }],
        ..ResourceLogs::default()
    };
    ExportLogsServiceRequest { resource_logs: pairs.iter().map(resource).collect() }
}

fn one(body: &str) -> ExportLogsServiceRequest {
    logs(&[(None, body)])
}

/// The bodies in a file of JSON lines; every line is whole.
fn bodies(path: &Path) -> Vec<String> {
    let content = fs::read_to_string(path).unwrap();
    assert!(content.is_empty() || content.ends_with('\n'), "{content}");
    let requests = content.lines().map(|line| sluice_pdata::json::read(Signal::Logs, line.as_bytes()).unwrap());
    requests.flat_map(|request| of(&ExportLogsServiceRequest::decode(&request[..]).unwrap())).collect()
}

fn of(request: &ExportLogsServiceRequest) -> Vec<String> {
    let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
    let bodies = scopes.flat_map(|scope| &scope.log_records).map(|record| match &record.body.as_ref().unwrap().value {
        Some(any_value::Value::StringValue(body)) => body.clone(),
        other => panic!("{other:?}"),
    });
    bodies.collect()
}

/// The messages behind their lengths.
fn frames(content: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut found) = (content, Vec::new());
    while let Some((len, behind)) = rest.split_first_chunk::<4>() {
        let (message, behind) = behind.split_at(u32::from_be_bytes(*len) as usize);
        found.push(message.to_vec());
        rest = behind;
    }
    assert!(rest.is_empty());
    found
}

#[tokio::test]
async fn each_request_is_a_line_of_json() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.json");
    let rig = Rig::started(&path, "").await;
    for body in ["one", "two\nlines", "drei \u{2028} ü"] {
        assert_eq!(rig.send(&one(body)).await, SendOutcome::delivered());
        // Delivered is written: another process sees it.
        assert!(bodies(&path).contains(&body.to_owned()));
    }
    assert_eq!(bodies(&path), ["one", "two\nlines", "drei \u{2028} ü"]);
    assert_eq!(fs::read_to_string(&path).unwrap().matches('\n').count(), 3);
}

#[tokio::test]
async fn protobuf_and_what_is_compressed_stand_behind_their_length() {
    for (more, json, zstd) in [
        ("format: proto", false, false),
        ("{format: proto, compression: zstd}", false, true),
        ("compression: zstd", true, true),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let more = more.trim_matches(['{', '}']).replace(", ", "\n");
        let rig = Rig::started(&path, &more).await;
        let requests = [one("one"), one(&"two ".repeat(1000))];
        for request in &requests {
            assert_eq!(rig.send(request).await, SendOutcome::delivered());
        }
        let messages = frames(&fs::read(&path).unwrap());
        let read = messages.into_iter().map(|message| {
            let plain = if zstd { zstd::decode_all(&message[..]).unwrap() } else { message };
            let plain = if json { sluice_pdata::json::read(Signal::Logs, &plain).unwrap() } else { plain };
            ExportLogsServiceRequest::decode(&plain[..]).unwrap()
        });
        assert_eq!(read.collect::<Vec<_>>(), requests, "{more}");
    }
}

#[tokio::test]
async fn a_start_empties_the_file_unless_it_appends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.json");
    for (more, expected) in
        [("", &["x"][..]), ("append: true", &["x", "x"]), ("", &["x"]), ("rotation: {}", &["x", "x"])]
    {
        let rig = Rig::started(&path, more).await;
        rig.send(&one("x")).await;
        rig.exporter.stop(Duration::ZERO).await;
        assert_eq!(bodies(&path), expected, "{more:?}");
    }
}

#[tokio::test]
async fn a_full_file_is_put_aside_under_the_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.json");
    let rig = Rig::started(&path, "rotation: {max_megabytes: 1, max_backups: 2}").await;
    let large = "x".repeat(600 << 10);
    for number in 0..5 {
        assert_eq!(rig.send(&one(&format!("{number}{large}"))).await, SendOutcome::delivered());
        rig.clock.advance(Duration::from_secs(1));
    }
    let mut names: Vec<_> =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    // Rotated before the second to fifth; the two oldest are gone.
    assert_eq!(
        names,
        ["data-2022-09-14T05-02-17.173-size.json", "data-2022-09-14T05-02-18.173-size.json", "data.json"]
    );
    for (name, number) in names.iter().zip(['2', '3', '4']) {
        let found = bodies(&directory.path().join(name));
        assert!(found.len() == 1 && found[0].starts_with(number), "{name}");
    }
    // What is larger than a file has one of its own.
    assert_eq!(rig.send(&one(&"y".repeat(3 << 20))).await, SendOutcome::delivered());
    assert_eq!(bodies(&path).len(), 1);
}

#[tokio::test]
async fn two_rotations_in_a_millisecond_keep_both() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.json");
    let rig = Rig::started(&path, "rotation: {max_megabytes: 1}").await;
    for _ in 0..4 {
        rig.send(&one(&"x".repeat(900 << 10))).await;
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 4);
}

#[tokio::test]
async fn resources_go_into_files_of_their_own_and_never_out_of_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("in");
    fs::create_dir(&inside).unwrap();
    std::os::unix::fs::symlink(directory.path(), inside.join("link")).unwrap();
    let more = "group_by: {enabled: true, resource_attribute: file, max_open_files: 2}";
    let rig = Rig::started(&inside.join("p-*.json"), more).await;
    let request = logs(&[
        (Some("a"), "1"),
        (Some("b/c"), "2"),
        (Some("../../evil"), "3"),
        (Some("a"), "4"),
        (None, "5"),
        (Some("nul\0"), "6"),
        (Some("x/../a"), "7"),
    ]);
    let expected =
        SendOutcome::Delivered { dropped: [("no_path_segment", 1), ("bad_path_segment", 1)].into_iter().collect() };
    assert_eq!(rig.send(&request).await, expected);
    assert_eq!(rig.send(&logs(&[(Some("a"), "8"), (Some("b/c"), "9")])).await, SendOutcome::delivered());
    assert_eq!(bodies(&inside.join("p-a.json")), ["1", "4", "7", "8"], "opened again, it is not emptied");
    assert_eq!(bodies(&inside.join("p-b/c.json")), ["2", "9"]);
    assert_eq!(bodies(&inside.join("p-evil.json")), ["3"]);
    // Nothing beside the directory.
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
}

#[tokio::test]
async fn neither_links_nor_files_in_the_way_stop_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
    fs::create_dir(&inside).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept.json"), "kept").unwrap();
    std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
    std::os::unix::fs::symlink(outside.join("kept.json"), inside.join("leaf.json")).unwrap();
    fs::create_dir(inside.join("folder.json")).unwrap();
    let rig = Rig::started(&inside.join("*.json"), "group_by: {enabled: true, resource_attribute: file}").await;
    let request = logs(&[
        (Some("link/kept"), "1"),
        (Some("leaf"), "2"),
        (Some("folder"), "3"),
        (Some("good"), "4"),
        (Some("good.json/below"), "5"),
    ]);
    rig.send(&logs(&[(Some("good"), "0")])).await;
    let expected = SendOutcome::Delivered { dropped: [("bad_path_segment", 4)].into_iter().collect() };
    assert_eq!(rig.send(&request).await, expected);
    assert_eq!(bodies(&inside.join("good.json")), ["0", "4"]);
    assert_eq!(fs::read_to_string(outside.join("kept.json")).unwrap(), "kept");
}

#[tokio::test]
async fn there_are_no_more_files_than_configured() {
    let directory = tempfile::tempdir().unwrap();
    let more = "group_by: {enabled: true, resource_attribute: file, max_open_files: 1, max_files: 3}";
    let rig = Rig::started(&directory.path().join("*.json"), more).await;
    let names: Vec<String> = (0..5).map(|number| number.to_string()).collect();
    let pairs: Vec<_> = names.iter().map(|name| (Some(name.as_str()), "x")).collect();
    let expected = SendOutcome::Delivered { dropped: [("bad_path_segment", 2)].into_iter().collect() };
    for _ in 0..2 {
        assert_eq!(rig.send(&logs(&pairs)).await, expected);
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 3);
}

#[tokio::test]
async fn a_full_disk_is_waited_for() {
    // Takes nothing, ever, and says that it is full.
    let rig = Rig::started(Path::new("/dev/full"), "").await;
    match rig.send(&one("x")).await {
        SendOutcome::Retry { message, .. } => assert!(message.starts_with("/dev/full: No space left"), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_cannot_be_opened_fails_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("no/such/out.json");
    let error = Rig::new(&missing, "").exporter.start().await.unwrap_err().to_string();
    assert!(error.contains("no/such/out.json") && error.contains("No such file"), "{error}");
    let rig = Rig::started(
        &missing,
        "{create_directory: true, directory_permissions: \"0700\"}"
            .trim_matches(['{', '}'])
            .replace(", ", "\n")
            .as_str(),
    )
    .await;
    assert_eq!(rig.send(&one("x")).await, SendOutcome::delivered());
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(missing.parent().unwrap()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn malformed_bytes_are_refused_and_leave_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.json");
    let rig = Rig::started(&path, "").await;
    let clock = VirtualClock::new(WallTime(0));
    let context = Context::internal(ComponentId::new("test", ""), clock.arrival());
    let payload = Payload {
        signal: Signal::Logs,
        parts: [Bytes::from_static(b"\x0a\x05\x12\xff")].into_iter().collect(),
        items: 1,
        context: Arc::new(context),
        compressed: None,
        range: SeqRange { first: Seq(1), last: Seq(1) },
    };
    let outcome = rig.exporter.send(payload, &Attempt { number: 0, deadline: None }).await;
    assert!(matches!(outcome, SendOutcome::Permanent { .. }), "{outcome:?}");
    assert_eq!(fs::read(&path).unwrap(), b"");
}

#[test]
fn what_cannot_work_is_refused_in_upstreams_words() {
    let cases = [
        ("{}", "path must be non-empty"),
        ("{path: a, append: true, rotation: {}}", "append and rotation enabled at the same time is not supported"),
        ("{path: a, format: xml}", "format type is not supported"),
        ("{path: a, compression: gzip}", "compression is not supported"),
        ("{path: a, encoding: otlp}", "`encoding` is not available"),
        ("{path: a, create_directory: true, directory_permissions: \"9\"}", "must be a valid octal representation"),
        ("{path: a, directory_permissions: \"0700\"}", "directory_permissions requires create_directory to be true"),
        ("{path: a, group_by: {enabled: true}}", "path must contain exactly one *"),
        ("{path: \"*a\", group_by: {enabled: true}}", "path must not start with *"),
        ("{path: \"a*\", group_by: {enabled: true, resource_attribute: \"\"}}", "resource_attribute must not be empty"),
        ("{path: a, nonsense: 1}", "nonsense"),
    ];
    for (yaml, expected) in cases {
        let problems = decode(yaml).map(|_| ()).unwrap_err();
        assert!(problems.contains(expected), "{yaml}: {problems}");
    }
    let all = "{path: \"d/*.x\", format: proto, compression: zstd, flush_interval: 5s, create_directory: true, \
        directory_permissions: \"0750\", group_by: {enabled: true, resource_attribute: a, max_open_files: 5}, \
        sending_queue: {queue_size: 5}, retry_on_failure: {enabled: true}}";
    assert!(decode(all).is_ok());
    assert!(decode("{path: a, append: true, compression: zstd}").is_ok());
    assert!(decode("{path: \"a*\", group_by: {enabled: true}, rotation: {}}").is_ok(), "a warning");
    assert!(decode("{path: d, rotation: {max_megabytes: 1, max_days: 2, max_backups: 3, localtime: true}}").is_ok());
}
