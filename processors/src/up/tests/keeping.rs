//! The state over a restart of the process.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::collector::*;
use super::world::secs;
use crate::up::snapshot::{Snapshot, TargetSnapshot};
use crate::up::store::Store;

fn yaml(directory: &Path) -> String {
    format!(
        "{{ingest_metrics: off, state: {{directory: {:?}}}, jobs: [{{job_name: app, scrape_interval: 15s, \
         expected_interval: 60s, static_configs: [{{targets: [\"a:1\", \"b:1\"]}}]}}]}}",
        directory.join("up").display().to_string()
    )
}

/// Values of `up` of an instance until the warm-up of 135 s is over.
fn during_warm_up(collector: &Collector, instance: &str) -> Vec<Option<f64>> {
    let samples = collector.samples("up").into_iter();
    samples.filter(|(at, of, _)| of == instance && *at < 135).map(|(.., value)| value).collect()
}

#[tokio::test]
async fn what_was_down_before_a_restart_is_down_after_it_and_what_was_up_waits_for_its_deadline() {
    let directory = tempfile::tempdir().expect("directory");
    let mut before = Collector::start(&yaml(directory.path()), 1 << 20).await;
    before.push(&pushed("b:1")).await.expect("accepted");
    for minute in 0..6 {
        before.run_until(secs(minute * 60)).await;
        before.push(&pushed("a:1")).await.expect("accepted");
    }
    before.run_until(secs(360)).await;
    before.stop().await;
    drop(before);
    // Neither pushes again.
    let mut after = Collector::start(&yaml(directory.path()), 1 << 20).await;
    after.run_until(secs(400)).await;
    assert!(!during_warm_up(&after, "b:1").is_empty(), "known to be down");
    assert!(during_warm_up(&after, "b:1").iter().all(|value| *value == Some(0.0)));
    assert_eq!(during_warm_up(&after, "a:1"), [], "nothing is known yet");
    let first = after.samples("up").into_iter().find(|(_, of, _)| of == "a:1").expect("down after the warm-up");
    assert_eq!(first.2, Some(0.0));
    assert!(first.0 < 135 + 16, "at the end of the warm-up, not after a startup grace: {first:?}");
    drop(after);
    // Without it, as at a first start.
    std::fs::remove_dir_all(directory.path().join("up")).expect("removed");
    let mut first_start = Collector::start(&yaml(directory.path()), 1 << 20).await;
    first_start.run_until(secs(150)).await;
    assert!(first_start.up().is_empty());
}

fn target(n: u64, seen: u64) -> TargetSnapshot {
    TargetSnapshot {
        job: "app".to_owned(),
        labels_hash: n,
        last_seen_ms: [seen, 0, 0],
        down: false,
        closing: false,
        in_doubt: false,
        gaps_ms: vec![1, 2],
        interval_ms: 0,
    }
}

fn sorted(snapshot: Snapshot) -> BTreeMap<u64, u64> {
    snapshot.targets.iter().map(|target| (target.labels_hash, target.last_seen_ms[0])).collect()
}

#[test]
fn a_log_cut_off_or_damaged_anywhere_gives_what_was_whole_and_opens() {
    let directory = tempfile::tempdir().expect("directory");
    let directory = directory.path().join("up");
    let (mut store, kept) = Store::open(&directory).expect("opened");
    assert!(kept.targets.is_empty());
    store.append(Snapshot { targets: vec![target(1, 10), target(2, 10)] }).expect("kept");
    store.append(Snapshot { targets: vec![target(1, 20), target(2, 10)] }).expect("kept");
    assert!(Store::open(&directory).is_err(), "one process at a time");
    drop(store);
    let file = directory.join("state");
    let whole = std::fs::read(&file).expect("state");
    let mode = |path: &Path| std::fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&directory)), (0o600, 0o700));
    let allowed = [BTreeMap::new(), BTreeMap::from([(1, 10), (2, 10)]), BTreeMap::from([(1, 20), (2, 10)])];
    let mut seen = [0; 3];
    for at in (0..=whole.len()).step_by(7).chain([whole.len()]) {
        for damaged in [whole[..at].to_vec(), whole.iter().enumerate().map(|(i, b)| b ^ u8::from(i == at)).collect()] {
            std::fs::write(&file, damaged).expect("written");
            let (store, kept) = Store::open(&directory).expect("opened");
            drop(store);
            let found = allowed.iter().position(|allowed| *allowed == sorted(kept.clone()));
            seen[found.unwrap_or_else(|| panic!("byte {at}: {kept:?}"))] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[test]
fn a_log_does_not_grow_for_ever_and_forgets_who_is_gone() {
    let directory = tempfile::tempdir().expect("directory");
    let directory = directory.path().join("up");
    let (mut store, _) = Store::open(&directory).expect("opened");
    let len = |directory: &Path| std::fs::metadata(directory.join("state")).expect("metadata").len();
    for round in 0..200 {
        store.append(Snapshot { targets: (0..200).map(|n| target(n, round)).collect() }).expect("kept");
    }
    assert!(len(&directory) < 2 << 20, "{}", len(&directory));
    store.append(Snapshot { targets: vec![target(7, 9)] }).expect("kept");
    drop(store);
    assert_eq!(sorted(Store::open(&directory).expect("opened").1), BTreeMap::from([(7, 9)]));
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let directory = tempfile::tempdir().expect("directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).expect("mode");
    let error = Store::open(directory.path()).map(|_| ()).expect_err("refused");
    assert!(error.to_string().contains("others may write"), "{error}");
}
