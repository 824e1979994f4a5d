//! Requests whose names collide, clash with those of resource and scope, or are none.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    self as otlp, Metric, ResourceMetrics, ScopeMetrics, exemplar, metric, number_data_point, summary_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use sluice_pdata::testing::Rng;

const KEYS: &[&str] = &[
    "a.b",
    "a_b",
    "a-b",
    "le",
    "quantile",
    "job",
    "instance",
    "__name__",
    "_x",
    "__x__",
    "1st",
    "Upper",
    "zone",
    "cluster",
    "otel_scope_name",
    "host.name",
    "ünï",
    "a..b",
    "trace_id",
    "_",
    "--name--",
];
const RESOURCE_KEYS: &[&str] =
    &["service.name", "service.namespace", "service.instance.id", "host.name", "a.b", "user.email", "job", "9.9"];
const SCOPE_KEYS: &[&str] = &["name", "version", "schema_url", "lang.x", ""];
const NAMES: &[&str] = &["http.requests", "x.total", "temp", "cpu.ratio", "9lives", "__", "", "größe", "a:b", "bytes"];
const UNITS: &[&str] = &["", "1", "s", "By", "{r}/s", "KBy", "TiBy", "m/s", "%", "a b/c d"];
const HINTS: &[&str] = &["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"];

fn value(rng: &mut Rng) -> Option<AnyValue> {
    use any_value::Value;
    let value = match rng.below(12) {
        0 => Value::IntValue(rng.below(10) as i64 - 5),
        1 => Value::BoolValue(rng.chance(50)),
        2 => Value::DoubleValue(rng.pick(&[0.5, 1e21, 1e-7, f64::NAN, f64::INFINITY, 123456.0])),
        3 => Value::BytesValue(vec![1, 2, 255]),
        4 => Value::StringValue(String::new()),
        5 => return None,
        6 => Value::StringValue("x".repeat(rng.below(200))),
        _ => Value::StringValue(rng.pick(&["a", "b", "c", "<&>"]).to_string()),
    };
    Some(AnyValue { value: Some(value) })
}

fn pairs(rng: &mut Rng, keys: &[&str], most: usize) -> Vec<KeyValue> {
    let count = rng.below(most + 1);
    (0..count).map(|_| KeyValue { key: rng.pick(keys).to_string(), value: value(rng), ..KeyValue::default() }).collect()
}

fn time(rng: &mut Rng) -> u64 {
    match rng.below(12) {
        0 => 0,
        1 => rng.below(3_000_000) as u64,
        _ => 1_760_000_000_000_000_000 + rng.below(600) as u64 * 1_000_000_000,
    }
}

fn flags(rng: &mut Rng) -> u32 {
    u32::from(rng.chance(10))
}

fn exemplars(rng: &mut Rng) -> Vec<otlp::Exemplar> {
    (0..rng.below(3))
        .map(|_| otlp::Exemplar {
            filtered_attributes: pairs(rng, KEYS, 3),
            time_unix_nano: time(rng),
            span_id: if rng.chance(70) { vec![7; 8] } else { Vec::new() },
            trace_id: if rng.chance(70) { vec![0xab; 16] } else { Vec::new() },
            value: match rng.below(4) {
                0 => None,
                1 => Some(exemplar::Value::AsInt(rng.below(5) as i64)),
                _ => Some(exemplar::Value::AsDouble(rng.below(50) as f64 / 10.0)),
            },
        })
        .collect()
}

fn number(rng: &mut Rng, attributes: &[KeyValue]) -> otlp::NumberDataPoint {
    otlp::NumberDataPoint {
        attributes: revalued(rng, attributes),
        start_time_unix_nano: time(rng),
        time_unix_nano: time(rng),
        exemplars: exemplars(rng),
        flags: flags(rng),
        value: match rng.below(10) {
            0 => None,
            1..4 => Some(number_data_point::Value::AsInt(rng.below(1000) as i64)),
            _ => Some(number_data_point::Value::AsDouble(rng.below(1000) as f64 / 8.0)),
        },
    }
}

/// The same keys, other values: points of a metric mostly look alike.
fn revalued(rng: &mut Rng, attributes: &[KeyValue]) -> Vec<KeyValue> {
    let mut attributes = attributes.to_vec();
    for pair in &mut attributes {
        if rng.chance(40) {
            pair.value = value(rng);
        }
    }
    if rng.chance(10) {
        attributes.pop();
    }
    attributes
}

fn histogram(rng: &mut Rng, attributes: &[KeyValue]) -> otlp::HistogramDataPoint {
    let bounds = match rng.below(4) {
        0 => vec![0.005, 0.01, 1.0, 2.5, 1_000_000.0],
        1 => vec![1.0, f64::INFINITY],
        2 => Vec::new(),
        _ => (0..rng.below(30)).map(|at| at as f64 * 0.25).collect(),
    };
    let counts = if rng.chance(90) && !bounds.is_empty() { bounds.len() + 1 } else { rng.below(4) };
    let bucket_counts: Vec<u64> = (0..counts).map(|_| rng.below(9).saturating_sub(3) as u64).collect();
    let count = if rng.chance(70) { bucket_counts.iter().sum() } else { rng.below(100) as u64 };
    otlp::HistogramDataPoint {
        attributes: revalued(rng, attributes),
        start_time_unix_nano: time(rng),
        time_unix_nano: time(rng),
        count,
        sum: rng.chance(80).then(|| rng.below(100) as f64),
        bucket_counts,
        explicit_bounds: bounds,
        exemplars: exemplars(rng),
        flags: flags(rng),
        min: None,
        max: None,
    }
}

