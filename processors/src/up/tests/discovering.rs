//! From static and file discovery to targets.

use std::path::Path;
use std::time::Duration;

use super::world::secs;
use crate::up::config::JobConfig;
use crate::up::discovery::file::{FileDiscovery, FileSdConfig, parse};
use crate::up::discovery::static_;
use crate::up::target::{TargetBuilder, TargetSet};

fn job(yaml: &str) -> JobConfig {
    serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}"))
}

fn build(yaml: &str) -> TargetSet {
    let job = job(yaml);
    TargetBuilder::new(&job).unwrap_or_else(|e| panic!("{e}")).build(&static_::groups(&job.static_configs))
}

fn labels(set: &TargetSet) -> Vec<String> {
    set.targets.iter().map(|target| format!("{:?}", target.labels)).collect()
}

#[test]
fn targets_are_built_as_for_scraping() {
    let set = build(
        "{job_name: app, scrape_interval: 30s, static_configs: [
            {targets: ['a:1', 'b:1'], labels: {zone: 1, __meta_x: y, __push_interval__: 5m}},
            {targets: ['a:1', 'c:1', 'bad/x', ''], labels: {job: other}}],
          relabel_configs: [
            {source_labels: [__meta_x], target_label: x},
            {source_labels: [__address__], regex: 'c:1', action: drop}]}",
    );
    assert_eq!(
        labels(&set),
        [
            r#"{instance="a:1", job="app", x="y", zone="1"}"#,
            r#"{instance="b:1", job="app", x="y", zone="1"}"#,
            r#"{instance="a:1", job="other"}"#,
        ]
    );
    assert_eq!(set.targets[0].push_interval, Some(secs(300)));
    assert_eq!(set.targets[0].grid, secs(30));
    assert_eq!(
        format!("{:?}", set.targets[2].discovered),
        r#"{__address__="a:1", __metrics_path__="/metrics", __scheme__="http", __scrape_interval__="30s", __scrape_timeout__="10s", job="other"}"#
    );
    assert_eq!((set.dropped.len(), set.dropped[0].rule), (1, 1));
    assert_eq!(set.invalid.len(), 2);
}

#[test]
fn relabelling_sets_intervals_and_may_make_two_targets_one() {
    let set = build(
        "{job_name: app, static_configs: [{targets: ['a:1', 'a:2']}], relabel_configs: [
            {source_labels: [__address__], regex: '(.*):.*', target_label: instance},
            {target_label: __scrape_interval__, replacement: 15s}]}",
    );
    assert_eq!(labels(&set), [r#"{instance="a", job="app"}"#]);
    assert_eq!((set.duplicates, set.targets[0].grid), (1, secs(15)));
    for bad in ["5m", "0s", "x"] {
        let set = build(&format!(
            "{{job_name: app, static_configs: [{{targets: ['a:1']}}], relabel_configs: [{{target_label: __scrape_interval__, replacement: {bad}}}]}}"
        ));
        assert_eq!((set.targets.len(), set.invalid.len()), (0, 1), "{bad}");
    }
}

#[test]
fn json_and_yaml_files_hold_the_same_groups() {
    let json = r#"[{"targets": ["a:1"], "labels": {"zone": "z"}}, {"targets": ["b:1"]}]"#;
    let yaml = "- targets: ['a:1']\n  labels:\n    zone: z\n- targets:\n  - b:1\n";
    let from_json = parse(Path::new("/sd/x.json"), json).expect("json");
    let from_yaml = parse(Path::new("/sd/x.yml"), yaml).expect("yaml");
    assert_eq!(from_json[0].labels["__meta_filepath"], "/sd/x.json");
    assert_eq!(from_json[0].source, "/sd/x.json:0");
    for (a, b) in from_json.iter().zip(&from_yaml) {
        assert_eq!((&a.targets, a.labels.get("zone")), (&b.targets, b.labels.get("zone")));
    }
    assert_eq!(from_yaml.len(), 2);
    assert_eq!(parse(Path::new("x.yml"), "").expect("empty"), []);
    assert_eq!(parse(Path::new("x.json"), "[]").expect("empty"), []);
    for (path, content) in [
        ("x.json", "[{\"targets\": [1]}]"),
        ("x.json", "[null]"),
        ("x.json", "[{\"targets\": [], \"other\": 1}]"),
        ("x.json", ""),
        ("x.yml", "targets: [a]"),
        ("x.yml", "- targets: [a:1]\n  unknown: 1\n"),
        ("x.txt", "[]"),
    ] {
        assert!(parse(Path::new(path), content).is_err(), "{path} {content}");
    }
}

fn write(path: &Path, targets: &[&str]) {
    let targets: Vec<String> = targets.iter().map(|t| format!("\"{t}\"")).collect();
    std::fs::write(path, format!("[{{\"targets\": [{}]}}]", targets.join(","))).expect("write");
}

fn addresses(discovery: &mut FileDiscovery, now: Duration) -> (Vec<String>, usize, bool) {
    let poll = discovery.poll(now);
    let found = discovery.groups().flat_map(|group| &group.targets).map(|target| target["__address__"].clone());
    (found.collect(), poll.errors.len(), poll.synced)
}

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|s| (*s).to_owned()).collect()
}

