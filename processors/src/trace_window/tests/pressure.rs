//! Each step of the ladder, forced (correlation §10, I4, I5).

use sluice_pdata::Signal;
use sluice_pipeline::stage::StageOutput;

use super::kit::*;
use crate::trace_window::{Outcome, Settings, Trigger};

/// A log of about 1 KiB.
fn heavy(trace: u64, span: u64) -> opentelemetry_proto::tonic::logs::v1::LogRecord {
    log(trace, span, &"x".repeat(1000))
}

#[test]
fn holds_become_shorter_at_70() {
    let mut world = World::annotate();
    for n in 1..=400 {
        world.logs("shop", vec![log(n, n, "x")]);
        world.pass(if n % 12 == 0 { 2_000 } else { 100 });
        world.spans("shop", vec![span(n, n, 0)]);
    }
    world.pass(10_000);
    world.out.clear();
    let wait = |world: &mut World, percent: u8, trace: u64| {
        let mut out = StageOutput::default();
        world.engine.relieve(percent, &mut out);
        world.take(out);
        world.logs("shop", vec![log(trace, 1, "x")]);
        let before = world.now_ms;
        while world.out_logs().is_empty() {
            world.pass(50);
        }
        world.now_ms - before
    };
    let calm = wait(&mut world, 0, 10_001);
    let pressed = wait(&mut world, 72, 10_002);
    assert!(calm > 1_500 && pressed < 500, "{calm} {pressed}");
}

#[test]
fn logs_are_released_at_85_nearest_deadline_first() {
    let settings = Settings { memory_limit: 8 << 20, ..Settings::default() };
    let mut world = World::new(settings, None);
    for n in 1..=20_000 {
        world.logs("shop", vec![heavy(n, n)]);
        if n % 100 == 0 {
            world.pass(10);
        }
        assert!(world.engine.accounted() <= 8 << 20, "{}", world.engine.accounted());
    }
    let released = world.engine.statistics().items(Signal::Logs, Outcome::ReleasedPressure);
    assert!(released > 5_000, "{released}");
    let first = world.out_logs().first().map(|log| log.trace_id.clone());
    assert_eq!(first, Some(trace_id(1)), "the oldest goes first");
}

#[test]
fn at_95_what_is_new_passes_and_nothing_is_lost() {
    let settings = Settings { memory_limit: 6 << 20, ..Settings::default() };
    let mut world = World::new(settings, None);
    for n in 1..=200_000 / 100 {
        world.spans("shop", (0..100).map(|k| span(n * 100 + k, 1, 0)).collect());
        assert!(world.engine.accounted() <= 7 << 20, "{}", world.engine.accounted());
    }
    assert!(world.engine.statistics().items(Signal::Traces, Outcome::BypassPressure) > 100_000);
    world.pass(60_000);
    assert_eq!(world.out_spans().len(), 200_000);
    assert_eq!(world.engine.window().pressure, 0);
}

#[test]
fn at_90_the_heaviest_traces_are_decided() {
    let mut world = decider(Settings { memory_limit: 8 << 20, ..deciding() });
    for n in 1..=20_000u64 {
        world.logs("shop", vec![heavy(n % 50, n)]);
        if n % 50 == 0 {
            world.pass(10);
        }
        assert!(world.engine.accounted() <= 8 << 20, "{}", world.engine.accounted());
    }
    let statistics = world.engine.statistics();
    let pressed: u64 =
        statistics.decisions.iter().filter(|(kind, _)| kind.trigger == Trigger::Pressure).map(|it| it.1.traces).sum();
    assert!(pressed > 0);
}

#[test]
fn at_95_new_traces_are_thinned_out_with_their_weight() {
    let mut world = decider(deciding());
    let relieve = |world: &mut World, percent| {
        let mut out = StageOutput::default();
        world.engine.relieve(percent, &mut out);
        world.take(out);
    };
    for _ in 0..3 {
        relieve(&mut world, 96);
        world.pass(1_000);
    }
    relieve(&mut world, 96);
    world.out.clear();
    for n in 1..=400 {
        world.spans("shop", vec![failed(span(n, 1, 0))]);
    }
    let out = world.out_spans();
    // Errors are kept in any case: only the floor thins them out, and it is written.
    assert!((10..200).contains(&out.len()), "{}", out.len());
    assert_eq!(out.len() + world.dropped["sampled"], 400);
    for span in &out {
        let th = span.trace_state.strip_prefix("ot=th:").unwrap();
        let t = u64::from_str_radix(&format!("{th:0<14}"), 16).unwrap();
        assert!(t >= HALF);
    }
}

#[test]
fn a_full_index_passes_new_spans() {
    let mut world = World::new(Settings { max_live_spans: 100, ..Settings::default() }, None);
    (1..=300).for_each(|n| world.spans("shop", vec![span(n, 1, 0)]));
    assert_eq!(world.engine.statistics().items(Signal::Traces, Outcome::BypassPressure), 200);
    assert_eq!(world.out_spans().len(), 200);
}

#[test]
fn at_100_nothing_more_is_read_until_something_leaves() {
    let mut world = World::annotate();
    world.logs("shop", vec![log(1, 1, "x")]);
    let mut out = StageOutput::default();
    world.engine.relieve(100, &mut out);
    world.take(out);
    // What waited was let go at 85 already; its slot is still known, and time frees it.
    assert!(world.engine.stops_reading());
    // The budget of the collector is believed for two seconds.
    world.pass(2_500);
    world.logs("shop", vec![]);
    assert!(!world.engine.stops_reading());
}

#[test]
fn at_95_a_log_that_survives_slows_its_reader_before_traces_are_thinned_out() {
    let full = |lag: Option<u64>| {
        let mut world = decider(deciding());
        world.spans("shop", vec![span(1, 1, 0)]);
        lag.into_iter().for_each(|lag| world.engine.lags(std::time::Duration::from_secs(lag)));
        let mut thinned = 0;
        let mut is_full = false;
        for second in 0..3 {
            let mut out = StageOutput::default();
            world.engine.relieve(96, &mut out);
            world.take(out);
            is_full |= world.engine.stops_reading();
            world.spans("shop", (0..50).map(|n| span(1_000 + second * 100 + n, 1, 0)).collect());
            thinned += world.engine.statistics().decisions.iter().filter(|it| it.0.trigger == Trigger::Ingest).count();
            world.pass(1_000);
        }
        (is_full, thinned > 0)
    };
    assert_eq!(full(Some(5)), (true, false));
    assert_eq!(full(Some(61)), (false, true));
    assert_eq!(full(None), (false, true));
}
