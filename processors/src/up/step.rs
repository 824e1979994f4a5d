//! The observing side in the fused pass: notes each resource that comes by, and reports it once its batch is accepted.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sluice_pdata::msg::Message;
use sluice_pdata::pass::{BatchState, Cx, Hooks, Level, Step, Verdict};
use sluice_pdata::tags::{resource, resource_metrics};
use sluice_pdata::view::{AnyValueView, AttributesView, Messages};
use sluice_pdata::wire::put_len;
use sluice_pdata::{Error, Signal};
use sluice_pipeline::Context;

use super::align::{Alignment, align};
use super::config;
use super::engine::{Arrival, Now};
use super::measure::measure;
use super::observer::{Contact, Observer, Pushed};

/// Most bytes of a resource's part of a request that are kept to mark its series stale later.
pub const KEPT_BYTES: usize = 4 << 20;

/// The step of one `up` processor in one pipeline.
pub struct UpStep {
    pub(super) observer: Arc<Observer>,
    /// With `align_labels: sd`.
    pub(super) alignment: Option<Arc<Alignment>>,
    /// With `stale_on_down`.
    pub(super) lane: Option<Arc<LaneNumber>>,
    pub(super) seed: ahash::RandomState,
    pub(super) trusted_proxies: Arc<[IpAddr]>,
}

/// The header in which proxies say for whom they ask.
pub const FORWARDED_FOR: &str = "x-forwarded-for";

/// The number of the lane into the step's pipeline, set at the start; none if nothing is written there.
#[derive(Debug)]
pub struct LaneNumber(AtomicUsize);

impl Default for LaneNumber {
    fn default() -> Self {
        LaneNumber(AtomicUsize::new(usize::MAX))
    }
}

impl LaneNumber {
    /// Series of this pipeline are kept from now on, and marked stale in this lane.
    pub fn set(&self, number: usize) {
        self.0.store(number, Ordering::Relaxed);
    }

    fn get(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|number| *number != usize::MAX)
    }
}

/// Who was seen in a batch.
struct Contacts {
    observer: Arc<Observer>,
    seen: Vec<(Contact, Now, Arrival, Option<Pushed>)>,
}

impl BatchState for Contacts {
    fn apply(self: Box<Self>) {
        for (contact, now, arrival, pushed) in self.seen {
            self.observer.arrived_with(&contact, now, arrival, pushed);
        }
    }
}

impl Step<Context> for UpStep {
    fn hooks(&self, signal: Signal) -> Hooks {
        // A resource that an earlier step has emptied was not received.
        let aligns = self.alignment.is_some() && signal == Signal::Metrics;
        let changes = aligns.then_some(Level::Resource);
        Hooks { resource: true, changes, observes: Some(Level::Resource), ..Hooks::default() }
    }

    fn begin(&self, _signal: Signal, _batch: &[u8]) -> Option<Box<dyn BatchState>> {
        Some(Box::new(Contacts { observer: Arc::clone(&self.observer), seen: Vec::new() }))
    }

    fn resource(
        &self,
        cx: &mut Cx<'_, Context>,
        message: &mut Message<'_>,
        envelope: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        let bytes = message.bytes();
        let tenant = Some(cx.context.tenant.name()).filter(|name| !name.is_empty());
        let peer = self.peer(cx.context);
        let contact = self.observer.resource(bytes, tenant, peer, || texts(bytes));
        let metrics = cx.signal == Signal::Metrics;
        let lane = self.lane.as_ref().filter(|_| metrics).and_then(|lane| lane.get());
        let found = measure(cx.signal, cx.body, lane.map(|_| &self.seed))?;
        let arrival = Arrival {
            items: found.items,
            bytes: cx.body.len() as u64,
            newest_data: found.newest,
            all_no_recorded_value: found.all_no_recorded_value,
            brings_up: found.brings_up,
            ..Arrival::new(signal_of(cx.signal))
        };
        if let Some(alignment) = self.alignment.as_ref().filter(|_| metrics)
            && let Some(labels) = alignment.labels(contact.known())
        {
            align(message, &labels)?;
        }
        let pushed = match (lane, found.series) {
            (Some(lane), Some(series)) if found.items > 0 && !found.all_no_recorded_value => {
                let bytes = contact.known().wants(series).then(|| kept(message, envelope, cx.body)).transpose()?;
                Some(Pushed { lane, series, bytes })
            }
            _ => None,
        };
        let at = cx.context.arrival;
        let now = Now { mono: at.monotonic.0, unix: Duration::from_nanos(at.wall.0) };
        if let Some(contacts) = cx.state::<Contacts>() {
            contacts.seen.push((contact, now, arrival, pushed));
        }
        Ok(Verdict::Keep)
    }
}

/// The payload of the `ResourceMetrics` as the steps so far have left it; empty if it is too large.
fn kept(resource: &mut Message<'_>, envelope: &mut Message<'_>, body: &[u8]) -> Result<Box<[u8]>, Error> {
    if body.len() > KEPT_BYTES / 2 {
        return Ok(Box::default());
    }
    let mut kept = Vec::with_capacity(body.len() + 64);
    put_len(&mut kept, resource_metrics::RESOURCE, resource.bytes());
    kept.extend_from_slice(envelope.bytes());
    // From the body only what no earlier step of this walk can have changed: see `Hooks::observes`.
    for scope in Messages::new(body, resource_metrics::SCOPE_METRICS) {
        put_len(&mut kept, resource_metrics::SCOPE_METRICS, scope?);
    }
    Ok(if kept.len() <= KEPT_BYTES { kept.into_boxed_slice() } else { Box::default() })
}

impl UpStep {
    /// Where a request came from. Behind trusted proxies that is whom the first of them that is not trusted is: what stands
    /// further left anybody may have written.
    fn peer(&self, context: &Context) -> Option<IpAddr> {
        let transport = context.peer?.ip().to_canonical();
        let trusted = |address: &IpAddr| self.trusted_proxies.contains(address);
        if !trusted(&transport) {
            return Some(transport);
        }
        let lines: Vec<&str> = context.metadata.get(FORWARDED_FOR).collect();
        let mut sender = transport;
        for written in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            // What is no address ends the chain of what can be believed.
            let Ok(address) = written.trim().parse::<IpAddr>() else { break };
            sender = address.to_canonical();
            if !trusted(&sender) {
                break;
            }
        }
        Some(sender)
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
