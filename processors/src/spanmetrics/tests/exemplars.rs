//! Exemplars: only of kept traces, the best first, in time order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::metrics::v1::{Exemplar, exemplar};
use sluice_pdata::testing::Rng;
use sluice_pipeline::ComponentId;
use sluice_pipeline::context::Tenant;
use sluice_pipeline::verdict::{Verdict, Verdicts};

use super::collector::*;

/// Verdicts by the first byte of the trace id.
#[derive(Clone, Default)]
struct Decider(Arc<Mutex<BTreeMap<u8, Verdict>>>);

impl Decider {
    fn decide(&self, trace: u8, verdict: Verdict) {
        self.0.lock().unwrap().insert(trace, verdict);
    }
}

impl Verdicts for Decider {
    fn verdict(&self, _tenant: &Tenant, trace: &[u8; 16]) -> Verdict {
        self.0.lock().unwrap().get(&trace[0]).copied().unwrap_or(Verdict::Unknown)
    }
}

const KEPT: Verdict = Verdict::Kept { threshold: Some(0) };

fn traces(exemplars: &[Exemplar]) -> Vec<u8> {
    exemplars.iter().map(|exemplar| exemplar.trace_id[0]).collect()
}

/// Traces of the exemplars of the only calls and duration.
fn shown(metrics: &Metrics) -> (Vec<u8>, Vec<u8>) {
    let calls = metrics.sums.first_key_value().map(|(_, point)| traces(&point.exemplars)).unwrap_or_default();
    let duration = metrics.histograms.first_key_value().map(|(_, point)| traces(&point.exemplars)).unwrap_or_default();
    (calls, duration)
}

fn collector(yaml: &str) -> (Collector, Decider) {
    let collector = Collector::new(yaml);
    let decider = Decider::default();
    collector.verdicts.register(ComponentId::from("correlate"), Arc::new(decider.clone()));
    (collector, decider)
}

#[test]
fn where_nobody_decides_exemplars_are_attached_at_once() {
    let mut collector = Collector::new("exemplars: {enabled: true}");
    collector.now += 5 * SECOND;
    collector.spans(&[("service.name", "x")], vec![traced(span("s", 3.0), 1, ""), traced(span("s", 3.0), 0, "")]);
    let metrics = collector.flush();
    assert_eq!(shown(&metrics), (vec![1], vec![1]), "a trace id of zeros refers to nothing");
    let exemplar = &metrics.histograms.first_key_value().unwrap().1.exemplars[0];
    assert_eq!(exemplar.value, Some(exemplar::Value::AsDouble(3.0)));
    assert_eq!((exemplar.span_id.clone(), exemplar.time_unix_nano), (vec![1; 8], START + 5 * SECOND));
    assert_eq!(shown(&collector.flush()), (vec![], vec![]), "an exemplar is attached once");
}

#[test]
fn without_being_asked_for_there_are_none() {
    let mut collector = Collector::new("{}");
    collector.spans(&[("service.name", "x")], vec![traced(span("s", 3.0), 1, "")]);
    assert_eq!(shown(&collector.flush()), (vec![], vec![]));
}

#[test]
fn kept_is_attached_dropped_is_discarded_and_pending_waits() {
    let (mut collector, decider) = collector("exemplars: {enabled: true}");
    collector.spans(&[("service.name", "x")], (1..=4).map(|trace| traced(span("s", 3.0), trace, "")).collect());
    for (trace, verdict) in [(1, KEPT), (2, Verdict::Dropped), (3, Verdict::Pending), (4, Verdict::Pending)] {
        decider.decide(trace, verdict);
    }
    // What is kept came at the same time as what is pending, and waits with it.
    assert_eq!(shown(&collector.flush()), (vec![], vec![]));
    decider.decide(3, KEPT);
    decider.decide(4, Verdict::Dropped);
    let (mut calls, _) = shown(&collector.flush());
    calls.sort();
    assert_eq!(calls, [1, 3]);
    let outcome = |outcome| collector.value("otelcol_connector_spanmetrics_exemplars", &[("outcome", outcome)]);
    assert_eq!((outcome("kept"), outcome("dropped"), outcome("expired")), (2.0, 2.0, 0.0));
}

#[test]
fn what_is_older_than_what_is_pending_does_not_wait() {
    let (mut collector, decider) = collector("exemplars: {enabled: true}");
    for (trace, verdict) in [(1, KEPT), (2, Verdict::Pending), (3, KEPT)] {
        decider.decide(trace, verdict);
        collector.spans(&[("service.name", "x")], vec![traced(span("s", 3.0), trace, "")]);
        collector.now += SECOND;
    }
    assert_eq!(shown(&collector.flush()).0, [1]);
    decider.decide(2, KEPT);
    assert_eq!(shown(&collector.flush()).0, [2, 3]);
}

#[test]
fn a_trace_that_nobody_knows_is_waited_for_and_never_attached() {
    let (mut collector, _) = collector("exemplars: {enabled: true}");
    collector.spans(&[("service.name", "x")], vec![traced(span("s", 3.0), 1, "")]);
    for _ in 0..4 {
        assert_eq!(shown(&collector.flush()), (vec![], vec![]));
    }
    assert_eq!(collector.value("otelcol_connector_spanmetrics_exemplars", &[("outcome", "unknown")]), 1.0);
}

