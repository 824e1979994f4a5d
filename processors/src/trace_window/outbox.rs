//! What leaves in one call, regrouped: one envelope per origin, in the order of arrival, items byte by byte as they came but
//! for what was appended (correlation §4).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use sluice_pdata::Signal;
use sluice_pdata::wire::{WireType, field_len, put_tag, put_varint};
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
    plan: Plan,
}

/// The tables that an outbox gives back to.
pub(crate) struct Tables<'a> {
    pub(crate) origins: &'a mut Origins,
    pub(crate) inputs: &'a mut Inputs,
    pub(crate) payload: &'a mut Payload,
}

impl Outbox {
    /// An item of the request that is being absorbed leaves at once. What is to be appended is in the arena from `suffix` on.
    pub(crate) fn pass(&mut self, origin: u32, entry: EntryNumber, ordinal: u32, base: Base, suffix: usize) {
        let suffix = (suffix, self.arena.len() - suffix);
        self.edited |= suffix.1 > 0 || !matches!(base, Base::Input(..));
        self.items.push(Leaving { origin, entry, ordinal, base, suffix, held: None });
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
        self.items.push(Leaving { origin, entry, ordinal, base, suffix, held: Some(place) });
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
        if self.items.is_empty() && self.gone.is_empty() {
            return self.clear();
        }
        let Tables { origins, inputs, payload } = tables;
        let mut items = std::mem::take(&mut self.items);
        let arrival = |item: &Leaving| (inputs.order(item.entry), item.ordinal);
        if !items.is_sorted_by_key(arrival) {
            items.sort_by_key(arrival);
        }
        let mut plan = std::mem::take(&mut self.plan);
        plan.make(&items, origins);
        let source = Source { items: &items, input, arena: &self.arena, payload };
        let mut groups = &plan.groups[..];
        let mut rest = &plan.order[..];
        while let Some(first) = groups.first() {
            // A batch: groups, or as much of the first ones as fits.
            let of_batch = groups.iter().take_while(|group| group.rank.0 == first.rank.0).count();
            let (now, later) = groups.split_at(of_batch);
            let (mut own, behind) = rest.split_at(now.iter().map(|group| group.items).sum());
            while !own.is_empty() {
                let (fits, left) = own.split_at(source.fitting(own, origins));
                if let Some((port, batch)) = write(fits, &plan, origins, inputs, &source) {
                    out.emit(port, batch);
                }
                own = left;
            }
            (groups, rest) = (later, behind);
        }
        self.plan = plan;
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

/// The order in which items are written: by batch, by resource, by origin, all numbered as they first came; within an origin
/// as they came.
type Rank = (u32, u32, u32);

/// Items of one origin.
struct Group {
    rank: Rank,
    items: usize,
    /// Where in the order its next item goes.
    next: usize,
}

/// Who is written where. Made anew each time; what is kept between is memory.
#[derive(Default)]
struct Plan {
    /// In the order in which they are written, once it is made.
    groups: Vec<Group>,
    /// The number of each item's origin, and the resource of each of these.
    of_item: Vec<u32>,
    resources: Vec<u32>,
    /// Numbers of items, in the order in which they are written.
    order: Vec<u32>,
}

impl Plan {
    /// Two passes over the items, which stay where they are.
    fn make(&mut self, items: &[Leaving], origins: &Origins) {
        self.groups.clear();
        self.of_item.clear();
        self.order.clear();
        let mut numbers: HashMap<u32, u32, ahash::RandomState> = HashMap::default();
        let mut batches: HashMap<(Port, Signal, u32), u32, ahash::RandomState> = HashMap::default();
        let mut resources: HashMap<(u32, u64), u32, ahash::RandomState> = HashMap::default();
        let mut last = None;
        for item in items {
            let number = match last {
                Some((origin, number)) if origin == item.origin => number,
                _ => *numbers.entry(item.origin).or_insert_with(|| {
                    let next = self.groups.len() as u32;
                    let origin = origins.get(item.origin);
                    let unused = batches.len() as u32;
                    let batch = *batches.entry((origin.port, origin.signal, origin.context)).or_insert(unused);
                    let unused = resources.len() as u32;
                    let hash = origins.resource_hash(item.origin);
                    let resource = *resources.entry((batch, hash)).or_insert(unused);
                    self.groups.push(Group { rank: (batch, resource, next), items: 0, next: 0 });
                    next
                }),
            };
            self.groups[number as usize].items += 1;
            self.of_item.push(number);
            last = Some((item.origin, number));
        }
        // The last part of a rank is the number under which its items know it.
        let mut sorted: Vec<u32> = (0..self.groups.len() as u32).collect();
        sorted.sort_unstable_by_key(|&number| self.groups[number as usize].rank);
        let mut next = 0;
        for &number in &sorted {
            let group = &mut self.groups[number as usize];
            group.next = next;
            next += group.items;
        }
        self.order.resize(items.len(), 0);
        for (item, &number) in (0..).zip(&self.of_item) {
            let group = &mut self.groups[number as usize];
            self.order[group.next] = item;
            group.next += 1;
        }
        self.resources.clear();
        self.resources.extend(self.groups.iter().map(|group| group.rank.1));
        self.groups.sort_unstable_by_key(|group| group.rank);
    }

    /// A stretch of the order, by the resource that items are written in.
    fn by_resource<'a>(&'a self, order: &'a [u32]) -> impl Iterator<Item = &'a [u32]> {
        let resource = |item: u32| self.resources[self.of_item[item as usize] as usize];
        order.chunk_by(move |&a, &b| resource(a) == resource(b))
    }

    /// The same by origin.
    fn by_origin<'a>(&'a self, order: &'a [u32]) -> impl Iterator<Item = &'a [u32]> {
        order.chunk_by(|&a, &b| self.of_item[a as usize] == self.of_item[b as usize])
    }
}

/// Where items' bytes are read from.
struct Source<'a> {
    items: &'a [Leaving],
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
        let base = match item.base {
            Base::Input(_, len) | Base::Arena(_, len) => len,
            Base::Segment(place) => place.len as usize,
        };
        base + item.suffix.1
    }

