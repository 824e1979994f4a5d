//! From a request to its counts, resource by resource.

use sluice_ottl::WireRecord;
use sluice_ottl::time::Time;
use sluice_ottl::wire::Metric;
use sluice_pdata::tags::{
    exponential_histogram_data_point as exponential_point, gauge, histogram_data_point as histogram_point,
    logs_request, metric, metrics_request, number_data_point as number_point, resource, resource_logs,
    resource_metrics, resource_spans, scope, scope_logs, scope_metrics, scope_spans, span,
    summary_data_point as summary_point, traces_request,
};
use sluice_pdata::view::{AttributesView, EventView, LogRecordView, Messages, Scalars, SpanView, data_member};
use sluice_pdata::wire::{put_len, put_message};
use sluice_pdata::{Error, Signal};
use sluice_pipeline::{Batch, Refusal};

use super::counter::{Counter, Failure, Owners};
use super::definition::Definitions;

/// Upstream's name of the scope.
const SCOPE: &str = "github.com/open-telemetry/opentelemetry-collector-contrib/connector/countconnector";

/// What a request has come to.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// A metrics request; empty if nothing was counted.
    pub(super) request: Vec<u8>,
    pub(super) points: usize,
}

/// Counts what is in a batch.
///
/// # Errors
/// Malformed bytes; a condition that fails.
pub(super) fn count(definitions: &Definitions, batch: &Batch) -> Result<Counted, Refusal> {
    let walk = Walk { definitions, signal: batch.signal(), now: batch.context().arrival.wall.0 };
    walk.request(batch.bytes()).map_err(|failure| match failure {
        Failure::Malformed(error) => Refusal::malformed(error),
        Failure::Condition => Refusal::malformed(Error::rejected()),
    })
}

struct Walk<'d> {
    definitions: &'d Definitions,
    signal: Signal,
    /// When the request came, ns.
    now: u64,
}

/// Field numbers of the envelopes, which are the same for all signals.
mod envelope {
    use super::*;

    pub(super) const RESOURCES: u32 = traces_request::RESOURCE_SPANS;
    pub(super) const RESOURCE: u32 = resource_spans::RESOURCE;
    pub(super) const SCOPES: u32 = resource_spans::SCOPE_SPANS;
    pub(super) const SCOPE: u32 = scope_spans::SCOPE;
    pub(super) const ITEMS: u32 = scope_spans::SPANS;

    const _: () = {
        assert!(RESOURCES == metrics_request::RESOURCE_METRICS && RESOURCES == logs_request::RESOURCE_LOGS);
        assert!(RESOURCE == resource_metrics::RESOURCE && RESOURCE == resource_logs::RESOURCE);
        assert!(SCOPES == resource_metrics::SCOPE_METRICS && SCOPES == resource_logs::SCOPE_LOGS);
        assert!(SCOPE == scope_metrics::SCOPE && SCOPE == scope_logs::SCOPE);
        assert!(ITEMS == scope_metrics::METRICS && ITEMS == scope_logs::LOG_RECORDS);
    };
}

/// What an item stands in.
#[derive(Clone, Copy)]
struct Around<'a> {
    resource_envelope: &'a [u8],
    resource: &'a [u8],
    scope_envelope: &'a [u8],
    scope: &'a [u8],
}

impl<'a> Around<'a> {
    fn record(&self, record: WireRecord<'a>) -> WireRecord<'a> {
        record.in_resource(self.resource, self.resource_envelope).in_scope(self.scope, self.scope_envelope)
    }

    fn owners(&self, item: AttributesView<'a>) -> Owners<'a> {
        let scope = AttributesView::new(self.scope, scope::ATTRIBUTES);
        [item, scope, AttributesView::new(self.resource, resource::ATTRIBUTES)]
    }
}

impl Walk<'_> {
    fn request(&self, request: &[u8]) -> Result<Counted, Failure> {
        let mut counted = Counted::default();
        for resource_envelope in Messages::new(request, envelope::RESOURCES) {
            let resource_envelope = resource_envelope?;
            let resource = last(resource_envelope, envelope::RESOURCE)?;
            let [mut outer, mut inner] = self.counters();
            for scope_envelope in Messages::new(resource_envelope, envelope::SCOPES) {
                let scope_envelope = scope_envelope?;
                let scope = last(scope_envelope, envelope::SCOPE)?;
                let around = Around { resource_envelope, resource, scope_envelope, scope };
                for item in Messages::new(scope_envelope, envelope::ITEMS) {
                    self.item(item?, &around, &mut outer, &mut inner)?;
                }
            }
            self.write(resource, [&outer, &inner], &mut counted)?;
        }
        Ok(counted)
    }

    /// For spans and their events, metrics and their points; for log records, and nothing.
    fn counters(&self) -> [Counter<'_>; 2] {
        let of = self.definitions;
        match self.signal {
            Signal::Traces => [Counter::new(&of.spans), Counter::new(&of.events)],
            Signal::Metrics => [Counter::new(&of.metrics), Counter::new(&of.points)],
            Signal::Logs => [Counter::new(&of.logs), Counter::new(&[])],
        }
    }

    fn item<'a>(
        &self,
        item: &'a [u8],
        around: &Around<'a>,
        outer: &mut Counter<'_>,
        inner: &mut Counter<'_>,
    ) -> Result<(), Failure> {
        match self.signal {
            Signal::Traces => self.span(item, around, outer, inner),
            Signal::Metrics => self.metric(item, around, outer, inner),
            Signal::Logs => {
                let log = LogRecordView::parse(item)?;
                outer.see(log.time_unix_nano);
                let record = around.record(WireRecord::log(item));
                outer.count(&record, &around.owners(log.attributes()), self.time())
            }
        }
    }

