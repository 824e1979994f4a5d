//! Request bodies that are built once and sent again and again. Before a send a body's timestamps (and keys, in tracked
//! runs) are written over in place; nothing is encoded again. Compressed bodies are patched and compressed anew when
//! they have become older than the refresh interval.

use crate::Error;
use crate::encoding::Encoding;
use crate::payload::{Body, Shape};
use crate::tracked::Key;
use crate::wire::{Content, Slot};
use bytes::{Bytes, BytesMut};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Bytes before a gRPC message: a flag and the length.
pub const GRPC_PREFIX: usize = 5;

/// How bodies are prepared for the wire.
#[derive(Debug, Clone)]
pub struct Preparation {
    pub encoding: Encoding,
    /// Whether the gRPC prefix stands before the message.
    pub grpc: bool,
    /// How old a body's timestamps may become before they are patched; zero patches at each send.
    pub refresh: Duration,
    /// Run and client of tracked runs.
    pub tracked: Option<(u32, u32)>,
    /// Items of a trace, which come in several requests; each has a trace of its own without it.
    pub trace_items: Option<u32>,
}

/// One body to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub bytes: Bytes,
    /// Sequence number of its first item, in tracked runs.
    pub first: u64,
}

#[derive(Debug)]
struct Entry {
    slots: Vec<Slot>,
    /// The uncompressed message, kept only where bodies are compressed.
    plain: Vec<u8>,
    /// What is sent, with prefix.
    ready: Bytes,
    patched: Option<Instant>,
}

/// The ring.
#[derive(Debug)]
pub struct Ring {
    entries: Vec<Entry>,
    next: usize,
    items: u64,
    sequence: u64,
    preparation: Preparation,
}

impl Ring {
    /// Builds `bodies` bodies of one shape, which differ in their content.
    pub fn new(shape: &Shape, bodies: u32, preparation: Preparation) -> Self {
        let entries = (0..bodies.max(1)).map(|index| {
            let Body { bytes, slots } = shape.body(index);
            match preparation.encoding {
                Encoding::None if preparation.grpc => {
                    let mut ready = prefix(0, bytes.len()).to_vec();
                    ready.extend_from_slice(&bytes);
                    let shifted = slots.into_iter().map(|slot| Slot { at: slot.at + GRPC_PREFIX as u32, ..slot });
                    Entry { slots: shifted.collect(), plain: Vec::new(), ready: ready.into(), patched: None }
                }
                Encoding::None => Entry { slots, plain: Vec::new(), ready: bytes.into(), patched: None },
                Encoding::Gzip | Encoding::Zstd => Entry { slots, plain: bytes, ready: Bytes::new(), patched: None },
            }
        });
        Self { entries: entries.collect(), next: 0, items: u64::from(shape.items), sequence: 0, preparation }
    }

    /// Mean size of a prepared body in bytes.
    pub fn mean_size(&self) -> usize {
        self.entries.iter().map(|entry| entry.ready.len()).sum::<usize>() / self.entries.len().max(1)
    }

    /// Prepares every body, so that the first sends are as cheap as the later ones.
    pub fn prepare(&mut self) -> Result<(), Error> {
        let Preparation { encoding, grpc, .. } = self.preparation;
        self.entries.iter_mut().try_for_each(|entry| entry.refresh(encoding, grpc, 0, Ids::AsBuilt))
    }

    /// The next body, with its timestamps current.
    pub fn take(&mut self) -> Result<Outgoing, Error> {
        let first = self.sequence;
        let Preparation { encoding, grpc, refresh, tracked, trace_items } = self.preparation;
        let ids = match (tracked, trace_items) {
            (Some((run, client)), _) => Ids::Keys { run, client },
            (None, Some(trace_items)) => {
                Ids::Traces { request: self.sequence / self.items, items: self.items, trace_items }
            }
            (None, None) => Ids::AsBuilt,
        };
        let index = self.next;
        self.next = (self.next + 1) % self.entries.len();
        let Some(entry) = self.entries.get_mut(index) else {
            return Err(Error::Invalid("the ring is empty".into()));
        };
        let stale = entry.patched.is_none_or(|at| at.elapsed() >= refresh);
        if ids != Ids::AsBuilt || stale {
            entry.refresh(encoding, grpc, first, ids)?;
        }
        self.sequence += self.items;
        Ok(Outgoing { bytes: entry.ready.clone(), first })
    }
}

