//! Reading a request: which items it has, and in what they stand.

use std::sync::Arc;

use sluice_pdata::Signal;
use sluice_pdata::view::{AttributesView, LogRecordView, ResourceView};
use sluice_pdata::wire::{Field, Value, fields};
use sluice_pipeline::Context;
use sluice_pipeline::ledger::reasons;
use sluice_pipeline::spine::Entry;
use sluice_pipeline::stage::{Port, StageOutput};
use smallvec::SmallVec;

use super::Engine;
use super::ahead::{GROUP, read_through, trace_id_of};
use super::read::read_log;
use super::taint::Cleansed;
use crate::trace_window::inputs::EntryNumber;
use crate::trace_window::origin::Envelopes;
use crate::trace_window::outbox::{Base, ITEMS, RESOURCES, SCOPES};
use crate::trace_window::slab::NONE;
use crate::trace_window::statistics::Outcome;
use crate::trace_window::symbols::Symbol;

/// Field number of `resource` in a `ResourceSpans` and of `scope` in a `ScopeSpans`; those of logs are the same.
const INNER: u32 = 1;

/// An item of the request that is being read.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) bytes: &'a [u8],
    /// Its offset in the request.
    at: usize,
    pub(super) around: &'a Around<'a>,
    pub(super) entry: EntryNumber,
    pub(super) ordinal: u32,
    pub(super) origin: u32,
    /// Where its trace was when its group was looked up; [`NONE`] if nowhere.
    pub(super) trace: u32,
    /// As of [`Held`](crate::trace_window::entry::Held).
    pub(super) traits: u8,
}

impl Item<'_> {
    /// The item, once it was read.
    pub(super) fn with(&self, traits: u8) -> Self {
        Item { traits, ..*self }
    }

    /// Where its bytes are while the request is being read.
    pub(super) fn base(&self) -> Base {
        Base::Input(self.at, self.bytes.len())
    }
}

/// What the items of a scope have in common.
pub(super) struct Around<'a> {
    pub(super) signal: Signal,
    pub(super) tenant: u16,
    pub(super) source: u32,
    pub(super) resource: &'a [u8],
    pub(super) resource_envelope: &'a [u8],
    pub(super) scope: &'a [u8],
    pub(super) scope_envelope: &'a [u8],
}

/// Where a walk is.
struct Walk<'a> {
    request: &'a [u8],
    signal: Signal,
    port: Port,
    tenant: u16,
    context: u32,
    entry: EntryNumber,
    ordinal: u32,
}

impl Engine {
    /// Reads an entry.
    pub(super) fn take_in(&mut self, port: Port, entry: &Entry, out: &mut StageOutput) {
        let batch = entry.batch();
        let request = batch.bytes().clone();
        let number = self.inputs.begin(entry.seq(), self.time.ms(), entry.ingest());
        // What the tick before has left must not mix with what passes.
        self.flush(&[], out);
        self.begin_entry(entry.seq(), batch.items());
        let context: &Arc<Context> = batch.context();
        if batch.signal() == Signal::Metrics && self.is_replaying() {
            return self.repeat(batch.items());
        }
        if batch.signal() == Signal::Metrics {
            return self.take_metrics(port, batch, out);
        }
        let Some(tenant) = self.origins.tenant(&context.tenant) else {
            return out.emit(port, (**batch).clone());
        };
        let context = self.origins.context(context, tenant);
        let mut walk =
            Walk { request: &request, signal: batch.signal(), port, tenant, context, entry: number, ordinal: 0 };
        // The envelopes were checked when the request came in; what cannot be read all the same is dropped and counted.
        let _ = self.walk_request(&mut walk);
        let read = walk.ordinal as usize;
        if read < batch.items() {
            out.drop_items(batch.signal(), reasons::INVALID, batch.items() - read);
        }
        if self.outbox.is_whole_input(batch.items()) && self.note.is_empty() {
            self.outbox.clear();
            return out.emit(port, (**batch).clone());
        }
        self.flush(&request, out);
    }

    fn walk_request(&mut self, walk: &mut Walk<'_>) -> Result<(), sluice_pdata::Error> {
        let request = walk.request;
        let (extra, _, resources) = envelope(request, RESOURCES)?;
        resources.into_iter().try_for_each(|envelope| self.walk_resource(walk, &extra, envelope))
    }

    fn walk_resource(
        &mut self,
        walk: &mut Walk<'_>,
        request: &[u8],
        resource_envelope: &[u8],
    ) -> Result<(), sluice_pdata::Error> {
        let (rest, resource, scopes) = envelope(resource_envelope, SCOPES)?;
        let mut source = NONE;
        for scope_envelope in scopes {
            if source == NONE {
                source = self.source(walk.tenant, resource);
            }
            read_through(scope_envelope);
            let (around_items, scope, items) = envelope(scope_envelope, ITEMS)?;
            let (signal, tenant) = (walk.signal, walk.tenant);
            let around = Around { signal, tenant, source, resource, resource_envelope, scope, scope_envelope };
            let envelopes = Envelopes { request, resource: &rest, scope: &around_items };
            let mut origin = NONE;
            for group in items.chunks(GROUP) {
                if origin == NONE {
                    origin = self.origins.intern(walk.context, walk.port, walk.signal, envelopes, source);
                }
                self.take_group(walk, &around, origin, group);
            }
        }
        Ok(())
    }

