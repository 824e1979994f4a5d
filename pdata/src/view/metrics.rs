//! Metrics: envelopes, the five kinds of data, their points, exemplars.

use super::common::{AttributesView, Messages, ResourceView, Scalars, ScopeView, last_len};
use super::flat::flat_view;
use crate::error::Error;
use crate::tags::{
    buckets, exemplar, exponential_histogram_data_point as exp_point, histogram_data_point as histogram_point, metric,
    metrics_request, number_data_point as number_point, resource_metrics, scope_metrics, sum,
    summary_data_point as summary_point, value_at_quantile,
};
use crate::wire::{Value, fields};

/// An `ExportMetricsServiceRequest` (or `MetricsData`).
#[derive(Clone, Copy, Debug)]
pub struct MetricsView<'a>(pub &'a [u8]);

impl<'a> MetricsView<'a> {
    pub fn resource_metrics(self) -> impl Iterator<Item = Result<ResourceMetricsView<'a>, Error>> + Clone {
        Messages::new(self.0, metrics_request::RESOURCE_METRICS).map(|bytes| bytes.map(ResourceMetricsView))
    }
}

/// A `ResourceMetrics` whose resource occurs at most once ([`crate::framing`]).
#[derive(Clone, Copy, Debug)]
pub struct ResourceMetricsView<'a>(pub &'a [u8]);

impl<'a> ResourceMetricsView<'a> {
    pub fn resource(self) -> Result<ResourceView<'a>, Error> {
        last_len(self.0, resource_metrics::RESOURCE).map(ResourceView)
    }
    pub fn schema_url(self) -> Result<&'a [u8], Error> {
        last_len(self.0, resource_metrics::SCHEMA_URL)
    }
    pub fn scope_metrics(self) -> impl Iterator<Item = Result<ScopeMetricsView<'a>, Error>> + Clone {
        Messages::new(self.0, resource_metrics::SCOPE_METRICS).map(|bytes| bytes.map(ScopeMetricsView))
    }
}

/// A `ScopeMetrics` whose scope occurs at most once.
#[derive(Clone, Copy, Debug)]
pub struct ScopeMetricsView<'a>(pub &'a [u8]);

impl<'a> ScopeMetricsView<'a> {
    pub fn scope(self) -> Result<ScopeView<'a>, Error> {
        last_len(self.0, scope_metrics::SCOPE).map(ScopeView)
    }
    pub fn schema_url(self) -> Result<&'a [u8], Error> {
        last_len(self.0, scope_metrics::SCHEMA_URL)
    }
    pub fn metrics(self) -> impl Iterator<Item = Result<MetricView<'a>, Error>> + Clone {
        Messages::new(self.0, scope_metrics::METRICS).map(|bytes| bytes.and_then(MetricView::parse))
    }
}

/// `AggregationTemporality`; a number that the enumeration lacks counts as unspecified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporality {
    Unspecified,
    Delta,
    Cumulative,
}

/// The data of a metric: the message that holds its points, with the scalars beside them.
#[derive(Clone, Copy, Debug)]
pub enum DataView<'a> {
    /// No member of the oneof is set.
    Empty,
    Gauge(&'a [u8]),
    Sum {
        points: &'a [u8],
        temporality: Temporality,
        is_monotonic: bool,
    },
    Histogram {
        points: &'a [u8],
        temporality: Temporality,
    },
    ExponentialHistogram {
        points: &'a [u8],
        temporality: Temporality,
    },
    Summary(&'a [u8]),
}

/// Every data message holds its points in this field.
const DATA_POINTS: u32 = 1;

impl<'a> DataView<'a> {
    /// Reads the member `number` of the oneof `Metric.data` from its payload; `None` if `number` is none of its members.
    pub fn parse(number: u32, points: &'a [u8]) -> Result<Option<Self>, Error> {
        let mut temporality = Temporality::Unspecified;
        let mut is_monotonic = false;
        if matches!(number, metric::SUM | metric::HISTOGRAM | metric::EXPONENTIAL_HISTOGRAM) {
            for field in fields(points) {
                let field = field?;
                match (field.number, field.value) {
                    (sum::AGGREGATION_TEMPORALITY, Value::Varint(value)) => {
                        temporality = match value as i32 {
                            1 => Temporality::Delta,
                            2 => Temporality::Cumulative,
                            _ => Temporality::Unspecified,
                        }
                    }
                    (sum::IS_MONOTONIC, Value::Varint(value)) if number == metric::SUM => is_monotonic = value != 0,
                    _ => {}
                }
            }
        }
        Ok(Some(match number {
            metric::GAUGE => DataView::Gauge(points),
            metric::SUM => DataView::Sum { points, temporality, is_monotonic },
            metric::HISTOGRAM => DataView::Histogram { points, temporality },
            metric::EXPONENTIAL_HISTOGRAM => DataView::ExponentialHistogram { points, temporality },
            metric::SUMMARY => DataView::Summary(points),
            _ => return Ok(None),
        }))
    }

    /// The payloads of the data points, whatever their kind.
    pub fn points(self) -> Messages<'a> {
        let bytes = match self {
            DataView::Empty => &[],
            DataView::Gauge(points)
            | DataView::Summary(points)
            | DataView::Sum { points, .. }
            | DataView::Histogram { points, .. }
            | DataView::ExponentialHistogram { points, .. } => points,
        };
        Messages::new(bytes, DATA_POINTS)
    }

    /// The temporality, for the kinds that have one.
    pub fn temporality(self) -> Option<Temporality> {
        match self {
            DataView::Sum { temporality, .. }
            | DataView::Histogram { temporality, .. }
            | DataView::ExponentialHistogram { temporality, .. } => Some(temporality),
            _ => None,
        }
    }
}

