//! Mode `decide`, case by case.

use std::time::Duration;

use sluice_pdata::Signal;
use sluice_pipeline::context::Tenant;
use sluice_pipeline::verdict::Verdict;

use super::kit::*;
use crate::trace_window::{Deciding, Outcome, Settings};

fn verdict(world: &World, trace: u64) -> Verdict {
    world.engine.verdict(&Tenant::default(), &trace_id(trace).try_into().unwrap())
}

/// A trace that the half keeps, or does not.
fn pick(kept: bool) -> u64 {
    (1..).find(|&trace| (randomness(trace) >= HALF) == kept).unwrap()
}

#[test]
fn a_trace_is_decided_after_its_root_and_everything_follows() {
    for kept in [true, false] {
        let trace = pick(kept);
        let mut world = decider(deciding());
        world.logs("shop", vec![log(trace, 1, "first"), log(trace, 0, "of no span")]);
        world.pass(1000);
        world.spans("shop", vec![span(trace, 1, 0), span(trace, 2, 1)]);
        assert_eq!(verdict(&world, trace), Verdict::Pending);
        world.pass(5_400);
        assert!(world.out.is_empty());
        world.pass(200);
        let (spans, logs) = (world.out_spans(), world.out_logs());
        world.logs("shop", vec![log(trace, 1, "late")]);
        world.spans("shop", vec![span(trace, 3, 1)]);
        let (late_spans, late_logs) = (world.out_spans(), world.out_logs());
        if !kept {
            assert_eq!((spans.len(), logs.len(), late_spans.len(), late_logs.len()), (0, 0, 0, 0));
            assert_eq!(verdict(&world, trace), Verdict::Dropped);
            assert_eq!(world.dropped["sampled"], 6);
            assert_eq!(world.engine.statistics().items(Signal::Logs, Outcome::LateDropped), 1);
            continue;
        }
        assert_eq!(verdict(&world, trace), Verdict::Kept { threshold: Some(HALF) });
        assert_eq!((spans.len(), logs.len(), late_spans.len(), late_logs.len()), (2, 2, 1, 1));
        assert!(spans.iter().chain(&late_spans).all(|span| span.trace_state == "ot=th:8"));
        for log in logs.iter().chain(&late_logs) {
            assert_eq!(string(&log.attributes, "trace.sampled").unwrap(), "true");
            assert_eq!(string(&log.attributes, "sampling.threshold").unwrap(), "8");
            let rv = format!("{:014x}", randomness(trace));
            assert_eq!(string(&log.attributes, "sampling.randomness").unwrap(), rv);
        }
        assert_eq!(string(&logs[0].attributes, "span.name").unwrap(), "span 1");
        assert_eq!(string(&spans[0].attributes, "log.count").unwrap(), "1");
        assert_eq!(world.engine.window().traces, 0);
    }
}

#[test]
fn an_error_keeps_the_trace_early_and_the_rest_streams() {
    let trace = pick(false);
    let mut world = decider(deciding());
    world.logs("shop", vec![log(trace, 1, "a"), log(trace, 9, "b")]);
    world.spans("shop", vec![span(trace, 1, 0)]);
    assert!(world.out.is_empty());
    world.spans("shop", vec![failed(span(trace, 2, 1))]);
    assert_eq!((world.out_spans().len(), world.out_logs().len()), (2, 1), "b waits for its span");
    assert_eq!(verdict(&world, trace), Verdict::Kept { threshold: Some(0) });
    world.logs("shop", vec![log(trace, 2, "c")]);
    assert_eq!(string(&world.out_logs()[0].attributes, "span.name").unwrap(), "span 2");
    world.spans("shop", vec![span(trace, 9, 1)]);
    assert_eq!((world.out_spans().len(), world.out_logs().len()), (1, 1));
    world.logs("shop", vec![log(trace, 77, "orphan")]);
    world.pass(6000);
    assert_eq!(world.out_logs().len(), 1);
    assert_eq!(world.engine.window().traces, 0);
}

#[test]
fn a_trace_without_a_root_is_decided_after_the_longer_wait() {
    let trace = pick(true);
    let mut world = decider(deciding());
    world.logs("shop", vec![log(trace, 1, "logs alone")]);
    world.pass(29_900);
    assert!(world.out.is_empty());
    world.pass(200);
    assert_eq!(world.out_logs().len(), 1);
    assert_eq!(world.engine.statistics().rootless_traces, 1);
}