    /// Neighbours in a request: their traces are looked up before the first of them is taken in.
    fn take_group(&mut self, walk: &mut Walk<'_>, around: &Around<'_>, origin: u32, group: &[&[u8]]) {
        let logs: SmallVec<[Option<(LogRecordView<'_>, u8)>; GROUP]> = match walk.signal {
            Signal::Logs => group.iter().map(|log| read_log(log).ok()).collect(),
            _ => SmallVec::new(),
        };
        self.spans.read_ahead(group.len());
        self.held.read_ahead(group.len());
        let traces = match walk.signal {
            Signal::Traces => self.look_up(walk.tenant, group.iter().map(|span| trace_id_of(span))),
            _ => self.look_up(walk.tenant, logs.iter().map(|log| log.as_ref()?.0.trace_id.try_into().ok())),
        };
        for (at, (&bytes, &trace)) in group.iter().zip(&traces).enumerate() {
            // Both are slices of the same request.
            let offset = bytes.as_ptr() as usize - walk.request.as_ptr() as usize;
            let (entry, ordinal) = (walk.entry, walk.ordinal);
            let item = Item { bytes, at: offset, around, entry, ordinal, origin, trace, traits: 0 };
            walk.ordinal += 1;
            match (walk.signal, logs.get(at)) {
                (Signal::Traces, _) => self.take_span(&item),
                (_, Some(Some((view, traits)))) => self.take_log(&item.with(*traits), view),
                _ => self.pass(&item, Outcome::BypassNoContext),
            }
        }
    }

    /// The source of a resource.
    fn source(&mut self, tenant: u16, resource: &[u8]) -> u32 {
        let attributes = ResourceView(resource).attributes();
        let service = text(attributes, b"service.name");
        let now = self.time.tick();
        let service = self.symbols.intern(service, now);
        self.sources.intern(tenant, resource, service, now)
    }

    /// An item leaves as it came, at once.
    pub(super) fn pass(&mut self, item: &Item<'_>, outcome: Outcome) {
        if outcome == Outcome::BypassNoContext && self.is_replaying() {
            return self.repeat(1);
        }
        let suffix = self.outbox.arena.len();
        self.leave(item, item.base(), suffix, outcome);
    }

    /// An item leaves at once; what is appended is in the arena from `suffix` on.
    pub(super) fn leave(&mut self, item: &Item<'_>, base: Base, suffix: usize, outcome: Outcome) {
        if item.around.signal == Signal::Traces && !self.exemplars.candidates.is_empty() {
            self.offer(item.origin, base, item.bytes, outcome);
        }
        let (mut base, mut suffix) = (base, suffix);
        if self.has_taints() {
            match self.cleanse(item.origin, base, suffix, item.bytes) {
                Cleansed::Same => {}
                Cleansed::Written(written) => (base, suffix) = (written, self.outbox.arena.len()),
                Cleansed::Dropped => return self.statistics.record(item.around.signal, Outcome::Dropped),
            }
        }
        self.statistics.record(item.around.signal, outcome);
        self.outbox.pass(item.origin, item.entry, item.ordinal, base, suffix);
    }

    /// An item is dropped when it comes.
    pub(super) fn drop_item(&mut self, item: &Item<'_>, outcome: Outcome) {
        let signal = item.around.signal;
        self.statistics.record(signal, outcome);
        match outcome {
            Outcome::Deduplicated => self.deduplicated[signal as usize] += 1,
            _ => self.dropped[signal as usize] += 1,
        }
    }

    pub(super) fn service(&self, source: u32) -> Symbol {
        self.sources.get(source).service
    }
}

/// What is in a message, without a copy: most requests have less.
type Inside<'a> = SmallVec<[&'a [u8]; 128]>;

/// The fields of a message other than the messages `number`, byte by byte; its resource or scope, empty if there is none; and
/// those messages.
fn envelope(message: &[u8], number: u32) -> Result<(Vec<u8>, &[u8], Inside<'_>), sluice_pdata::Error> {
    let (mut rest, mut inner, mut inside) = (Vec::new(), &[][..], Inside::new());
    for field in fields(message) {
        let field = field?;
        match field.value {
            Value::Len(found) if field.number == number => {
                inside.push(found);
                continue;
            }
            Value::Len(found) if field.number == INNER => inner = found,
            _ => {}
        }
        rest.extend_from_slice(&message[field.start..field.end]);
    }
    Ok((rest, inner, inside))
}

/// The resource or scope message of an envelope; empty if there is none.
pub(super) fn inner(envelope: &[u8]) -> Result<&[u8], sluice_pdata::Error> {
    let mut found = &[][..];
    for field in fields(envelope) {
        if let Field { number: INNER, value: Value::Len(message), .. } = field? {
            found = message;
        }
    }
    Ok(found)
}

/// A string attribute; empty if there is none, or it is something else.
pub(super) fn text<'a>(attributes: AttributesView<'a>, key: &[u8]) -> &'a [u8] {
    attributes.get(key).ok().flatten().and_then(|value| value.as_str()).unwrap_or_default()
}