/// Field number and payload of the data of a `Metric` message; 0 and nothing if there is none.
pub fn data_member(metric: &[u8]) -> Result<(u32, &[u8]), Error> {
    let mut member = (0, &[][..]);
    for field in fields(metric) {
        let field = field?;
        if let (
            metric::GAUGE | metric::SUM | metric::HISTOGRAM | metric::EXPONENTIAL_HISTOGRAM | metric::SUMMARY,
            Value::Len(payload),
        ) = (field.number, field.value)
        {
            member = (field.number, payload);
        }
    }
    Ok(member)
}

flat_view! {
    /// A `Metric` whose data occurs at most once.
    MetricView {
        name: bytes = metric::NAME,
        description: bytes = metric::DESCRIPTION,
        unit: bytes = metric::UNIT,
    }
}

impl<'a> MetricView<'a> {
    pub fn metadata(&self) -> AttributesView<'a> {
        AttributesView::new(self.bytes, metric::METADATA)
    }
    pub fn data(&self) -> Result<DataView<'a>, Error> {
        let mut data = DataView::Empty;
        for field in fields(self.bytes) {
            let field = field?;
            if let Value::Len(payload) = field.value
                && let Some(member) = DataView::parse(field.number, payload)?
            {
                data = member;
            }
        }
        Ok(data)
    }
}

/// The value of a number point or exemplar.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum NumberValue {
    #[default]
    Empty,
    Int(i64),
    Double(f64),
}

/// The last of the two members of a number's oneof.
fn number_value(bytes: &[u8], as_int: u32, as_double: u32) -> Result<NumberValue, Error> {
    let mut value = NumberValue::Empty;
    for field in fields(bytes) {
        let field = field?;
        if let Value::Fixed64(bits) = field.value {
            if field.number == as_int {
                value = NumberValue::Int(bits as i64);
            } else if field.number == as_double {
                value = NumberValue::Double(f64::from_bits(bits));
            }
        }
    }
    Ok(value)
}

fn exemplars<'a>(
    bytes: &'a [u8],
    number: u32,
) -> impl Iterator<Item = Result<ExemplarView<'a>, Error>> + Clone + use<'a> {
    Messages::new(bytes, number).map(|bytes| bytes.and_then(ExemplarView::parse))
}

flat_view! {
    /// A `NumberDataPoint` of a gauge or sum.
    NumberDataPointView {
        start_time_unix_nano: fixed64 = number_point::START_TIME_UNIX_NANO,
        time_unix_nano: fixed64 = number_point::TIME_UNIX_NANO,
        flags: varint_u32 = number_point::FLAGS,
    }
}

impl<'a> NumberDataPointView<'a> {
    pub fn value(&self) -> Result<NumberValue, Error> {
        number_value(self.bytes, number_point::AS_INT, number_point::AS_DOUBLE)
    }
    pub fn attributes(&self) -> AttributesView<'a> {
        AttributesView::new(self.bytes, number_point::ATTRIBUTES)
    }
    pub fn exemplars(&self) -> impl Iterator<Item = Result<ExemplarView<'a>, Error>> + Clone + use<'a> {
        exemplars(self.bytes, number_point::EXEMPLARS)
    }
}

flat_view! {
    /// A `HistogramDataPoint`.
    HistogramDataPointView {
        start_time_unix_nano: fixed64 = histogram_point::START_TIME_UNIX_NANO,
        time_unix_nano: fixed64 = histogram_point::TIME_UNIX_NANO,
        count: fixed64 = histogram_point::COUNT,
        sum: opt_double = histogram_point::SUM,
        min: opt_double = histogram_point::MIN,
        max: opt_double = histogram_point::MAX,
        flags: varint_u32 = histogram_point::FLAGS,
    }
}

impl<'a> HistogramDataPointView<'a> {
    pub fn attributes(&self) -> AttributesView<'a> {
        AttributesView::new(self.bytes, histogram_point::ATTRIBUTES)
    }
    /// Counts per bucket, not cumulative.
    pub fn bucket_counts(&self) -> Scalars<'a> {
        Scalars::fixed64(self.bytes, histogram_point::BUCKET_COUNTS)
    }
    /// Upper bounds, as the bits of doubles.
    pub fn explicit_bounds(&self) -> impl Iterator<Item = Result<f64, Error>> + Clone + use<'a> {
        Scalars::fixed64(self.bytes, histogram_point::EXPLICIT_BOUNDS).map(|bits| bits.map(f64::from_bits))
    }
    pub fn exemplars(&self) -> impl Iterator<Item = Result<ExemplarView<'a>, Error>> + Clone + use<'a> {
        exemplars(self.bytes, histogram_point::EXEMPLARS)
    }
}

