//! What leaves in one call, regrouped: one envelope per origin, in the order of arrival, items byte by byte as they came but
//! for what was appended (correlation §4).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use sluice_pdata::Signal;
use sluice_pdata::wire::{WireType, put_len, put_message, put_tag, put_varint};
use sluice_pipeline::batch::Batch;
use sluice_pipeline::context::{Arrival, Context};
use sluice_pipeline::stage::{Port, StageOutput};

use super::inputs::{EntryNumber, Inputs};
use super::origin::{Envelopes, Origins};
use super::payload::{Payload, Place};

/// Largest batch that is made.
const MAX_ITEMS: usize = 8_192;
const MAX_BYTES: usize = 2 << 20;

/// Items for which room is kept from one call to the next.
const SPARE: usize = 4096;

/// Where the bytes of an item are that leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Base {
    /// At this offset of the request that is being absorbed, this long.
    Input(usize, usize),
    /// Held until now.
    Segment(Place),
    /// Written anew, in the arena.
    Arena(usize, usize),
}

#[derive(Clone, Copy, Debug)]
struct Leaving {
    origin: u32,
    entry: EntryNumber,
    ordinal: u32,
    base: Base,
    /// What is appended, in the arena.
    suffix: (usize, usize),
    /// Whether it was held: then its place, entry and origin are given back.
    held: Option<Place>,
    /// In which batch and resource it is written, and how soon; known when all are there.
    rank: Rank,
}

/// What leaves.
#[derive(Default)]
pub(crate) struct Outbox {
    items: Vec<Leaving>,
    /// Held items that are dropped.
    gone: Vec<(u32, EntryNumber, Place)>,
    pub(crate) arena: Vec<u8>,
    /// Items of the input that were written differently than they came.
    edited: bool,
}

/// The tables that an outbox gives back to.
pub(crate) struct Tables<'a> {
    pub(crate) origins: &'a mut Origins,
    pub(crate) inputs: &'a mut Inputs,
    pub(crate) payload: &'a mut Payload,
}

/// The order in which items are written.
type Rank = (u32, u32, u32);

impl Outbox {
    /// An item of the request that is being absorbed leaves at once. What is to be appended is in the arena from `suffix` on.
    pub(crate) fn pass(&mut self, origin: u32, entry: EntryNumber, ordinal: u32, base: Base, suffix: usize) {
        let suffix = (suffix, self.arena.len() - suffix);
        self.edited |= suffix.1 > 0 || !matches!(base, Base::Input(..));
        self.items.push(Leaving { origin, entry, ordinal, base, suffix, held: None, rank: Rank::default() });
    }

    /// A held item leaves.
    pub(crate) fn release(
        &mut self,
        origin: u32,
        entry: EntryNumber,
        ordinal: u32,
        place: Place,
        base: Base,
        suffix: usize,
    ) {
        let suffix = (suffix, self.arena.len() - suffix);
        self.edited = true;
        self.items.push(Leaving { origin, entry, ordinal, base, suffix, held: Some(place), rank: Rank::default() });
    }

    /// A held item is dropped.
    pub(crate) fn discard(&mut self, origin: u32, entry: EntryNumber, place: Place) {
        self.gone.push((origin, entry, place));
    }

    /// An item of the input leaves in another envelope than it came in.
    pub(crate) fn is_edited(&mut self) {
        self.edited = true;
    }

