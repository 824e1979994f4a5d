//! Exemplars follow the verdict of their trace (correlation §8).

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Histogram, HistogramDataPoint, Metric, ResourceMetrics, ScopeMetrics, metric::Data,
};
use prost::Message as _;
use sluice_pdata::Signal;

use super::kit::*;
use crate::trace_window::ExemplarOutcome;

fn exemplar(trace: u64, time: u64) -> Exemplar {
    Exemplar { time_unix_nano: time, trace_id: trace_id(trace), span_id: span_id(1), ..Exemplar::default() }
}

/// Sends a histogram point with exemplars, and returns those that come out.
fn point(world: &mut World, time: u64, exemplars: Vec<Exemplar>, temporality: i32) -> Vec<Exemplar> {
    let point = HistogramDataPoint {
        time_unix_nano: time,
        count: 3,
        attributes: vec![text("route", "/x")],
        exemplars,
        ..HistogramDataPoint::default()
    };
    let data = Histogram { data_points: vec![point], aggregation_temporality: temporality };
    let metric = Metric { name: "duration".into(), data: Some(Data::Histogram(data)), ..Metric::default() };
    let scope = ScopeMetrics { metrics: vec![metric], schema_url: "https://s".into(), ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    let request = ExportMetricsServiceRequest { resource_metrics: vec![resource] };
    world.absorb(2, Signal::Metrics, request.encode_to_vec(), 1);
    let (_, batch) = world.out.pop().unwrap();
    let mut out = ExportMetricsServiceRequest::decode(batch.bytes().clone()).unwrap();
    let Some(Data::Histogram(data)) = &mut out.resource_metrics[0].scope_metrics[0].metrics[0].data else { panic!() };
    let exemplars = std::mem::take(&mut data.data_points[0].exemplars);
    let mut rest = request;
    let Some(Data::Histogram(data)) = &mut rest.resource_metrics[0].scope_metrics[0].metrics[0].data else { panic!() };
    data.data_points[0].exemplars.clear();
    assert_eq!(out, rest, "everything else stays");
    exemplars
}

const DELTA: i32 = 1;
const CUMULATIVE: i32 = 2;

fn traces_by_fate() -> (u64, u64) {
    let find = |kept: bool| (1..).find(|&trace| (randomness(trace) >= HALF) == kept).unwrap();
    (find(true), find(false))
}

#[test]
fn exemplars_of_decided_traces_stay_or_go() {
    let (kept, dropped) = traces_by_fate();
    let mut world = decider(deciding());
    world.spans("shop", vec![span(kept, 1, 0), span(dropped, 1, 0)]);
    world.pass(6_000);
    let mut without = exemplar(kept, 1);
    without.trace_id.clear();
    for temporality in [DELTA, CUMULATIVE] {
        let out = point(
            &mut world,
            100,
            vec![exemplar(kept, 10), exemplar(dropped, 20), without.clone(), exemplar(999_999, 30)],
            temporality,
        );
        let mut times: Vec<_> = out.iter().map(|it| it.time_unix_nano).collect();
        times.sort_unstable();
        assert_eq!(times, [1, 10], "nothing is known of the last one");
    }
}

#[test]
fn those_of_open_traces_wait_for_the_next_cumulative_point() {
    let (kept, dropped) = traces_by_fate();
    let mut world = decider(deciding());
    world.spans("shop", vec![span(kept, 1, 0), span(dropped, 1, 0)]);
    let open = || vec![exemplar(kept, 10), exemplar(dropped, 20)];
    assert_eq!(point(&mut world, 100, open(), DELTA), []);
    assert_eq!(point(&mut world, 100, open(), CUMULATIVE), []);
    world.pass(6_000);
    let out = point(&mut world, 200, vec![exemplar(kept, 150)], CUMULATIVE);
    assert_eq!(out, [exemplar(kept, 10), exemplar(kept, 150)]);
    let counts = world.engine.statistics().exemplars;
    let count = |outcome: ExemplarOutcome| counts[outcome as usize];
    assert_eq!(count(ExemplarOutcome::Stripped), 2);
    assert_eq!(count(ExemplarOutcome::Pending), 2);
    assert_eq!((count(ExemplarOutcome::Kept), count(ExemplarOutcome::Removed)), (2, 1));
}

#[test]
fn annotate_leaves_metrics_alone() {
    let mut world = World::annotate();
    assert_eq!(point(&mut world, 100, vec![exemplar(5, 10)], CUMULATIVE), [exemplar(5, 10)]);
}
