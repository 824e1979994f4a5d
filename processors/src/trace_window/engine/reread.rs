//! Held items whose bytes were given up under pressure (correlation §10, 80 %): the log has them still, and they are read again
//! when they are to leave. Those of traces that are dropped never are.

use std::collections::BTreeSet;

use sluice_pdata::wire::{Field, Value, fields};
use sluice_pipeline::clock::WallTime;
use sluice_pipeline::ledger::reasons;
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Port, StageOutput};

use super::Engine;
use crate::trace_window::entry::{HeldKind, SlotState, TraceEntry, TraceState};
use crate::trace_window::outbox::{ITEMS, RESOURCES, SCOPES};
use crate::trace_window::payload::Chain;
use crate::trace_window::slab::NONE;
use crate::trace_window::statistics::Outcome;

/// Most entries asked for at once.
const ENTRIES: usize = 64;

/// Items that are to leave and are not here.
#[derive(Default)]
pub(super) struct Reread(BTreeSet<Wanted>);

/// In the order of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    seq: Seq,
    port: Port,
    ordinal: u32,
    slot: u32,
    held: u32,
}

impl Wanted {
    /// Less than every item of an entry, or more.
    fn bound(seq: Seq, port: Port, at: u32) -> Self {
        Wanted { seq, port, ordinal: at, slot: at, held: at }
    }
}

impl Engine {
    /// Whether the bytes of a held item are here.
    #[inline]
    pub(super) fn is_here(&self, held: u32) -> bool {
        !self.payload.has_given_up() || self.payload.is_here(self.held.get(held).place())
    }

    /// An item of a slot is to leave: whether its bytes are here. Else they are wanted.
    #[inline]
    pub(super) fn has_or_wants(&mut self, slot: u32, held: u32) -> bool {
        let is_here = self.is_here(held);
        if !is_here {
            self.want(slot, held);
        }
        is_here
    }

    #[cold]
    fn want(&mut self, slot: u32, handle: u32) {
        let held = self.held.get(handle);
        // An entry is known for as long as something of it is held.
        let Some(seq) = self.inputs.seq(held.entry) else { return };
        let port = self.origins.get(held.origin).port;
        self.reread.0.insert(Wanted { seq, port, ordinal: held.ordinal, slot, held: handle });
    }

    /// Entries that are needed again, oldest first; not all of them at once.
    pub fn wanted(&self) -> Vec<(Port, Seq)> {
        let mut entries: Vec<(Port, Seq)> = Vec::new();
        for wanted in &self.reread.0 {
            let entry = (wanted.port, wanted.seq);
            if entries.last() == Some(&entry) {
                continue;
            }
            if entries.len() == ENTRIES {
                break;
            }
            entries.push(entry);
        }
        entries
    }

    /// An entry comes again: what was wanted of it leaves. Without it, that is lost, and counted.
    pub fn restore(&mut self, port: Port, seq: Seq, input: Option<&Entry>, now: WallTime, out: &mut StageOutput) {
        self.time.advance(now);
        let all = Wanted::bound(seq, port, 0)..=Wanted::bound(seq, port, u32::MAX);
        let wanted: Vec<Wanted> = self.reread.0.range(all).copied().collect();
        let mut items = wanted.iter().copied().peekable();
        if let Some(entry) = input {
            let _ = each_item(entry.batch().bytes(), |ordinal, bytes| {
                while let Some(wanted) = items.next_if(|wanted| wanted.ordinal <= ordinal) {
                    if wanted.ordinal == ordinal {
                        self.put_back(wanted, bytes);
                    }
                }
            });
        }
        for &wanted in &wanted {
            self.reread.0.remove(&wanted);
            if self.is_meant(wanted) && !self.is_here(wanted.held) {
                self.lose(wanted, out);
            }
        }
        let mut slots: Vec<u32> = wanted.iter().map(|wanted| wanted.slot).collect();
        slots.sort_unstable();
        slots.dedup();
        slots.into_iter().for_each(|slot| self.resume(slot));
        self.finish(out);
    }

    /// Whether what was wanted is held still.
    fn is_meant(&self, wanted: Wanted) -> bool {
        let held = self.held.get(wanted.held);
        held.kind != HeldKind::Free
            && held.ordinal == wanted.ordinal
            && self.inputs.seq(held.entry) == Some(wanted.seq)
            && self.origins.get(held.origin).port == wanted.port
    }

    fn put_back(&mut self, wanted: Wanted, bytes: &[u8]) {
        if !self.is_meant(wanted) || self.is_here(wanted.held) {
            return;
        }
        let before = self.held.get(wanted.held).place();
        // The same item has the same length.
        if before.len as usize == bytes.len()
            && let Some(place) = self.payload.push(Chain::Again, bytes)
        {
            self.payload.free(before);
            self.held.get_mut(wanted.held).set_place(place);
            self.statistics.reread += 1;
        }
    }

    /// The log has lost an item.
    fn lose(&mut self, wanted: Wanted, out: &mut StageOutput) {
        let (mut before, mut at) = (NONE, self.spans.get(wanted.slot).held);
        while at != NONE && at != wanted.held {
            before = at;
            at = self.held.get(at).next;
        }
        if at == NONE {
            return;
        }
        let held = self.unlink(wanted.slot, before, at);
        if held.kind == HeldKind::Span && self.spans.get(wanted.slot).state == SlotState::Held {
            self.spans.get_mut(wanted.slot).state = SlotState::Left;
        }
        let signal = self.origins.get(held.origin).signal;
        self.statistics.record(signal, Outcome::Dropped);
        out.drop_items(signal, reasons::CORRUPT, 1);
        self.outbox.discard(held.origin, held.entry, held.place());
    }

    /// What a slot was to do goes on.
    fn resume(&mut self, slot: u32) {
        let entry = self.spans.get(slot);
        let (state, trace) = (entry.state, entry.trace);
        if state == SlotState::Free {
            return;
        }
        if !self.decides() {
            if state.has_span() {
                self.release_matched(slot);
            }
            self.wake_slot(slot);
            return;
        }
        let entry = self.traces.get(trace);
        if entry.state != TraceState::Kept {
            return;
        }
        if entry.flags & TraceEntry::CLOSING != 0 {
            self.close(trace, true);
        } else {
            self.release_slot(slot, trace);
        }
    }
}

/// Every item of a request, in the order in which they were absorbed, with its number.
pub(super) fn each_item(request: &[u8], mut take: impl FnMut(u32, &[u8])) -> Result<(), sluice_pdata::Error> {
    let mut ordinal = 0;
    for resource in fields(request) {
        let Field { number: RESOURCES, value: Value::Len(resource), .. } = resource? else { continue };
        for scope in fields(resource) {
            let Field { number: SCOPES, value: Value::Len(scope), .. } = scope? else { continue };
            for item in fields(scope) {
                let Field { number: ITEMS, value: Value::Len(item), .. } = item? else { continue };
                take(ordinal, item);
                ordinal += 1;
            }
        }
    }
    Ok(())
}
