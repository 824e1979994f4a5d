//! Exponential histograms, as native Prometheus histograms.

use sluice_pdata::pass::Reason;
use sluice_pdata::view::{ExemplarView, ExponentialHistogramDataPointView};
use sluice_pdata::wire::{put_fixed64, put_varint_field, to_zigzag};
use smallvec::SmallVec;

use super::buckets::Buckets;
use super::context::Context;
use super::exemplar::as_double;
use super::layout::Extra;
use super::metric::Suffix;
use super::number::cumulative;
use super::point::{Point, millis};
use super::walk::{Converter, Current};
use super::{STALE, drops};
use crate::prometheus_remote_write::encode::{Encoder, Value};
use crate::prometheus_remote_write::translate::Compat;

/// The scales that Prometheus has schemas for.
const MIN_SCHEMA: i32 = -4;
const MAX_SCHEMA: i32 = 8;
/// What counts as zero, where nothing else is said.
const ZERO_THRESHOLD: f64 = 1e-128;

impl<E: Encoder> Converter<E> {
    /// One native histogram.
    pub(super) fn exponential(
        &mut self,
        current: Current<'_>,
        context: &mut Context,
        point: &mut Point<'_>,
        bytes: &[u8],
    ) -> Result<(), Reason> {
        let view = ExponentialHistogramDataPointView::parse(bytes).map_err(|_| drops::INVALID)?;
        if view.count == 0 && view.sum.is_some_and(|sum| sum != 0.0) && !point.is_stale() {
            self.warn_sum_of_nothing(current);
        }
        let mut content = std::mem::take(&mut self.histogram);
        let made = content.write(&view, self.options.compat, point.is_stale());
        let sent = made.and_then(|()| self.native(current, context, point, &content.bytes));
        self.histogram = content;
        sent
    }

    /// Adds a histogram whose content is written.
    pub(super) fn native(
        &mut self,
        current: Current<'_>,
        context: &mut Context,
        point: &mut Point<'_>,
        content: &[u8],
    ) -> Result<(), Reason> {
        if !self.options.send_exemplars {
            point.exemplars.clear();
        }
        by_time(&mut point.exemplars);
        self.prepare(current, context, point, Extra::None, 1, content.len())?;
        self.exemplars.clear();
        for exemplar in &point.exemplars {
            let (names, requests, writer) = self.names_of(current);
            // An exemplar that cannot be read is left out.
            let _ = writer.add(exemplar, names, &mut requests.encoder);
        }
        let pieces = self.scratch.labels.plain(self.metrics.get(current.id).piece(Suffix::None));
        let (stamp, exemplars) = (cumulative(point), self.exemplars.written());
        self.requests.encoder.series(&pieces, Value::Histogram(content), &stamp, exemplars, &self.metadata);
        Ok(())
    }
}

/// Orders exemplars by time, and of one time the lowest value first: backends refuse others.
fn by_time(exemplars: &mut SmallVec<[&[u8]; 2]>) {
    if exemplars.len() < 2 {
        return;
    }
    exemplars.sort_by_cached_key(|bytes| {
        let read =
            |view: ExemplarView<'_>| Some((millis(view.time_unix_nano), total_order(as_double(view.value().ok()?)?)));
        ExemplarView::parse(bytes).ok().and_then(read)
    });
}

/// A number that is ordered as [`f64::total_cmp`] orders.
fn total_order(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// Writes the content of native histograms, without their timestamps: both versions have the same.
#[derive(Debug, Default)]
pub(super) struct HistogramContent {
    pub(super) bytes: Vec<u8>,
    pub(super) buckets: Buckets,
}

impl HistogramContent {
    fn write(
        &mut self,
        point: &ExponentialHistogramDataPointView<'_>,
        compat: Compat,
        stale: bool,
    ) -> Result<(), Reason> {
        if point.scale < MIN_SCHEMA {
            return Err(drops::EXPONENTIAL_SCALE);
        }
        let specified = compat == Compat::OtelSpec;
        let (sum, count) = match point.sum {
            _ if stale && specified => (f64::from_bits(STALE), 0),
            _ if stale => (f64::from_bits(STALE), STALE),
            None if specified => return Err(drops::MISSING_SUM),
            sum => (sum.unwrap_or(0.0), point.count),
        };
        let zero_threshold = match point.zero_threshold {
            written if specified && written != 0.0 => written,
            _ => ZERO_THRESHOLD,
        };
        // At a higher resolution than there is a schema for, neighbours are merged. An index has 32 bits.
        let down = u32::try_from((point.scale - MAX_SCHEMA).clamp(0, 31)).unwrap_or(0);
        let out = &mut self.bytes;
        out.clear();
        // Said even when it is 0: that makes it a histogram of integers.
        put_varint_field(out, 1, count);
        put_fixed64(out, 3, sum.to_bits());
        put_varint_field(out, 4, to_zigzag(i64::from(point.scale.min(MAX_SCHEMA))));
        put_fixed64(out, 5, zero_threshold.to_bits());
        put_varint_field(out, 6, point.zero_count);
        if stale && specified {
            return Ok(());
        }
        for (buckets, spans, deltas) in [(point.negative(), 8, 9), (point.positive(), 11, 12)] {
            // OTLP's bucket 0 begins where Prometheus' bucket 1 does.
            let first = i64::from(buckets.offset().map_err(|_| drops::INVALID)?);
            let counts = (first..).zip(buckets.counts()).map(|(index, count)| match count {
                Ok(count) => Ok(((index >> down) + 1, count)),
                Err(_) => Err(drops::INVALID),
            });
            self.buckets.read(counts)?;
            self.buckets.write(spans, deltas, out);
        }
        Ok(())
    }
}
