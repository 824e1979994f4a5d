//! What a collector made of it, to be compared.

use std::collections::{HashMap, HashSet};

use sluice_pdata::{Error, Signal, framing};

use super::join::{Hold, Recall};
use super::read::{Arrivals, SpanKey, TraceId, exemplars, key, logs, spans, uid};

/// Everything that came out of a collector, or of a stage.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Items by signal, in the order of [`Signal::ALL`].
    pub items: [usize; 3],
    /// Logs that carry a span's name: the number, the span they claim, and the name.
    pub joined: Vec<(Option<u32>, Option<SpanKey>, String)>,
    /// The numbers of all logs, as often as they came.
    pub logs: HashMap<u32, usize>,
    /// `log.count` of each span that has one.
    pub counts: HashMap<SpanKey, i64>,
    /// Traces of which a span or a log came out.
    pub traces: HashSet<TraceId>,
    /// Traces that an exemplar names.
    pub exemplars: Vec<TraceId>,
}

impl Output {
    /// Adds a request.
    ///
    /// # Errors
    /// It is not well-formed.
    pub fn add(&mut self, signal: Signal, bytes: &[u8]) -> Result<(), Error> {
        self.items[signal as usize] += framing::check(signal, bytes)?.items;
        match signal {
            Signal::Traces => spans(bytes, |span| {
                let Some(key) = key(span.trace_id, span.span_id) else { return Ok(()) };
                self.traces.insert(key.0);
                if let Some(sluice_pdata::view::AnyValueView::Int(count)) = span.attributes().get(b"log.count")? {
                    self.counts.insert(key, count);
                }
                Ok(())
            }),
            Signal::Logs => logs(bytes, |_, log| {
                let number = uid(log.attributes())?;
                if let Some(number) = number {
                    *self.logs.entry(number).or_default() += 1;
                }
                self.traces.extend(<TraceId>::try_from(log.trace_id));
                if let Some(name) = log.attributes().get(b"span.name")?.and_then(|value| value.as_str()) {
                    let claimed = key(log.trace_id, log.span_id);
                    self.joined.push((number, claimed, String::from_utf8_lossy(name).into_owned()));
                }
                Ok(())
            }),
            Signal::Metrics => exemplars(bytes, |_, exemplar| {
                self.exemplars.extend(<TraceId>::try_from(exemplar.trace_id));
                Ok(())
            }),
        }
    }

    /// The recall that was reached, measured as the oracle's ([`Arrivals::recall`]).
    pub fn recall(&self, truth: &Arrivals) -> Recall {
        Recall { found: self.joined.len(), joinable: truth.recall(Hold::MAX / 2).joinable }
    }

    /// Logs that carry the name of a span which is not theirs. Precision is 1 if there are none.
    pub fn wrong(&self, truth: &Arrivals) -> usize {
        let right = |claimed: &Option<SpanKey>, name: &String| {
            claimed.is_some_and(|key| truth.spans.get(&key).is_some_and(|span| span.name == *name))
        };
        self.joined.iter().filter(|(_, claimed, name)| !right(claimed, name)).count()
    }
}
