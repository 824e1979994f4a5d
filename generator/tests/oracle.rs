//! The oracle, which reads requests, against the truth, which made them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::HashMap;

use sluice_generator::oracle::{Arrivals, Output, Policy, Window};
use sluice_generator::settings::{Disturbances, MILLISECOND, SECOND, Sampling, Timers};
use sluice_generator::{Export, Settings, Shop, Truth};
use sluice_pdata::Signal;

fn disturbed(seed: u64) -> (Vec<Export>, Truth, Arrivals) {
    let settings = Settings {
        seed,
        duration: 30 * SECOND,
        disturbances: Disturbances::ordinary(),
        sampling: Sampling { ratio: 0.7, ..Sampling::default() },
        pathologies: 0.02,
        timers: Timers { metrics: 5 * SECOND, ..Timers::default() },
        ..Settings::default()
    };
    let mut shop = Shop::new(settings).unwrap();
    let exports: Vec<_> = shop.by_ref().collect();
    let arrivals =
        Arrivals::read(exports.iter().map(|export| (export.arrival, export.signal, export.bytes.as_slice())));
    (exports, shop.into_truth(), arrivals.unwrap())
}

#[test]
fn it_sees_every_arrival_that_the_truth_tells_of() {
    for seed in 1..6 {
        let (exports, truth, arrivals) = disturbed(seed);
        let sent = Signal::ALL.map(|signal| {
            let of = exports.iter().filter(|export| export.signal == signal);
            of.map(|export| export.items).sum::<usize>()
        });
        assert_eq!(arrivals.items, sent);
        for span in &truth.spans {
            let key = (truth.traces[span.trace as usize].trace_id, span.span_id);
            let seen = arrivals.spans.get(&key);
            assert_eq!(
                seen.map(|seen| (seen.at, seen.error, seen.is_root)),
                span.at.map(|at| (at, span.error, span.is_root))
            );
        }
        let mut first: HashMap<u32, u64> = HashMap::new();
        for log in &arrivals.logs {
            let number = log.uid.unwrap();
            first.entry(number).or_insert(log.at);
            let known = &truth.logs[number as usize];
            assert_eq!(arrivals.span_at(log), truth.span_at(known), "{known:?}");
        }
        let known = truth.logs.iter().zip(0..).filter_map(|(log, number)| Some((number, log.at?)));
        assert_eq!(first, known.collect());
        assert_eq!(arrivals.exemplars.is_empty(), truth.exemplars == 0);
    }
}

#[test]
fn recall_grows_with_the_hold_up_to_everything() {
    let (_, truth, arrivals) = disturbed(7);
    let found = [0, 500, 1_000, 2_000, 5_000, 10_000, 60_000].map(|hold| arrivals.recall(hold * MILLISECOND));
    assert!(found.windows(2).all(|pair| pair[0].found <= pair[1].found && pair[0].joinable == pair[1].joinable));
    assert!(found[0].found > 0 && found[6].found == found[6].joinable && found[4].percent() < 100.0);
    // Plainly, from the truth: each log at its first arrival.
    for hold in [0, SECOND, 5 * SECOND] {
        let found = truth
            .logs
            .iter()
            .filter(|log| log.at.zip(truth.span_at(log)).is_some_and(|(log, span)| span <= log + hold));
        let of_duplicates = arrivals.recall(hold).found - found.count();
        assert!(of_duplicates <= truth.duplicated[Signal::Logs as usize]);
    }
    let (mean, most) = arrivals.waits(5 * SECOND);
    assert!(most == 5 * SECOND && mean > SECOND && mean < 4 * SECOND, "{mean}");
}

#[test]
fn summaries_count_what_has_come_and_miss_the_rest() {
    let (_, _, arrivals) = disturbed(8);
    let with_context = arrivals.logs.iter().filter(|log| arrivals.span_at(log).is_some()).count();
    for hold in [0, 1_500 * MILLISECOND, 60 * SECOND] {
        let summaries = arrivals.summaries(hold);
        assert_eq!(summaries.values().map(|summary| summary.logs + summary.missed).sum::<usize>(), with_context);
        assert!(summaries.values().all(|summary| summary.errors == 0 || summary.first_error.is_some()));
    }
    assert_eq!(arrivals.complete_summaries(60 * SECOND), 100.0);
    assert!(arrivals.complete_summaries(0) < 99.0);
}

#[test]
fn verdicts_follow_their_policies() {
    let (_, truth, arrivals) = disturbed(9);
    let errors = arrivals.verdicts(&[Policy::Errors], Window::WHOLE);
    for trace in truth.traces.iter().filter(|trace| trace.arrived == trace.spans && trace.spans > 0) {
        assert_eq!(errors[&trace.trace_id], trace.errors > 0);
    }
    assert!(arrivals.verdicts(&[], Window::WHOLE).values().all(|kept| !kept));
    let all = arrivals.verdicts(&[Policy::Always], Window::WHOLE);
    assert!(all.values().all(|kept| *kept));
    let half = arrivals.verdicts(&[Policy::Threshold(1 << 55)], Window::WHOLE);
    let share = half.values().filter(|kept| **kept).count() as f64 / half.len() as f64;
    assert!((share - 0.5).abs() < 0.12, "{share}");
    // A shorter window sees less, never more.
    let window = Window { after_root: 30 * SECOND, after_first: 500 * MILLISECOND };
    let early = arrivals.verdicts(&[Policy::Errors], window);
    assert!(early.iter().all(|(trace, kept)| !kept || errors[trace]));
    assert!(early.values().filter(|kept| **kept).count() < errors.values().filter(|kept| **kept).count());
    let fates = arrivals.exemplar_fates(&half);
    assert!(fates.kept > 0 && fates.dropped > 0 && fates.nowhere == 0, "{fates:?}");
    assert_eq!(fates.kept + fates.dropped + fates.unknown, arrivals.exemplars.len());
}

#[test]
fn an_output_is_measured_as_the_oracle_measures() {
    let (exports, _, arrivals) = disturbed(10);
    let mut untouched = Output::default();
    exports.iter().for_each(|export| untouched.add(export.signal, &export.bytes).unwrap());
    assert_eq!(
        (untouched.items, untouched.recall(&arrivals).found, untouched.wrong(&arrivals)),
        (arrivals.items, 0, 0)
    );
    let key = *arrivals.spans.keys().next().unwrap();
    let name = arrivals.spans[&key].name.clone();
    let mut joined = untouched.clone();
    joined.joined =
        vec![(Some(1), Some(key), name), (Some(2), Some(key), "another".into()), (Some(3), None, "none".into())];
    assert_eq!((joined.recall(&arrivals).found, joined.wrong(&arrivals)), (3, 2));
}
