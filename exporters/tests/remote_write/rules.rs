//! Single rules, on inputs small enough to read.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    self as otlp, Metric, ResourceMetrics, ScopeMetrics, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use sluice_exporters::prometheus_remote_write::encode::{V1, V2};
use sluice_exporters::prometheus_remote_write::series::{Converted, Converter, Plan, STALE, Targets};
use sluice_exporters::prometheus_remote_write::translate::{Compat, Options};
use sluice_pdata::view::MetricsView;

use crate::laws::{LIMITS, convert, converter};
use crate::read::{self, Series, Value};

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 1_760_000_000 * SECOND;

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn request(resource: &[(&str, &str)], metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let attributes = resource.iter().map(|(key, value)| text(key, value)).collect();
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
            schema_url: String::new(),
        }],
    }
}

fn gauge(name: &str, times: &[u64]) -> Metric {
    let point = |&time: &u64| otlp::NumberDataPoint {
        time_unix_nano: time,
        value: Some(number_data_point::Value::AsInt(1)),
        ..otlp::NumberDataPoint::default()
    };
    let data = metric::Data::Gauge(otlp::Gauge { data_points: times.iter().map(point).collect() });
    Metric { name: name.to_owned(), data: Some(data), ..Metric::default() }
}

/// What version 2 sends of a request, in the order of labels and time.
fn sent(options: &Options, request: &ExportMetricsServiceRequest) -> Vec<Series> {
    read::all_v2(&convert(&mut converter::<V2>(options, LIMITS), &request.encode_to_vec(), LIMITS))
}

fn label<'s>(series: &'s Series, name: &str) -> Option<&'s str> {
    series.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn named<'s>(all: &'s [Series], name: &str) -> Vec<&'s Series> {
    all.iter().filter(|series| label(series, "__name__") == Some(name)).collect()
}

fn seconds(all: &[&Series]) -> Vec<i64> {
    all.iter().map(|series| series.timestamp / 1000 - (NOW / SECOND) as i64).collect()
}

#[test]
fn target_info_has_a_sample_every_150_seconds_and_one_at_the_end() {
    let resource = [("service.name", "a"), ("host.name", "h")];
    let times = [NOW, NOW + 400 * SECOND, NOW + 60 * SECOND, 0];
    let all = sent(&Options::default(), &request(&resource, vec![gauge("g", &times)]));
    assert_eq!(seconds(&named(&all, "target_info")), [0, 150, 300, 400]);
    let all = sent(&Options::default(), &request(&resource, vec![gauge("g", &[NOW])]));
    assert_eq!(seconds(&named(&all, "target_info")), [0]);
    let info = named(&all, "target_info")[0];
    assert_eq!((label(info, "job"), label(info, "host_name")), (Some("a"), Some("h")));
    assert_eq!(info.metadata, Some((2, "Target metadata".to_owned(), String::new())));
    let all = sent(&Options::default(), &request(&resource, vec![gauge("g", &[0])]));
    assert_eq!(named(&all, "target_info").len(), 0, "no time, no sample");
}

#[test]
fn exemplars_of_a_bucket_go_in_the_order_of_their_time() {
    let exemplar = |ms: u64, value: f64| otlp::Exemplar {
        time_unix_nano: NOW + ms * 1_000_000,
        value: Some(exemplar::Value::AsDouble(value)),
        ..otlp::Exemplar::default()
    };
    let point = otlp::HistogramDataPoint {
        time_unix_nano: NOW + SECOND,
        count: 5,
        bucket_counts: vec![4, 1],
        explicit_bounds: vec![10.0],
        exemplars: vec![exemplar(1, 9.0), exemplar(2, 3.0), exemplar(3, 50.0), exemplar(4, 7.0), exemplar(4, 5.0)],
        ..otlp::HistogramDataPoint::default()
    };
    let data = otlp::Histogram { data_points: vec![point], aggregation_temporality: 2 };
    let metric = Metric { name: "h".into(), data: Some(metric::Data::Histogram(data)), ..Metric::default() };
    let all = sent(&Options::default(), &request(&[("service.name", "a")], vec![metric]));
    let of = |le: &str| {
        let buckets = named(&all, "h_bucket");
        let bucket =
            buckets.into_iter().find(|series| label(series, "le").is_some_and(|text| text.starts_with(le))).unwrap();
        bucket.exemplars.iter().map(|it| (it.timestamp - (NOW / 1_000_000) as i64, it.value)).collect::<Vec<_>>()
    };
    let low = [(1, 9.0_f64), (2, 3.0), (4, 5.0), (4, 7.0)].map(|(time, value)| (time, value.to_bits()));
    assert_eq!(of("10"), low, "of one time, the lower value first");
    assert_eq!(of("+Inf"), [(3, 50.0_f64.to_bits())]);
}

