//! Exponential histograms, as native Prometheus histograms.

use sluice_pdata::pass::Reason;
use sluice_pdata::view::{BucketsView, ExponentialHistogramDataPointView};
use sluice_pdata::wire::{put_fixed64, put_len, put_varint, put_varint_field, to_zigzag};

use super::context::Context;
use super::layout::Extra;
use super::metric::Suffix;
use super::number::cumulative;
use super::point::Point;
use super::walk::{Converter, Current};
use super::{STALE, drops};
use crate::prometheus_remote_write::encode::{Encoder, Value};
use crate::prometheus_remote_write::translate::Compat;

/// The scales that Prometheus has schemas for.
const MIN_SCHEMA: i32 = -4;
const MAX_SCHEMA: i32 = 8;
/// What counts as zero, where nothing else is said.
const ZERO_THRESHOLD: f64 = 1e-128;
/// A gap of more empty buckets opens a new span.
const MAX_GAP: i64 = 2;

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
        let mut content = std::mem::take(&mut self.histogram);
        let made = content.write(&view, self.options.compat, point.is_stale());
        let sent = made.and_then(|()| self.native(current, context, point, &content.bytes));
        self.histogram = content;
        sent
    }

    fn native(
        &mut self,
        current: Current<'_>,
        context: &mut Context,
        point: &mut Point<'_>,
        content: &[u8],
    ) -> Result<(), Reason> {
        if !self.options.send_exemplars {
            point.exemplars.clear();
        }
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

/// Writes the content of native histograms, without their timestamps: both versions have the same.
#[derive(Debug, Default)]
pub(super) struct HistogramContent {
    bytes: Vec<u8>,
    side: Side,
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
            self.side.read(buckets, down)?;
            self.side.write(spans, deltas, out);
        }
        Ok(())
    }
}

/// The buckets of one sign: runs of counts, each as the difference to the one before.
#[derive(Debug, Default)]
struct Side {
    /// Offset and length.
    spans: Vec<(i32, u32)>,
    deltas: Vec<u8>,
    last: i64,
}

impl Side {
    /// Reads dense counts: OTLP's bucket 0 begins where Prometheus' bucket 1 does.
    fn read(&mut self, buckets: BucketsView<'_>, down: u32) -> Result<(), Reason> {
        self.spans.clear();
        self.deltas.clear();
        self.last = 0;
        let first = i64::from(buckets.offset().map_err(|_| drops::INVALID)?);
        // The bucket that is being merged, and where the last written one ended.
        let (mut merged, mut end) = (None::<(i64, i64)>, 0i64);
        for (index, count) in (first..).zip(buckets.counts()) {
            let count = i64::try_from(count.map_err(|_| drops::INVALID)?).map_err(|_| drops::INVALID)?;
            let target = (index >> down) + 1;
            if count == 0 {
                continue;
            }
            match &mut merged {
                Some((at, sum)) if *at == target => *sum = sum.checked_add(count).ok_or(drops::INVALID)?,
                _ => {
                    if let Some(bucket) = merged.replace((target, count)) {
                        end = self.push(bucket, end)?;
                    }
                }
            }
        }
        if let Some(bucket) = merged {
            self.push(bucket, end)?;
        }
        Ok(())
    }

    /// Adds the bucket at an index, behind buckets that end before `end`. Returns where it ends.
    fn push(&mut self, (index, count): (i64, i64), end: i64) -> Result<i64, Reason> {
        if index > i64::from(i32::MAX) {
            return Err(drops::INVALID);
        }
        let gap = index - end;
        match self.spans.last_mut() {
            Some((_, len)) if gap <= MAX_GAP => {
                // A gap is not negative, as indexes rise.
                *len = len.saturating_add(gap as u32 + 1);
                for _ in 0..gap {
                    self.delta(0);
                }
            }
            _ => self.spans.push((i32::try_from(gap).map_err(|_| drops::INVALID)?, 1)),
        }
        self.delta(count);
        Ok(index + 1)
    }

    fn delta(&mut self, count: i64) {
        // Neither is negative, so the difference fits.
        put_varint(&mut self.deltas, to_zigzag(count - self.last));
        self.last = count;
    }

    fn write(&self, spans: u32, deltas: u32, out: &mut Vec<u8>) {
        for &(offset, len) in &self.spans {
            sluice_pdata::wire::put_message(out, spans, |span| {
                put_varint_field(span, 1, to_zigzag(i64::from(offset)));
                put_varint_field(span, 2, u64::from(len));
            });
        }
        if !self.deltas.is_empty() {
            put_len(out, deltas, &self.deltas);
        }
    }
}
