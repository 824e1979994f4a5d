//! The scenarios of the specification (`up`, Tests): virtual time, and the exact list of samples.

use std::time::Duration;

use super::world::*;
use crate::up::config::Signal;
use crate::up::engine::{Arrival, SyncOutcome};
use crate::up::fault::FaultKind;
use crate::up::series::Series;
use crate::up::state::State;

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

#[test]
fn t6_a_removed_target_gets_markers_one_grid_point_later_sent_after_two_grid_points_and_a_tenth() {
    let mut world = World::new(&APP.replace("off", "full"));
    world.sync(&["a:1"]);
    world.push(&app("a:1"));
    world.run_until(secs(100));
    world.sync(&[]);
    world.run_until(secs(300));
    let stale = world.points("a:1", secs(100), secs(300))[0];
    let mut expected = valued(world.points("a:1", secs(0), secs(100)), Some(1.0));
    expected.push((stale, None));
    assert_eq!(world.up("a:1"), expected);
    let sent = stale + secs(15) + Duration::from_millis(1500);
    assert_eq!(world.written_at.last(), Some(&sent));
    // Every series that was written is marked, once, at the same time.
    let marked: Vec<Series> = world.written.last().expect("markers").samples.iter().map(|s| s.series).collect();
    let written: Vec<Series> =
        Series::ALL.into_iter().filter(|s| world.samples(*s).iter().any(|s| s.2.is_some())).collect();
    assert_eq!(marked, written);
    assert!(marked.contains(&Series::LastSeen(Signal::Metrics)) && marked.contains(&Series::TargetState(State::Up)));
    for series in marked {
        let markers: Vec<_> = world.samples(series).into_iter().filter(|s| s.2.is_none()).map(|s| s.0).collect();
        assert_eq!(markers, [stale], "{series:?}");
    }
    assert_eq!(world.engine.targets(world.now()).count(), 0);
}

#[test]
fn t7_a_target_that_returns_in_time_goes_on_without_a_marker() {
    let mut world = World::new(APP);
    world.sync(&["a:1"]);
    world.push(&app("a:1"));
    world.run_until(secs(100));
    world.sync(&[]);
    // Pushes meanwhile show nothing, but they are not lost.
    world.push_every(&app("a:1"), secs(5), secs(115));
    world.sync(&["a:1"]);
    world.run_until(secs(300));
    let mut points = world.points("a:1", secs(0), secs(100));
    points.extend(world.points("a:1", secs(115), secs(300)));
    assert_eq!(world.up("a:1"), up_then_down(points, secs(115 + 135)));
}

#[test]
fn a_pause_of_discovery_longer_than_the_deadline_makes_no_0() {
    // G 4 min: the window before the marker is longer than D.
    let mut world = World::new(&APP.replace("15s", "4m"));
    world.sync(&["a:1"]);
    world.push(&app("a:1"));
    world.run_until(secs(10));
    world.sync(&[]);
    world.push_every(&app("a:1"), secs(60), secs(200));
    world.sync(&["a:1"]);
    world.push_every(&app("a:1"), secs(60), secs(1000));
    assert!(world.up("a:1").iter().all(|(_, value)| *value == Some(1.0)), "{:?}", world.up("a:1"));
}

#[test]
fn t8_discovery_errors_leave_the_set_as_it_was_and_are_counted() {
    let mut world = World::new(APP);
    world.sync(&["a:1"]);
    world.push(&app("a:1"));
    for _ in 0..10 {
        world.engine.sync_failed(crate::up::engine::JobId(0), world.now());
        world.push_every(&app("a:1"), secs(60), world.mono + secs(60));
    }
    assert_eq!(world.up("a:1"), valued(world.points("a:1", secs(0), secs(600)), Some(1.0)));
    let statistics = world.engine.statistics(world.now());
    assert_eq!(statistics.failures["app"], 10);
    assert_eq!(statistics.last_success["app"], START);
}

#[test]
fn t9_an_update_that_removes_nearly_all_must_come_twice() {
    let all = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "g:1", "h:1", "i:1", "j:1"];
    for shrunk in [&all[..0], &all[..1]] {
        let mut world = World::new(APP);
        world.sync(&all);
        world.push(&app("b:1"));
        world.run_until(secs(60));
        assert_eq!(world.sync(shrunk), SyncOutcome::Doubted);
        // Another answer in between: the doubt begins anew.
        assert_eq!(world.sync(&all), SyncOutcome::Applied);
        assert_eq!(world.sync(shrunk), SyncOutcome::Doubted);
        world.push_every(&app("b:1"), secs(60), secs(120));
        assert_eq!(world.up("b:1"), valued(world.points("b:1", secs(0), secs(120)), Some(1.0)));
        assert_eq!(world.sync(shrunk), SyncOutcome::Applied);
        world.run_until(secs(180));
        assert_eq!(world.up("b:1").last().map(|(_, value)| *value), Some(None));
        assert_eq!(world.engine.counters().doubted_updates, 2);
    }
    // Few targets may vanish at once.
    let mut world = World::new(APP);
    world.sync(&all[..4]);
    assert_eq!(world.sync(&[]), SyncOutcome::Applied);
}

