//! Summaries.

use sluice_pdata::pass::Reason;
use sluice_pdata::view::ValueAtQuantileView;
use smallvec::SmallVec;

use super::STALE;
use super::context::Context;
use super::drops;
use super::layout::Extra;
use super::metric::Suffix;
use super::point::{Point, millis};
use super::walk::{Converter, Current};
use crate::prometheus_remote_write::encode::{Encoder, Exemplars, Stamp, Value};
use crate::prometheus_remote_write::translate::number;

/// More than any number and its label name take.
const QUANTILE_BYTES: usize = 400;

impl<E: Encoder> Converter<E> {
    /// `_sum`, `_count` and one series for each quantile.
    pub(super) fn summary(
        &mut self,
        current: Current<'_>,
        context: &mut Context,
        point: &mut Point<'_>,
    ) -> Result<(), Reason> {
        let stale = point.is_stale();
        let value = |value: f64| Value::Sample(if stale { f64::from_bits(STALE) } else { value });
        let stamp = Stamp::new(millis(point.time), 0);
        let quantiles = point.quantiles.iter().map(|quantile| ValueAtQuantileView::parse(quantile));
        let quantiles: SmallVec<[ValueAtQuantileView<'_>; 8]> =
            quantiles.collect::<Result<_, _>>().map_err(|_| drops::INVALID)?;
        let total = quantiles.len() + 2;
        let mut next = 0;
        let (mut name, mut text, mut label) = (Vec::new(), Vec::new(), Vec::new());
        while next < total {
            let room = self.prepare(current, context, point, Extra::Quantile, total - next, QUANTILE_BYTES)?;
            let (encoder, labels) = (&mut self.requests.encoder, &self.scratch.labels);
            let metric = self.metrics.get(current.id);
            name.clear();
            encoder.name(Extra::Quantile.name(), &mut name);
            let end = total.min(next + room);
            for index in next..end {
                let Some(quantile) = index.checked_sub(2).and_then(|index| quantiles.get(index)) else {
                    let (suffix, sample) = match index {
                        0 => (Suffix::Sum, point.sum.unwrap_or(0.0)),
                        _ => (Suffix::Count, point.count as f64),
                    };
                    let pieces = labels.plain(metric.piece(suffix));
                    encoder.series(&pieces, value(sample), &stamp, Exemplars::default(), &self.metadata);
                    continue;
                };
                text.clear();
                number::bound(&mut text, quantile.quantile, self.options.le_format, current.scraped);
                label.clear();
                encoder.label(&name, &text, &mut label);
                let pieces = labels.with_extra(metric.piece(Suffix::None), &label);
                encoder.series(&pieces, value(quantile.value), &stamp, Exemplars::default(), &self.metadata);
            }
            next = end;
        }
        Ok(())
    }
}
