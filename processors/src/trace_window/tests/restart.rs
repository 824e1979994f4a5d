//! A restart: verdicts are recalled, entries from the low watermark on are absorbed again, and decisions are the same (I3).

use std::collections::{BTreeMap, BTreeSet};

use sluice_pipeline::stage::StageOutput;

use super::kit::*;

/// What came out of each trace: whether anything was kept.
fn kept(world: &mut World) -> BTreeSet<Vec<u8>> {
    let spans: BTreeSet<_> = world.out_spans().into_iter().map(|span| span.trace_id).collect();
    let logs = world.out_logs().into_iter().map(|log| log.trace_id);
    spans.into_iter().chain(logs).collect()
}

#[test]
fn decisions_survive_a_restart_at_any_time() {
    for cut in [1, 7, 30, 55, 80, 119] {
        let mut whole = decider(deciding());
        let feed = |world: &mut World, n: u64| {
            world.pass(137);
            world.logs("shop", vec![log(n / 2, n, "x")]);
            world.spans("shop", vec![span(n / 2, n, if n.is_multiple_of(2) { 0 } else { n - 1 })]);
        };
        (2..120).for_each(|n| feed(&mut whole, n));
        whole.pass(60_000);
        let expected = kept(&mut whole);

        let mut first = decider(deciding());
        (2..2 + cut).for_each(|n| feed(&mut first, n));
        let watermark = first.engine.low_watermark();
        let before = kept(&mut first);
        // The crash. What the new one is told: the notes, and the entries from the watermark on.
        let mut second = decider(deciding());
        second.now_ms = first.now_ms;
        for note in &first.notes {
            let now = second.wall();
            second.engine.recall(note, now);
        }
        let again: Vec<_> = first
            .log
            .iter()
            .filter(|(_, entry, _)| watermark.is_some_and(|from| entry.seq() >= from))
            .cloned()
            .collect();
        // The stage's time goes back to the oldest entry that is read again.
        if let Some((.., at)) = again.first() {
            second.now_ms = *at;
        }
        for (port, entry, at) in &again {
            let wait = at.saturating_sub(second.now_ms);
            second.pass(wait);
            second.feed(*port, entry);
        }
        second.log = first.log.clone();
        let wait = first.now_ms - second.now_ms;
        second.pass(wait);
        (2 + cut..120).for_each(|n| feed(&mut second, n));
        second.pass(60_000);
        let after = kept(&mut second);
        let union: BTreeSet<_> = before.union(&after).cloned().collect();
        assert_eq!(union, expected, "cut at {cut}");
    }
}

#[test]
fn a_reload_keeps_the_window_and_the_verdicts() {
    let mut world = decider(deciding());
    (1..=40).for_each(|n| world.spans("shop", vec![span(n, 1, 0)]));
    world.pass(6_000);
    (41..=80).for_each(|n| world.spans("shop", vec![span(n, 1, 0)]));
    let settings = crate::trace_window::Settings { dedupe: true, ..deciding() };
    world.engine.reconfigure(settings, Some(Box::new(ErrorsAndHalf)));
    assert_eq!(world.engine.held().items, 40);
    world.pass(6_000);
    (1..=80).for_each(|n| world.spans("shop", vec![span(n, 2, 1)]));
    let mut by_trace: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    world.out_spans().into_iter().for_each(|span| *by_trace.entry(span.trace_id).or_default() += 1);
    assert!(by_trace.values().all(|&spans| spans == 2));
    let half = (1..=80).filter(|&n| randomness(n) >= HALF).count();
    assert_eq!(by_trace.len(), half);
}

#[test]
fn a_drained_window_is_empty() {
    let mut world = decider(deciding());
    (1..=40).for_each(|n| world.spans("shop", vec![span(n, 1, 0)]));
    world.drain();
    assert_eq!(world.out_spans().len(), (1..=40).filter(|&n| randomness(n) >= HALF).count());
    let mut world = World::annotate();
    world.logs("shop", vec![log(1, 1, "x")]);
    world.spans("shop", vec![span(2, 1, 0)]);
    world.drain();
    assert_eq!((world.out_logs().len(), world.out_spans().len()), (1, 1));
    let mut out = StageOutput::default();
    world.engine.tick(world.wall(), &mut out);
    assert!(out.is_empty());
}
