//! Each limit at its value, one above, and at ten times that (security S17).

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Summary, SummaryDataPoint, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span::Event, span::Link};
use prost::Message;
use sluice_config::service::{LimitAction, Limits};
use sluice_pdata::pass::{Passed, Scratch};
use sluice_pdata::{Signal, framing};

use super::*;
use crate::testing::World;

/// Small ones, so that ten times as much is little.
fn limits() -> Limits {
    let mut limits = Limits { value_depth: 4, attributes: 5, events: 3, links: 3, ..Limits::default() };
    (limits.exemplars, limits.buckets, limits.quantiles) = (3, 6, 3);
    limits.key_bytes.0 = 10;
    limits.identity_value_bytes.0 = 20;
    limits.payload_value_bytes.0 = 40;
    limits
}

fn run(limits: &Limits, signal: Signal, request: &[u8]) -> (Passed, World) {
    let world = World::new();
    let step = LimitStep::new(ContentLimits::from(limits), &world.telemetry);
    let items = framing::check(signal, request).unwrap().items;
    let chain = crate::Chain::new(signal, vec![Arc::new(step)]);
    let mut passed =
        chain.run(Bytes::copy_from_slice(request), items, &world.context(), &mut Scratch::default()).unwrap();
    passed.apply_effects();
    (passed, world)
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(len: usize) -> Value {
    Value::StringValue("x".repeat(len))
}

fn pairs(count: usize) -> Vec<KeyValue> {
    (0..count).map(|i| pair(&format!("k{i}"), Value::IntValue(1))).collect()
}

/// Lists around each other.
fn nested(levels: usize, map: bool) -> Value {
    (0..levels).fold(text(1), |inner, _| {
        let value = AnyValue { value: Some(inner) };
        if map {
            Value::KvlistValue(KeyValueList { values: vec![KeyValue { value: Some(value), ..KeyValue::default() }] })
        } else {
            Value::ArrayValue(ArrayValue { values: vec![value] })
        }
    })
}

fn traces(span: Span) -> (Signal, Vec<u8>) {
    traces_of(Resource::default(), span)
}

fn traces_of(resource: Resource, span: Span) -> (Signal, Vec<u8>) {
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let group = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    (Signal::Traces, ExportTraceServiceRequest { resource_spans: vec![group] }.encode_to_vec())
}

fn logs(record: LogRecord) -> (Signal, Vec<u8>) {
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    let group = ResourceLogs { scope_logs, ..ResourceLogs::default() };
    (Signal::Logs, ExportLogsServiceRequest { resource_logs: vec![group] }.encode_to_vec())
}

fn metrics(resource: Resource, metric: Metric) -> (Signal, Vec<u8>) {
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    let group = ResourceMetrics { resource: Some(resource), scope_metrics, ..ResourceMetrics::default() };
    (Signal::Metrics, ExportMetricsServiceRequest { resource_metrics: vec![group] }.encode_to_vec())
}

fn gauge(point: NumberDataPoint) -> Metric {
    Metric { data: Some(Data::Gauge(Gauge { data_points: vec![point] })), ..Metric::default() }
}

/// What is done beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Done {
    Trim,
    Reject(Reason),
}
use Done::{Reject, Trim};