#[test]
fn a_hostile_span_of_time_does_not_make_a_flood() {
    let resource = [("service.name", "a"), ("host.name", "h")];
    let all = sent(&Options::default(), &request(&resource, vec![gauge("g", &[1, u64::MAX])]));
    let info = named(&all, "target_info");
    assert!(info.len() < 1100, "{}", info.len());
    assert_eq!(info.last().unwrap().timestamp, (u64::MAX / 1_000_000) as i64);
}

#[test]
fn target_info_needs_a_target_and_something_to_tell() {
    for resource in [
        &[("service.name", "a"), ("service.namespace", "n"), ("service.instance.id", "i")][..],
        &[("host.name", "h")],
        &[],
    ] {
        let all = sent(&Options::default(), &request(resource, vec![gauge("g", &[NOW])]));
        assert_eq!(named(&all, "target_info").len(), 0, "{resource:?}");
    }
    let kept = Options { keep_identifying_resource_attributes: true, ..Options::default() };
    let all = sent(&kept, &request(&[("service.name", "a"), ("x", "y")], vec![gauge("g", &[NOW])]));
    assert_eq!(label(named(&all, "target_info")[0], "service_name"), Some("a"));
}

#[test]
fn a_target_whose_labels_change_leaves_a_staleness_marker() {
    let mut converter = converter::<V2>(&Options::default(), LIMITS);
    let mut send = |version: &str, times: &[u64]| {
        let resource = [("service.name", "a"), ("service.version", version)];
        let payload = request(&resource, vec![gauge("g", times)]).encode_to_vec();
        let all = read::all_v2(&convert(&mut converter, &payload, LIMITS));
        let info = named(&all, "target_info").into_iter().cloned().collect::<Vec<_>>();
        info.into_iter()
            .map(|series| {
                let stale = series.value == Value::Sample(STALE);
                (
                    label(&series, "service_version").unwrap().to_owned(),
                    series.timestamp - (NOW / 1_000_000) as i64,
                    stale,
                )
            })
            .collect::<Vec<_>>()
    };
    let own = |version: &str, time, stale| (version.to_owned(), time, stale);
    assert_eq!(send("1", &[NOW]), [own("1", 0, false)]);
    assert_eq!(send("1", &[NOW + 10 * SECOND]), [own("1", 10_000, false)]);
    assert_eq!(send("2", &[NOW + 20 * SECOND]), [own("1", 20_000, true), own("2", 20_000, false)]);
    assert_eq!(send("1", &[NOW + 15 * SECOND]), [], "late data changes nothing");
    assert_eq!(send("2", &[NOW + 30 * SECOND]), [own("2", 30_000, false)]);
    // New data that reaches back does not put the marker in front of a sample.
    assert_eq!(
        send("3", &[NOW + 25 * SECOND, NOW + 40 * SECOND]),
        [own("2", 30_001, true), own("3", 25_000, false), own("3", 40_000, false)]
    );
}

