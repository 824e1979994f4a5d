//! Times the translation of OTLP to remote write against decoding with `prost` and encoding again.
//!
//! `cargo run -p sluice-exporters --profile quick --example remote_write [-- v1|v2|prost] [rounds]`
//!
//! The payload is what the load rig sends: a third each of sums, gauges and histograms with 15 buckets, 20 points a metric,
//! four attributes a point, 6.1 samples a point.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a tool")]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use sluice_exporters::prometheus_remote_write::encode::{Encoder, V1, V2};
use sluice_exporters::prometheus_remote_write::series::{Converter, Limits, Plan, Targets};
use sluice_exporters::prometheus_remote_write::translate::{LabelNamer, MetricKind, Options};
use sluice_pdata::view::MetricsView;

const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const NOW: u64 = 1_760_000_000_000_000_000;
const START: u64 = NOW - 600_000_000_000;
const LIMITS: Limits = Limits { values: 2000, bytes: 3_000_000 };

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn attributes(item: u64) -> Vec<KeyValue> {
    let status = Some(AnyValue { value: Some(any_value::Value::IntValue(200)) });
    vec![
        text("http.request.method", ["GET", "POST", "PUT"][(item % 3) as usize]),
        text("http.route", format!("/api/v1/orders/{{id}}/part-{}", item % 20)),
        KeyValue { key: "http.response.status_code".to_owned(), value: status, ..KeyValue::default() },
        text("server.address", "shop.example.com"),
    ]
}

fn number(item: u64, start: u64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(item),
        start_time_unix_nano: start,
        time_unix_nano: NOW,
        value: Some(number_data_point::Value::AsDouble(item as f64 * 1.125)),
        ..NumberDataPoint::default()
    }
}

fn histogram(item: u64) -> HistogramDataPoint {
    let counts: Vec<u64> = (0..=BOUNDS.len() as u64).map(|at| (item * 37 + at * 101) % 1000).collect();
    HistogramDataPoint {
        attributes: attributes(item),
        start_time_unix_nano: START,
        time_unix_nano: NOW,
        count: counts.iter().sum(),
        sum: Some(item as f64 / 1024.0),
        bucket_counts: counts,
        explicit_bounds: BOUNDS.to_vec(),
        ..HistogramDataPoint::default()
    }
}

/// 1,000 points, as one resource sends them.
fn request(instance: usize) -> ExportMetricsServiceRequest {
    let mut metrics = Vec::new();
    for number_of in 0..50u64 {
        let items = number_of * 20..number_of * 20 + 20;
        let (name, description, unit, data) = match number_of % 3 {
            0 => (
                "shop.orders.processed",
                "Orders that were processed",
                "{order}",
                metric::Data::Sum(Sum {
                    data_points: items.map(|item| number(item, START)).collect(),
                    aggregation_temporality: 2,
                    is_monotonic: true,
                }),
            ),
            1 => (
                "shop.queue.depth",
                "Messages that wait in the queue",
                "{message}",
                metric::Data::Gauge(Gauge { data_points: items.map(|item| number(item, 0)).collect() }),
            ),
            _ => (
                "http.server.request.duration",
                "Duration of HTTP server requests",
                "s",
                metric::Data::Histogram(Histogram {
                    data_points: items.map(histogram).collect(),
                    aggregation_temporality: 2,
                }),
            ),
        };
        metrics.push(Metric {
            name: format!("{name}_{number_of}"),
            description: description.to_owned(),
            unit: unit.to_owned(),
            metadata: Vec::new(),
            data: Some(data),
        });
    }
    let scope = InstrumentationScope {
        name: "io.opentelemetry.runtime".to_owned(),
        version: "1.2.3".to_owned(),
        ..InstrumentationScope::default()
    };
    let resource = Resource {
        attributes: vec![
            text("service.name", "checkout"),
            text("service.namespace", "shop"),
            text("service.instance.id", format!("checkout-{instance}")),
            text("host.name", "node-17"),
            text("k8s.pod.name", format!("checkout-{instance}-x7f9")),
        ],
        ..Resource::default()
    };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource),
            scope_metrics,
            ..ResourceMetrics::default()
        }],
    }
}

