//! Several collectors for the same targets, and what a user's rule makes of it (T13).

use std::collections::{BTreeMap, BTreeSet};

use super::world::*;
use crate::up::series::Series;

const TARGETS: usize = 1000;
const KILLED: usize = 137;
const ROUNDS: u64 = 20;
const KILLED_AFTER: u64 = 8;

/// Three collectors; each push goes to one of them by chance; one target is killed.
fn run(mode: &str) -> Vec<World> {
    let yaml = format!(
        "{{jobs: [{{job_name: app, scrape_interval: 60s, expected_interval: 60s}}], ingest_metrics: off, ha: {{mode: {mode}}}, max_targets: 2000}}"
    );
    let names: Vec<String> = (0..TARGETS).map(|i| format!("i{i}")).collect();
    let instances: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut worlds: Vec<World> = ["c1", "c2", "c3"].iter().map(|name| World::named(&yaml, name)).collect();
    for world in &mut worlds {
        world.sync(&instances);
    }
    let senders: Vec<_> = instances.iter().map(|instance| app(instance)).collect();
    let mut random = 3u64;
    for round in 0..ROUNDS {
        for (i, sender) in senders.iter().enumerate() {
            if i == KILLED && round >= KILLED_AFTER {
                continue;
            }
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            worlds[(random >> 33) as usize % 3].push(sender);
        }
        for world in &mut worlds {
            world.run_until(secs((round + 1) * 60));
        }
    }
    worlds
}

/// The targets that a rule calls down at the last grid point, and those it says anything about.
fn verdict(rule: impl Fn(&str) -> Option<bool>) -> (BTreeSet<String>, usize) {
    let mut down = BTreeSet::new();
    let mut judged = 0;
    for i in 0..TARGETS {
        let instance = format!("i{i}");
        if let Some(up) = rule(&instance) {
            judged += 1;
            if !up {
                down.insert(instance);
            }
        }
    }
    (down, judged)
}

/// The last value of a series of each instance, over all collectors the largest: `max without (collector)`.
fn largest(worlds: &[World], series: Series) -> BTreeMap<String, f64> {
    let mut largest: BTreeMap<String, f64> = BTreeMap::new();
    for world in worlds {
        let mut last: BTreeMap<String, f64> = BTreeMap::new();
        for (_, labels, value) in world.samples(series) {
            assert!(labels.get("collector").starts_with('c'));
            if let Some(value) = value {
                last.insert(labels.get("instance").to_owned(), value);
            }
        }
        for (instance, value) in last {
            let present = largest.entry(instance).or_insert(value);
            *present = present.max(value);
        }
    }
    largest
}

#[test]
fn t13_replicas_call_down_only_the_target_that_was_killed() {
    let worlds = run("replicate");
    let up = largest(&worlds, Series::Up);
    let (down, judged) = verdict(|instance| up.get(instance).map(|value| *value == 1.0));
    assert_eq!(judged, TARGETS);
    // All three would have to miss a living target for D: each push goes to one of them.
    assert_eq!(down.into_iter().collect::<Vec<_>>(), [format!("i{KILLED}")]);
}

#[test]
fn t13_evidence_calls_down_only_the_target_that_was_killed() {
    let worlds = run("evidence");
    let seen = largest(&worlds, Series::LastSeen(crate::up::config::Signal::Metrics));
    let deadline = largest(&worlds, Series::Deadline);
    let now = (START + secs(ROUNDS * 60)).as_secs_f64();
    let rule = |instance: &str| {
        let deadline = deadline.get(instance)?;
        Some(seen.get(instance).is_some_and(|seen| now - seen <= *deadline))
    };
    let (down, judged) = verdict(rule);
    assert_eq!(judged, TARGETS);
    assert_eq!(down.into_iter().collect::<Vec<_>>(), [format!("i{KILLED}")]);
    assert!(worlds.iter().all(|world| world.samples(Series::Up).is_empty()));
}
