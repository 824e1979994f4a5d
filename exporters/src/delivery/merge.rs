//! Which records go into one payload: neighbours of the same signal, tenant and partition, up to a size.

use sluice_pipeline::exporter::{Capabilities, Payload};
use sluice_pipeline::processor::{Batching, Sizer};
use sluice_pipeline::spine::{Entry, SeqRange};

/// Sizes to which records are merged.
#[derive(Clone, Debug)]
pub struct Merge {
    /// Most items in a payload.
    pub max_items: usize,
    /// Most bytes in a payload.
    pub max_bytes: usize,
    /// Wait for more until this much is there, if `batching` says so.
    pub batching: Option<Batching>,
    /// Metadata keys, lower-case, by whose values payloads are kept apart.
    pub partition: Vec<String>,
}

/// Merged without being asked to: what is readable, up to 8,192 items or 4 MiB (delivery §4.1).
const ITEMS: usize = 8192;
const BYTES: usize = 4 << 20;

impl Merge {
    /// The policy of a queue's `batch` block, or of a `batch` processor; without either, whatever is readable, at once.
    /// `partition`: metadata keys by which payloads are kept apart in any case.
    pub fn new(batching: Option<Batching>, partition: &[String], capabilities: Capabilities) -> Self {
        let (mut max_items, mut max_bytes) = (ITEMS, BYTES);
        if let Some(batching) = &batching {
            let written = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
            let max = if batching.max_size > 0 { written(batching.max_size) } else { usize::MAX };
            match batching.sizer {
                Sizer::Items => max_items = max,
                Sizer::Bytes => max_bytes = max,
                Sizer::Requests => {}
            }
        }
        Merge {
            max_items: max_items.min(capabilities.max_items.unwrap_or(usize::MAX)).max(1),
            max_bytes: max_bytes.min(capabilities.max_bytes.unwrap_or(usize::MAX)).max(1),
            partition: batching.iter().flat_map(|batching| &batching.metadata_keys).chain(partition).cloned().collect(),
            batching,
        }
    }

    /// Whether `next` may go into the payload that begins with `first` and holds `items` and `bytes` so far.
    fn fits(&self, first: &Entry, items: usize, bytes: usize, next: &Entry) -> bool {
        let (a, b) = (&first.batch(), &next.batch());
        a.signal() == b.signal()
            && items + b.items() <= self.max_items
            && bytes + b.bytes().len() <= self.max_bytes
            && a.context().tenant == b.context().tenant
            && self.same_partition(first, next)
    }

    fn same_partition(&self, first: &Entry, next: &Entry) -> bool {
        self.partition
            .iter()
            .all(|key| first.batch().context().metadata.get(key).eq(next.batch().context().metadata.get(key)))
    }

    /// Whether these entries are worth sending without waiting for more.
    pub(super) fn is_enough(&self, entries: &[Entry]) -> bool {
        let Some(batching) = &self.batching else { return true };
        let size: u64 = match batching.sizer {
            Sizer::Items => entries.iter().map(|entry| entry.batch().items() as u64).sum(),
            Sizer::Bytes => entries.iter().map(|entry| entry.batch().bytes().len() as u64).sum(),
            Sizer::Requests => entries.len() as u64,
        };
        size >= batching.min_size
    }

    /// Takes the entries of the next payload from the front. `learned` is the most bytes that its destination is known to take.
    pub(super) fn next_group(&self, entries: &mut Vec<Entry>, learned: usize) -> Vec<Entry> {
        let Some(first) = entries.first() else { return Vec::new() };
        let (mut items, mut bytes) = (first.batch().items(), first.batch().bytes().len());
        let mut end = 1;
        while let Some(next) = entries.get(end)
            && bytes + next.batch().bytes().len() <= learned
            && self.fits(first, items, bytes, next)
        {
            items += next.batch().items();
            bytes += next.batch().bytes().len();
            end += 1;
        }
        entries.drain(..end).collect()
    }
}

/// The payload of a group of entries. `None` for no entries.
pub(super) fn payload(entries: &[Entry], capabilities: &Capabilities) -> Option<Payload> {
    let (first, last) = (entries.first()?, entries.last()?);
    let compressed = match entries {
        [only] if capabilities.encoding.is_some() => {
            only.batch().compressed().filter(|body| Some(body.encoding) == capabilities.encoding).cloned()
        }
        _ => None,
    };
    Some(Payload {
        signal: first.batch().signal(),
        parts: entries.iter().map(|entry| entry.batch().bytes().clone()).collect(),
        items: entries.iter().map(|entry| entry.batch().items()).sum(),
        context: first.batch().context().clone(),
        compressed,
        range: SeqRange { first: first.seq(), last: last.seq() },
    })
}