    /// How many of these items, at least one, go into one batch.
    fn fitting(&self, order: &[u32], origins: &Origins) -> usize {
        let (mut bytes, mut last) = (0, None);
        let fits = order.iter().take(MAX_ITEMS).take_while(|&&item| {
            let item = &self.items[item as usize];
            if last.replace(item.origin) != Some(item.origin) {
                let Envelopes { request, resource, scope } = origins.get(item.origin).envelopes();
                bytes += request.len() + resource.len() + scope.len() + 16;
            }
            bytes += self.len(item) + 6;
            bytes <= MAX_BYTES
        });
        fits.count().max(1)
    }
}

/// Field numbers of resources in a request, scopes in a resource, items in a scope: the same for spans and logs.
pub(crate) const RESOURCES: u32 = 1;
pub(crate) const SCOPES: u32 = 2;
pub(crate) const ITEMS: u32 = 2;

/// Writes items of one batch.
fn write(order: &[u32], plan: &Plan, origins: &Origins, inputs: &Inputs, source: &Source<'_>) -> Option<(Port, Batch)> {
    let items = || order.iter().map(|&item| &source.items[item as usize]);
    let first = items().next()?;
    let origin = origins.get(first.origin);
    let context = origins.context_of(origin)?;
    let arrival = items().map(|item| inputs.arrived(item.entry)).min_by_key(|at| at.monotonic)?;
    let context = at(context, arrival);
    // Lengths stand before what they count, so sizes come first: nothing is moved, and the buffer is allocated once.
    let envelopes =
        |chunk: &[u32]| chunk.first().map(|&item| origins.get(source.items[item as usize].origin).envelopes());
    let mut sizes: Vec<usize> = Vec::new();
    let mut total = 0;
    for resource in plan.by_resource(order) {
        let Some(around) = envelopes(resource) else { continue };
        let at = sizes.len();
        sizes.push(0);
        let mut size = around.resource.len();
        for scope in plan.by_origin(resource) {
            let own = envelopes(scope).map_or(0, |around| around.scope.len());
            let items = scope.iter().map(|&item| field_len(ITEMS, source.len(&source.items[item as usize])));
            let of_scope = own + items.sum::<usize>();
            sizes.push(of_scope);
            size += field_len(SCOPES, of_scope);
        }
        sizes[at] = size;
        total += around.request.len() + field_len(RESOURCES, size);
    }
    let mut sizes = sizes.into_iter().map(|size| size as u64);
    let mut bytes = Vec::with_capacity(total);
    for resource in plan.by_resource(order) {
        let Some(around) = envelopes(resource) else { continue };
        bytes.extend_from_slice(around.request);
        put_head(&mut bytes, RESOURCES, sizes.next()?);
        bytes.extend_from_slice(around.resource);
        for scope in plan.by_origin(resource) {
            put_head(&mut bytes, SCOPES, sizes.next()?);
            bytes.extend_from_slice(envelopes(scope)?.scope);
            for &item in scope {
                let item = &source.items[item as usize];
                let (base, suffix) = (source.base(item), source.suffix(item));
                put_head(&mut bytes, ITEMS, (base.len() + suffix.len()) as u64);
                bytes.extend_from_slice(base);
                bytes.extend_from_slice(suffix);
            }
        }
    }
    debug_assert_eq!(bytes.len(), total);
    Some((origin.port, Batch::new(origin.signal, Bytes::from(bytes), order.len(), context)))
}

/// Tag and length of a field.
fn put_head(out: &mut Vec<u8>, number: u32, len: u64) {
    put_tag(out, number, WireType::Len);
    put_varint(out, len);
}

/// The context with the arrival of the oldest item: ages are counted from there.
fn at(context: &Arc<Context>, arrival: Arrival) -> Arc<Context> {
    if context.arrival == arrival && context.deadline.is_none() {
        return Arc::clone(context);
    }
    Arc::new(Context { arrival, deadline: None, ..Context::clone(context) })
}
