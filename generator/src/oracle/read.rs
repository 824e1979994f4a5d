//! Exports as a collector sees them.

use std::collections::HashMap;

use sluice_pdata::view::{
    AttributesView, DataView, ExemplarView, LogRecordView, LogsView, MetricsView, SpanView, TracesView,
};
use sluice_pdata::{Error, Signal, framing};

use crate::UID;
use crate::settings::Nanos;

/// A valid trace id.
pub type TraceId = [u8; 16];
/// What signals are joined on: trace and span id, both valid.
pub type SpanKey = (TraceId, [u8; 8]);

/// A span's first arrival.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanSeen {
    pub at: Nanos,
    pub name: String,
    pub is_root: bool,
    pub error: bool,
    /// By the clock of its process.
    pub start: u64,
    pub end: u64,
    /// How often it arrived, with whatever content.
    pub times: usize,
}

/// One arrival of a log record.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSeen {
    pub at: Nanos,
    /// `service.name` of its resource.
    pub service: String,
    /// Its number in the truth.
    pub uid: Option<u32>,
    /// Its trace, if the id is valid.
    pub trace: Option<TraceId>,
    /// Its span, if both ids are valid.
    pub span: Option<SpanKey>,
    pub severity: i32,
    pub flags: u32,
    pub body: Vec<u8>,
}

/// One arrival of an exemplar.
#[derive(Clone, Debug, PartialEq)]
pub struct ExemplarSeen {
    pub at: Nanos,
    pub metric: String,
    /// Its span; `None` if it names none.
    pub span: Option<SpanKey>,
    pub time: u64,
}

/// Everything that arrived.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    pub spans: HashMap<SpanKey, SpanSeen>,
    pub logs: Vec<LogSeen>,
    pub exemplars: Vec<ExemplarSeen>,
    /// Spans of each trace in order of arrival.
    pub traces: HashMap<TraceId, Vec<SpanKey>>,
    /// Items by signal, in the order of [`Signal::ALL`].
    pub items: [usize; 3],
    /// Spans without a valid key.
    pub nameless_spans: usize,
}

impl Arrivals {
    /// Reads requests in order of arrival.
    ///
    /// # Errors
    /// A request is not well-formed.
    pub fn read<'a>(requests: impl IntoIterator<Item = (Nanos, Signal, &'a [u8])>) -> Result<Self, Error> {
        let mut arrivals = Arrivals::default();
        for (at, signal, bytes) in requests {
            arrivals.add(at, signal, bytes)?;
        }
        Ok(arrivals)
    }

    /// Reads one more.
    ///
    /// # Errors
    /// It is not well-formed.
    pub fn add(&mut self, at: Nanos, signal: Signal, bytes: &[u8]) -> Result<(), Error> {
        self.items[signal as usize] += framing::check(signal, bytes)?.items;
        match signal {
            Signal::Traces => spans(bytes, |span| self.span(at, span)),
            Signal::Logs => logs(bytes, |service, log| self.log(at, service, log)),
            Signal::Metrics => self.metrics(at, bytes),
        }
    }

    fn span(&mut self, at: Nanos, span: &SpanView<'_>) -> Result<(), Error> {
        let Some(key) = key(span.trace_id, span.span_id) else {
            self.nameless_spans += 1;
            return Ok(());
        };
        if let Some(known) = self.spans.get_mut(&key) {
            known.times += 1;
            return Ok(());
        }
        let seen = SpanSeen {
            at,
            name: lossy(span.name),
            is_root: span.parent_span_id.iter().all(|byte| *byte == 0),
            error: span.status()?.is_some_and(|status| status.code == 2),
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
            times: 1,
        };
        self.spans.insert(key, seen);
        self.traces.entry(key.0).or_default().push(key);
        Ok(())
    }

    fn log(&mut self, at: Nanos, service: &str, log: &LogRecordView<'_>) -> Result<(), Error> {
        let body = log.body()?.as_str().unwrap_or_default().to_vec();
        self.logs.push(LogSeen {
            at,
            service: service.to_owned(),
            uid: uid(log.attributes())?,
            trace: valid(log.trace_id),
            span: key(log.trace_id, log.span_id),
            severity: log.severity_number,
            flags: log.flags,
            body,
        });
        Ok(())
    }

    fn metrics(&mut self, at: Nanos, bytes: &[u8]) -> Result<(), Error> {
        exemplars(bytes, |metric, exemplar| {
            let span = key(exemplar.trace_id, exemplar.span_id);
            self.exemplars.push(ExemplarSeen { at, metric: lossy(metric), span, time: exemplar.time_unix_nano });
            Ok(())
        })
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn valid<const N: usize>(id: &[u8]) -> Option<[u8; N]> {
    <[u8; N]>::try_from(id).ok().filter(|id| id.iter().any(|byte| *byte != 0))
}

/// The key of a valid pair of ids.
pub(super) fn key(trace: &[u8], span: &[u8]) -> Option<SpanKey> {
    Some((valid(trace)?, valid(span)?))
}

/// The number of a log record.
pub(super) fn uid(attributes: AttributesView<'_>) -> Result<Option<u32>, Error> {
    let text = attributes.get(UID.as_bytes())?.and_then(|value| value.as_str());
    Ok(text.and_then(|text| u32::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()))
}

/// All spans of a request.
pub(super) fn spans(bytes: &[u8], mut each: impl FnMut(&SpanView<'_>) -> Result<(), Error>) -> Result<(), Error> {
    for group in TracesView(bytes).resource_spans() {
        for scope in group?.scope_spans() {
            for span in scope?.spans() {
                each(&span?)?;
            }
        }
    }
    Ok(())
}

/// All log records of a request, each with the name of its service.
pub(super) fn logs(
    bytes: &[u8],
    mut each: impl FnMut(&str, &LogRecordView<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    for group in LogsView(bytes).resource_logs() {
        let group = group?;
        let name = group.resource()?.attributes().get(b"service.name")?.and_then(|value| value.as_str());
        let service = lossy(name.unwrap_or_default());
        for scope in group.scope_logs() {
            for log in scope?.log_records() {
                each(&service, &log?)?;
            }
        }
    }
    Ok(())
}

/// All exemplars of a request, with the names of their metrics.
pub(super) fn exemplars(
    bytes: &[u8],
    mut each: impl FnMut(&[u8], &ExemplarView<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    use sluice_pdata::view::{ExponentialHistogramDataPointView, HistogramDataPointView, NumberDataPointView};
    for group in MetricsView(bytes).resource_metrics() {
        for scope in group?.scope_metrics() {
            for metric in scope?.metrics() {
                let metric = metric?;
                let data = metric.data()?;
                for point in data.points() {
                    let point = point?;
                    let mut name = |exemplar: Result<ExemplarView<'_>, Error>| each(metric.name, &exemplar?);
                    match data {
                        DataView::Histogram { .. } => {
                            HistogramDataPointView::parse(point)?.exemplars().try_for_each(&mut name)?;
                        }
                        DataView::ExponentialHistogram { .. } => {
                            ExponentialHistogramDataPointView::parse(point)?.exemplars().try_for_each(&mut name)?;
                        }
                        DataView::Gauge(_) | DataView::Sum { .. } => {
                            NumberDataPointView::parse(point)?.exemplars().try_for_each(&mut name)?;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    Ok(())
}