    /// Bytes allocated, as they are between calls.
    pub(crate) fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<Leaving>()
            + self.gone.capacity() * size_of::<(u32, EntryNumber, Place)>()
            + self.arena.capacity()
    }

    /// Items that leave.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether all `items` of the input leave as they came, and nothing else does.
    pub(crate) fn is_whole_input(&self, items: usize) -> bool {
        !self.edited && self.items.len() == items
    }

    /// Forgets what leaves, because the input itself does.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.arena.clear();
        self.edited = false;
    }

    /// Writes everything out.
    pub(crate) fn flush(&mut self, input: &[u8], tables: Tables<'_>, out: &mut StageOutput) {
        let Tables { origins, inputs, payload } = tables;
        let mut items = std::mem::take(&mut self.items);
        sort(&mut items, |item| (inputs.order(item.entry), item.ordinal));
        rank(&mut items, origins);
        sort(&mut items, |item| item.rank);
        let source = Source { input, arena: &self.arena, payload };
        let mut rest = &items[..];
        while let Some(first) = rest.first() {
            let batch = first.rank.0;
            let mut bytes = 0;
            let mut last_origin = None;
            let fits = rest.iter().enumerate().take_while(|(at, item)| {
                if last_origin.replace(item.origin) != Some(item.origin) {
                    let Envelopes { request, resource, scope } = origins.get(item.origin).envelopes();
                    bytes += request.len() + resource.len() + scope.len() + 16;
                }
                bytes += source.len(item) + 6;
                item.rank.0 == batch && *at < MAX_ITEMS && (bytes <= MAX_BYTES || *at == 0)
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            if let Some((port, batch)) = write(now, origins, inputs, &source) {
                out.emit(port, batch);
            }
            rest = later;
        }
        for item in &items {
            if let Some(place) = item.held {
                payload.free(place);
                inputs.done(item.entry);
                origins.release(item.origin);
            }
        }
        for (origin, entry, place) in self.gone.drain(..) {
            payload.free(place);
            inputs.done(entry);
            origins.release(origin);
        }
        items.clear();
        items.shrink_to(SPARE);
        self.items = items;
        self.gone.shrink_to(SPARE);
        self.clear();
        self.arena.shrink_to(MAX_BYTES / 4);
    }
}

/// Sorts what mostly is in order already.
fn sort<K: Ord>(items: &mut [Leaving], key: impl Fn(&Leaving) -> K) {
    if !items.is_sorted_by_key(&key) {
        items.sort_by_key(key);
    }
}

/// Gives each item the batch, the resource and the origin it is written in, all numbered as they first came.
fn rank(items: &mut [Leaving], origins: &Origins) {
    let mut ranks: HashMap<u32, Rank, ahash::RandomState> = HashMap::default();
    let mut batches: HashMap<(Port, Signal, u32), u32, ahash::RandomState> = HashMap::default();
    let mut resources: HashMap<(u32, u64), u32, ahash::RandomState> = HashMap::default();
    let mut last = None;
    for item in items {
        if let Some((_, rank)) = last.filter(|(origin, _)| *origin == item.origin) {
            item.rank = rank;
            continue;
        }
        let next = ranks.len() as u32;
        item.rank = *ranks.entry(item.origin).or_insert_with(|| {
            let origin = origins.get(item.origin);
            let unused = batches.len() as u32;
            let batch = *batches.entry((origin.port, origin.signal, origin.context)).or_insert(unused);
            let unused = resources.len() as u32;
            let resource = *resources.entry((batch, origins.resource_hash(item.origin))).or_insert(unused);
            (batch, resource, next)
        });
        last = Some((item.origin, item.rank));
    }
}

/// Where items' bytes are read from.
struct Source<'a> {
    input: &'a [u8],
    arena: &'a [u8],
    payload: &'a Payload,
}

impl Source<'_> {
    fn base(&self, item: &Leaving) -> &[u8] {
        match item.base {
            Base::Input(at, len) => &self.input[at..at + len],
            Base::Segment(place) => self.payload.get(place),
            Base::Arena(at, len) => &self.arena[at..at + len],
        }
    }

    fn suffix(&self, item: &Leaving) -> &[u8] {
        let (at, len) = item.suffix;
        &self.arena[at..at + len]
    }

    fn len(&self, item: &Leaving) -> usize {
        self.base(item).len() + item.suffix.1
    }
}

/// Field numbers of resources in a request, scopes in a resource, items in a scope: the same for spans and logs.
pub(crate) const RESOURCES: u32 = 1;
pub(crate) const SCOPES: u32 = 2;
pub(crate) const ITEMS: u32 = 2;

/// Writes items of one batch.
fn write(items: &[Leaving], origins: &Origins, inputs: &Inputs, source: &Source<'_>) -> Option<(Port, Batch)> {
    let first = items.first()?;
    let origin = origins.get(first.origin);
    let context = origins.context_of(origin)?;
    let arrival = items.iter().map(|item| inputs.arrived(item.entry)).min_by_key(|at| at.monotonic)?;
    let context = at(context, arrival);
    let mut bytes = Vec::with_capacity(items.iter().map(|item| source.len(item) + 6).sum::<usize>() + 256);
    for resource in items.chunk_by(|a, b| a.rank.1 == b.rank.1) {
        let Some(first) = resource.first() else { continue };
        let envelopes = origins.get(first.origin).envelopes();
        bytes.extend_from_slice(envelopes.request);
        put_message(&mut bytes, RESOURCES, |bytes| {
            bytes.extend_from_slice(envelopes.resource);
            for scope in resource.chunk_by(|a, b| a.origin == b.origin) {
                let Some(first) = scope.first() else { continue };
                put_message(bytes, SCOPES, |bytes| {
                    bytes.extend_from_slice(origins.get(first.origin).envelopes().scope);
                    for item in scope {
                        let (base, suffix) = (source.base(item), source.suffix(item));
                        if suffix.is_empty() {
                            put_len(bytes, ITEMS, base);
                            continue;
                        }
                        put_tag(bytes, ITEMS, WireType::Len);
                        put_varint(bytes, (base.len() + suffix.len()) as u64);
                        bytes.extend_from_slice(base);
                        bytes.extend_from_slice(suffix);
                    }
                });
            }
        });
    }
    Some((origin.port, Batch::new(origin.signal, Bytes::from(bytes), items.len(), context)))
}

/// The context with the arrival of the oldest item: ages are counted from there.
fn at(context: &Arc<Context>, arrival: Arrival) -> Arc<Context> {
    if context.arrival == arrival && context.deadline.is_none() {
        return Arc::clone(context);
    }
    Arc::new(Context { arrival, deadline: None, ..Context::clone(context) })
}
