//! The scenarios of the specification (`up`, Tests): virtual time, and the exact list of samples.

use super::world::*;
use crate::up::series::Series;

/// I 60 s, G 15 s: D is 135 s.
const APP: &str = "{jobs: [{job_name: app, scrape_interval: 15s, expected_interval: 60s}], ingest_metrics: off}";

#[test]
fn t1_a_steady_sender_is_1_at_every_grid_point() {
    let mut world = World::new(APP);
    world.sync(&["a:1"]);
    world.push(&app("a:1"));
    world.push_every(&app("a:1"), secs(60), secs(600));
    assert_eq!(world.up("a:1"), valued(world.points("a:1", secs(0), secs(600)), Some(1.0)));
    assert_eq!(world.samples(Series::Up).len(), 40);
}

#[test]
fn t2_silence_is_1_until_the_deadline_and_0_from_the_first_grid_point_after_it() {
    let mut world = World::new(APP);
    world.sync(&["a:1"]);
    world.push(&app("a:1"));
    world.push_every(&app("a:1"), secs(60), secs(300));
    world.run_until(secs(900));
    let points = world.points("a:1", secs(0), secs(900));
    assert_eq!(world.up("a:1"), up_then_down(points, secs(300 + 135)));
}

#[test]
fn t3_recovery_shows_at_the_first_grid_point_after_the_arrival() {
    let mut world = World::new(APP);
    world.sync(&["a:1"]);
    world.push(&app("a:1"));
    world.run_until(secs(400));
    world.push(&app("a:1"));
    world.run_until(secs(500));
    let down = |at| at > secs(135) && at < secs(400);
    let expected: Vec<_> =
        world.points("a:1", secs(0), secs(500)).into_iter().map(|at| (at, Some(f64::from(!down(at))))).collect();
    assert_eq!(world.up("a:1"), expected);
}

#[test]
fn t4_a_target_that_never_pushes_is_0_after_warm_up_and_startup_grace() {
    let mut world = World::new(APP);
    world.sync(&["a:1"]);
    world.run_until(secs(600));
    // Warm-up 135 s, startup grace 120 s.
    assert_eq!(world.up("a:1"), valued(world.points("a:1", secs(255), secs(600)), Some(0.0)));
    // Discovered later: the grace alone.
    world.sync(&["a:1", "b:1"]);
    world.run_until(secs(900));
    assert_eq!(world.up("b:1"), valued(world.points("b:1", secs(720), secs(900)), Some(0.0)));
}

#[test]
fn t5_a_push_just_before_the_grace_ends_makes_only_1() {
    let mut world = World::new(APP);
    world.sync(&["a:1"]);
    world.run_until(secs(254));
    world.push(&app("a:1"));
    world.run_until(secs(380));
    assert_eq!(world.up("a:1"), valued(world.points("a:1", secs(254), secs(380)), Some(1.0)));
}