#[test]
fn files_are_followed_and_a_bad_one_keeps_its_last_good_content() {
    let directory = tempfile::tempdir().expect("directory");
    let path = |name: &str| directory.path().join(name);
    let pattern = path("sd_*.json").to_str().expect("path").to_owned();
    let config = FileSdConfig { files: vec![pattern], refresh_interval: secs(300) };
    config.check().expect("valid");
    let mut discovery = FileDiscovery::new(config);
    // No file matches: a legal empty set.
    assert_eq!(addresses(&mut discovery, secs(0)), (strings(&[]), 0, true));
    write(&path("sd_a.json"), &["a:1"]);
    write(&path("sd_b.json"), &["b:1", "b:2"]);
    write(&path("other.json"), &["no:1"]);
    assert_eq!(addresses(&mut discovery, secs(5)), (strings(&["a:1", "b:1", "b:2"]), 0, true));
    write(&path("sd_a.json"), &["a:1", "a:2"]);
    assert_eq!(addresses(&mut discovery, secs(10)), (strings(&["a:1", "a:2", "b:1", "b:2"]), 0, true));
    std::fs::write(path("sd_a.json"), "[{\"targets\": [\"a:").expect("write");
    for second in [15, 20] {
        assert_eq!(addresses(&mut discovery, secs(second)), (strings(&["a:1", "a:2", "b:1", "b:2"]), 1, true));
    }
    write(&path("sd_a.json"), &["a:3"]);
    assert_eq!(addresses(&mut discovery, secs(25)), (strings(&["a:3", "b:1", "b:2"]), 0, true));
    std::fs::remove_file(path("sd_b.json")).expect("remove");
    assert_eq!(addresses(&mut discovery, secs(30)), (strings(&["a:3"]), 0, true));
}

#[test]
fn a_poll_tells_whether_anything_changed() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("x.json");
    let files = vec![path.to_str().expect("path").to_owned()];
    let mut discovery = FileDiscovery::new(FileSdConfig { files, refresh_interval: secs(300) });
    assert!(!discovery.poll(secs(0)).changed);
    write(&path, &["a:1"]);
    assert!(discovery.poll(secs(5)).changed);
    assert!(!discovery.poll(secs(10)).changed);
    // Read again, and found to be the same.
    assert!(!discovery.poll(secs(400)).changed);
    write(&path, &["a:1", "b:1"]);
    assert!(discovery.poll(secs(405)).changed);
    std::fs::remove_file(&path).expect("remove");
    assert!(discovery.poll(secs(410)).changed);
}

#[test]
fn a_change_that_size_and_time_do_not_show_is_found_at_the_refresh() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("x.json");
    write(&path, &["a:1"]);
    let modified = std::fs::metadata(&path).and_then(|m| m.modified()).expect("time");
    let files = vec![path.to_str().expect("path").to_owned()];
    let mut discovery = FileDiscovery::new(FileSdConfig { files, refresh_interval: secs(300) });
    assert_eq!(addresses(&mut discovery, secs(0)).0, ["a:1"]);
    write(&path, &["b:1"]);
    std::fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(modified)).expect("time");
    assert_eq!(addresses(&mut discovery, secs(299)).0, ["a:1"]);
    assert_eq!(addresses(&mut discovery, secs(300)).0, ["b:1"]);
}

#[test]
fn nothing_is_known_before_a_file_could_be_read() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("x.yml");
    std::fs::write(&path, "- targets: [").expect("write");
    let files = vec![path.to_str().expect("path").to_owned()];
    let mut discovery = FileDiscovery::new(FileSdConfig { files, refresh_interval: secs(300) });
    assert_eq!(addresses(&mut discovery, secs(0)), (strings(&[]), 1, false));
    std::fs::write(&path, "- targets: ['a:1']").expect("write");
    assert_eq!(addresses(&mut discovery, secs(5)), (strings(&["a:1"]), 0, true));
}

#[test]
fn patterns_that_prometheus_refuses_are_refused() {
    for file in ["x.txt", "x", "/a/*/x.json", "/a/*b*.json", ""] {
        let config = FileSdConfig { files: vec![file.to_owned()], ..FileSdConfig::default() };
        assert!(config.check().is_err(), "{file}");
    }
    assert!(FileSdConfig::default().check().is_err());
    for file in ["x.yaml", "/a/b/*.yml", "sd_*.json"] {
        let config = FileSdConfig { files: vec![file.to_owned()], ..FileSdConfig::default() };
        config.check().expect(file);
    }
}