    fn span<'a>(
        &self,
        item: &'a [u8],
        around: &Around<'a>,
        spans: &mut Counter<'_>,
        events: &mut Counter<'_>,
    ) -> Result<(), Failure> {
        let view = SpanView::parse(item)?;
        spans.see(view.start_time_unix_nano);
        spans.see(view.end_time_unix_nano);
        spans.count(&around.record(WireRecord::span(item)), &around.owners(view.attributes()), self.time())?;
        if events.is_idle() {
            return Ok(());
        }
        for (index, event) in Messages::new(item, span::EVENTS).enumerate() {
            let bytes = event?;
            let event = EventView::parse(bytes)?;
            events.see(event.time_unix_nano);
            let record = around.record(WireRecord::span_event(item, bytes, index));
            events.count(&record, &around.owners(event.attributes()), self.time())?;
        }
        Ok(())
    }

    fn metric<'a>(
        &self,
        item: &'a [u8],
        around: &Around<'a>,
        metrics: &mut Counter<'_>,
        points: &mut Counter<'_>,
    ) -> Result<(), Failure> {
        // A metric has no attributes of its own to count by.
        let none = AttributesView::new(&[], resource::ATTRIBUTES);
        let (kind, data) = data_member(item)?;
        let whole = Metric::parts(item, kind, data);
        metrics.count(&around.record(WireRecord::metric(whole)), &around.owners(none), self.time())?;
        let Some(attributes) = attributes_of(kind) else { return Ok(()) };
        for point in Messages::new(data, gauge::DATA_POINTS) {
            let point = point?;
            if let Some(time) = Scalars::fixed64(point, number_point::TIME_UNIX_NANO).last() {
                points.see(time?);
            }
            let record = around.record(WireRecord::data_point(whole, point));
            points.count(&record, &around.owners(AttributesView::new(point, attributes)), self.time())?;
        }
        Ok(())
    }

    fn write(&self, of: &[u8], counters: [&Counter<'_>; 2], counted: &mut Counted) -> Result<(), Failure> {
        let mut metrics = Vec::new();
        let points: usize = counters.iter().map(|counter| counter.write(&mut metrics, self.now)).sum();
        if points == 0 {
            return Ok(());
        }
        counted.points += points;
        let mut attributes = Vec::new();
        for pair in Messages::new(of, resource::ATTRIBUTES) {
            put_len(&mut attributes, resource::ATTRIBUTES, pair?);
        }
        put_message(&mut counted.request, metrics_request::RESOURCE_METRICS, |out| {
            put_len(out, resource_metrics::RESOURCE, &attributes);
            put_message(out, resource_metrics::SCOPE_METRICS, |out| {
                put_message(out, scope_metrics::SCOPE, |out| put_len(out, scope::NAME, SCOPE.as_bytes()));
                out.extend_from_slice(&metrics);
            });
        });
        Ok(())
    }

    fn time(&self) -> Time {
        Time::from_unix_nanos(i64::try_from(self.now).unwrap_or(i64::MAX))
    }
}

/// The last occurrence of a message; empty if there is none.
fn last(message: &[u8], number: u32) -> Result<&[u8], Error> {
    Messages::new(message, number).try_fold(&[][..], |_, payload| payload)
}

/// The field of the attributes in points of a kind of metric; `None` for a metric without data.
const fn attributes_of(kind: u32) -> Option<u32> {
    match kind {
        metric::GAUGE | metric::SUM => Some(number_point::ATTRIBUTES),
        metric::HISTOGRAM => Some(histogram_point::ATTRIBUTES),
        metric::EXPONENTIAL_HISTOGRAM => Some(exponential_point::ATTRIBUTES),
        metric::SUMMARY => Some(summary_point::ATTRIBUTES),
        _ => None,
    }
}