/// Nanoseconds a sample, and bytes a sample before and after compression.
fn views<E: Encoder>(payloads: &[Vec<u8>], rounds: usize) -> (f64, f64) {
    let mut converter = Converter::<E>::new(Arc::new(Options::default()), LIMITS, Targets::default());
    let (mut samples, mut bytes) = (0, 0);
    let start = Instant::now();
    for round in 0..rounds {
        converter.begin(Plan::default(), LIMITS);
        MetricsView(&payloads[round % payloads.len()])
            .resource_metrics()
            .for_each(|metrics| converter.resource(metrics.expect("well-formed")));
        let converted = converter.finish();
        samples += converted.requests.iter().map(|request| request.content.values()).sum::<usize>();
        bytes += converted.requests.iter().map(|request| request.body.len()).sum::<usize>();
        black_box(converted);
    }
    (start.elapsed().as_nanos() as f64 / samples as f64, bytes as f64 / samples as f64)
}

mod v2 {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Request {
        #[prost(string, repeated, tag = "4")]
        pub symbols: Vec<String>,
        #[prost(message, repeated, tag = "5")]
        pub timeseries: Vec<TimeSeries>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct TimeSeries {
        #[prost(uint32, repeated, tag = "1")]
        pub labels_refs: Vec<u32>,
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
        #[prost(message, optional, tag = "5")]
        pub metadata: Option<Metadata>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Sample {
        #[prost(double, tag = "1")]
        pub value: f64,
        #[prost(int64, tag = "2")]
        pub timestamp: i64,
        #[prost(int64, tag = "3")]
        pub start_timestamp: i64,
    }
    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct Metadata {
        #[prost(int32, tag = "1")]
        pub r#type: i32,
        #[prost(uint32, tag = "3")]
        pub help_ref: u32,
        #[prost(uint32, tag = "4")]
        pub unit_ref: u32,
    }
}

/// The obvious way: decode, build the message, encode. One request for the payload, as that is cheapest.
#[derive(Default)]
struct Obvious {
    symbols: HashMap<String, u32>,
    request: v2::Request,
    names: HashMap<String, String>,
}

impl Obvious {
    fn symbol(&mut self, text: &str) -> u32 {
        if let Some(&known) = self.symbols.get(text) {
            return known;
        }
        let number = self.request.symbols.len() as u32;
        self.symbols.insert(text.to_owned(), number);
        self.request.symbols.push(text.to_owned());
        number
    }

    fn push(&mut self, labels: &[(String, String)], name: &str, le: Option<&str>, value: f64, metadata: v2::Metadata) {
        let mut all: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        all.push(("__name__", name));
        all.extend(le.map(|le| ("le", le)));
        all.sort_unstable();
        let labels_refs = all.into_iter().flat_map(|(name, value)| [self.symbol(name), self.symbol(value)]).collect();
        let start_timestamp = (START / 1_000_000) as i64;
        let samples = vec![v2::Sample { value, timestamp: (NOW / 1_000_000) as i64, start_timestamp }];
        self.request.timeseries.push(v2::TimeSeries { labels_refs, samples, metadata: Some(metadata) });
    }

    fn labels(&mut self, attributes: &[KeyValue], fixed: &[(String, String)]) -> Vec<(String, String)> {
        let namer = LabelNamer { utf8: false, prefix_single_underscore: true, preserve_multiple_underscores: true };
        let mut labels = fixed.to_vec();
        for pair in attributes {
            let build = || namer.build(&pair.key).unwrap();
            let name = self.names.entry(pair.key.clone()).or_insert_with(build).clone();
            let value = match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(any_value::Value::StringValue(text)) => text.clone(),
                Some(any_value::Value::IntValue(value)) => value.to_string(),
                _ => String::new(),
            };
            labels.push((name, value));
        }
        labels
    }

