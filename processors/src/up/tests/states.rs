//! States beyond the plain ones: shutdown, hysteresis, strictness, signals, mass absence.

use super::world::*;
use crate::up::config::Signal;
use crate::up::engine::Arrival;
use crate::up::series::Series;

/// I 60 s, G 15 s: D is 135 s.
const APP: &str = "{jobs: [{job_name: app, scrape_interval: 15s, expected_interval: 60s}], ingest_metrics: off}";

#[test]
fn an_orderly_shutdown_is_no_0_for_a_deadline_and_two_grid_points() {
    let mut world = World::new(APP);
    world.sync(&["a:1"]);
    world.push(&app("a:1"));
    world.run_until(secs(60));
    world.push_with(&app("a:1"), Arrival { all_no_recorded_value: true, items: 3, ..Arrival::new(Signal::Metrics) });
    world.run_until(secs(300));
    let mut points = world.points("a:1", secs(0), secs(60 + 135));
    points.extend(world.points("a:1", secs(60 + 135 + 30), secs(300)));
    assert_eq!(world.up("a:1"), up_then_down(points, secs(60 + 135)));
}

#[test]
fn with_hysteresis_several_pushes_end_an_outage() {
    let mut world = World::new(&APP.replace("ingest", "up_after: 3, ingest"));
    world.sync(&["a:1"]);
    world.push(&app("a:1"));
    world.run_until(secs(300));
    world.push_every(&app("a:1"), secs(60), secs(600));
    // Pushes at 360, 420, 480.
    let up = |at| at <= secs(135) || at >= secs(480);
    let expected: Vec<_> =
        world.points("a:1", secs(0), secs(600)).into_iter().map(|at| (at, Some(f64::from(up(at))))).collect();
    assert_eq!(world.up("a:1"), expected);
}

#[test]
fn with_strict_an_invalid_payload_is_0_until_the_next_good_push() {
    let mut world = World::new(&APP.replace("ingest", "strict: true, ingest"));
    world.sync(&["a:1"]);
    world.push(&app("a:1"));
    world.run_until(secs(60));
    let bad = Some(crate::up::series::RejectReason::Malformed);
    world.push_with(&app("a:1"), Arrival { rejected: bad, ..Arrival::new(Signal::Metrics) });
    world.run_until(secs(120));
    world.push(&app("a:1"));
    world.run_until(secs(180));
    let down = |at| at > secs(60) && at < secs(120);
    let expected: Vec<_> =
        world.points("a:1", secs(0), secs(180)).into_iter().map(|at| (at, Some(f64::from(!down(at))))).collect();
    assert_eq!(world.up("a:1"), expected);
}

#[test]
fn signals_asked_for_get_an_up_of_their_own() {
    let mut world = World::new(&APP.replace("expected", "per_signal: [traces], expected"));
    world.sync(&["a:1"]);
    world.push_with(&app("a:1"), Arrival::new(Signal::Traces));
    world.push(&app("a:1"));
    world.push_every(&app("a:1"), secs(60), secs(300));
    assert_eq!(world.up("a:1"), valued(world.points("a:1", secs(0), secs(300)), Some(1.0)));
    let traces: Vec<_> = world.samples(Series::OtlpUp(Signal::Traces)).into_iter().map(|s| (s.0, s.2)).collect();
    assert_eq!(traces, up_then_down(world.points("a:1", secs(0), secs(300)), secs(135)));
}

#[test]
fn when_most_targets_fall_silent_at_once_the_0_waits_one_more_deadline() {
    let all = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1"];
    let mut world = World::new(APP);
    world.sync(&all);
    for round in 0..5 {
        for (i, instance) in all.iter().enumerate() {
            world.run_until(secs(round * 60 + i as u64 * 10));
            world.push(&app(instance));
        }
    }
    // All silent from 290 s on; the first one is heard of at 240 s for the last time.
    world.run_until(secs(430));
    assert!(world.engine.statistics(world.now()).suspected_partition);
    world.run_until(secs(1000));
    for (i, instance) in all.iter().enumerate() {
        let last = secs(240 + i as u64 * 10);
        let points = world.points(instance, secs(i as u64 * 10), secs(1000));
        assert_eq!(world.up(instance), up_then_down(points, last + secs(270)), "{instance}");
    }
    assert!(!world.engine.statistics(world.now()).suspected_partition);
}

#[test]
fn a_few_of_many_that_fall_silent_are_0_in_time() {
    let all = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1"];
    let mut world = World::new(APP);
    world.sync(&all);
    for instance in all {
        world.push(&app(instance));
    }
    while world.mono < secs(600) {
        world.run_until(world.mono + secs(30));
        for instance in &all[3..] {
            world.push(&app(instance));
        }
    }
    assert_eq!(world.up("a:1"), up_then_down(world.points("a:1", secs(0), secs(600)), secs(135)));
    assert_eq!(world.up("f:1"), valued(world.points("f:1", secs(0), secs(600)), Some(1.0)));
}
