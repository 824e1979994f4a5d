//! The connector equals its model, for random spans and configs; totals are rounded and never drift.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use proptest::prelude::*;
use prost::Message as _;
use sluice_pdata::Signal;
use sluice_pdata::testing::{Oddities, Rng, law_cases, odd};
use sluice_pipeline::context::Tenant;

use super::collector::*;
use super::model::Model;
use crate::spanmetrics::aggregate::{Aggregate, Counts};
use crate::spanmetrics::plan::Plan;
use crate::spanmetrics::total::Total;

const STATES: [&str; 9] = [
    "",
    "ot=th:8",
    "ot=th:c",
    "ot=th:e666",
    "ot=th:4",
    "ot=th:fd70a",
    "ot=th:XYZ",
    "vendor=1,ot=rv:ffffffffffffff;th:ab",
    "vendor=1",
];

fn config_text(rng: &mut Rng) -> String {
    let temporality = rng.pick(&["CUMULATIVE", "DELTA"]);
    let histogram = rng.pick(&[
        "{}",
        "{explicit: {buckets: [1ms, 5ms, 1s]}, unit: s}",
        "{exponential: {max_size: 4}}",
        "{exponential: }",
        "{exponential: {max_size: 20}, unit: s}",
        "{disable: true}",
        "{dimensions: [{name: b}]}",
    ]);
    let dimensions = rng.pick(&["[]", "[{name: a}]", "[{name: a, default: none}, {name: c}]"]);
    let calls = rng.pick(&["[]", "[{name: b, default: x}]"]);
    let exclude = rng.pick(&["[]", "[span.name]", "[status.code, collector.instance.id]"]);
    let events = rng.pick(&["{}", "{enabled: true, dimensions: [{name: e}, {name: b}]}"]);
    format!(
        "{{aggregation_temporality: AGGREGATION_TEMPORALITY_{temporality}, histogram: {histogram}, \
         dimensions: {dimensions}, calls_dimensions: {calls}, exclude_dimensions: {exclude}, events: {events}}}"
    )
}

fn random_span(rng: &mut Rng) -> Span {
    let mut span = span(rng.pick(&["", "a", "GET /"]), 0.0);
    let nanos = rng.bits() >> (20 + rng.below(44));
    span.end_time_unix_nano = if rng.chance(5) { 3 } else { START + nanos };
    if rng.chance(20) {
        span.end_time_unix_nano = START + rng.pick(&[2, 4, 10, 1000]) * 1_000_000;
    }
    span.kind = rng.below(7) as i32;
    let trace = rng.pick(&[0x01, 0xb0, 0xff]);
    span = traced(span, trace, rng.pick(&STATES));
    if rng.chance(40) {
        span = failed(span);
    }
    for key in ["a", "b", "c"] {
        if rng.chance(50) {
            span.attributes.push(pair(key, rng.pick(&["", "1", "2"])));
        }
    }
    for _ in 0..rng.below(3) {
        let attributes = if rng.chance(50) { vec![pair("e", rng.pick(&["x", "y"]))] } else { vec![pair("b", "event")] };
        span.events.push(Event { attributes, ..Event::default() });
    }
    span
}

fn random_request(rng: &mut Rng) -> ExportTraceServiceRequest {
    let mut all = ExportTraceServiceRequest::default();
    for _ in 0..rng.below(3) {
        let resource = rng.pick(&[
            &[("service.name", "x")][..],
            &[("service.name", "y"), ("a", "resource")],
            &[("service.name", "y"), ("b", "resource"), ("c", "resource")],
            &[("a", "no service")],
        ]);
        let spans = (0..rng.below(8)).map(|_| random_span(rng)).collect();
        all.resource_spans.extend(request(resource, spans).resource_spans);
    }
    all
}

#[test]
fn law_the_connector_equals_its_model() {
    for seed in 0..law_cases() * 5 {
        let mut rng = Rng::new(seed);
        let text = config_text(&mut rng);
        let mut collector = Collector::new(&text);
        let mut model = Model::new(config(&text));
        for round in 0..5 {
            for _ in 0..rng.below(6) {
                let sent = random_request(&mut rng);
                collector.absorb(&sent);
                model.absorb(&sent);
                collector.now += rng.below(5) as u64 * SECOND;
            }
            model.compare(&collector.flush(), &format!("seed {seed}, flush {round}, {text}"));
        }
    }
}

