//! Histograms with explicit bounds, as classic Prometheus histograms.

use sluice_pdata::pass::Reason;
use sluice_pdata::view::ExemplarView;
use smallvec::SmallVec;

use super::STALE;
use super::context::Context;
use super::exemplar::as_double;
use super::layout::Extra;
use super::metric::Suffix;
use super::number::cumulative;
use super::point::{Point, millis};
use super::walk::{Converter, Current};
use crate::prometheus_remote_write::encode::{Encoder, Exemplars, Value};

/// More than the `le` label of any bound takes.
const LE_BYTES: usize = 360;

impl<E: Encoder> Converter<E> {
    /// `_count`, `_sum` if there is one, and a cumulative `_bucket` for each bound and for `+Inf`.
    pub(super) fn histogram(
        &mut self,
        current: Current<'_>,
        context: &mut Context,
        point: &mut Point<'_>,
    ) -> Result<(), Reason> {
        let stale = point.is_stale();
        let value = |value: f64| if stale { f64::from_bits(STALE) } else { value };
        let stamp = cumulative(point);
        if !self.options.send_exemplars {
            point.exemplars.clear();
        }
        let mut exemplars = by_value(point);
        let mut written = 0;
        // Bounds without a count have no bucket.
        let bounds = point.bounds.len().min(point.counts.len());
        let has_sum = stale || point.sum.is_some();
        let total = bounds + 2 + usize::from(has_sum);
        let (mut next, mut cumulative) = (0, 0u64);
        while next < total {
            let room = self.prepare(current, context, point, Extra::Le, total - next, LE_BYTES)?;
            let end = total.min(next + room);
            self.bounds.select(&point.bounds[..bounds], current.scraped, &mut self.requests.encoder);
            // Of this point and request: another bucket differs in its bound and value only.
            let mut like_the_last = false;
            for index in next..end {
                self.exemplars.clear();
                if index <= bounds {
                    let bound = point.bounds.get(index).map_or(f64::INFINITY, |&bits| f64::from_bits(bits));
                    let bound = if index == bounds { f64::INFINITY } else { bound };
                    if index < bounds {
                        cumulative = cumulative.saturating_add(point.counts[index]);
                        if bound.is_nan() || bound == f64::INFINITY {
                            // The last bucket says it.
                            continue;
                        }
                    }
                    let of_bucket = |timed: &&Timed<'_>| index == bounds || timed.value <= bound;
                    let mine = exemplars[written..].iter().take_while(of_bucket).count();
                    let mine = &mut exemplars[written..written + mine];
                    written += mine.len();
                    // Backends refuse an older one behind a younger one, and of one time a lower one behind a higher one.
                    mine.sort_by_key(|timed| timed.time);
                    for exemplar in mine {
                        let (names, requests, writer) = self.names_of(current);
                        // An exemplar that cannot be read is left out.
                        let _ = writer.add(exemplar.bytes, names, &mut requests.encoder);
                    }
                }
                let encoder = &mut self.requests.encoder;
                let (labels, metric) = (&self.scratch.labels, self.metrics.get(current.id));
                if index <= bounds {
                    let count = if index == bounds { point.count } else { cumulative };
                    let (sample, le, exemplars) =
                        (value(count as f64), self.bounds.piece(index), self.exemplars.written());
                    if !(like_the_last && exemplars.count == 0 && encoder.again(le, sample)) {
                        let pieces = labels.with_extra(metric.piece(Suffix::Bucket), le);
                        encoder.series(&pieces, Value::Sample(sample), &stamp, exemplars, &self.metadata);
                        like_the_last = true;
                    }
                } else {
                    let (suffix, sample) = match index - bounds {
                        1 => (Suffix::Count, point.count as f64),
                        _ => (Suffix::Sum, point.sum.unwrap_or(0.0)),
                    };
                    let pieces = labels.plain(metric.piece(suffix));
                    let sample = Value::Sample(value(sample));
                    encoder.series(&pieces, sample, &stamp, Exemplars::default(), &self.metadata);
                }
            }
            next = end;
        }
        Ok(())
    }
}

/// An exemplar with what it is sorted by; time in milliseconds, as backends have it.
struct Timed<'a> {
    value: f64,
    time: i64,
    bytes: &'a [u8],
}

/// The exemplars of a point, lowest value first. Those that cannot be read are left out.
fn by_value<'a>(point: &Point<'a>) -> SmallVec<[Timed<'a>; 2]> {
    let read = |bytes: &&'a [u8]| {
        let view = ExemplarView::parse(bytes).ok()?;
        let value = as_double(view.value().ok()?)?;
        Some(Timed { value, time: millis(view.time_unix_nano), bytes })
    };
    let mut exemplars: SmallVec<[Timed<'a>; 2]> = point.exemplars.iter().filter_map(read).collect();
    exemplars.sort_by(|a, b| a.value.total_cmp(&b.value));
    exemplars
}
