//! Which attributes become dimensions.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::Event;

use sluice_pdata::Signal;

use super::collector::*;

const CALLS: &str = "traces.span.metrics.calls";

#[test]
fn a_span_becomes_calls_and_duration_with_the_default_dimensions() {
    let mut collector = Collector::new("{}");
    collector.spans(&[("service.name", "shop"), ("host.name", "a")], vec![failed(span("GET /", 3.5))]);
    let metrics = collector.flush();
    let resource = owned(&[("service.name", "shop"), ("host.name", "a")]);
    let dimensions = owned(&[
        ("service.name", "shop"),
        ("span.name", "GET /"),
        ("span.kind", "SPAN_KIND_SERVER"),
        ("status.code", "STATUS_CODE_ERROR"),
        ("collector.instance.id", INSTANCE),
    ]);
    let calls = &metrics.sums[&(resource.clone(), CALLS.into(), dimensions.clone())];
    assert_eq!(int(calls), 1);
    assert_eq!((calls.start_time_unix_nano, calls.time_unix_nano), (START, START + 60 * SECOND));
    let zero = &metrics.zeros[&(resource.clone(), CALLS.into(), dimensions.clone())];
    assert_eq!((int(zero), zero.time_unix_nano), (0, START));
    let duration = &metrics.histograms[&(resource, "traces.span.metrics.duration".into(), dimensions)];
    assert_eq!((duration.count, duration.sum), (1, Some(3.5)));
    assert_eq!(duration.explicit_bounds, crate::spanmetrics::config::DEFAULT_BUCKETS_MS);
    assert_eq!(duration.bucket_counts.iter().position(|count| *count == 1), Some(1));
    assert_eq!(duration.bucket_counts.len(), 17);
    assert_eq!(metrics.temporalities, [2, 2]);
    assert_eq!(metrics.units["traces.span.metrics.duration"], "ms");
    assert_eq!((metrics.sums.len(), metrics.histograms.len()), (1, 1));
}

#[test]
fn span_attributes_win_over_resource_attributes_and_defaults_stand_in() {
    let mut collector = Collector::new(
        "dimensions: [{name: region}, {name: tier, default: gold}, {name: absent}, {name: http.status_code}]",
    );
    let numbered = |status| {
        let mut span = with(span("a", 1.0), &[("region", "span")]);
        span.attributes.push(typed("http.status_code", Value::IntValue(status)));
        span
    };
    collector
        .spans(&[("service.name", "x"), ("region", "resource")], vec![numbered(200), numbered(200), span("a", 1.0)]);
    let metrics = collector.flush();
    let expected = [
        (owned(&[("span.name", "a"), ("region", "resource"), ("tier", "gold")]), 1),
        (owned(&[("span.name", "a"), ("region", "span"), ("tier", "gold"), ("http.status_code", "200")]), 2),
    ];
    assert_eq!(metrics.calls(CALLS), expected);
    // The type of the value is kept.
    let (_, point) = metrics.sums.iter().find(|(key, _)| key.2.len() == 8).unwrap();
    assert_eq!(point.attributes[7].value.as_ref().unwrap().value, Some(Value::IntValue(200)));
}

#[test]
fn an_empty_value_is_not_a_missing_one() {
    let mut collector = Collector::new("dimensions: [{name: a}]");
    collector.spans(&[("service.name", "x")], vec![with(span("s", 1.0), &[("a", "")]), span("s", 1.0)]);
    assert_eq!(
        collector.flush().calls(CALLS),
        [(owned(&[("span.name", "s")]), 1), (owned(&[("span.name", "s"), ("a", "")]), 1)]
    );
}

#[test]
fn globs_take_all_that_match_by_name() {
    let mut collector = Collector::new("{dimensions: [{name: db.name}, {glob: 'db.*'}, {glob: 'k8s.**.name'}]}");
    let resource = [("service.name", "x"), ("k8s.a.b.name", "deep"), ("db.z", "resource"), ("other", "no")];
    let attributes = [("db.z", "span"), ("db.name", "n"), ("db.system", "pg"), ("db.a.b", "no")];
    collector.spans(&resource, vec![with(span("s", 1.0), &attributes)]);
    let expected =
        owned(&[("span.name", "s"), ("db.name", "n"), ("db.system", "pg"), ("db.z", "span"), ("k8s.a.b.name", "deep")]);
    assert_eq!(collector.flush().calls(CALLS), [(expected, 1)]);
}

