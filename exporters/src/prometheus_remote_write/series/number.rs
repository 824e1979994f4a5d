//! Gauges and sums.

use sluice_pdata::pass::Reason;

use super::STALE;
use super::context::Context;
use super::drops;
use super::exemplar::as_double;
use super::layout::Extra;
use super::metric::{Kind, Suffix};
use super::point::{Point, millis};
use super::walk::{Converter, Current};
use crate::prometheus_remote_write::encode::{Encoder, Exemplars, Stamp, Value};

impl<E: Encoder> Converter<E> {
    /// One sample.
    pub(super) fn number(
        &mut self,
        current: Current<'_>,
        context: &mut Context,
        point: &mut Point<'_>,
    ) -> Result<(), Reason> {
        let value = match as_double(point.value) {
            _ if point.is_stale() => f64::from_bits(STALE),
            Some(value) => value,
            None => return Err(drops::EMPTY_DATA_POINTS),
        };
        let is_counter = current.kind == Kind::Counter;
        // Prometheus takes those of sums that may fall, too.
        if current.kind == Kind::Gauge || !self.options.send_exemplars {
            point.exemplars.clear();
        }
        self.prepare(current, context, point, Extra::None, 1, 0)?;
        self.exemplars.clear();
        for exemplar in &point.exemplars {
            let (names, requests, writer) = self.names_of(current);
            // An exemplar that cannot be read is left out.
            let _ = writer.add(exemplar, names, &mut requests.encoder);
        }
        let stamp = if is_counter { cumulative(point) } else { Stamp::new(millis(point.time), 0) };
        let exemplars: Exemplars<'_> = self.exemplars.written();
        let (encoder, labels) = (&mut self.requests.encoder, &self.scratch.labels);
        let pieces = labels.plain(self.metrics.get(current.id).piece(Suffix::None));
        encoder.series(&pieces, Value::Sample(value), &stamp, exemplars, &self.metadata);
        Ok(())
    }
}

/// The stamp of a cumulative point: with its start, unless that is unset or behind its end. A start in the first millisecond
/// of the epoch is sent as 1, as 0 means unset.
pub(super) fn cumulative(point: &Point<'_>) -> Stamp {
    let valid = point.start != 0 && point.start <= point.time;
    Stamp::new(millis(point.time), if valid { millis(point.start).max(1) } else { 0 })
}