#[test]
fn two_who_tell_of_one_target_never_write_it_out_of_order() {
    let mut converter = converter::<V2>(&Options::default(), LIMITS);
    let mut send = |resources: &[(&str, u64)]| {
        let of = |&(metric, second): &(&str, u64)| {
            request(&[("service.name", "a"), ("v", "1")], vec![gauge(metric, &[NOW + second * SECOND])])
        };
        let resource_metrics = resources.iter().flat_map(|of_one| of(of_one).resource_metrics).collect();
        let payload = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
        let all = read::all_v2(&convert(&mut converter, &payload, LIMITS));
        let points = all.len() - named(&all, "target_info").len();
        (
            points,
            named(&all, "target_info")
                .iter()
                .map(|it| (it.timestamp - (NOW / 1_000_000) as i64) / 1000)
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(send(&[("app", 10)]), (1, vec![10]));
    // What is made of its spans is as old as its flush, and comes later.
    assert_eq!(send(&[("calls", 8)]), (1, vec![]));
    assert_eq!(send(&[("app", 20), ("calls", 18)]), (2, vec![20]));
    assert_eq!(send(&[("calls", 28), ("app", 30)]), (2, vec![28, 30]));
    // The same data, sent again.
    assert_eq!(send(&[("app", 30)]), (1, vec![30]));
}

#[test]
fn targets_are_shared_between_converters() {
    let targets = Targets::default();
    let options = Arc::new(Options::default());
    let payload = |version: &str, time| {
        request(&[("service.name", "a"), ("v", version)], vec![gauge("g", &[time])]).encode_to_vec()
    };
    let convert = |converted: Converted| converted;
    let mut first = Converter::<V2>::new(Arc::clone(&options), LIMITS, targets.clone());
    first.begin(Plan::default(), LIMITS);
    MetricsView(&payload("1", NOW)).resource_metrics().for_each(|metrics| first.resource(metrics.unwrap()));
    convert(first.finish());
    let mut second = Converter::<V1>::new(options, LIMITS, targets);
    second.begin(Plan::default(), LIMITS);
    MetricsView(&payload("2", NOW + SECOND)).resource_metrics().for_each(|metrics| second.resource(metrics.unwrap()));
    let all = read::all_v1(&convert(second.finish()));
    assert_eq!(named(&all, "target_info").len(), 2, "the old one's marker and the new one");
}

#[test]
fn scraped_metrics_keep_names_labels_and_bounds_verbatim() {
    let point = otlp::HistogramDataPoint {
        attributes: vec![text("_x", "1"), text("a:b", "2")],
        time_unix_nano: NOW,
        count: 3,
        sum: Some(4.5),
        bucket_counts: vec![1, 1, 1],
        explicit_bounds: vec![1.0, 1_000_000.0],
        ..otlp::HistogramDataPoint::default()
    };
    let histogram = otlp::Histogram { data_points: vec![point], aggregation_temporality: 2 };
    let metric = Metric {
        name: "request_duration".to_owned(),
        unit: "s".to_owned(),
        metadata: vec![text("prometheus.type", "histogram")],
        data: Some(metric::Data::Histogram(histogram)),
        ..Metric::default()
    };
    let options = Options { namespace: "ns".to_owned(), ..Options::default() };
    let all = sent(&options, &request(&[("service.name", "job"), ("service.instance.id", "host:1")], vec![metric]));
    let buckets = named(&all, "request_duration_bucket");
    let bounds: Vec<_> = buckets.iter().map(|series| label(series, "le").unwrap()).collect();
    assert_eq!(bounds, ["+Inf", "1.0", "1e+06"]);
    assert_eq!((label(buckets[0], "_x"), label(buckets[0], "a:b")), (Some("1"), Some("2")));
    assert_eq!((label(buckets[0], "job"), label(buckets[0], "instance")), (Some("job"), Some("host:1")));
    assert_eq!(buckets[0].metadata, Some((3, String::new(), "seconds".to_owned())));
    for (hint, number) in [("unknown", 0), ("info", 6), ("stateset", 7), ("gaugehistogram", 4), ("gauge", 2)] {
        let mut metric = gauge("some_gauge", &[NOW]);
        metric.metadata = vec![text("prometheus.type", hint)];
        let all = sent(&Options::default(), &request(&[], vec![metric]));
        assert_eq!(all[0].metadata.as_ref().unwrap().0, number, "{hint}");
        assert_eq!(label(&all[0], "__name__"), Some("some_gauge"));
    }
}

#[test]
fn start_times_go_with_counters_and_histograms() {
    let point = |start| otlp::NumberDataPoint {
        start_time_unix_nano: start,
        time_unix_nano: NOW,
        value: Some(number_data_point::Value::AsInt(1)),
        ..otlp::NumberDataPoint::default()
    };
    let sum = |start, is_monotonic| Metric {
        name: "c".to_owned(),
        data: Some(metric::Data::Sum(otlp::Sum {
            data_points: vec![point(start)],
            aggregation_temporality: 2,
            is_monotonic,
        })),
        ..Metric::default()
    };
    let start = |metric| sent(&Options::default(), &request(&[], vec![metric]))[0].start;
    assert_eq!(start(sum(NOW - SECOND, true)), ((NOW - SECOND) / 1_000_000) as i64);
    assert_eq!(start(sum(0, true)), 0);
    assert_eq!(start(sum(NOW + SECOND, true)), 0, "behind the end");
    assert_eq!(start(sum(5, true)), 1, "the first millisecond of the epoch is not unset");
    assert_eq!(start(sum(NOW - SECOND, false)), 0);
}

/// The buckets of the specification's example: offset 3, counts 10, 0, 0, 20, 5, 2.
#[test]
fn native_histograms_are_as_the_example_has_them() {
    let point = otlp::ExponentialHistogramDataPoint {
        time_unix_nano: NOW,
        count: 40,
        sum: Some(1.5),
        scale: 1,
        zero_count: 3,
        zero_threshold: 0.5,
        positive: Some(otlp::exponential_histogram_data_point::Buckets {
            offset: 3,
            bucket_counts: vec![10, 0, 0, 20, 5, 2],
        }),
        ..otlp::ExponentialHistogramDataPoint::default()
    };
    let metric = Metric {
        name: "e".to_owned(),
        data: Some(metric::Data::ExponentialHistogram(otlp::ExponentialHistogram {
            data_points: vec![point],
            aggregation_temporality: 2,
        })),
        ..Metric::default()
    };
    let request = request(&[], vec![metric]);
    let payload = request.encode_to_vec();
    let converted = convert(&mut converter::<V2>(&Options::default(), LIMITS), &payload, LIMITS);
    let body = snap::raw::Decoder::new().decompress_vec(&converted.requests[0].body).unwrap();
    let decoded = crate::messages::v2::Request::decode(&*body).unwrap();
    let histogram = &decoded.timeseries[0].histograms[0];
    let spans: Vec<_> = histogram.positive_spans.iter().map(|span| (span.offset, span.length)).collect();
    assert_eq!(spans, [(4, 6)]);
    assert_eq!(histogram.positive_deltas, [10, -10, 0, 20, -15, -3]);
    assert_eq!((histogram.schema, histogram.zero_threshold, histogram.reset_hint), (1, 1e-128, 0));
    let specified = Options { compat: Compat::OtelSpec, ..Options::default() };
    let Value::Histogram(native) = &sent(&specified, &request)[0].value else { panic!("a histogram") };
    assert_eq!(f64::from_bits(native.zero_threshold), 0.5);
    // Version 1 may be told not to send them.
    let without = Options { send_native_histograms: false, ..Options::default() };
    let converted = convert(&mut converter::<V1>(&without, LIMITS), &payload, LIMITS);
    assert_eq!(converted.all_drops().iter().collect::<Vec<_>>(), [("native_histogram_disabled", 1)]);
    assert_eq!(sent(&without, &request).len(), 1, "version 2 always does");
}
