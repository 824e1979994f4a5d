//! Limits, expiry, and giving memory back.

use sluice_pipeline::clock::WallTime;
use sluice_pipeline::stage::{Stage as _, StageOutput};

use super::collector::*;

const CALLS: &str = "traces.span.metrics.calls";

fn total(metrics: &Metrics) -> i64 {
    metrics.calls(CALLS).iter().map(|(_, value)| value).sum()
}

#[test]
fn beyond_the_limit_of_a_resource_spans_go_to_its_overflow_series() {
    let mut collector = Collector::new("aggregation_cardinality_limit: 2");
    let spans = ["a", "b", "c", "d", "a"].map(|name| span(name, 1.0)).to_vec();
    collector.spans(&[("service.name", "x")], spans.clone());
    collector.spans(&[("service.name", "y")], spans[..2].to_vec());
    let metrics = collector.flush();
    let of = |service: &str| {
        let resource = owned(&[("service.name", service)]);
        let calls = metrics.sums.iter().filter(|(key, _)| key.0 == resource);
        calls.map(|(key, point)| (key.2.last().unwrap().clone(), key.2.len(), int(point))).collect::<Vec<_>>()
    };
    let overflow = ("otel.metric.overflow".to_owned(), "true".to_owned());
    assert_eq!(of("x")[0], (overflow, 1, 2));
    assert_eq!(of("x").iter().map(|(_, _, value)| value).sum::<i64>(), 5);
    assert_eq!(of("y").len(), 2);
    assert_eq!(metrics.histograms.len(), 5);
    assert_eq!(collector.value("otelcol_connector_spanmetrics_overflow", &[]), 2.0);
}

#[test]
fn without_a_limit_there_is_a_hard_cap_and_no_span_is_lost() {
    let mut collector = Collector::new("histogram: {disable: true}");
    let spans: Vec<_> = (0..100_500).map(|at| span(&at.to_string(), 1.0)).collect();
    for part in spans.chunks(10_000) {
        collector.spans(&[("service.name", "x")], part.to_vec());
    }
    // A resource that is new has no room for a series of its own.
    collector.spans(&[("service.name", "late")], vec![span("s", 1.0); 7]);
    let metrics = collector.flush();
    assert_eq!(metrics.sums.len(), 100_002);
    assert_eq!(total(&metrics), 100_507);
    let overflow: Vec<_> = metrics
        .sums
        .iter()
        .filter(|(key, _)| key.2 == owned(&[("otel.metric.overflow", "true")]))
        .map(|(key, point)| (key.0.clone(), int(point)))
        .collect();
    assert_eq!(overflow, [(vec![], 7), (owned(&[("service.name", "x")]), 500)]);
}

#[test]
fn a_dimension_that_is_far_too_long_goes_to_the_overflow_series() {
    let mut collector = Collector::new("{}");
    collector.spans(&[("service.name", "x")], vec![span(&"n".repeat(20_000), 1.0)]);
    assert_eq!(collector.flush().calls(CALLS), [(owned(&[("otel.metric.overflow", "true")]), 1)]);
}

#[test]
fn a_series_without_spans_expires_and_begins_again() {
    let mut collector = Collector::new("series_expiration: 100s");
    collector.spans(&[("service.name", "x")], vec![span("a", 1.0), span("b", 1.0)]);
    assert_eq!(collector.flush().sums.len(), 2);
    collector.spans(&[("service.name", "x")], vec![span("b", 1.0)]);
    assert_eq!(collector.flush().sums.len(), 2, "upstream writes it once more");
    let metrics = collector.flush();
    assert_eq!(metrics.calls(CALLS), [(owned(&[("span.name", "b")]), 2)]);
    let now = collector.now;
    collector.spans(&[("service.name", "x")], vec![span("a", 1.0)]);
    let metrics = collector.flush();
    let again = metrics.sums.iter().find(|(key, _)| key.2[1].1 == "a").unwrap().1;
    assert_eq!((int(again), again.start_time_unix_nano), (1, now));
}