impl Entry {
    fn refresh(&mut self, encoding: Encoding, grpc: bool, first: u64, ids: Ids) -> Result<(), Error> {
        match encoding {
            Encoding::None => {
                // A body that is still being sent is copied; the others are patched where they are.
                let ready = std::mem::take(&mut self.ready);
                let mut bytes = ready.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
                patch(&mut bytes, &self.slots, first, ids);
                self.ready = bytes.freeze();
            }
            Encoding::Gzip | Encoding::Zstd => {
                patch(&mut self.plain, &self.slots, first, ids);
                let mut ready = vec![0; if grpc { GRPC_PREFIX } else { 0 }];
                encoding.compress(&self.plain, &mut ready)?;
                let length = ready.len().saturating_sub(GRPC_PREFIX);
                if let Some(head) = ready.get_mut(..GRPC_PREFIX).filter(|_| grpc) {
                    head.copy_from_slice(&prefix(1, length));
                }
                self.ready = ready.into();
            }
        }
        self.patched = Some(Instant::now());
        Ok(())
    }
}

fn prefix(flag: u8, length: usize) -> [u8; GRPC_PREFIX] {
    let [a, b, c, d] = (length as u32).to_be_bytes();
    [flag, a, b, c, d]
}

/// Requests over which the items of a trace are spread.
const SPREAD: u64 = 4;

/// Which trace ids the items of a body get before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ids {
    /// Those it has.
    AsBuilt,
    /// The items' keys.
    Keys { run: u32, client: u32 },
    /// Ids of traces of `trace_items` items, spread over some requests; new ones for ever.
    Traces { request: u64, items: u64, trace_items: u32 },
}

impl Ids {
    /// The trace id of an item of the body, `first` being the sequence number of its first one.
    fn trace_id(self, first: u64, item: u32) -> Option<[u8; 16]> {
        match self {
            Ids::AsBuilt => None,
            Ids::Keys { run, client } => Some(Key { run, client, sequence: first + u64::from(item) }.to_trace_id()),
            Ids::Traces { request, items, trace_items } => {
                let traces = (items * SPREAD / u64::from(trace_items.max(1))).max(1);
                let place = request % SPREAD * items + u64::from(item);
                let number = request / SPREAD * traces + place % traces;
                let mut id = [0; 16];
                id[..8].copy_from_slice(&mixed(number, 0x5bd1_e995).to_be_bytes());
                id[8..].copy_from_slice(&mixed(number, 0x27d4_eb2f_1656_67c5).to_be_bytes());
                Some(id)
            }
        }
    }

    /// Its span id: the same for a span and a log record of one number.
    fn span_id(self, first: u64, item: u32) -> Option<[u8; 8]> {
        match self {
            Ids::Traces { .. } => Some(mixed(first + u64::from(item), 0x1656_67c5).to_be_bytes()),
            Ids::AsBuilt | Ids::Keys { .. } => None,
        }
    }
}

/// Ids look random, of which sampling takes the low bits.
fn mixed(number: u64, salt: u64) -> u64 {
    let x = (number ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ (x >> 32)
}

fn patch(bytes: &mut [u8], slots: &[Slot], first: u64, ids: Ids) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let mut write = |at: u32, value: &[u8]| {
        if let Some(place) = bytes.get_mut(at as usize..at as usize + value.len()) {
            place.copy_from_slice(value);
        }
    };
    let tracked = match ids {
        Ids::Keys { run, client } => Some((run, client)),
        _ => None,
    };
    let key = |item: u32| tracked.map(|(run, client)| Key { run, client, sequence: first + u64::from(item) });
    let mut item_now = 0;
    for slot in slots {
        match slot.content {
            Content::Time { age } => write(slot.at, &now.saturating_sub(age).to_le_bytes()),
            // The span id, which stands behind the trace id.
            Content::Sent => {
                if tracked.is_some() {
                    write(slot.at, &now.to_le_bytes());
                } else if let Some(id) = ids.span_id(first, item_now) {
                    write(slot.at, &id);
                }
            }
            Content::TraceId { item } => {
                item_now = item;
                if let Some(id) = ids.trace_id(first, item) {
                    write(slot.at, &id);
                }
            }
            Content::Value { item } => {
                if let Some(key) = key(item) {
                    write(slot.at, &key.to_value().to_bits().to_le_bytes());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