#[test]
fn calls_and_duration_can_have_dimensions_of_their_own() {
    let yaml = "{dimensions: [{name: m}], calls_dimensions: [{name: url}], histogram: {dimensions: [{name: code}]}}";
    let mut collector = Collector::new(yaml);
    let made = |url, code| with(span("s", 1.0), &[("m", "GET"), ("url", url), ("code", code)]);
    collector.spans(&[("service.name", "x")], vec![made("/a", "200"), made("/b", "200"), made("/b", "500")]);
    let metrics = collector.flush();
    let calls = [
        (owned(&[("span.name", "s"), ("m", "GET"), ("url", "/a")]), 1),
        (owned(&[("span.name", "s"), ("m", "GET"), ("url", "/b")]), 2),
    ];
    assert_eq!(metrics.calls(CALLS), calls);
    let durations: Vec<_> =
        metrics.histograms.iter().map(|(key, point)| (key.2.last().unwrap().1.as_str(), point.count)).collect();
    assert_eq!(durations, [("200", 2), ("500", 1)]);
}

#[test]
fn default_dimensions_can_be_excluded_and_then_series_fall_together() {
    let yaml = "exclude_dimensions: [span.name, span.kind, status.code, collector.instance.id, unknown]";
    let mut collector = Collector::new(yaml);
    collector.spans(&[("service.name", "x")], vec![span("a", 1.0), failed(span("b", 1.0))]);
    let metrics = collector.flush();
    let (key, point) = metrics.sums.first_key_value().unwrap();
    assert_eq!((key.2.clone(), int(point), metrics.sums.len()), (owned(&[("service.name", "x")]), 2, 1));
}

#[test]
fn events_are_counted_by_attributes_of_event_span_and_resource() {
    let yaml =
        "{events: {enabled: true, dimensions: [{name: exception.type}, {name: region}]}, histogram: {disable: true}}";
    let mut collector = Collector::new(yaml);
    let event = |attributes: &[(&str, &str)]| Event {
        name: "exception".into(),
        attributes: attributes.iter().map(|(key, value)| pair(key, value)).collect(),
        ..Event::default()
    };
    let mut first = span("s", 1.0);
    first.events = vec![event(&[("exception.type", "io"), ("region", "event")]), event(&[("exception.type", "io")])];
    let mut second = with(span("s", 1.0), &[("exception.type", "span wins")]);
    second.events = vec![event(&[("exception.type", "io")])];
    collector.spans(&[("service.name", "x"), ("region", "resource")], vec![first, second, span("s", 1.0)]);
    let metrics = collector.flush();
    let expected = [
        (owned(&[("span.name", "s"), ("exception.type", "io"), ("region", "event")]), 1),
        (owned(&[("span.name", "s"), ("exception.type", "io"), ("region", "resource")]), 1),
        (owned(&[("span.name", "s"), ("exception.type", "span wins"), ("region", "resource")]), 1),
    ];
    assert_eq!(metrics.calls("traces.span.metrics.events"), expected);
    assert_eq!(metrics.calls(CALLS), [(owned(&[("span.name", "s")]), 3)]);
    assert!(metrics.histograms.is_empty());
}

#[test]
fn a_scope_becomes_a_dimension_if_it_is_listed() {
    let mut collector = Collector::new("include_instrumentation_scope: [express]");
    let mut sent = request(&[("service.name", "x")], vec![span("s", 1.0)]);
    let scopes = &mut sent.resource_spans[0].scope_spans;
    scopes.push(scopes[0].clone());
    scopes.push(scopes[0].clone());
    let scope = |name: &str, version: &str| {
        Some(InstrumentationScope { name: name.into(), version: version.into(), ..InstrumentationScope::default() })
    };
    scopes[1].scope = scope("express", "1.2");
    scopes[2].scope = scope("other", "1.2");
    collector.absorb(&sent);
    let expected = [
        (owned(&[("span.name", "s")]), 2),
        (
            owned(&[
                ("span.name", "s"),
                ("span.instrumentation.scope.name", "express"),
                ("span.instrumentation.scope.version", "1.2"),
            ]),
            1,
        ),
    ];
    assert_eq!(collector.flush().calls(CALLS), expected);
}