#[test]
fn a_giant_trace_is_decided_and_streams() {
    let trace = pick(true);
    let mut world = decider(Settings { trace_max_spans: 10, ..deciding() });
    for n in 1..=30 {
        world.spans("shop", vec![span(trace, n, 99)]);
    }
    assert_eq!(world.out_spans().len(), 30);
    let trace = pick(true);
    let mut world = decider(Settings { trace_max_spans: 10, drop_oversize: true, ..deciding() });
    (1..=30).for_each(|n| world.spans("shop", vec![span(trace, n, 99)]));
    assert_eq!(world.dropped["sampled"], 30);
}

#[test]
fn a_full_window_decides_its_oldest_traces() {
    let mut world = decider(Settings { max_traces: 100, ..deciding() });
    for n in 1..=300 {
        world.spans("shop", vec![span(n, n, 99)]);
        assert!(world.engine.window().traces <= 100);
    }
    let kept = world.out_spans().len();
    assert_eq!(kept + world.dropped["sampled"], 200);
}

#[test]
fn a_dry_run_counts_and_changes_nothing() {
    let mut settings = deciding();
    settings.decide = Some(Deciding { dry_run: true, ..settings.decide.unwrap() });
    let mut world = decider(settings);
    let traces: Vec<_> = (1..=50).collect();
    traces.iter().for_each(|&trace| world.spans("shop", vec![span(trace, 1, 0)]));
    world.pass(6000);
    let mut out = world.out_spans();
    out.sort_by_key(|span| span.trace_id.clone());
    assert_eq!(out, traces.iter().map(|&trace| span(trace, 1, 0)).collect::<Vec<_>>());
    let decisions = &world.engine.statistics().decisions;
    assert!(decisions.iter().any(|(kind, count)| !kind.kept && count.traces > 10));
}

#[test]
fn verdicts_are_forgotten_after_twice_the_retention_at_most() {
    let trace = pick(false);
    let mut world = decider(Settings { verdict_retention: Duration::from_secs(20), ..deciding() });
    world.spans("shop", vec![span(trace, 1, 0)]);
    world.pass(5_600);
    world.pass(20_000);
    assert_eq!(verdict(&world, trace), Verdict::Dropped);
    world.pass(41_000);
    assert_eq!(verdict(&world, trace), Verdict::Unknown);
    world.spans("shop", vec![span(trace, 2, 1)]);
    world.pass(31_000);
    assert_eq!(verdict(&world, trace), Verdict::Dropped, "the probability part agrees");
}

#[test]
fn in_a_trace_of_any_size_spans_are_found_by_their_ids() {
    let trace = pick(true);
    for size in [1, 6, 30, 60, 300] {
        let mut world = decider(deciding());
        // Some logs come first, some spans come twice, and some with another content.
        world.logs("shop", (1..=size).step_by(2).map(|id| log(trace, id, "before")).collect());
        world.spans("shop", (1..=size).map(|id| span(trace, id, 7)).collect());
        world.spans("shop", (1..=size).step_by(3).map(|id| span(trace, id, 7)).collect());
        world.spans("shop", (1..=size).step_by(5).map(|id| span(trace, id, 8)).collect());
        world.logs("shop", (1..=size).map(|id| log(trace, id, "behind")).collect());
        let (twice, others) = (size.div_ceil(3), size.div_ceil(5));
        let statistics = world.engine.statistics();
        assert_eq!((statistics.duplicate_spans, statistics.id_conflicts), (twice, others), "{size}");
        world.pass(31_000);
        let (spans, logs) = (world.out_spans(), world.out_logs());
        assert_eq!(spans.len() as u64, size + twice + others);
        assert_eq!(logs.len() as u64, size + size.div_ceil(2));
        for log in logs {
            let id = u64::from_be_bytes(log.span_id.try_into().unwrap());
            assert_eq!(string(&log.attributes, "span.name").unwrap(), format!("span {id}"));
        }
        let window = world.engine.window();
        assert_eq!((window.spans, window.traces, window.held), (0, 0, 0));
    }
}

#[test]
fn a_span_that_has_left_is_told_from_another_of_its_id() {
    let trace = pick(false);
    let mut world = decider(deciding());
    world.spans("shop", vec![span(trace, 1, 0), failed(span(trace, 2, 1)), span(trace, 3, 1)]);
    for (again, duplicates, conflicts) in
        [(span(trace, 1, 0), 1, 0), (span(trace, 3, 1), 2, 0), (span(trace, 1, 3), 2, 1), (span(trace, 3, 2), 2, 2)]
    {
        world.spans("shop", vec![again]);
        let statistics = world.engine.statistics();
        assert_eq!((statistics.duplicate_spans, statistics.id_conflicts), (duplicates, conflicts));
    }
    assert_eq!(world.out_spans().len(), 7);
}
