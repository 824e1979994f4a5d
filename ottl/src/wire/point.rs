//! Data points of the five metric types. A field that a type lacks reads as nil.

use sluice_pdata::tags::{
    exponential_histogram_data_point as exponential, histogram_data_point as histogram, metric,
    number_data_point as number, summary_data_point as summary,
};
use sluice_pdata::view::{
    BucketsView, ExponentialHistogramDataPointView, HistogramDataPointView, NumberDataPointView, NumberValue,
    SummaryDataPointView,
};

use super::fields::{count, nanos, time};
use crate::error::EvalError;
use crate::path::Field;
use crate::value::{Handle, HandleKind, Value};

/// Every data message holds its points in this field.
pub(super) const DATA_POINTS: u32 = 1;

/// The message type of a metric's points.
#[derive(Clone, Copy, Debug)]
pub(super) enum PointKind {
    Number,
    Histogram,
    Exponential,
    Summary,
}

impl PointKind {
    /// The points of the data member with this field number.
    pub(super) fn of(kind: u32) -> Option<PointKind> {
        match kind {
            metric::GAUGE | metric::SUM => Some(PointKind::Number),
            metric::HISTOGRAM => Some(PointKind::Histogram),
            metric::EXPONENTIAL_HISTOGRAM => Some(PointKind::Exponential),
            metric::SUMMARY => Some(PointKind::Summary),
            _ => None,
        }
    }

    /// The field number of the attributes.
    pub(super) fn attributes(self) -> u32 {
        match self {
            PointKind::Number => number::ATTRIBUTES,
            PointKind::Histogram => histogram::ATTRIBUTES,
            PointKind::Exponential => exponential::ATTRIBUTES,
            PointKind::Summary => summary::ATTRIBUTES,
        }
    }
}

pub(super) fn read(kind: PointKind, point: &[u8], field: Field) -> Result<Value<'_>, EvalError> {
    match kind {
        PointKind::Number => read_number(NumberDataPointView::parse(point)?, field),
        PointKind::Histogram => read_histogram(HistogramDataPointView::parse(point)?, field),
        PointKind::Exponential => read_exponential(ExponentialHistogramDataPointView::parse(point)?, field),
        PointKind::Summary => read_summary(SummaryDataPointView::parse(point)?, field),
    }
}

/// The fields that all kinds of points have.
macro_rules! common {
    ($view:ident, $field:ident) => {
        match $field {
            Field::StartTime => return Ok(time($view.start_time_unix_nano)),
            Field::StartTimeUnixNano => return Ok(nanos($view.start_time_unix_nano)),
            Field::Time => return Ok(time($view.time_unix_nano)),
            Field::TimeUnixNano => return Ok(nanos($view.time_unix_nano)),
            Field::Flags => return Ok(Value::Int($view.flags.into())),
            _ => {}
        }
    };
}

/// A value of the other type reads as zero.
fn read_number(view: NumberDataPointView<'_>, field: Field) -> Result<Value<'_>, EvalError> {
    common!(view, field);
    Ok(match field {
        Field::ValueInt => match view.value()? {
            NumberValue::Int(n) => Value::Int(n),
            NumberValue::Double(_) | NumberValue::Empty => Value::Int(0),
        },
        Field::ValueDouble => match view.value()? {
            NumberValue::Double(x) => Value::Float(x),
            NumberValue::Int(_) | NumberValue::Empty => Value::Float(0.0),
        },
        Field::Exemplars => count(view.bytes, number::EXEMPLARS, HandleKind::Exemplars)?,
        _ => Value::Nil,
    })
}

fn read_histogram(view: HistogramDataPointView<'_>, field: Field) -> Result<Value<'_>, EvalError> {
    common!(view, field);
    Ok(match field {
        Field::Count => nanos(view.count),
        Field::Sum => Value::Float(view.sum.unwrap_or_default()),
        Field::Min => view.min.map_or(Value::Nil, Value::Float),
        Field::Max => view.max.map_or(Value::Nil, Value::Float),
        Field::BucketCounts => counts(view.bucket_counts())?,
        Field::ExplicitBounds => {
            let bounds: Result<_, EvalError> = view.explicit_bounds().map(|bound| Ok(Value::Float(bound?))).collect();
            Value::list(bounds?)
        }
        Field::Exemplars => count(view.bytes, histogram::EXEMPLARS, HandleKind::Exemplars)?,
        _ => Value::Nil,
    })
}

fn read_exponential(view: ExponentialHistogramDataPointView<'_>, field: Field) -> Result<Value<'_>, EvalError> {
    common!(view, field);
    let buckets = |side: BucketsView<'_>| -> Result<Value<'static>, EvalError> {
        let len = side.counts().try_fold(0, |len, one| one.map(|_| len + 1))?;
        Ok(Value::Handle(Handle { kind: HandleKind::Buckets, len }))
    };
    Ok(match field {
        Field::Count => nanos(view.count),
        Field::Sum => Value::Float(view.sum.unwrap_or_default()),
        Field::Min => view.min.map_or(Value::Nil, Value::Float),
        Field::Max => view.max.map_or(Value::Nil, Value::Float),
        Field::Scale => Value::Int(view.scale.into()),
        Field::ZeroCount => nanos(view.zero_count),
        Field::Positive => buckets(view.positive())?,
        Field::PositiveOffset => Value::Int(view.positive().offset()?.into()),
        Field::PositiveBucketCounts => counts(view.positive().counts())?,
        Field::Negative => buckets(view.negative())?,
        Field::NegativeOffset => Value::Int(view.negative().offset()?.into()),
        Field::NegativeBucketCounts => counts(view.negative().counts())?,
        Field::Exemplars => count(view.bytes, exponential::EXEMPLARS, HandleKind::Exemplars)?,
        _ => Value::Nil,
    })
}

fn read_summary(view: SummaryDataPointView<'_>, field: Field) -> Result<Value<'_>, EvalError> {
    common!(view, field);
    Ok(match field {
        Field::Count => nanos(view.count),
        Field::Sum => Value::Float(view.sum),
        Field::QuantileValues => count(view.bytes, summary::QUANTILE_VALUES, HandleKind::QuantileValues)?,
        _ => Value::Nil,
    })
}

fn counts(counts: impl Iterator<Item = Result<u64, sluice_pdata::Error>>) -> Result<Value<'static>, EvalError> {
    let list: Result<_, EvalError> = counts.map(|count| Ok(Value::Int(count? as i64))).collect();
    Ok(Value::list(list?))
}