#[test]
fn a_resource_without_spans_expires() {
    let mut collector = Collector::new("metrics_expiration: 90s");
    collector.spans(&[("service.name", "x")], vec![span("a", 1.0)]);
    collector.spans(&[("service.name", "y")], vec![span("a", 1.0)]);
    assert_eq!(collector.flush().sums.len(), 2);
    collector.spans(&[("service.name", "y")], vec![span("a", 1.0)]);
    assert_eq!(collector.flush().sums.len(), 2);
    assert_eq!(collector.flush().sums.len(), 1);
    assert!(collector.stage.next_deadline().is_none(), "nothing is left to write");
    assert!(collector.stage.held().bytes < 1000, "{:?}", collector.stage.held());
}

#[test]
fn resources_beyond_the_cache_are_written_once_and_forgotten() {
    let mut collector = Collector::new("resource_metrics_cache_size: 2");
    for (at, service) in ["a", "b", "c"].into_iter().enumerate() {
        collector.now = START + at as u64;
        collector.spans(&[("service.name", service)], vec![span("s", 1.0)]);
    }
    assert_eq!(collector.flush().sums.len(), 3);
    let services: Vec<_> = collector.flush().sums.keys().map(|key| key.0[0].1.clone()).collect();
    assert_eq!(services, ["b", "c"]);
}

#[test]
fn resources_are_told_apart_by_the_key_attributes() {
    let mut collector = Collector::new("resource_metrics_key_attributes: [service.name]");
    collector.spans(&[("service.name", "x"), ("process.pid", "1")], vec![span("s", 1.0)]);
    collector.spans(&[("process.pid", "2"), ("service.name", "x")], vec![span("s", 1.0)]);
    let metrics = collector.flush();
    let (key, point) = metrics.sums.first_key_value().unwrap();
    assert_eq!((metrics.sums.len(), int(point)), (1, 2));
    let mut attributes = key.0.clone();
    attributes.sort();
    assert_eq!(attributes, owned(&[("process.pid", "1"), ("service.name", "x")]), "those of the first");
    let mut collector = Collector::new("{}");
    collector.spans(&[("service.name", "x"), ("process.pid", "1")], vec![span("s", 1.0)]);
    collector.spans(&[("process.pid", "1"), ("service.name", "x")], vec![span("s", 1.0)]);
    collector.spans(&[("process.pid", "2"), ("service.name", "x")], vec![span("s", 1.0)]);
    assert_eq!(collector.flush().sums.len(), 2, "the order of attributes means nothing");
}

#[test]
fn tenants_never_share_series() {
    let mut collector = Collector::new("{}");
    let sent = request(&[("service.name", "x")], vec![span("s", 1.0)]);
    collector.absorb_of(&sent, "a");
    collector.absorb_of(&sent, "b");
    collector.absorb_of(&sent, "b");
    let out = collector.pass(60);
    let tenants: Vec<_> = out.batches.iter().map(|(_, batch)| batch.context().tenant.name().to_owned()).collect();
    assert_eq!(tenants, ["a", "b"]);
}

#[test]
fn short_of_memory_new_series_overflow_then_all_begins_again_and_no_span_is_lost() {
    let mut collector = Collector::new("exemplars: {enabled: true}");
    collector.spans(&[("service.name", "x")], vec![span("a", 1.0)]);
    collector.flush();
    let mut out = StageOutput::default();
    collector.stage.relieve(85, WallTime(collector.now), &mut out);
    assert!(out.is_empty());
    collector.spans(&[("service.name", "x")], vec![span("a", 1.0), span("b", 1.0)]);
    let metrics = collector.flush();
    let expected = [(owned(&[("otel.metric.overflow", "true")]), 1), (owned(&[("span.name", "a")]), 2)];
    assert_eq!(metrics.calls(CALLS), expected);
    collector.spans(&[("service.name", "x")], vec![span("b", 1.0)]);
    let held = collector.stage.held().bytes;
    collector.now += SECOND;
    collector.stage.relieve(100, WallTime(collector.now), &mut out);
    let expected = [
        (owned(&[("otel.metric.overflow", "true")]), 1),
        (owned(&[("span.name", "a")]), 2),
        (owned(&[("span.name", "b")]), 1),
    ];
    let metrics = Metrics::of(&out);
    // `relieve` lets go of what had no span since the flush before, then writes the rest.
    assert_eq!(metrics.calls(CALLS), expected[2..]);
    assert!(collector.stage.held().bytes < held / 2, "{:?} of {held}", collector.stage.held());
    assert_eq!(collector.stage.low_watermark(), None);
}
