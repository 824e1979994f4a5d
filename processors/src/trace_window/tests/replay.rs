//! Crashes at any turn, and replays from the low watermark (correlation §10): nothing is lost, decisions are the same, and no more
//! is repeated than was emitted since the last checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use sluice_pipeline::spine::Seq;
use sluice_pipeline::stage::Port;

use super::kit::*;
use crate::trace_window::Settings;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// An input: when it comes, the trace, and the items by number; a number is what an item says of itself.
#[derive(Clone, Debug)]
struct Input {
    at: u64,
    spans: bool,
    items: Vec<(u64, u64, usize)>,
}

fn inputs(seed: u64) -> Vec<Input> {
    let mut dice = Dice(seed * 31 + 7);
    let mut at = 100;
    let mut number = 0;
    (0..150)
        .map(|_| {
            at += dice.below(400);
            let items = (0..1 + dice.below(4)).map(|_| {
                number += 1;
                // Now and then one without a trace.
                (dice.below(40), 1 + dice.below(5), number)
            });
            Input { at, items: items.collect(), spans: dice.below(2) == 0 }
        })
        .collect()
}

fn feed(world: &mut World, input: &Input) {
    let wait = input.at.saturating_sub(world.now_ms);
    world.pass(wait);
    if input.spans {
        let make = |&(trace, id, number): &(u64, u64, usize)| {
            let mut made = span(trace, id, id - 1);
            made.attributes.push(text("number", &number.to_string()));
            if trace == 0 {
                made.trace_id.clear();
            }
            if number % 17 == 0 { failed(made) } else { made }
        };
        world.spans("shop", input.items.iter().map(make).collect());
    } else {
        let make = |&(trace, id, number): &(u64, u64, usize)| {
            let mut made = log(trace, id, &number.to_string());
            if trace == 0 {
                made.trace_id.clear();
            }
            made
        };
        world.logs("shop", input.items.iter().map(make).collect());
    }
}

/// The numbers of all items that came out since the last call.
fn numbers(world: &mut World) -> Vec<usize> {
    let spans = world.out_spans().into_iter().map(|span| string(&span.attributes, "number").unwrap());
    let spans: Vec<String> = spans.collect();
    let logs = world.out_logs().iter().map(body).collect::<Vec<_>>();
    spans.into_iter().chain(logs).map(|number| number.parse().unwrap()).collect()
}

/// A new process: it is told the notes, and reads again what was not passed.
fn restart(before: &World, settings: Settings, decides: bool) -> World {
    let watermark = before.engine.low_watermark().unwrap_or(Seq(u64::MAX));
    let mut world = if decides { decider(settings) } else { World::new(settings, None) };
    let again: Vec<_> = before.log.iter().filter(|(_, entry, _)| entry.seq() >= watermark).cloned().collect();
    world.now_ms = again.first().map_or(before.now_ms, |(.., at)| *at);
    for note in &before.notes {
        let now = world.wall();
        world.engine.recall(note, now);
    }
    world.notes = before.notes.clone();
    for (port, entry, at) in &again {
        let wait = at.saturating_sub(world.now_ms);
        world.pass(wait);
        world.feed(Port(port.0), entry);
    }
    world.log = before.log.clone();
    let wait = before.now_ms.saturating_sub(world.now_ms);
    world.pass(wait);
    world
}

fn is_checkpoint(note: &bytes::Bytes) -> bool {
    note.first() == Some(&2)
}

fn seeds() -> u64 {
    std::env::var("SLUICE_HISTORIES").ok().and_then(|count| count.parse().ok()).unwrap_or(100) / 4 + 1
}