#[test]
fn t11_a_target_that_died_during_a_restart_is_0_after_warm_up() {
    let mut world = World::new(APP);
    world.sync(&["a:1", "b:1"]);
    world.push(&app("a:1"));
    world.push(&app("b:1"));
    world.run_until(secs(50));
    world.restart(secs(5));
    world.sync(&["a:1", "b:1"]);
    let before = world.up("a:1").len();
    world.run_until(secs(80));
    world.push(&app("b:1"));
    world.push_every(&app("b:1"), secs(60), secs(300));
    assert_eq!(world.up("a:1")[before..], valued(world.points("a:1", secs(55 + 135), secs(300)), Some(0.0)));
    let of_b = world.points("b:1", secs(0), secs(50)).into_iter().chain(world.points("b:1", secs(80), secs(300)));
    assert_eq!(world.up("b:1"), valued(of_b, Some(1.0)));
    assert!(!world.engine.statistics(world.now()).warming_up);
}

#[test]
fn a_target_that_was_down_stays_down_over_a_restart_if_wanted() {
    for (keep, expected) in [(true, Some(Some(0.0))), (false, None)] {
        let mut world = World::new(&APP.replace("ingest", &format!("keep_down_over_restart: {keep}, ingest")));
        world.sync(&["a:1"]);
        world.push(&app("a:1"));
        world.run_until(secs(200));
        world.restart(secs(1));
        world.sync(&["a:1"]);
        let before = world.up("a:1").len();
        world.run_until(secs(230));
        assert_eq!(world.up("a:1").get(before).map(|(_, value)| *value), expected);
        world.push(&app("a:1"));
        world.run_until(secs(250));
        assert_eq!(world.up("a:1").last().map(|(_, value)| *value), Some(Some(1.0)));
    }
}

#[test]
fn t12_no_0_while_the_receiver_refuses_and_for_a_deadline_after() {
    let mut world = World::new(APP);
    world.sync(&["a:1", "b:1"]);
    for instance in ["a:1", "b:1"] {
        world.push(&app(instance));
    }
    world.run_until(secs(30));
    world.engine.fault_begins(FaultKind::Refusing, world.now());
    world.run_until(secs(210));
    world.engine.fault_ends(FaultKind::Refusing, world.now());
    world.run_until(secs(240));
    world.push(&app("b:1"));
    world.run_until(secs(360));
    let mut points = world.points("a:1", secs(0), secs(30));
    // a died meanwhile: nothing is written until D after the fault.
    points.extend(world.points("a:1", secs(210 + 135), secs(360)));
    assert_eq!(world.up("a:1"), up_then_down(points, secs(30)));
    let mut points = world.points("b:1", secs(0), secs(30));
    points.extend(world.points("b:1", secs(240), secs(360)));
    assert_eq!(world.up("b:1"), valued(points, Some(1.0)));
}

#[test]
fn what_gets_through_while_the_receiver_refuses_others_is_1_but_never_0() {
    let mut world = World::new(APP);
    world.sync(&["a:1"]);
    world.push(&app("a:1"));
    world.engine.fault_begins(FaultKind::Refusing, world.now());
    world.run_until(secs(60));
    world.push(&app("a:1"));
    world.run_until(secs(600));
    // I + S = 75 s after it.
    assert_eq!(world.up("a:1"), valued(world.points("a:1", secs(0), secs(135)), Some(1.0)));
}

#[test]
fn t17_replayed_backlog_counts_unless_fresh_data_is_required() {
    for (required, counts) in [(false, true), (true, false)] {
        let mut world = World::new(&APP.replace("ingest_metrics: off", &format!("require_fresh_data: {required}")));
        world.sync(&["a:1"]);
        world.push(&app("a:1"));
        for _ in 0..10 {
            world.run_until(world.mono + secs(60));
            let hour_old = Some(world.unix - secs(3600));
            world.push_with(&app("a:1"), Arrival { newest_data: hour_old, ..Arrival::new(Signal::Metrics) });
        }
        let points = world.points("a:1", secs(0), secs(600));
        let until = if counts { secs(600) } else { secs(135) };
        assert_eq!(world.up("a:1"), up_then_down(points, until), "required: {required}");
        // The delay shows either way.
        assert!(world.samples(Series::DataDelay).iter().all(|(_, _, delay)| *delay == Some(3600.0)));
        assert!(world.samples(Series::DataDelay).len() >= 9);
    }
}