#[test]
fn a_named_decider_is_asked_and_several_without_a_name_are_none() {
    for (yaml, expected) in [
        ("exemplars: {enabled: true, verdicts: tail_sampling/b}", vec![1]),
        ("exemplars: {enabled: true, verdicts: missing}", vec![]),
        ("exemplars: {enabled: true}", vec![]),
    ] {
        let (mut collector, _) = collector(yaml);
        let other = Decider::default();
        other.decide(1, KEPT);
        collector.verdicts.register(ComponentId::from("tail_sampling/b"), Arc::new(other));
        collector.spans(&[("service.name", "x")], vec![traced(span("s", 3.0), 1, "")]);
        assert_eq!(shown(&collector.flush()).0, expected, "{yaml}");
    }
}

#[test]
fn errors_come_first_and_then_the_highest_randomness() {
    let mut collector =
        Collector::new("{exemplars: {enabled: true, max_per_data_point: 2}, exclude_dimensions: [status.code]}");
    let mut spans: Vec<_> = (1..=9).map(|trace| traced(span("s", 3.0), trace, "")).collect();
    spans[2] = failed(spans[2].clone());
    // R by `rv`, against the trace id.
    spans[0].trace_state = "ot=rv:ffffffffffffff".into();
    collector.spans(&[("service.name", "x")], spans);
    let (mut calls, mut duration) = shown(&collector.flush());
    calls.sort();
    duration.sort();
    assert_eq!((calls, duration), (vec![1, 3], vec![1, 3]));
}

#[test]
fn a_histogram_shows_one_of_each_bucket_before_a_second() {
    let mut collector = Collector::new("exemplars: {enabled: true, max_per_data_point: 3}");
    let spans = [(1, 3.0), (2, 3.0), (3, 3.0), (4, 30.0), (5, 300.0)];
    collector.spans(&[("service.name", "x")], spans.map(|(trace, took)| traced(span("s", took), trace, "")).to_vec());
    let (calls, mut duration) = shown(&collector.flush());
    duration.sort();
    assert_eq!((calls.len(), duration), (3, vec![3, 4, 5]));
}

#[test]
fn events_have_exemplars_too_and_delta_points_carry_what_was_pending() {
    let (mut collector, decider) = collector(
        "{exemplars: {enabled: true}, aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA, \
         events: {enabled: true, dimensions: [{name: e}]}}",
    );
    let mut sent = traced(span("s", 3.0), 1, "");
    sent.events = vec![Default::default()];
    decider.decide(1, Verdict::Pending);
    collector.spans(&[("service.name", "x")], vec![sent]);
    assert_eq!(collector.flush().sums.len(), 2);
    decider.decide(1, KEPT);
    let metrics = collector.flush();
    assert_eq!(metrics.sums.len(), 2);
    for point in metrics.sums.values() {
        assert_eq!((int(point), traces(&point.exemplars)), (0, vec![1]));
    }
    assert_eq!(collector.flush().points, 0);
}

/// No exemplar dangles, none comes out of order, none comes twice, whatever is decided when.
#[test]
fn law_exemplars_are_of_kept_traces_and_in_time_order() {
    for seed in 0..sluice_pdata::testing::law_cases() {
        let mut rng = Rng::new(seed);
        let (mut collector, decider) = collector("{exemplars: {enabled: true}, metrics_flush_interval: 10s}");
        let mut undecided: Vec<u8> = Vec::new();
        let mut kept = BTreeSet::new();
        let (mut last, mut shown) = (BTreeMap::new(), BTreeSet::new());
        for trace in 1..=120_u8 {
            if rng.chance(80) {
                undecided.push(trace);
                decider.decide(trace, Verdict::Pending);
            }
            let took = rng.pick(&[1.0, 3.0, 70.0]);
            let sent = traced(span(rng.pick(&["a", "b"]), took), trace, "");
            collector.spans(&[("service.name", "x")], vec![if rng.chance(20) { failed(sent) } else { sent }]);
            collector.now += 1 + rng.below(2) as u64 * 700_000_000;
            while !undecided.is_empty() && rng.chance(45) {
                let decided = undecided.remove(rng.below(undecided.len()));
                let verdict = if rng.chance(50) { KEPT } else { Verdict::Dropped };
                if verdict == KEPT {
                    kept.insert(decided);
                }
                decider.decide(decided, verdict);
            }
            if rng.chance(20) {
                let metrics = collector.flush();
                let points = metrics.sums.iter().map(|(key, point)| (key, &point.exemplars));
                for (key, exemplars) in
                    points.chain(metrics.histograms.iter().map(|(key, point)| (key, &point.exemplars)))
                {
                    for exemplar in exemplars {
                        assert!(kept.contains(&exemplar.trace_id[0]), "seed {seed}: dangling");
                        let time = exemplar.time_unix_nano / 1_000_000;
                        let before = last.insert(key.clone(), time);
                        assert!(before.is_none_or(|before| before <= time), "seed {seed}: out of order");
                        assert!(shown.insert((key.clone(), exemplar.trace_id[0])), "seed {seed}: twice");
                    }
                }
            }
        }
    }
}
