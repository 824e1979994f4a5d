//! The observing side in the fused pass: notes each resource that comes by, and reports it once its batch is accepted.

use std::sync::Arc;
use std::time::Duration;

use sluice_pdata::msg::Message;
use sluice_pdata::pass::{BatchState, Cx, Hooks, Level, Step, Verdict};
use sluice_pdata::tags::{
    exponential_histogram_data_point, gauge, histogram_data_point, metric, number_data_point, resource, resource_spans,
    scope_spans, summary_data_point,
};
use sluice_pdata::view::{AnyValueView, AttributesView, Messages, data_member};
use sluice_pdata::wire::{Value, fields};
use sluice_pdata::{Error, Signal};
use sluice_pipeline::Context;

use super::config;
use super::engine::{Arrival, Now};
use super::observer::{Contact, Observer};

/// The step of one `up` processor in one pipeline.
pub struct UpStep {
    pub(super) observer: Arc<Observer>,
}

/// Who was seen in a batch.
struct Contacts {
    observer: Arc<Observer>,
    seen: Vec<(Contact, Now, Arrival)>,
}

impl BatchState for Contacts {
    fn apply(self: Box<Self>) {
        for (contact, now, arrival) in &self.seen {
            self.observer.arrived(contact, *now, *arrival);
        }
    }
}

impl Step<Context> for UpStep {
    fn hooks(&self, _signal: Signal) -> Hooks {
        // A resource that an earlier step has emptied was not received.
        Hooks { resource: true, observes: Some(Level::Resource), ..Hooks::default() }
    }

    fn begin(&self, _signal: Signal, _batch: &[u8]) -> Option<Box<dyn BatchState>> {
        Some(Box::new(Contacts { observer: Arc::clone(&self.observer), seen: Vec::new() }))
    }

    fn resource(
        &self,
        cx: &mut Cx<'_, Context>,
        message: &mut Message<'_>,
        _envelope: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        let bytes = message.bytes();
        let tenant = Some(cx.context.tenant.name()).filter(|name| !name.is_empty());
        let peer = cx.context.peer.map(|peer| peer.ip());
        let contact = self.observer.resource(bytes, tenant, peer, || texts(bytes));
        let mut arrival = Arrival::new(signal_of(cx.signal));
        arrival.bytes = cx.body.len() as u64;
        measure(cx.signal, cx.body, &mut arrival)?;
        let at = cx.context.arrival;
        let now = Now { mono: at.monotonic.0, unix: Duration::from_nanos(at.wall.0) };
        if let Some(contacts) = cx.state::<Contacts>() {
            contacts.seen.push((contact, now, arrival));
        }
        Ok(Verdict::Keep)
    }
}

fn signal_of(signal: Signal) -> config::Signal {
    match signal {
        Signal::Traces => config::Signal::Traces,
        Signal::Metrics => config::Signal::Metrics,
        Signal::Logs => config::Signal::Logs,
    }
}

/// Text attributes of a resource; what is malformed ends the list.
fn texts(resource: &[u8]) -> Vec<(&[u8], &str)> {
    let attributes = AttributesView::new(resource, resource::ATTRIBUTES).iter();
    let mut texts = Vec::new();
    for pair in attributes.map_while(Result::ok) {
        if let Ok(AnyValueView::Str(text)) = pair.value()
            && let Ok(text) = std::str::from_utf8(text)
        {
            texts.push((pair.key(), text));
        }
    }
    texts
}

/// Counts the items below a resource; for metrics also the newest timestamp, and whether all points say that nothing was
/// recorded.
fn measure(signal: Signal, body: &[u8], arrival: &mut Arrival) -> Result<(), Error> {
    let (mut newest, mut recorded) = (0u64, false);
    for scope in Messages::new(body, resource_spans::SCOPE_SPANS) {
        for item in Messages::new(scope?, scope_spans::SPANS) {
            if signal != Signal::Metrics {
                item?;
                arrival.items += 1;
                continue;
            }
            let (kind, data) = data_member(item?)?;
            for point in Messages::new(data, gauge::DATA_POINTS) {
                let (time, flags) = point_facts(kind, point?)?;
                arrival.items += 1;
                newest = newest.max(time);
                recorded |= flags & NO_RECORDED_VALUE == 0;
            }
        }
    }
    if signal == Signal::Metrics {
        arrival.newest_data = (newest > 0).then(|| Duration::from_nanos(newest));
        arrival.all_no_recorded_value = arrival.items > 0 && !recorded;
    }
    Ok(())
}

const NO_RECORDED_VALUE: u64 = 1;

/// Timestamp and flags of a data point.
fn point_facts(kind: u32, point: &[u8]) -> Result<(u64, u64), Error> {
    let (time_field, flags_field) = match kind {
        metric::HISTOGRAM => (histogram_data_point::TIME_UNIX_NANO, histogram_data_point::FLAGS),
        metric::EXPONENTIAL_HISTOGRAM => {
            (exponential_histogram_data_point::TIME_UNIX_NANO, exponential_histogram_data_point::FLAGS)
        }
        metric::SUMMARY => (summary_data_point::TIME_UNIX_NANO, summary_data_point::FLAGS),
        _ => (number_data_point::TIME_UNIX_NANO, number_data_point::FLAGS),
    };
    let (mut time, mut flags) = (0, 0);
    for field in fields(point) {
        let field = field?;
        match field.value {
            Value::Fixed64(value) if field.number == time_field => time = value,
            Value::Varint(value) if field.number == flags_field => flags = value,
            _ => {}
        }
    }
    Ok((time, flags))
}