fn summary(rng: &mut Rng, attributes: &[KeyValue]) -> otlp::SummaryDataPoint {
    otlp::SummaryDataPoint {
        attributes: revalued(rng, attributes),
        start_time_unix_nano: time(rng),
        time_unix_nano: time(rng),
        count: rng.below(100) as u64,
        sum: rng.below(100) as f64,
        quantile_values: (0..rng.below(4))
            .map(|at| summary_data_point::ValueAtQuantile {
                quantile: [0.0, 0.5, 0.99, 1.0][at],
                value: rng.below(10) as f64,
            })
            .collect(),
        flags: flags(rng),
    }
}

fn metric(rng: &mut Rng) -> Metric {
    let attributes = pairs(rng, KEYS, 6);
    let points = rng.below(5);
    let temporality = rng.pick(&[2, 2, 2, 2, 1, 0]);
    let data = match rng.below(9) {
        0 => None,
        1 | 2 => Some(metric::Data::Gauge(otlp::Gauge {
            data_points: (0..points).map(|_| number(rng, &attributes)).collect(),
        })),
        3 | 4 => Some(metric::Data::Sum(otlp::Sum {
            data_points: (0..points).map(|_| number(rng, &attributes)).collect(),
            aggregation_temporality: temporality,
            is_monotonic: rng.chance(70),
        })),
        5 | 6 => Some(metric::Data::Histogram(otlp::Histogram {
            data_points: (0..points).map(|_| histogram(rng, &attributes)).collect(),
            aggregation_temporality: temporality,
        })),
        7 => Some(metric::Data::Summary(otlp::Summary {
            data_points: (0..points).map(|_| summary(rng, &attributes)).collect(),
        })),
        _ => Some(metric::Data::ExponentialHistogram(otlp::ExponentialHistogram {
            data_points: (0..points).map(|_| exponential(rng, &attributes)).collect(),
            aggregation_temporality: temporality,
        })),
    };
    let metadata = match rng.below(5) {
        0 => vec![KeyValue {
            key: "prometheus.type".to_owned(),
            value: Some(AnyValue { value: Some(any_value::Value::StringValue(rng.pick(HINTS).to_string())) }),
            ..KeyValue::default()
        }],
        _ => Vec::new(),
    };
    Metric {
        name: rng.pick(NAMES).to_string(),
        description: rng.pick(&["", "help one", "help two"]).to_string(),
        unit: rng.pick(UNITS).to_string(),
        metadata,
        data,
    }
}

fn exponential(rng: &mut Rng, attributes: &[KeyValue]) -> otlp::ExponentialHistogramDataPoint {
    let mut side = || otlp::exponential_histogram_data_point::Buckets {
        offset: rng.below(20) as i32 - 10,
        bucket_counts: (0..rng.below(12)).map(|_| [0, 0, 0, 1, 5, 20][rng.below(6)]).collect(),
    };
    let (positive, negative) = (side(), side());
    otlp::ExponentialHistogramDataPoint {
        attributes: revalued(rng, attributes),
        start_time_unix_nano: time(rng),
        time_unix_nano: time(rng),
        count: rng.below(100) as u64,
        sum: rng.chance(80).then(|| rng.below(100) as f64),
        scale: rng.below(18) as i32 - 6,
        zero_count: rng.below(3) as u64,
        positive: rng.chance(80).then_some(positive),
        negative: rng.chance(40).then_some(negative),
        flags: flags(rng),
        exemplars: exemplars(rng),
        min: None,
        max: None,
        zero_threshold: rng.pick(&[0.0, 1e-6]),
    }
}

/// A random request.
pub fn request(rng: &mut Rng) -> ExportMetricsServiceRequest {
    let resource_metrics = (0..1 + rng.below(2))
        .map(|_| ResourceMetrics {
            resource: rng
                .chance(90)
                .then(|| Resource { attributes: pairs(rng, RESOURCE_KEYS, 6), ..Resource::default() }),
            scope_metrics: (0..1 + rng.below(2))
                .map(|_| ScopeMetrics {
                    scope: rng.chance(80).then(|| InstrumentationScope {
                        name: rng.pick(&["", "lib", "other"]).to_string(),
                        version: rng.pick(&["", "1.0"]).to_string(),
                        attributes: pairs(rng, SCOPE_KEYS, 3),
                        ..InstrumentationScope::default()
                    }),
                    metrics: (0..rng.below(5)).map(|_| metric(rng)).collect(),
                    schema_url: rng.pick(&["", "https://example.com/1"]).to_string(),
                })
                .collect(),
            schema_url: String::new(),
        })
        .collect();
    ExportMetricsServiceRequest { resource_metrics }
}