#[test]
fn the_sampling_method_tells_estimates_from_counts() {
    let mut collector = Collector::new("{enable_metrics_sampling_method: true, namespace: ''}");
    let spans = vec![
        traced(span("s", 1.0), 0xff, "ot=th:8"),
        traced(span("s", 1.0), 0xff, "ot=th:c"),
        traced(span("s", 1.0), 0x01, "ot=th:8"),
        traced(span("s", 1.0), 0xff, ""),
    ];
    collector.spans(&[("service.name", "x")], spans);
    let expected = [
        (owned(&[("span.name", "s"), ("sampling.method", "counted")]), 2),
        (owned(&[("span.name", "s"), ("sampling.method", "extrapolated")]), 6),
    ];
    assert_eq!(collector.flush().calls("calls"), expected);
    assert_eq!(collector.value("otelcol_connector_spanmetrics_threshold_errors", &[]), 1.0);
}

#[test]
fn what_has_no_service_name_is_skipped_and_counted() {
    let mut collector = Collector::new("{}");
    collector.spans(&[("host.name", "x")], vec![span("s", 1.0), span("s", 1.0)]);
    let mut backwards = span("s", 0.0);
    backwards.end_time_unix_nano = 1;
    collector.spans(&[("service.name", "x")], vec![backwards]);
    let out = collector.pass(60);
    let mut dropped = out.dropped.to_vec();
    dropped.sort_by_key(|(_, reason, _)| *reason);
    assert_eq!(dropped, [(Signal::Traces, "aggregated", 1), (Signal::Traces, "no_service_name", 2)]);
    let metrics = Metrics::of(&out);
    let duration = metrics.histograms.first_key_value().unwrap().1;
    assert_eq!((duration.count, duration.sum, duration.bucket_counts[0]), (1, Some(0.0), 1));
    assert_eq!(collector.value("otelcol_connector_spanmetrics_negative_durations", &[]), 1.0);
    assert_eq!(collector.value("otelcol_connector_spanmetrics_spans", &[("outcome", "no_service_name")]), 2.0);
}

#[test]
fn seconds_are_a_unit_too() {
    let mut collector = Collector::new("histogram: {unit: s}");
    collector.spans(&[("service.name", "x")], vec![span("s", 1400.0)]);
    let metrics = collector.flush();
    let point = metrics.histograms.first_key_value().unwrap().1;
    assert_eq!((point.sum, point.explicit_bounds[0], point.explicit_bounds[15]), (Some(1.4), 0.002, 15.0));
    assert_eq!(point.bucket_counts[11], 1, "an upper bound belongs to its bucket");
    assert_eq!(metrics.units["traces.span.metrics.duration"], "s");
}

#[test]
fn malformed_spans_are_counted_and_do_not_stop_the_others() {
    use sluice_pipeline::stage::Stage as _;
    let mut collector = Collector::new("{}");
    // A span whose attribute is cut off, between two good ones.
    let good = prost::Message::encode_to_vec(&span("s", 1.0));
    let bad = [0x4a, 0x7f, 0x0a];
    let mut scope = Vec::new();
    for bytes in [&good[..], &bad[..], &good[..]] {
        sluice_pdata::wire::put_len(&mut scope, 2, bytes);
    }
    let mut resource = prost::Message::encode_to_vec(
        request(&[("service.name", "x")], vec![]).resource_spans[0].resource.as_ref().unwrap(),
    );
    let mut resource_spans = Vec::new();
    sluice_pdata::wire::put_len(&mut resource_spans, 1, &std::mem::take(&mut resource));
    sluice_pdata::wire::put_len(&mut resource_spans, 2, &scope);
    let mut bytes = Vec::new();
    sluice_pdata::wire::put_len(&mut bytes, 1, &resource_spans);
    let like = collector.entry(&request(&[], vec![]), "");
    let batch =
        sluice_pipeline::Batch::new(sluice_pdata::Signal::Traces, bytes.into(), 3, like.batch().context().clone());
    let entry = sluice_pipeline::spine::Entry::new(
        like.seq(),
        sluice_pipeline::batch::NoRedaction.waive(batch),
        like.ingest(),
        Box::new(()),
    );
    let mut out = sluice_pipeline::stage::StageOutput::default();
    let now = sluice_pipeline::clock::WallTime(collector.now);
    collector.stage.absorb(sluice_pipeline::stage::Port(0), &entry, now, &mut out);
    assert_eq!(collector.stage.held().items, 3);
    let out = collector.pass(60);
    let mut dropped = out.dropped.to_vec();
    dropped.sort_by_key(|(_, reason, _)| *reason);
    assert_eq!(dropped, [(Signal::Traces, "aggregated", 2), (Signal::Traces, "invalid", 1)]);
}