#[test]
fn decide_repeats_no_more_than_since_the_last_checkpoint() {
    let (mut repeats, mut skipped) = (0, 0);
    for seed in 0..seeds() {
        let inputs = inputs(seed);
        let mut whole = decider(deciding());
        inputs.iter().for_each(|input| feed(&mut whole, input));
        whole.pass(60_000);
        let expected: BTreeSet<usize> = numbers(&mut whole).into_iter().collect();

        let mut dice = Dice(seed);
        let mut world = decider(deciding());
        let mut out: BTreeMap<usize, usize> = BTreeMap::new();
        // Emitted since the last checkpoint, and the items of the newest entry, of which none says that all ports had it.
        let (mut since, mut known) = (Vec::new(), 0);
        let mut allowed = 0;
        for (n, input) in inputs.iter().enumerate() {
            feed(&mut world, input);
            let new = numbers(&mut world);
            let checkpoints = world.notes.iter().filter(|note| is_checkpoint(note)).count();
            if checkpoints > known {
                (known, since) = (checkpoints, Vec::new());
                // It may have come before what this step emitted, and one entry is never counted as passed.
                since.extend(n.checked_sub(1).map(|n| inputs[n].items.len()));
            }
            since.push(new.len());
            new.into_iter().for_each(|number| *out.entry(number).or_default() += 1);
            if dice.below(25) == 0 {
                allowed += since.iter().sum::<usize>();
                let twice: usize = out.values().map(|count| count - 1).sum();
                world = restart(&world, deciding(), true);
                skipped += world.repeated;
                numbers(&mut world).into_iter().for_each(|number| *out.entry(number).or_default() += 1);
                let now: usize = out.values().map(|count| count - 1).sum();
                repeats += now - twice;
                known = world.notes.iter().filter(|note| is_checkpoint(note)).count();
            }
        }
        world.pass(60_000);
        numbers(&mut world).into_iter().for_each(|number| *out.entry(number).or_default() += 1);
        assert_eq!(out.keys().copied().collect::<BTreeSet<_>>(), expected, "seed {seed}");
        let twice: usize = out.values().map(|count| count - 1).sum();
        assert!(twice <= allowed, "seed {seed}: {twice} of {allowed}");
    }
    assert!(skipped > 10 * repeats.max(1), "{skipped} skipped, {repeats} repeated");
}

#[test]
fn annotate_repeats_no_more_than_came_within_the_longest_hold() {
    for seed in 0..seeds() {
        let inputs = inputs(seed);
        let mut dice = Dice(seed);
        let mut world = World::annotate();
        let mut out: BTreeMap<usize, usize> = BTreeMap::new();
        let mut allowed = 0;
        for (n, input) in inputs.iter().enumerate() {
            feed(&mut world, input);
            numbers(&mut world).into_iter().for_each(|number| *out.entry(number).or_default() += 1);
            if dice.below(25) == 0 {
                let recent = inputs[..=n].iter().filter(|it| it.at + 6_000 >= world.now_ms);
                allowed += recent.map(|it| it.items.len()).sum::<usize>();
                world = restart(&world, Settings::default(), false);
            }
        }
        world.pass(60_000);
        numbers(&mut world).into_iter().for_each(|number| *out.entry(number).or_default() += 1);
        let all: usize = inputs.iter().map(|it| it.items.len()).sum();
        assert_eq!(out.len(), all, "seed {seed}");
        assert!(out.values().map(|count| count - 1).sum::<usize>() <= allowed, "seed {seed}");
    }
}

#[test]
fn verdicts_that_were_forgotten_before_the_checkpoint_hide_nothing() {
    // Two verdicts a generation: the trace of the first one comes again when it is forgotten, and is held.
    let settings = || Settings { verdicts_kept: 2, verdicts_dropped: 2, ..deciding() };
    let mut world = decider(settings());
    for trace in 1..=12 {
        world.spans("shop", vec![failed(span(trace, 1, 0))]);
        world.pass(7_000);
    }
    let before = world.out_spans().len();
    assert_eq!(before, 12);
    world.spans("shop", vec![span(1, 2, 0)]);
    for _ in 0..3 {
        world.pass(1_100);
        world.spans("shop", vec![span(900, 1, 1)]);
    }
    assert_eq!(world.engine.held().items, 2 + 2);
    let mut world = restart(&world, settings(), true);
    world.pass(60_000);
    let found = world.out_spans().iter().filter(|it| it.trace_id == trace_id(1)).count();
    assert_eq!(found, usize::from(randomness(1) >= HALF));
}
