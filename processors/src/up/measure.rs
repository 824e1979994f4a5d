//! What a pushed resource holds, in one walk over its items.

use std::hash::{BuildHasher, Hash, Hasher};
use std::time::Duration;

use sluice_pdata::tags::{
    exponential_histogram_data_point, gauge, histogram_data_point, metric, number_data_point, resource_spans,
    scope_spans, summary_data_point,
};
use sluice_pdata::view::{Messages, data_member};
use sluice_pdata::wire::{Value, fields};
use sluice_pdata::{Error, Signal};

/// The flag of a data point without a value.
pub const NO_RECORDED_VALUE: u64 = 1;

/// What was found below a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Spans, data points or log records.
    pub items: u64,
    /// The newest timestamp of metrics.
    pub newest: Option<Duration>,
    /// There are data points, and each says that nothing was recorded.
    pub all_no_recorded_value: bool,
    /// There is a value of a metric `up`.
    pub brings_up: bool,
    /// A hash of which series there are, whatever their values; for metrics, if asked for.
    pub series: Option<u64>,
}

/// Measures a resource's part of a request. With `seed`, hashes its series.
///
/// # Errors
/// Malformed bytes.
pub fn measure(signal: Signal, body: &[u8], seed: Option<&ahash::RandomState>) -> Result<Measured, Error> {
    let mut measured = Measured::default();
    if signal != Signal::Metrics {
        for scope in Messages::new(body, resource_spans::SCOPE_SPANS) {
            for item in Messages::new(scope?, scope_spans::SPANS) {
                item?;
                measured.items += 1;
            }
        }
        return Ok(measured);
    }
    let mut hasher = seed.map(ahash::RandomState::build_hasher);
    let (mut newest, mut recorded) = (0u64, false);
    for scope_metrics in Messages::new(body, resource_spans::SCOPE_SPANS) {
        let scope_metrics = scope_metrics?;
        if let Some(hasher) = &mut hasher {
            for scope in Messages::new(scope_metrics, scope_spans::SCOPE) {
                scope?.hash(hasher);
            }
        }
        for metric in Messages::new(scope_metrics, scope_spans::SPANS) {
            let metric = metric?;
            let (kind, data) = data_member(metric)?;
            let numbers = PointFields::of(kind);
            let name = name_of(metric)?;
            if let Some(hasher) = &mut hasher {
                name.hash(hasher);
                hasher.write_u32(kind);
            }
            for point in Messages::new(data, gauge::DATA_POINTS) {
                let (mut time, mut flags) = (0, 0);
                for field in fields(point?) {
                    let field = field?;
                    match field.value {
                        Value::Fixed64(value) if field.number == numbers.time => time = value,
                        Value::Varint(value) if field.number == numbers.flags => flags = value,
                        Value::Len(pair) if field.number == numbers.attributes => {
                            if let Some(hasher) = &mut hasher {
                                pair.hash(hasher);
                            }
                        }
                        _ => {}
                    }
                }
                if let Some(hasher) = &mut hasher {
                    // Between two points.
                    hasher.write_u8(0xff);
                }
                let has_value = flags & NO_RECORDED_VALUE == 0;
                measured.items += 1;
                measured.brings_up |= has_value && name == b"up";
                newest = newest.max(time);
                recorded |= has_value;
            }
        }
    }
    measured.newest = (newest > 0).then(|| Duration::from_nanos(newest));
    measured.all_no_recorded_value = measured.items > 0 && !recorded;
    measured.series = hasher.map(|hasher| hasher.finish());
    Ok(measured)
}

fn name_of(metric: &[u8]) -> Result<&[u8], Error> {
    let mut name = &[][..];
    for field in fields(metric) {
        let field = field?;
        if let (metric::NAME, Value::Len(text)) = (field.number, field.value) {
            name = text;
        }
    }
    Ok(name)
}

/// The field numbers of a data point that are looked at, by the kind of its metric.
#[derive(Clone, Copy, Debug)]
pub struct PointFields {
    pub attributes: u32,
    pub time: u32,
    pub exemplars: Option<u32>,
    pub flags: u32,
}

impl PointFields {
    /// Those of the points of a metric whose data is field `kind`.
    pub fn of(kind: u32) -> Self {
        match kind {
            metric::HISTOGRAM => PointFields {
                attributes: histogram_data_point::ATTRIBUTES,
                time: histogram_data_point::TIME_UNIX_NANO,
                exemplars: Some(histogram_data_point::EXEMPLARS),
                flags: histogram_data_point::FLAGS,
            },
            metric::EXPONENTIAL_HISTOGRAM => PointFields {
                attributes: exponential_histogram_data_point::ATTRIBUTES,
                time: exponential_histogram_data_point::TIME_UNIX_NANO,
                exemplars: Some(exponential_histogram_data_point::EXEMPLARS),
                flags: exponential_histogram_data_point::FLAGS,
            },
            metric::SUMMARY => PointFields {
                attributes: summary_data_point::ATTRIBUTES,
                time: summary_data_point::TIME_UNIX_NANO,
                exemplars: None,
                flags: summary_data_point::FLAGS,
            },
            _ => PointFields {
                attributes: number_data_point::ATTRIBUTES,
                time: number_data_point::TIME_UNIX_NANO,
                exemplars: Some(number_data_point::EXEMPLARS),
                flags: number_data_point::FLAGS,
            },
        }
    }
}
