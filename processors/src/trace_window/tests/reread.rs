//! At 80 %, where the log survives: what is held is given up from memory, and read again when it leaves (correlation §10).

use std::collections::BTreeMap;

use sluice_pdata::Signal;
use sluice_pipeline::stage::StageOutput;

use super::kit::*;
use crate::trace_window::{Outcome, Settings, Trigger};

/// A request of spans and one of logs of about 1 KiB an item, of traces that live for some seconds.
fn feed(world: &mut World, n: u64) {
    let pad = "x".repeat(1000);
    let items = (0..20).map(|k| (n / 10 * 20 + k, n % 10 + 1));
    let make = |(trace, id): (u64, u64)| {
        let mut made = span(trace, id, id - 1);
        made.attributes.push(text("pad", &pad));
        if trace % 97 == 0 && id == 7 { failed(made) } else { made }
    };
    world.spans("shop", items.clone().map(make).collect());
    let logs = items.map(|(trace, id)| log(trace, id + id % 2, &format!("{trace} {id} {pad}")));
    world.logs("shop", logs.collect());
}

/// Everything that came out, each item with what was attached to it.
fn outcome(world: &mut World) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    let spans: Vec<String> = world.out_spans().iter().map(|span| format!("{span:?}")).collect();
    let logs: Vec<String> = world.out_logs().iter().map(|log| format!("{log:?}")).collect();
    spans.into_iter().chain(logs).for_each(|item| *all.entry(item).or_default() += 1);
    all
}

/// The same history with memory for everything, and with next to none.
fn compare(settings: &dyn Fn() -> Settings, make: &dyn Fn(Settings) -> World, limit: usize) -> World {
    let run = |limit: usize| {
        let mut world = make(Settings { memory_limit: limit, ..settings() }).surviving();
        for n in 0..600 {
            feed(&mut world, n);
            world.pass(10);
            assert!(world.engine.accounted() <= limit, "{} of {limit}", world.engine.accounted());
        }
        world.pass(60_000);
        assert_eq!(world.engine.held().items, 0);
        let out = outcome(&mut world);
        (world, out)
    };
    let (roomy, expected) = run(1 << 30);
    let (tight, found) = run(limit);
    assert_eq!(roomy.engine.statistics().reread, 0);
    assert!(expected == found, "{} and {} items", expected.len(), found.len());
    tight
}

#[test]
fn decisions_and_what_leaves_are_those_of_a_window_with_room() {
    let world = compare(&deciding, &decider, 14 << 20);
    let statistics = world.engine.statistics();
    let given_up = statistics.evictions["reread"];
    // Half of the traces are dropped: nobody reads those again.
    assert!(given_up > 5_000 && statistics.reread > 1_000 && statistics.reread < given_up, "{given_up}");
    assert!(
        statistics.decisions.keys().all(|kind| kind.trigger != Trigger::Pressure && kind.trigger != Trigger::Ingest)
    );
}

#[test]
fn annotated_items_are_those_of_a_window_with_room() {
    let settings = || {
        let mut settings = Settings::default();
        settings.hold_log.adaptive = false;
        settings
    };
    let world = compare(&settings, &|settings| World::new(settings, None), 7 << 20);
    let statistics = world.engine.statistics();
    assert!(statistics.reread > 1_000 && statistics.evictions["reread"] >= statistics.reread);
    assert_eq!(statistics.items(Signal::Logs, Outcome::ReleasedPressure), 0);
}

#[test]
fn in_memory_mode_nothing_is_given_up() {
    let mut world = decider(Settings { memory_limit: 9 << 20, ..deciding() });
    for n in 0..600 {
        feed(&mut world, n);
        world.pass(10);
    }
    world.pass(60_000);
    let statistics = world.engine.statistics();
    assert_eq!((statistics.reread, statistics.evictions.get("reread")), (0, None));
    assert!(statistics.decisions.keys().any(|kind| kind.trigger == Trigger::Pressure), "the next rungs");
}

#[test]
fn a_removed_stage_reads_again_all_that_it_gave_up() {
    for decides in [true, false] {
        let mut world = if decides { decider(deciding()) } else { World::annotate() }.surviving();
        for n in 0..100 {
            feed(&mut world, n);
        }
        let mut out = StageOutput::default();
        world.engine.relieve(82, &mut out);
        world.take(out);
        assert!(world.engine.statistics().evictions["reread"] > 500);
        world.drain();
        assert!(world.engine.statistics().reread > 0);
    }
}

#[test]
fn what_the_log_has_lost_meanwhile_is_counted_as_that() {
    for decides in [true, false] {
        let mut world = if decides { decider(deciding()) } else { World::annotate() }.surviving();
        for n in 0..100 {
            feed(&mut world, n);
        }
        let mut out = StageOutput::default();
        world.engine.relieve(82, &mut out);
        world.take(out);
        world.lost = world.log.iter().map(|(_, entry, _)| entry.seq()).filter(|seq| seq.0 % 3 == 0).collect();
        // Conservation is checked at each step.
        world.pass(60_000);
        assert!(world.dropped["corrupt"] > 100, "{:?}", world.dropped);
        assert_eq!(world.engine.held().items, 0);
    }
}

#[test]
fn an_early_keep_streams_while_it_waits_for_what_was_given_up() {
    let mut world = decider(deciding()).surviving();
    for n in 0..100 {
        feed(&mut world, n);
    }
    let mut out = StageOutput::default();
    world.engine.relieve(82, &mut out);
    world.take(out);
    world.out.clear();
    // Of a trace of which much was given up.
    world.spans("shop", vec![failed(span(5, 900, 1))]);
    let spans = world.out_spans();
    assert_eq!(spans.len(), 11, "the new one and the ten that were read again");
    assert!(spans.iter().all(|span| span.trace_id == trace_id(5)));
}

#[test]
fn a_span_that_was_given_up_is_told_from_another_of_its_id() {
    let mut world = decider(deciding()).surviving();
    let padded = |trace, id, pad: &str| {
        let mut made = span(trace, id, 1);
        made.attributes.push(text("pad", pad));
        made
    };
    let long = "x".repeat(1000);
    for trace in 1..300 {
        world.spans("shop", (2..12).map(|id| padded(trace, id, &long)).collect());
    }
    let mut out = StageOutput::default();
    world.engine.relieve(82, &mut out);
    world.take(out);
    // What comes now may be given up, too.
    world.spans("shop", (2..12).map(|id| padded(300, id, &long)).collect());
    for trace in (3..=300).step_by(3) {
        world.spans("shop", vec![padded(trace, 2, &long), padded(trace, 3, "y")]);
    }
    assert!(world.engine.statistics().evictions["reread"] > 1_000);
    assert_eq!((world.engine.statistics().duplicate_spans, world.engine.statistics().id_conflicts), (100, 100));
}
