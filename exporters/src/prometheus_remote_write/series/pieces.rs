//! Room for a data point's series, and the pieces they are put together from.

use sluice_pdata::pass::Reason;

use super::context::Context;
use super::drops;
use super::exemplar::ExemplarWriter;
use super::layout::{Extra, LabelError, Layout, MAX_LAYOUTS};
use super::names::LabelNames;
use super::point::Point;
use super::requests::Requests;
use super::walk::{Converter, Current};
use crate::prometheus_remote_write::encode::Encoder;

impl<E: Encoder> Converter<E> {
    /// Makes room for a point's series, `wanted` in all of which each has one piece of at most `piece` bytes besides labels
    /// and name, and puts its labels and pieces together. Returns how many may be written, at least one.
    pub(super) fn prepare(
        &mut self,
        current: Current<'_>,
        context: &mut Context,
        point: &Point<'_>,
        extra: Extra,
        wanted: usize,
        piece: usize,
    ) -> Result<usize, Reason> {
        // Without looking at labels first: none are written for a request that has no room.
        if self.requests.room(wanted, 1).is_none() {
            self.requests.close();
        }
        loop {
            self.labels(current, context, point, extra)?;
            self.renew_metadata(current);
            let labels = self.scratch.labels.len();
            let size = labels + self.metrics.get(current.id).name.len() + piece + self.metadata.len() + 64;
            match self.requests.room(wanted, size + 256 * point.exemplars.len()) {
                Some(room) => return Ok(room),
                None => self.requests.close(),
            }
        }
    }

    fn labels(
        &mut self,
        current: Current<'_>,
        context: &mut Context,
        point: &Point<'_>,
        extra: Extra,
    ) -> Result<(), Reason> {
        let names = if current.scraped { &mut self.verbatim_names } else { &mut self.names };
        let Context { fixed, layouts } = context;
        match layouts.iter().position(|layout| layout.fits(&point.attributes, current.scraped)) {
            Some(0) => {}
            Some(at) => layouts[..=at].rotate_right(1),
            None => {
                let layout =
                    Layout::new(&point.attributes, fixed, names, current.scraped).map_err(|_| drops::INVALID)?;
                layouts.truncate(MAX_LAYOUTS - 1);
                layouts.insert(0, layout);
            }
        }
        let encoder = &mut self.requests.encoder;
        let written = layouts[0].write(&point.attributes, fixed, extra, names, encoder, &mut self.scratch);
        written.map_err(|error| match error {
            LabelError::Malformed => drops::INVALID,
            LabelError::InvalidName => drops::INVALID_LABEL_NAME,
        })
    }

    fn renew_metadata(&mut self, current: Current<'_>) {
        let encoder = &mut self.requests.encoder;
        self.metrics.renew(current.id, current.kind, encoder);
        if self.metadata_epoch != encoder.epoch() {
            self.metadata_epoch = encoder.epoch();
            self.metadata.clear();
            let metric = self.metrics.get(current.id);
            encoder.metadata(metric.metric_type, current.help, &metric.unit, &mut self.metadata);
        }
    }

    /// Label names for the metric at hand.
    pub(super) fn names_of(
        &mut self,
        current: Current<'_>,
    ) -> (&mut LabelNames, &mut Requests<E>, &mut ExemplarWriter) {
        let names = if current.scraped { &mut self.verbatim_names } else { &mut self.names };
        (names, &mut self.requests, &mut self.exemplars)
    }
}
