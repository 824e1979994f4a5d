//! Data points in wire form.

use sluice_pdata::tags::{
    buckets, exemplar, exponential_histogram_data_point as exponential, histogram_data_point as explicit,
    number_data_point as number,
};
use sluice_pdata::wire::{put_fixed64, put_len, put_message, put_varint, put_varint_field, to_zigzag};

use super::exponential::SCALE;
use super::series::{Exemplar, Series};
use crate::encode::attributes;
use crate::settings::Nanos;

impl Series {
    /// The payload of a `HistogramDataPoint` or `ExponentialHistogramDataPoint`.
    pub fn histogram(&self, out: &mut Vec<u8>, start: u64, time: u64, stamp: &impl Fn(Nanos) -> u64) {
        match &self.exponential {
            None => {
                put_fixed64(out, explicit::START_TIME_UNIX_NANO, start);
                put_fixed64(out, explicit::TIME_UNIX_NANO, time);
                put_fixed64(out, explicit::COUNT, self.count);
                put_fixed64(out, explicit::SUM, self.sum.to_bits());
                packed(out, explicit::BUCKET_COUNTS, self.counts.iter().copied());
                packed(out, explicit::EXPLICIT_BOUNDS, self.bounds.iter().map(|bound| bound.to_bits()));
                self.write_exemplars(out, explicit::EXEMPLARS, stamp);
                attributes(out, explicit::ATTRIBUTES, &self.attributes);
                put_fixed64(out, explicit::MIN, self.min.to_bits());
                put_fixed64(out, explicit::MAX, self.max.to_bits());
            }
            Some(positive) => {
                attributes(out, exponential::ATTRIBUTES, &self.attributes);
                put_fixed64(out, exponential::START_TIME_UNIX_NANO, start);
                put_fixed64(out, exponential::TIME_UNIX_NANO, time);
                put_fixed64(out, exponential::COUNT, self.count);
                put_fixed64(out, exponential::SUM, self.sum.to_bits());
                put_varint_field(out, exponential::SCALE, to_zigzag(i64::from(SCALE)));
                put_fixed64(out, exponential::ZERO_COUNT, positive.zero);
                let (offset, counts) = positive.dense();
                put_message(out, exponential::POSITIVE, |out| {
                    put_varint_field(out, buckets::OFFSET, to_zigzag(i64::from(offset)));
                    put_message(out, buckets::BUCKET_COUNTS, |out| {
                        counts.iter().for_each(|count| put_varint(out, *count))
                    });
                });
                self.write_exemplars(out, exponential::EXEMPLARS, stamp);
                put_fixed64(out, exponential::MIN, self.min.to_bits());
                put_fixed64(out, exponential::MAX, self.max.to_bits());
            }
        }
    }

    /// The payload of a counter's `NumberDataPoint`.
    pub fn counter(&self, out: &mut Vec<u8>, start: u64, time: u64, stamp: &impl Fn(Nanos) -> u64) {
        put_fixed64(out, number::START_TIME_UNIX_NANO, start);
        put_fixed64(out, number::TIME_UNIX_NANO, time);
        self.write_exemplars(out, number::EXEMPLARS, stamp);
        put_fixed64(out, number::AS_INT, self.sum as i64 as u64);
        attributes(out, number::ATTRIBUTES, &self.attributes);
    }

    /// The payload of a gauge's `NumberDataPoint`.
    pub fn gauge(&self, out: &mut Vec<u8>, time: u64, stamp: &impl Fn(Nanos) -> u64) {
        put_fixed64(out, number::TIME_UNIX_NANO, time);
        put_fixed64(out, number::AS_DOUBLE, self.last.to_bits());
        self.write_exemplars(out, number::EXEMPLARS, stamp);
        attributes(out, number::ATTRIBUTES, &self.attributes);
    }

    fn write_exemplars(&self, out: &mut Vec<u8>, field: u32, stamp: &impl Fn(Nanos) -> u64) {
        for one in &self.chosen {
            put_message(out, field, |out| write_exemplar(out, one, stamp(one.at)));
        }
    }
}

fn write_exemplar(out: &mut Vec<u8>, of: &Exemplar, time: u64) {
    put_fixed64(out, exemplar::TIME_UNIX_NANO, time);
    put_fixed64(out, exemplar::AS_DOUBLE, of.value.to_bits());
    put_len(out, exemplar::SPAN_ID, &of.span_id);
    put_len(out, exemplar::TRACE_ID, &of.trace_id);
    attributes(out, exemplar::FILTERED_ATTRIBUTES, &of.filtered);
}

/// A packed field of 64-bit scalars.
fn packed(out: &mut Vec<u8>, field: u32, values: impl Iterator<Item = u64>) {
    put_message(out, field, |out| values.for_each(|value| out.extend_from_slice(&value.to_le_bytes())));
}
