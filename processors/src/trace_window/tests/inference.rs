//! Inferred exemplars are those that a plain reading of the rules gives (correlation §8).

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Histogram, HistogramDataPoint, Metric, ResourceMetrics, ScopeMetrics, exemplar, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use sluice_pdata::Signal;

use super::kit::*;
use crate::trace_window::{ExemplarOutcome, ExemplarSettings, Settings};

const SECOND: u64 = 1_000_000_000;
const BEGIN: u64 = 1_700_000_000 * SECOND;
const BOUNDS: [f64; 3] = [0.01, 0.1, 1.0];

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn settings(synthesize: bool) -> Settings {
    let exemplars = ExemplarSettings { synthesize, ..deciding().exemplars };
    Settings { exemplars, ..deciding() }
}

/// Sends a point of the route `/x`, and returns its exemplars as they come out.
fn point(world: &mut World, name: &str, time: u64, counts: &[u64], exemplars: Vec<Exemplar>) -> Vec<Exemplar> {
    let point = HistogramDataPoint {
        start_time_unix_nano: BEGIN,
        time_unix_nano: time,
        count: counts.iter().sum(),
        bucket_counts: counts.to_vec(),
        explicit_bounds: BOUNDS.to_vec(),
        attributes: vec![text("http.route", "/x")],
        exemplars,
        ..HistogramDataPoint::default()
    };
    let data = Histogram { data_points: vec![point], aggregation_temporality: 2 };
    let data = Some(Data::Histogram(data));
    let metric = Metric { name: name.into(), unit: "s".into(), data, ..Metric::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let resource = Some(Resource { attributes: vec![text("service.name", "shop")], ..Resource::default() });
    let resource = ResourceMetrics { resource, scope_metrics: vec![scope], ..ResourceMetrics::default() };
    let request = ExportMetricsServiceRequest { resource_metrics: vec![resource] };
    world.absorb(2, Signal::Metrics, request.encode_to_vec(), 1);
    let at = world.out.iter().position(|(_, batch)| batch.signal() == Signal::Metrics).unwrap();
    let (_, batch) = world.out.remove(at);
    let mut out = ExportMetricsServiceRequest::decode(batch.bytes().clone()).unwrap();
    let Some(Data::Histogram(data)) = &mut out.resource_metrics[0].scope_metrics[0].metrics[0].data else { panic!() };
    std::mem::take(&mut data.data_points[0].exemplars)
}

const SERVER: &str = "http.server.request.duration";

fn made(trace: u64, end: u64, duration: u64, route: &str) -> Span {
    let mut made = span(trace, 1, 0);
    (made.start_time_unix_nano, made.end_time_unix_nano) = (end - duration, end);
    made.attributes[0] = text("http.route", route);
    made
}

fn bucket(duration: u64) -> usize {
    BOUNDS.iter().position(|bound| duration as f64 / 1e9 <= *bound).unwrap_or(BOUNDS.len())
}

#[test]
fn synthesized_exemplars_are_the_oracles() {
    let mut total = 0;
    for seed in 0..40 {
        let mut dice = Dice(seed * 13 + 5);
        let mut world = decider(settings(true));
        let mut counts = [0; 4];
        let mut before = BEGIN + SECOND;
        assert_eq!(point(&mut world, SERVER, before, &counts, vec![]), []);
        let mut spans: Vec<(Span, &str)> = Vec::new();
        for round in 1..8 {
            let time = before + 60 * SECOND;
            for n in 0..dice.below(5) {
                let duration = [2_000_000, 10_000_000, 50_000_000, 3_000_000_000][dice.below(4) as usize];
                // Some end in another interval.
                let end = before - 20 * SECOND + dice.below(90) * SECOND;
                let route = if dice.below(4) == 0 { "/y" } else { "/x" };
                let service = if dice.below(6) == 0 { "other" } else { "shop" };
                let mut new = made(seed * 1000 + round * 10 + n, end, duration, route);
                if dice.below(5) == 0 {
                    new = failed(new);
                }
                new.kind = if dice.below(6) == 0 { 3 } else { 2 };
                world.spans(service, vec![new.clone()]);
                spans.push((new, service));
            }
            world.pass(10_000);
            let last = counts;
            for count in &mut counts {
                *count += dice.below(2);
            }
            let out = point(&mut world, SERVER, time, &counts, vec![]);
            let mut expected: Vec<(u64, Vec<u8>)> = (0..4)
                .filter(|&at| counts[at] > last[at])
                .filter_map(|at| {
                    let fits = |(span, service): &&(Span, &str)| {
                        let trace = u64::from_be_bytes(span.trace_id[..8].try_into().unwrap());
                        let is_error = span.status.as_ref().is_some_and(|status| status.code == 2);
                        *service == "shop"
                            && span.kind == 2
                            && (is_error || randomness(trace) >= HALF)
                            && span.attributes[0] == text("http.route", "/x")
                            && bucket(span.end_time_unix_nano - span.start_time_unix_nano) == at
                            && (before < span.end_time_unix_nano && span.end_time_unix_nano <= time)
                    };
                    let rank = |(span, _): &&(Span, &str)| (span.status.is_some(), span.end_time_unix_nano);
                    let (best, _) = spans.iter().filter(fits).max_by_key(rank)?;
                    Some((best.end_time_unix_nano, best.trace_id.clone()))
                })
                .collect();
            expected.sort_unstable();
            let mut found: Vec<_> = out.iter().map(|it| (it.time_unix_nano, it.trace_id.clone())).collect();
            assert!(found.is_sorted_by_key(|(time, _)| *time));
            found.sort_unstable();
            let ends = |all: &[(u64, Vec<u8>)]| all.iter().map(|it| it.0).collect::<Vec<_>>();
            assert_eq!(ends(&found), ends(&expected), "seed {seed}, round {round}");
            for exemplar in &out {
                let Some(Value::BoolValue(true)) = attribute(&exemplar.filtered_attributes, "exemplar.inferred") else {
                    panic!("not marked")
                };
            }
            total += out.len();
            before = time;
        }
    }
    assert!(total > 50, "{total}");
}

#[test]
fn nothing_is_made_unless_it_is_asked_for_and_metric_and_span_measure_the_same() {
    let kept = (1..).find(|&trace| randomness(trace) >= HALF).unwrap();
    for (name, synthesize, expected) in
        [(SERVER, true, 1), (SERVER, false, 0), ("http.client.request.duration", true, 0), ("my.duration", true, 0)]
    {
        let mut world = decider(settings(synthesize));
        point(&mut world, name, BEGIN + SECOND, &[0; 4], vec![]);
        world.spans("shop", vec![made(kept, BEGIN + 2 * SECOND, 50_000_000, "/x")]);
        world.pass(6_000);
        let out = point(&mut world, name, BEGIN + 60 * SECOND, &[0, 1, 0, 0], vec![]);
        assert_eq!(out.len(), expected, "{name}");
        let count = world.engine.statistics().exemplars[ExemplarOutcome::Synthesized as usize];
        assert_eq!(count, expected as u64);
    }
}

#[test]
fn the_exemplar_of_a_dropped_trace_gives_way_to_a_kept_one_of_its_bucket() {
    let find = |kept: bool| (1..).find(|&trace| (randomness(trace) >= HALF) == kept).unwrap();
    let (kept, dropped) = (find(true), find(false));
    for (duration, replaced) in [(50_000_000, 1), (5_000_000, 0)] {
        let mut world = decider(settings(false));
        point(&mut world, SERVER, BEGIN + SECOND, &[0; 4], vec![]);
        let end = BEGIN + 2 * SECOND;
        world.spans("shop", vec![made(kept, end, duration, "/x")]);
        world.spans("shop", vec![made(dropped, end, 60_000_000, "/x")]);
        world.pass(6_000);
        let own = Exemplar {
            time_unix_nano: end,
            trace_id: trace_id(dropped),
            span_id: span_id(1),
            value: Some(exemplar::Value::AsDouble(0.06)),
            ..Exemplar::default()
        };
        let out = point(&mut world, SERVER, BEGIN + 60 * SECOND, &[1, 1, 1, 0], vec![own]);
        assert_eq!(out.iter().map(|it| it.trace_id.clone()).collect::<Vec<_>>(), vec![trace_id(kept); replaced]);
        if let Some(first) = out.first() {
            assert_eq!(first.value, Some(exemplar::Value::AsDouble(0.05)));
        }
        let counts = world.engine.statistics().exemplars;
        let count = |outcome: ExemplarOutcome| counts[outcome as usize] as usize;
        assert_eq!((count(ExemplarOutcome::Replaced), count(ExemplarOutcome::Removed)), (replaced, 1 - replaced));
    }
}