#[test]
fn t18_logs_alone_keep_a_target_up_if_wanted() {
    for (keeps, up) in [(true, 1.0), (false, 0.0)] {
        let mut world = World::new(&APP.replace("ingest", &format!("any_signal_keeps_up: {keeps}, ingest")));
        world.sync(&["a:1"]);
        for _ in 0..10 {
            world.push_with(&app("a:1"), Arrival::new(Signal::Logs));
            world.run_until(world.mono + secs(60));
        }
        let from = if keeps { secs(0) } else { secs(255) };
        assert_eq!(world.up("a:1"), valued(world.points("a:1", from, secs(600)), Some(up)));
    }
}

#[test]
fn t23_jumps_of_the_wall_clock_and_a_suspended_machine_make_no_0() {
    let hour = secs(3600);
    type Step = fn(&mut World);
    let cases: [(&str, Step); 4] = [
        ("an hour forward", |world| world.unix += secs(3600)),
        ("an hour back", |world| world.unix -= secs(3600)),
        ("suspended, the monotonic clock stood still", |world| world.unix += secs(600)),
        ("suspended, both clocks went on", |world| world.sleep(secs(600))),
    ];
    for (name, step) in cases {
        let mut world = World::new(APP);
        world.sync(&["a:1", "b:1"]);
        world.push(&app("a:1"));
        world.push(&app("b:1"));
        world.push_every(&app("a:1"), secs(60), secs(300));
        step(&mut world);
        world.tick();
        let until = world.mono + 2 * hour;
        world.push_every(&app("a:1"), secs(60), until);
        let up = world.up("a:1");
        assert!(up.iter().all(|(_, value)| *value == Some(1.0)), "{name}: {up:?}");
        assert!(up.windows(2).all(|pair| pair[0].0 < pair[1].0), "{name}: {up:?}");
        assert!(up.len() > 240, "{name}: {} points", up.len());
        // b died before it all: it is 0 again in the end.
        assert_eq!(world.up("b:1").last().map(|(_, value)| *value), Some(Some(0.0)), "{name}");
    }
}

#[test]
fn a_push_lost_while_the_machine_was_suspended_makes_no_0_even_if_no_loss_is_tolerated() {
    let suspensions: [fn(&mut World); 2] = [|world| world.unix += secs(600), |world| world.sleep(secs(600))];
    for suspend in suspensions {
        let mut world = World::new(&APP.replace("ingest", "tolerated_losses: 0, ingest"));
        world.sync(&["a:1"]);
        world.push(&app("a:1"));
        world.run_until(secs(50));
        suspend(&mut world);
        world.tick();
        let next = world.mono + secs(55);
        world.run_until(next);
        world.push(&app("a:1"));
        world.run_until(next + secs(60));
        assert!(world.up("a:1").iter().all(|(_, value)| *value == Some(1.0)), "{:?}", world.up("a:1"));
        assert!(world.written_at.last() > Some(&next));
    }
}

#[test]
fn t24_the_end_of_a_job_is_a_marker_and_no_0() {
    let ephemeral = APP.replace("expected", "expect: ephemeral, expected");
    let mut world = World::new(&ephemeral);
    world.sync(&["a:1", "b:1"]);
    world.push(&app("a:1"));
    world.run_until(secs(400));
    let mut expected = valued(world.points("a:1", secs(0), secs(135)), Some(1.0));
    expected.push((world.points("a:1", secs(135), secs(400))[0], None));
    assert_eq!(world.up("a:1"), expected);
    assert_eq!(world.up("b:1"), []);
    // The next run of the same job.
    world.push(&app("a:1"));
    world.run_until(secs(420));
    assert_eq!(world.up("a:1").last().map(|(_, value)| *value), Some(Some(1.0)));
}

#[test]
fn a_job_that_was_never_discovered_is_judged_by_nobody() {
    let mut world = World::new(APP);
    world.push(&app("a:1"));
    world.run_until(secs(600));
    assert_eq!(world.written, []);
    // Warm-up begins with the first sync.
    world.sync(&["a:1"]);
    world.run_until(secs(1000));
    assert_eq!(world.up("a:1"), valued(world.points("a:1", secs(600 + 255), secs(1000)), Some(0.0)));
}