    fn convert(&mut self, payload: &[u8]) -> usize {
        let request = ExportMetricsServiceRequest::decode(payload).unwrap();
        self.symbols.clear();
        self.request = v2::Request::default();
        self.symbol("");
        let namer = Options::default().metric_namer();
        for resource in &request.resource_metrics {
            for scope in &resource.scope_metrics {
                let info = scope.scope.as_ref().unwrap();
                let fixed = [
                    ("job", "shop/checkout"),
                    ("instance", "checkout-1"),
                    ("otel_scope_name", &info.name),
                    ("otel_scope_version", &info.version),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
                for metric in &scope.metrics {
                    self.metric(metric, &namer, &fixed);
                }
            }
        }
        let encoded = self.request.encode_to_vec();
        black_box(snap::raw::Encoder::new().compress_vec(&encoded).unwrap());
        self.request.timeseries.len()
    }

    fn metric(
        &mut self,
        metric: &Metric,
        namer: &sluice_exporters::prometheus_remote_write::translate::MetricNamer,
        fixed: &[(String, String)],
    ) {
        let (number, kind) = match metric.data {
            Some(metric::Data::Sum(_)) => (1, MetricKind::Counter),
            Some(metric::Data::Gauge(_)) => (2, MetricKind::Gauge),
            _ => (3, MetricKind::Other),
        };
        let name = namer.build(&metric.name, &metric.unit, kind).unwrap();
        let help_ref = self.symbol(&metric.description);
        let metadata = v2::Metadata { r#type: number, help_ref, unit_ref: 0 };
        match metric.data.as_ref().unwrap() {
            metric::Data::Sum(Sum { data_points, .. }) | metric::Data::Gauge(Gauge { data_points }) => {
                for point in data_points {
                    let labels = self.labels(&point.attributes, fixed);
                    let Some(number_data_point::Value::AsDouble(value)) = point.value else { continue };
                    self.push(&labels, &name, None, value, metadata);
                }
            }
            metric::Data::Histogram(histogram) => {
                for point in &histogram.data_points {
                    let labels = self.labels(&point.attributes, fixed);
                    let bucket = format!("{name}_bucket");
                    let mut total = 0;
                    for (bound, count) in point.explicit_bounds.iter().zip(&point.bucket_counts) {
                        total += count;
                        self.push(&labels, &bucket, Some(&bound.to_string()), total as f64, metadata);
                    }
                    self.push(&labels, &bucket, Some("+Inf"), point.count as f64, metadata);
                    self.push(&labels, &format!("{name}_count"), None, point.count as f64, metadata);
                    self.push(&labels, &format!("{name}_sum"), None, point.sum.unwrap_or(0.0), metadata);
                }
            }
            _ => {}
        }
    }
}

fn obvious(payloads: &[Vec<u8>], rounds: usize) -> f64 {
    let mut converter = Obvious::default();
    let start = Instant::now();
    let samples: usize = (0..rounds).map(|round| converter.convert(&payloads[round % payloads.len()])).sum();
    start.elapsed().as_nanos() as f64 / samples as f64
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let which = arguments.next().unwrap_or_else(|| "all".to_owned());
    let rounds = arguments.next().map_or(2000, |rounds| rounds.parse().expect("a number of rounds"));
    let payloads: Vec<Vec<u8>> = (0..8).map(|instance| request(instance).encode_to_vec()).collect();
    println!("{} bytes of OTLP a payload", payloads[0].len());
    let wanted = |name| which == name || which == "all";
    // The best of several runs: a shared machine only ever makes it slower.
    let best = |run: &dyn Fn() -> f64| (0..5).map(|_| run()).fold(f64::INFINITY, f64::min);
    if wanted("v2") {
        let bytes = views::<V2>(&payloads, 8).1;
        println!("2.0 from views: {:6.1} ns a sample, {bytes:5.1} bytes", best(&|| views::<V2>(&payloads, rounds).0));
    }
    if wanted("v1") {
        let bytes = views::<V1>(&payloads, 8).1;
        println!("1.0 from views: {:6.1} ns a sample, {bytes:5.1} bytes", best(&|| views::<V1>(&payloads, rounds).0));
    }
    if wanted("prost") {
        println!("2.0 with prost: {:6.1} ns a sample", best(&|| obvious(&payloads, rounds / 10)));
    }
}