type Case = (&'static str, usize, Done, fn(usize) -> (Signal, Vec<u8>));

/// The limit's name, its value, what happens beyond it, and a request that is exactly so large.
const CASES: &[Case] = &[
    ("attributes", 5, Trim, |n| traces(Span { attributes: pairs(n), ..Span::default() })),
    ("attributes", 5, Trim, |n| traces_of(Resource { attributes: pairs(n), ..Resource::default() }, Span::default())),
    ("attributes", 5, Trim, |n| logs(LogRecord { attributes: pairs(n), ..LogRecord::default() })),
    ("attributes", 5, Trim, |n| {
        traces(Span { events: vec![Event { attributes: pairs(n), ..Event::default() }], ..Span::default() })
    }),
    ("attributes", 5, Trim, |n| {
        traces(Span { links: vec![Link { attributes: pairs(n), ..Link::default() }], ..Span::default() })
    }),
    ("attributes", 5, Reject("limit_cardinality"), |n| {
        metrics(Resource { attributes: pairs(n), ..Resource::default() }, gauge(NumberDataPoint::default()))
    }),
    ("attributes", 5, Reject("limit_cardinality"), |n| {
        metrics(Resource::default(), gauge(NumberDataPoint { attributes: pairs(n), ..NumberDataPoint::default() }))
    }),
    ("attributes", 5, Trim, |n| {
        let exemplar = Exemplar { filtered_attributes: pairs(n), ..Exemplar::default() };
        metrics(Resource::default(), gauge(NumberDataPoint { exemplars: vec![exemplar], ..NumberDataPoint::default() }))
    }),
    ("key_bytes", 10, Trim, |n| traces(Span { attributes: vec![pair(&"k".repeat(n), text(1))], ..Span::default() })),
    ("key_bytes", 10, Reject("limit_size"), |n| {
        let attributes = vec![pair(&"k".repeat(n), text(1))];
        metrics(Resource::default(), gauge(NumberDataPoint { attributes, ..NumberDataPoint::default() }))
    }),
    ("identity_value_bytes", 20, Trim, |n| {
        traces_of(Resource { attributes: vec![pair("k", text(n))], ..Resource::default() }, Span::default())
    }),
    ("identity_value_bytes", 20, Trim, |n| traces(Span { name: "x".repeat(n), ..Span::default() })),
    ("identity_value_bytes", 20, Reject("limit_size"), |n| {
        metrics(Resource::default(), Metric { name: "x".repeat(n), ..gauge(NumberDataPoint::default()) })
    }),
    ("identity_value_bytes", 20, Reject("limit_size"), |n| {
        let attributes = vec![pair("k", text(n))];
        metrics(Resource::default(), gauge(NumberDataPoint { attributes, ..NumberDataPoint::default() }))
    }),
    ("payload_value_bytes", 40, Trim, |n| traces(Span { attributes: vec![pair("k", text(n))], ..Span::default() })),
    ("payload_value_bytes", 40, Trim, |n| {
        logs(LogRecord { body: Some(AnyValue { value: Some(text(n)) }), ..LogRecord::default() })
    }),
    ("payload_value_bytes", 40, Trim, |n| {
        logs(LogRecord { attributes: vec![pair("k", Value::BytesValue(vec![7; n]))], ..LogRecord::default() })
    }),
    ("value_depth", 4, Reject("limit_depth"), |n| {
        traces(Span { attributes: vec![pair("k", nested(n, false))], ..Span::default() })
    }),
    ("value_depth", 4, Reject("limit_depth"), |n| {
        logs(LogRecord { body: Some(AnyValue { value: Some(nested(n, true)) }), ..LogRecord::default() })
    }),
    ("events", 3, Trim, |n| traces(Span { events: vec![Event::default(); n], ..Span::default() })),
    ("links", 3, Trim, |n| traces(Span { links: vec![Link::default(); n], ..Span::default() })),
    ("exemplars", 3, Trim, |n| {
        let exemplars = vec![Exemplar::default(); n];
        metrics(Resource::default(), gauge(NumberDataPoint { exemplars, ..NumberDataPoint::default() }))
    }),
    ("buckets", 6, Reject("limit_cardinality"), |n| {
        let point = HistogramDataPoint {
            bucket_counts: vec![1; n],
            explicit_bounds: (1..n).map(|bound| bound as f64).collect(),
            ..HistogramDataPoint::default()
        };
        let data = Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 2 });
        metrics(Resource::default(), Metric { data: Some(data), ..Metric::default() })
    }),
    ("buckets", 6, Reject("limit_cardinality"), |n| {
        let of = |counts: usize| Some(Buckets { offset: 0, bucket_counts: vec![300; counts] });
        let point = ExponentialHistogramDataPoint {
            positive: of(n / 2),
            negative: of(n - n / 2),
            ..ExponentialHistogramDataPoint::default()
        };
        let data =
            Data::ExponentialHistogram(ExponentialHistogram { data_points: vec![point], aggregation_temporality: 2 });
        metrics(Resource::default(), Metric { data: Some(data), ..Metric::default() })
    }),
    ("quantiles", 3, Reject("limit_cardinality"), |n| {
        let point =
            SummaryDataPoint { quantile_values: vec![ValueAtQuantile::default(); n], ..SummaryDataPoint::default() };
        let data = Data::Summary(Summary { data_points: vec![point] });
        metrics(Resource::default(), Metric { data: Some(data), ..Metric::default() })
    }),
];

