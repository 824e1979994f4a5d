//! Histograms with explicit bounds, as native Prometheus histograms with custom buckets (NHCB, prometheus §4.7).

use sluice_pdata::pass::Reason;
use sluice_pdata::wire::{put_fixed64, put_varint, put_varint_field, to_zigzag};

use super::STALE;
use super::context::Context;
use super::metric::Kind;
use super::native::HistogramContent;
use super::point::Point;
use super::walk::{Converter, Current};
use crate::prometheus_remote_write::encode::Encoder;
use crate::prometheus_remote_write::translate::Compat;

/// The schema that says that bounds are listed.
const SCHEMA: i64 = -53;

impl<E: Encoder> Converter<E> {
    /// One native histogram. What receivers would refuse in one, bounds that do not rise or counts that do not add up, goes
    /// out as a classic histogram instead.
    pub(super) fn custom_buckets(
        &mut self,
        current: Current<'_>,
        context: &mut Context,
        point: &mut Point<'_>,
    ) -> Result<(), Reason> {
        let fits = point.is_stale() || has_layout(point) && adds_up(point);
        if !fits {
            return self.histogram(Current { kind: Kind::Histogram, ..current }, context, point);
        }
        if point.count == 0 && point.sum.is_some_and(|sum| sum != 0.0) && !point.is_stale() {
            self.warn_sum_of_nothing(current);
        }
        let mut content = std::mem::take(&mut self.histogram);
        let made = content.write_custom(point, self.options.compat);
        let sent = made.and_then(|()| self.native(current, context, point, &content.bytes));
        self.histogram = content;
        sent
    }
}

/// Whether the bounds rise and are finite at the top, and there is a count for each and one above. Without bounds there may be
/// none.
fn has_layout(point: &Point<'_>) -> bool {
    let bounds = || point.bounds.iter().map(|&bits| f64::from_bits(bits));
    let rising = bounds().zip(bounds().skip(1)).all(|(below, above)| below < above);
    let bounded = bounds().all(|bound| !bound.is_nan() && bound != f64::INFINITY);
    let counted = point.counts.len() == point.bounds.len() + 1 || (point.counts.is_empty() && point.bounds.is_empty());
    rising && bounded && counted && total(point).is_some()
}

/// What all buckets hold, if that can be said in a native histogram.
fn total(point: &Point<'_>) -> Option<u64> {
    let total = point.counts.iter().try_fold(0u64, |sum, &count| sum.checked_add(count));
    total.filter(|&total| total <= i64::MAX as u64)
}

fn adds_up(point: &Point<'_>) -> bool {
    if point.counts.is_empty() { point.count <= i64::MAX as u64 } else { total(point) == Some(point.count) }
}

impl HistogramContent {
    fn write_custom(&mut self, point: &Point<'_>, compat: Compat) -> Result<(), Reason> {
        let (sum, count) = match point.sum {
            _ if point.is_stale() && compat == Compat::OtelSpec => (f64::from_bits(STALE), 0),
            _ if point.is_stale() => (f64::from_bits(STALE), STALE),
            sum => (sum.unwrap_or(0.0), point.count),
        };
        let out = &mut self.bytes;
        out.clear();
        // Said even when it is 0: that makes it a histogram of integers.
        put_varint_field(out, 1, count);
        put_fixed64(out, 3, sum.to_bits());
        put_varint_field(out, 4, to_zigzag(SCHEMA));
        if point.is_stale() && (compat == Compat::OtelSpec || !has_layout(point)) {
            return Ok(());
        }
        // A point without buckets tells of one that holds everything.
        let whole = [point.count];
        let counts = match point.counts.as_slice() {
            [] if point.is_stale() => &[],
            [] => &whole[..],
            counts => counts,
        };
        self.buckets.read((0..).zip(counts).map(|(index, &count)| Ok((index, count))))?;
        self.buckets.write(11, 12, out);
        if !point.bounds.is_empty() {
            put_varint(out, 16 << 3 | 2);
            put_varint(out, 8 * point.bounds.len() as u64);
            point.bounds.iter().for_each(|bits| out.extend_from_slice(&bits.to_le_bytes()));
        }
        Ok(())
    }
}