flat_view! {
    /// An `ExponentialHistogramDataPoint`.
    ExponentialHistogramDataPointView {
        start_time_unix_nano: fixed64 = exp_point::START_TIME_UNIX_NANO,
        time_unix_nano: fixed64 = exp_point::TIME_UNIX_NANO,
        count: fixed64 = exp_point::COUNT,
        sum: opt_double = exp_point::SUM,
        min: opt_double = exp_point::MIN,
        max: opt_double = exp_point::MAX,
        scale: sint32 = exp_point::SCALE,
        zero_count: fixed64 = exp_point::ZERO_COUNT,
        zero_threshold: double = exp_point::ZERO_THRESHOLD,
        flags: varint_u32 = exp_point::FLAGS,
    }
}

impl<'a> ExponentialHistogramDataPointView<'a> {
    pub fn attributes(&self) -> AttributesView<'a> {
        AttributesView::new(self.bytes, exp_point::ATTRIBUTES)
    }
    pub fn positive(&self) -> BucketsView<'a> {
        BucketsView { point: self.bytes, number: exp_point::POSITIVE }
    }
    pub fn negative(&self) -> BucketsView<'a> {
        BucketsView { point: self.bytes, number: exp_point::NEGATIVE }
    }
    pub fn exemplars(&self) -> impl Iterator<Item = Result<ExemplarView<'a>, Error>> + Clone + use<'a> {
        exemplars(self.bytes, exp_point::EXEMPLARS)
    }
}

/// One side of an exponential histogram, merged from all its occurrences.
#[derive(Clone, Copy, Debug)]
pub struct BucketsView<'a> {
    point: &'a [u8],
    number: u32,
}

impl<'a> BucketsView<'a> {
    /// Index of the first bucket.
    pub fn offset(self) -> Result<i32, Error> {
        let mut offset = 0;
        for part in Messages::new(self.point, self.number) {
            for field in fields(part?) {
                let field = field?;
                if let (buckets::OFFSET, Value::Varint(value)) = (field.number, field.value) {
                    offset = crate::wire::zigzag(value & 0xffff_ffff) as i32;
                }
            }
        }
        Ok(offset)
    }

    /// Counts per bucket. Ends after the first error.
    pub fn counts(self) -> impl Iterator<Item = Result<u64, Error>> + use<'a> {
        Messages::new(self.point, self.number).flat_map(|part| match part {
            Ok(part) => EitherCounts::Counts(Scalars::varint(part, buckets::BUCKET_COUNTS)),
            Err(error) => EitherCounts::Failed(Some(error)),
        })
    }

    /// Whether the side is written at all.
    pub fn is_present(self) -> bool {
        Messages::new(self.point, self.number).next().is_some()
    }
}

enum EitherCounts<'a> {
    Counts(Scalars<'a>),
    Failed(Option<Error>),
}

impl Iterator for EitherCounts<'_> {
    type Item = Result<u64, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            EitherCounts::Counts(counts) => counts.next(),
            EitherCounts::Failed(error) => error.take().map(Err),
        }
    }
}

flat_view! {
    /// A `SummaryDataPoint`.
    SummaryDataPointView {
        start_time_unix_nano: fixed64 = summary_point::START_TIME_UNIX_NANO,
        time_unix_nano: fixed64 = summary_point::TIME_UNIX_NANO,
        count: fixed64 = summary_point::COUNT,
        sum: double = summary_point::SUM,
        flags: varint_u32 = summary_point::FLAGS,
    }
}

impl<'a> SummaryDataPointView<'a> {
    pub fn attributes(&self) -> AttributesView<'a> {
        AttributesView::new(self.bytes, summary_point::ATTRIBUTES)
    }
    pub fn quantile_values(&self) -> impl Iterator<Item = Result<ValueAtQuantileView<'a>, Error>> + Clone + use<'a> {
        Messages::new(self.bytes, summary_point::QUANTILE_VALUES)
            .map(|bytes| bytes.and_then(ValueAtQuantileView::parse))
    }
}

flat_view! {
    /// A `ValueAtQuantile` of a summary.
    ValueAtQuantileView {
        quantile: double = value_at_quantile::QUANTILE,
        value: double = value_at_quantile::VALUE,
    }
}

flat_view! {
    /// An `Exemplar`.
    ExemplarView {
        time_unix_nano: fixed64 = exemplar::TIME_UNIX_NANO,
        span_id: bytes = exemplar::SPAN_ID,
        trace_id: bytes = exemplar::TRACE_ID,
    }
}

impl<'a> ExemplarView<'a> {
    pub fn value(&self) -> Result<NumberValue, Error> {
        number_value(self.bytes, exemplar::AS_INT, exemplar::AS_DOUBLE)
    }
    pub fn filtered_attributes(&self) -> AttributesView<'a> {
        AttributesView::new(self.bytes, exemplar::FILTERED_ATTRIBUTES)
    }
}
