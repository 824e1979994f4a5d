//! Data points, each read in one walk.

use sluice_pdata::tags::{
    exponential_histogram_data_point as exponential, histogram_data_point as histogram, number_data_point as number,
    summary_data_point as summary,
};
use sluice_pdata::view::NumberValue;
use sluice_pdata::wire::{Reader, Value};
use smallvec::SmallVec;

use super::Malformed;

/// Bit of `flags` that says that there is no value.
const NO_RECORDED_VALUE: u64 = 1;

/// The parts of one data point. Lists are used again for the next.
#[derive(Default)]
pub(super) struct Point<'a> {
    pub(super) start: u64,
    pub(super) time: u64,
    flags: u64,
    pub(super) value: NumberValue,
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    /// `KeyValue` messages.
    pub(super) attributes: SmallVec<[&'a [u8]; 16]>,
    /// `Exemplar` messages.
    pub(super) exemplars: SmallVec<[&'a [u8]; 2]>,
    /// `ValueAtQuantile` messages.
    pub(super) quantiles: SmallVec<[&'a [u8]; 8]>,
    /// Counts of the buckets, not cumulative.
    pub(super) counts: Vec<u64>,
    /// Bits of the buckets' upper bounds.
    pub(super) bounds: Vec<u64>,
}

impl<'a> Point<'a> {
    /// Whether the series has ended.
    pub(super) fn is_stale(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }

    fn clear(&mut self) {
        (self.start, self.time, self.flags) = (0, 0, 0);
        (self.value, self.count, self.sum) = (NumberValue::Empty, 0, None);
        self.attributes.clear();
        self.exemplars.clear();
        self.quantiles.clear();
        self.counts.clear();
        self.bounds.clear();
    }

    /// Reads a `NumberDataPoint`.
    pub(super) fn read_number(&mut self, bytes: &'a [u8]) -> Result<(), Malformed> {
        self.clear();
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.field()? {
            match (field.number, field.value) {
                (number::ATTRIBUTES, Value::Len(pair)) => self.attributes.push(pair),
                (number::TIME_UNIX_NANO, Value::Fixed64(time)) => self.time = time,
                (number::START_TIME_UNIX_NANO, Value::Fixed64(start)) => self.start = start,
                (number::AS_DOUBLE, Value::Fixed64(bits)) => self.value = NumberValue::Double(f64::from_bits(bits)),
                (number::AS_INT, Value::Fixed64(bits)) => self.value = NumberValue::Int(bits as i64),
                (number::FLAGS, Value::Varint(flags)) => self.flags = flags,
                (number::EXEMPLARS, Value::Len(exemplar)) => self.exemplars.push(exemplar),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads a `HistogramDataPoint`.
    pub(super) fn read_histogram(&mut self, bytes: &'a [u8]) -> Result<(), Malformed> {
        self.clear();
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.field()? {
            match (field.number, field.value) {
                (histogram::ATTRIBUTES, Value::Len(pair)) => self.attributes.push(pair),
                (histogram::TIME_UNIX_NANO, Value::Fixed64(time)) => self.time = time,
                (histogram::START_TIME_UNIX_NANO, Value::Fixed64(start)) => self.start = start,
                (histogram::COUNT, Value::Fixed64(count)) => self.count = count,
                (histogram::SUM, Value::Fixed64(bits)) => self.sum = Some(f64::from_bits(bits)),
                (histogram::BUCKET_COUNTS, value) => scalars(value, &mut self.counts)?,
                (histogram::EXPLICIT_BOUNDS, value) => scalars(value, &mut self.bounds)?,
                (histogram::FLAGS, Value::Varint(flags)) => self.flags = flags,
                (histogram::EXEMPLARS, Value::Len(exemplar)) => self.exemplars.push(exemplar),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads of an `ExponentialHistogramDataPoint` what all points have.
    pub(super) fn read_exponential(&mut self, bytes: &'a [u8]) -> Result<(), Malformed> {
        self.clear();
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.field()? {
            match (field.number, field.value) {
                (exponential::ATTRIBUTES, Value::Len(pair)) => self.attributes.push(pair),
                (exponential::TIME_UNIX_NANO, Value::Fixed64(time)) => self.time = time,
                (exponential::START_TIME_UNIX_NANO, Value::Fixed64(start)) => self.start = start,
                (exponential::FLAGS, Value::Varint(flags)) => self.flags = flags,
                (exponential::EXEMPLARS, Value::Len(exemplar)) => self.exemplars.push(exemplar),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads a `SummaryDataPoint`.
    pub(super) fn read_summary(&mut self, bytes: &'a [u8]) -> Result<(), Malformed> {
        self.clear();
        let mut reader = Reader::new(bytes);
        let mut sum = 0.0;
        while let Some(field) = reader.field()? {
            match (field.number, field.value) {
                (summary::ATTRIBUTES, Value::Len(pair)) => self.attributes.push(pair),
                (summary::TIME_UNIX_NANO, Value::Fixed64(time)) => self.time = time,
                (summary::START_TIME_UNIX_NANO, Value::Fixed64(start)) => self.start = start,
                (summary::COUNT, Value::Fixed64(count)) => self.count = count,
                (summary::SUM, Value::Fixed64(bits)) => sum = f64::from_bits(bits),
                (summary::QUANTILE_VALUES, Value::Len(quantile)) => self.quantiles.push(quantile),
                (summary::FLAGS, Value::Varint(flags)) => self.flags = flags,
                _ => {}
            }
        }
        self.sum = Some(sum);
        Ok(())
    }
}

/// Appends the values of a repeated fixed64 field, packed or not.
fn scalars(value: Value<'_>, out: &mut Vec<u64>) -> Result<(), Malformed> {
    match value {
        Value::Len(packed) => {
            let (values, rest) = packed.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(Malformed);
            }
            out.extend(values.iter().map(|bytes| u64::from_le_bytes(*bytes)));
        }
        Value::Fixed64(bits) => out.push(bits),
        _ => {}
    }
    Ok(())
}

/// Milliseconds of a time in nanoseconds.
pub(super) fn millis(nanos: u64) -> i64 {
    // At most 2^64 / 10^6, which fits.
    (nanos / 1_000_000) as i64
}
