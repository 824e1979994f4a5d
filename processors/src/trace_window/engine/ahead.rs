//! Looking ahead: the tables are larger than the caches. The memory that several items, slots or traces need is fetched at once
//! here, and would else be waited for again and again. Nothing changes by that, and nothing depends on it.

use sluice_pdata::tags::span;
use sluice_pdata::wire::{Field, Value, fields};
use smallvec::SmallVec;

use super::Engine;
use crate::trace_window::entry::{SlotState, TraceEntry, TraceState};
use crate::trace_window::slab::NONE;
use crate::trace_window::verdict_cache::TraceKey;
use crate::trace_window::wheel::Alarm;

/// Items or slots that are looked at together.
pub(super) const GROUP: usize = 32;

/// Bytes of a line of the cache, and as many as are read through: what follows would drive them out again.
const LINE: usize = 64;
const THROUGH: usize = 256 << 10;

/// Slots of a trace that are read ahead.
const AHEAD: usize = 64;

impl Engine {
    /// Where the traces of some items are, by their ids; [`NONE`] for those that are not here.
    pub(super) fn look_up(&self, tenant: u16, ids: impl Iterator<Item = Option<[u8; 16]>>) -> SmallVec<[u32; GROUP]> {
        let mut seen = 0;
        let mut found: SmallVec<[u32; GROUP]> = SmallVec::new();
        let mut last = None;
        for id in ids {
            let at = match (id, last) {
                (None, _) => NONE,
                // Neighbours are often of one trace.
                (Some(id), Some((before, at))) if id == before => at,
                (Some(id), _) => {
                    let key = TraceKey { tenant, id };
                    let at = self.find_trace(key).unwrap_or(NONE);
                    if at == NONE && self.decides() {
                        seen ^= u32::from(self.verdicts.get(key).is_some());
                    }
                    last = Some((id, at));
                    at
                }
            };
            found.push(at);
        }
        for &trace in found.iter().filter(|&&trace| trace != NONE) {
            let entry = self.traces.get(trace);
            if self.decides() {
                let extension = &self.extensions[trace];
                seen ^= extension.deadline ^ extension.start as u32;
            } else {
                seen ^= self.spans.get(entry.tail).next ^ self.spans.get(entry.head).next;
            }
        }
        std::hint::black_box(seen);
        found
    }

    /// Whether what was found there still is the trace of the key.
    pub(super) fn is_trace(&self, at: u32, key: TraceKey) -> bool {
        let trace = self.traces.get(at);
        trace.state != TraceState::Free && trace.id == key.id && trace.tenant == key.tenant
    }

    /// Reads what waking these slots is going to read.
    pub(super) fn look_ahead_of(&self, group: &[Alarm]) {
        let mut read = 0;
        let (mut gone, mut emptied) = (SmallVec::<[u64; GROUP]>::new(), SmallVec::<[u64; GROUP]>::new());
        for alarm in group {
            let Alarm::Span(slot) = *alarm else { continue };
            let slot = self.spans.get(slot);
            if slot.held != NONE {
                read ^= self.held.get(slot.held).deadline;
            } else if slot.state != SlotState::Free {
                let trace = self.traces.get(slot.trace);
                if trace.flags & TraceEntry::INDEXED != 0 {
                    gone.push(self.span_hash(slot.trace, slot.id));
                }
                if trace.head == trace.tail {
                    emptied.push(self.trace_hash(TraceKey { tenant: trace.tenant, id: trace.id }));
                }
                read ^= trace.head;
            }
        }
        read = gone.into_iter().fold(read, |read, hash| read ^ self.span_index.touch(hash));
        read = emptied.into_iter().fold(read, |read, hash| read ^ self.trace_index.touch(hash));
        std::hint::black_box(read);
    }

    /// Reads what is needed to decide and close some traces, slot by slot of all of them.
    pub(super) fn read_ahead(&self, traces: &[u32]) {
        let mut seen = 0;
        let mut slots = Vec::with_capacity(traces.len());
        for &trace in traces {
            let (entry, extension) = (self.traces.get(trace), &self.extensions[trace]);
            let key = TraceKey { tenant: entry.tenant, id: entry.id };
            seen ^= extension.end ^ extension.bytes ^ u64::from(self.verdicts.get(key).is_some());
            seen ^= u64::from(self.trace_index.touch(self.trace_hash(key)));
            slots.push(entry.head);
        }
        let mut held = Vec::with_capacity(traces.len() * 8);
        for _ in 0..AHEAD {
            slots.retain_mut(|slot| {
                if *slot == NONE {
                    return false;
                }
                let entry = self.spans.get(*slot);
                held.push(entry.held);
                *slot = entry.next;
                true
            });
        }
        for handle in held.into_iter().filter(|handle| *handle != NONE) {
            seen ^= u64::from(self.held.get(handle).ordinal);
        }
        std::hint::black_box(seen);
    }
}

/// Reads what a scope's items stand in, from the beginning on, and much of it at a time: whoever steps from item to item waits
/// for the head of each.
pub(super) fn read_through(bytes: &[u8]) {
    let read = bytes.iter().step_by(LINE).take(THROUGH / LINE).fold(0, |read, byte| read ^ byte);
    std::hint::black_box(read);
}

/// The trace id of a span, which nearly everybody writes first.
pub(super) fn trace_id_of(bytes: &[u8]) -> Option<[u8; 16]> {
    fields(bytes).find_map(|field| match field {
        Ok(Field { number: span::TRACE_ID, value: Value::Len(id), .. }) => id.try_into().ok(),
        _ => None,
    })
}