/// However protobuf is written, and wherever it is cut off: nothing panics, and every span is accounted for.
#[test]
fn law_odd_requests_mean_the_same_and_broken_ones_are_accounted_for() {
    // What comes in has one resource in each `ResourceSpans`, by the check of its framing.
    let oddities = Oddities { split: false, ..Oddities::ALL };
    for seed in 0..law_cases() * 3 {
        let mut rng = Rng::new(seed);
        let text = config_text(&mut rng);
        let absorbed = |bytes: &[u8], items: usize| {
            let mut aggregate = Aggregate::new(Plan::new(&config(&text), INSTANCE));
            aggregate.absorb(bytes, items, &Tenant::default(), START);
            let Counts { aggregated, without_service, malformed, refused, .. } = aggregate.counts;
            assert_eq!(aggregated + without_service + malformed + refused, items, "seed {seed}");
            aggregate
        };
        let sent = random_request(&mut rng);
        let items = sent.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum();
        let plain = sent.encode_to_vec();
        let twisted = odd(Signal::Traces.request(), &plain, &mut rng, &oddities);
        let (a, b) = (absorbed(&plain, items), absorbed(&twisted, items));
        assert_eq!(a.counts, b.counts, "seed {seed}");
        assert_eq!(a.table.slab.count(), b.table.slab.count(), "seed {seed}");
        assert_eq!(a.resources.count(), b.resources.count(), "seed {seed}");
        let mut both = absorbed(&plain, items);
        both.absorb(&twisted, items, &Tenant::default(), START);
        assert_eq!(both.resources.count(), a.resources.count(), "seed {seed}: the same resource twice");
        assert_eq!(both.table.slab.count(), a.table.slab.count(), "seed {seed}: the same series twice");
        let cut = rng.below(plain.len() + 1);
        absorbed(&plain[..cut], items);
        let mut flipped = twisted;
        for _ in 0..3 {
            let at = rng.below(flipped.len().max(1));
            flipped.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << rng.below(8));
        }
        // A changed length may hide items or make some up.
        let mut aggregate = Aggregate::new(Plan::new(&config(&text), INSTANCE));
        aggregate.absorb(&flipped, items, &Tenant::default(), START);
    }
}

#[test]
fn delta_points_follow_one_another_without_gaps() {
    let mut collector = Collector::new("aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA");
    let mut end = None;
    for round in 0..4 {
        collector.spans(&[("service.name", "x")], vec![span("s", 1.0)]);
        let metrics = collector.flush();
        let point = metrics.sums.first_key_value().unwrap().1;
        assert!(metrics.zeros.is_empty());
        assert_eq!(point.start_time_unix_nano, end.unwrap_or(START), "round {round}");
        assert_eq!((int(point), metrics.temporalities[0]), (1, 1));
        end = Some(point.time_unix_nano);
    }
}

#[test]
fn a_delta_series_beyond_the_timestamp_cache_begins_anew() {
    let text = "{aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA, metric_timestamp_cache_size: 1}";
    let mut collector = Collector::new(text);
    collector.spans(&[("service.name", "x")], vec![span("a", 1.0)]);
    collector.flush();
    collector.spans(&[("service.name", "x")], vec![span("b", 1.0)]);
    let end = collector.flush().sums.first_key_value().unwrap().1.time_unix_nano;
    collector.now += SECOND;
    let now = collector.now;
    collector.spans(&[("service.name", "x")], vec![span("a", 1.0), span("b", 1.0)]);
    let starts: Vec<_> = collector.flush().sums.values().map(|point| point.start_time_unix_nano).collect();
    assert_eq!(starts, [now, end]);
}

proptest! {
    #[test]
    fn rounding_never_errs_by_more_than_one_half(weights in proptest::collection::vec((1.0..50.0_f64, proptest::bool::ANY), 1..200)) {
        let (mut cumulative, mut delta) = (Total::default(), Total::default());
        let (mut exact, mut deltas, mut before) = (0.0, 0, 0);
        for (weight, flush) in weights {
            cumulative.add(weight);
            delta.add(weight);
            exact += weight;
            if flush {
                let written = cumulative.write(false);
                deltas += delta.write(true);
                prop_assert!((written as f64 - exact).abs() <= 0.5);
                prop_assert_eq!(deltas, written);
                prop_assert!(written >= before);
                before = written;
            }
        }
    }
}

/// RED metrics of a sampled stream agree with the whole within what the thresholds predict.
#[test]
fn adjusted_counts_are_unbiased() {
    let mut rng = Rng::new(7);
    let mut collector = Collector::new("histogram: {disable: true}");
    let all = 200_000_u64;
    let threshold = 0xe6_6600_0000_0000_u64; // 1 in 10
    let mut spans = Vec::new();
    for _ in 0..all {
        let randomness = rng.bits() >> 8;
        if randomness >= threshold {
            let mut kept = traced(span("s", 1.0), 1, "ot=th:e666");
            kept.trace_id[8..].copy_from_slice(&randomness.to_be_bytes());
            spans.push(kept);
        }
    }
    let sampled = spans.len() as f64;
    collector.spans(&[("service.name", "x")], spans);
    let metrics = collector.flush();
    let counted = int(metrics.sums.first_key_value().unwrap().1) as f64;
    let p = 1.0 - threshold as f64 / (1_u64 << 56) as f64;
    assert!((counted - sampled / p).abs() <= 0.5);
    let deviation = (all as f64 * p * (1.0 - p)).sqrt() / p;
    assert!((counted - all as f64).abs() < 3.0 * deviation, "{counted} of {all}, σ = {deviation}");
}
