//! Every path of metrics and data points, read from wire bytes.

#![allow(clippy::unwrap_used, reason = "a helper of the tests below is no test itself")]

mod common;

use common::noon;
use common::otlp::{ATTRIBUTES, attributes, check};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, Sum, Summary, SummaryDataPoint, exponential_histogram_data_point::Buckets,
};
use prost::Message;
use sluice_ottl::wire::Metric as WireMetric;
use sluice_ottl::{Compiler, Context, Registry, WireRecord};

fn metric(data: Data) -> Metric {
    Metric {
        name: "m".to_owned(),
        description: "d".to_owned(),
        unit: "By".to_owned(),
        metadata: attributes(),
        data: Some(data),
    }
}

/// The encoded metric, and what its first data point reads as.
fn check_point(data: Data, point: &[u8], of_metric: &[(&str, &str)], of_point: &[(&str, &str)]) {
    let bytes = metric(data).encode_to_vec();
    let whole = WireMetric::whole(&bytes).unwrap();
    check(
        Context::Metric,
        &WireRecord::metric(whole),
        &[
            ("name", r#""m""#),
            ("description", r#""d""#),
            ("unit", r#""By""#),
            (r#"metadata["s"]"#, r#""text""#),
            (r#"HasAttrKeyOnDatapoint("s")"#, "true"),
            (r#"HasAttrOnDatapoint("s", "text")"#, "true"),
            (r#"HasAttrKeyOnDatapoint("absent")"#, "false"),
        ],
    );
    check(Context::Metric, &WireRecord::metric(whole), of_metric);
    let record = WireRecord::data_point(whole, point);
    check(Context::DataPoint, &record, &ATTRIBUTES[..ATTRIBUTES.len() - 1]);
    check(
        Context::DataPoint,
        &record,
        &[
            ("start_time", "1970-01-01T00:00:01Z"),
            ("start_time_unix_nano", "1000000000"),
            ("time", "1970-01-01T00:00:02Z"),
            ("time_unix_nano", "2000000000"),
            ("flags", "1"),
            ("metric.name", r#""m""#),
        ],
    );
    let all = ["value_int", "value_double", "count", "sum", "min", "max", "bucket_counts", "explicit_bounds", "scale"];
    let rest = ["zero_count", "positive", "positive.offset", "positive.bucket_counts", "negative"];
    let more = ["negative.offset", "negative.bucket_counts", "quantile_values", "exemplars"];
    let cases: Vec<(&str, &str)> = all
        .into_iter()
        .chain(rest)
        .chain(more)
        .map(|name| (name, of_point.iter().find(|(known, _)| *known == name).map_or("nil", |(_, value)| *value)))
        .collect();
    check(Context::DataPoint, &record, &cases);
}

#[test]
fn gauges_and_sums() {
    let point = |value| NumberDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1_000_000_000,
        time_unix_nano: 2_000_000_000,
        exemplars: vec![Exemplar::default(); 2],
        flags: 1,
        value,
    };
    let int = point(Some(Number::AsInt(-9)));
    check_point(
        Data::Gauge(Gauge { data_points: vec![int.clone()] }),
        &int.encode_to_vec(),
        &[
            ("type", "1"),
            ("aggregation_temporality", "nil"),
            ("is_monotonic", "nil"),
            ("data_points", "DataPoints of 1"),
        ],
        &[("value_int", "-9"), ("value_double", "0.0"), ("exemplars", "Exemplars of 2")],
    );
    let double = point(Some(Number::AsDouble(1.5)));
    check_point(
        Data::Sum(Sum { data_points: vec![double.clone(), int], aggregation_temporality: 2, is_monotonic: true }),
        &double.encode_to_vec(),
        &[
            ("type", "2"),
            ("aggregation_temporality", "2"),
            ("is_monotonic", "true"),
            ("data_points", "DataPoints of 2"),
        ],
        &[("value_int", "0"), ("value_double", "1.5"), ("exemplars", "Exemplars of 2")],
    );
}

#[test]
fn histograms_and_summaries() {
    let point = HistogramDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1_000_000_000,
        time_unix_nano: 2_000_000_000,
        count: 6,
        sum: Some(9.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.5, 1.5],
        exemplars: vec![],
        flags: 1,
        min: Some(0.25),
        max: None,
    };
    check_point(
        Data::Histogram(Histogram { data_points: vec![point.clone()], aggregation_temporality: 1 }),
        &point.encode_to_vec(),
        &[("type", "3"), ("aggregation_temporality", "1"), ("is_monotonic", "nil")],
        &[
            ("count", "6"),
            ("sum", "9.5"),
            ("min", "0.25"),
            ("bucket_counts", "[1, 2, 3]"),
            ("explicit_bounds", "[0.5, 1.5]"),
            ("exemplars", "Exemplars of 0"),
        ],
    );
    let point = ExponentialHistogramDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1_000_000_000,
        time_unix_nano: 2_000_000_000,
        count: 6,
        scale: -2,
        zero_count: 4,
        positive: Some(Buckets { offset: -3, bucket_counts: vec![5, 300] }),
        flags: 1,
        ..Default::default()
    };
    check_point(
        Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![point.clone()],
            aggregation_temporality: 2,
        }),
        &point.encode_to_vec(),
        &[("type", "4"), ("aggregation_temporality", "2")],
        &[
            ("count", "6"),
            ("sum", "0.0"),
            ("scale", "-2"),
            ("zero_count", "4"),
            ("positive", "Buckets of 2"),
            ("positive.offset", "-3"),
            ("positive.bucket_counts", "[5, 300]"),
            ("negative", "Buckets of 0"),
            ("negative.offset", "0"),
            ("negative.bucket_counts", "[]"),
            ("exemplars", "Exemplars of 0"),
        ],
    );
    let point = SummaryDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1_000_000_000,
        time_unix_nano: 2_000_000_000,
        count: 6,
        sum: 9.5,
        quantile_values: vec![ValueAtQuantile { quantile: 0.5, value: 1.0 }],
        flags: 1,
    };
    check_point(
        Data::Summary(Summary { data_points: vec![point.clone()] }),
        &point.encode_to_vec(),
        &[("type", "5"), ("aggregation_temporality", "nil")],
        &[("count", "6"), ("sum", "9.5"), ("quantile_values", "QuantileValues of 1")],
    );
}

#[test]
fn a_metric_without_data_has_no_points() {
    let bytes = Metric { name: "m".to_owned(), ..Default::default() }.encode_to_vec();
    let record = WireRecord::metric(WireMetric::whole(&bytes).unwrap());
    check(Context::Metric, &record, &[("type", "0"), ("data_points", "nil"), ("name", r#""m""#)]);
    let registry = Registry::filter();
    let condition = Compiler::new(Context::Metric, &registry).condition(r#"HasAttrKeyOnDatapoint("x")"#).unwrap();
    assert_eq!(condition.eval(&record, &noon).unwrap_err().to_string(), "unknown metric type");
}