fn applied(world: &World, limit: &str, action: &str, signal: Signal) -> u64 {
    let text = world.telemetry.render(&crate::telemetry::Naming::default());
    let series = format!("sluice_limit_applied_total{{limit=\"{limit}\",action=\"{action}\",signal=\"{signal}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or_default()
}

#[test]
fn what_is_at_a_limit_passes_untouched_and_what_is_beyond_is_trimmed_or_rejected() {
    for (number, (limit, most, done, make)) in CASES.iter().enumerate() {
        let case = format!("{limit}, case {number}");
        let (signal, request) = make(*most);
        let (passed, world) = run(&limits(), signal, &request);
        assert_eq!((passed.items, &*passed.bytes), (1, &*request), "{case} at the limit");
        assert!(!world.telemetry.render(&crate::telemetry::Naming::default()).contains("limit_applied_total{"));
        for beyond in [most + 1, most * 10] {
            let (signal, request) = make(beyond);
            let (passed, world) = run(&limits(), signal, &request);
            match done {
                Trim => {
                    assert_eq!((passed.items, passed.dropped.len()), (1, 0), "{case} at {beyond}");
                    assert!(passed.bytes.len() <= request.len() && passed.bytes != request, "{case} at {beyond}");
                    // What is left is within the limits.
                    let (again, _) = run(&limits(), signal, &passed.bytes);
                    assert_eq!(again.bytes, passed.bytes, "{case} at {beyond}");
                }
                Reject(reason) => {
                    assert_eq!((passed.items, &*passed.dropped), (0, &[(0, *reason, 1)][..]), "{case} at {beyond}");
                }
            }
            let action = if *done == Trim { "trim" } else { "reject" };
            assert_eq!(applied(&world, limit, action, signal), 1, "{case} at {beyond}");
        }
        // `action: reject` leaves nothing to trimming.
        let (signal, request) = make(most + 1);
        let (passed, _) = run(&Limits { action: LimitAction::Reject, ..limits() }, signal, &request);
        assert_eq!(passed.items, 0, "{case} with `action: reject`");
    }
}

fn span_of(request: &[u8]) -> Span {
    ExportTraceServiceRequest::decode(request).unwrap().resource_spans[0].scope_spans[0].spans[0].clone()
}

#[test]
fn what_is_left_out_is_added_to_what_the_sender_had_left_out() {
    let event = Event { attributes: pairs(8), dropped_attributes_count: 1, ..Event::default() };
    let span = Span {
        attributes: [pairs(7), vec![pair(&"k".repeat(11), text(1))]].concat(),
        dropped_attributes_count: 100,
        events: [vec![event], vec![Event::default(); 5]].concat(),
        dropped_events_count: 7,
        links: vec![Link::default(); 9],
        name: "n".to_owned(),
        ..Span::default()
    };
    let (signal, request) = traces(span.clone());
    let trimmed = span_of(&run(&limits(), signal, &request).0.bytes);
    assert_eq!((trimmed.attributes.len(), trimmed.dropped_attributes_count), (5, 103));
    assert_eq!((trimmed.events.len(), trimmed.dropped_events_count), (3, 10));
    assert_eq!((trimmed.links.len(), trimmed.dropped_links_count), (3, 6));
    assert_eq!((trimmed.events[0].attributes.len(), trimmed.events[0].dropped_attributes_count), (5, 4));
    assert_eq!(trimmed.attributes[..], span.attributes[..5]);
    assert_eq!(trimmed.name, "n");
}

#[test]
fn a_text_is_cut_between_characters() {
    // 40 bytes end within the third byte of a character.
    for (prefix, character, kept) in [("a", "b", 40), ("aa", "€", 38), ("a", "é", 39), ("a", "𝄞", 37)] {
        let long = format!("{prefix}{}", character.repeat(40));
        let (signal, request) =
            traces(Span { attributes: vec![pair("k", Value::StringValue(long.clone()))], ..Span::default() });
        let span = span_of(&run(&limits(), signal, &request).0.bytes);
        let Some(Value::StringValue(cut)) = span.attributes[0].value.clone().and_then(|value| value.value) else {
            panic!("a text stays a text");
        };
        assert!(long.starts_with(&cut));
        assert_eq!(cut.len(), kept, "{character}");
    }
}

#[test]
fn ids_of_other_lengths_and_buckets_that_do_not_fit_their_bounds_are_invalid() {
    for (len, kept) in [(0, 1), (16, 1), (15, 0), (17, 0), (32, 0)] {
        let (signal, request) = logs(LogRecord { trace_id: vec![1; len], ..LogRecord::default() });
        let (passed, world) = run(&limits(), signal, &request);
        assert_eq!(passed.items, kept, "{len}");
        assert_eq!(applied(&world, "id_length", "reject", signal), 1 - kept as u64);
    }
    for (buckets, bounds, kept) in [(0, 0, 1), (1, 0, 1), (3, 2, 1), (2, 2, 0), (0, 2, 0), (3, 0, 0)] {
        let point = HistogramDataPoint {
            bucket_counts: vec![1; buckets],
            explicit_bounds: vec![0.5; bounds],
            ..HistogramDataPoint::default()
        };
        let data = Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 2 });
        let (signal, request) = metrics(Resource::default(), Metric { data: Some(data), ..Metric::default() });
        assert_eq!(run(&limits(), signal, &request).0.items, kept, "{buckets} buckets, {bounds} bounds");
    }
}
