//! The entries of the tables. Their sizes are the memory budget (correlation §5); tests hold them.

use crate::sampling::Leaves;

use super::inputs::EntryNumber;
use super::payload::Place;
use super::slab::{Entry, NONE};
use super::symbols::Symbol;

/// What is known of a span id of a trace: a span, or only logs that name it.
#[derive(Clone, Debug)]
#[repr(align(64))] // one line of the cache
pub(crate) struct SpanSlot {
    pub(crate) id: [u8; 8],
    pub(crate) parent: [u8; 8],
    pub(crate) trace: u32,
    /// Next slot of the trace.
    pub(crate) next: u32,
    /// The source of the span; of the first log until there is one.
    pub(crate) source: u32,
    pub(crate) name: Symbol,
    /// The encoded pair `http.route`, `rpc.method` or `messaging.destination.name`.
    pub(crate) route: Symbol,
    /// Kind in the low four bits, status code above.
    pub(crate) shape: u8,
    pub(crate) state: SlotState,
    /// HTTP response status code; 0 for none.
    pub(crate) http_status: u16,
    /// Logs that named the span, saturating; those at WARN, and those at ERROR and above.
    pub(crate) logs: u16,
    pub(crate) warnings: u8,
    pub(crate) errors: u8,
    pub(crate) duration_us: u32,
    /// Of the span, or of the first log until there is one; ms of engine time.
    pub(crate) arrival: u32,
    /// What is held: the span itself, and logs, newest first.
    pub(crate) held: u32,
    pub(crate) first_error: u32,
    /// Of the span's bytes; 0 while they are held.
    pub(crate) content: u32,
}

/// How far a slot is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SlotState {
    #[default]
    Free,
    /// Logs came, and no span. Without anything held it is a tombstone, which keeps the lag statistics honest.
    LogsOnly,
    /// The span is held.
    Held,
    /// The span has left.
    Left,
}

impl SlotState {
    pub(crate) fn has_span(self) -> bool {
        matches!(self, SlotState::Held | SlotState::Left)
    }
}

impl Default for SpanSlot {
    fn default() -> Self {
        SpanSlot {
            id: [0; 8],
            parent: [0; 8],
            trace: NONE,
            next: NONE,
            source: 0,
            name: Symbol::NONE,
            route: Symbol::NONE,
            shape: 0,
            state: SlotState::Free,
            http_status: 0,
            logs: 0,
            warnings: 0,
            errors: 0,
            duration_us: 0,
            arrival: 0,
            held: NONE,
            first_error: 0,
            content: 0,
        }
    }
}

impl Entry for SpanSlot {
    fn touch(&self) -> u32 {
        self.next
    }
}

/// A trace in the window.
#[derive(Clone, Debug)]
#[repr(align(64))] // one line of the cache
pub(crate) struct TraceEntry {
    pub(crate) id: [u8; 16],
    /// A bit for each span id that has been here, by its hash: most ids are new, and need not be looked for.
    pub(crate) ids: u64,
    pub(crate) state: TraceState,
    pub(crate) flags: u8,
    /// What decided it.
    pub(crate) rule: u16,
    pub(crate) spans: u32,
    pub(crate) logs: u32,
    pub(crate) errors: u16,
    pub(crate) log_errors: u16,
    /// Bytes held, saturating.
    pub(crate) held_bytes: u32,
    /// Its slots: in `annotate` in the order they came, in `decide` the newest first, and no tail.
    pub(crate) head: u32,
    pub(crate) tail: u32,
    pub(crate) root_service: Symbol,
    pub(crate) root_name: Symbol,
    pub(crate) tenant: u16,
}

/// How far a trace is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TraceState {
    #[default]
    Free,
    /// Not decided; in `annotate` for good.
    Open,
    /// Kept early: what comes streams through.
    Kept,
}

impl TraceEntry {
    /// A root has come.
    pub(crate) const ROOT: u8 = 1;
    /// A limit of `trace` was reached.
    pub(crate) const OVER: u8 = 2;
    /// It is kept and its time is over, but not all of it is here.
    pub(crate) const CLOSING: u8 = 4;
    /// Its slots are in the index. Those of a small trace are found along its list.
    pub(crate) const INDEXED: u8 = 8;
}

impl Default for TraceEntry {
    fn default() -> Self {
        TraceEntry {
            id: [0; 16],
            ids: 0,
            state: TraceState::Free,
            flags: 0,
            rule: 0,
            spans: 0,
            logs: 0,
            errors: 0,
            log_errors: 0,
            held_bytes: 0,
            head: NONE,
            tail: NONE,
            root_service: Symbol::NONE,
            root_name: Symbol::NONE,
            tenant: 0,
        }
    }
}

impl Entry for TraceEntry {
    fn touch(&self) -> u32 {
        self.head
    }
}

/// What deciding needs beyond the entry: one for each trace, under the same number.
#[derive(Clone, Debug, Default)]
pub(crate) struct TraceExtension {
    /// Earliest start and latest end, unix ns; 0 and 0 while no span had both.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) leaves: Leaves,
    /// `R` of the first span that states one, else of the id.
    pub(crate) randomness: u64,
    /// Encoded bytes of the spans.
    pub(crate) bytes: u64,
    /// `T` of a trace that was kept early; `u64::MAX` if unknown.
    pub(crate) threshold: u64,
    /// `T` that it passed when it came, under pressure.
    pub(crate) floor: u64,
    /// When it came, and when it is decided; in ticks.
    pub(crate) first: u32,
    pub(crate) deadline: u32,
}

/// An item that is held.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Next of the same slot.
    pub(crate) next: u32,
    /// When it goes at the latest, in ticks.
    pub(crate) deadline: u32,
    pub(crate) origin: u32,
    pub(crate) entry: EntryNumber,
    /// Which item of the entry.
    pub(crate) ordinal: u32,
    segment: u16,
    pub(crate) kind: HeldKind,
    /// [`Held::BARE`], [`Held::STATELESS`]: what was seen of it when it came.
    pub(crate) traits: u8,
    offset: u32,
    len: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HeldKind {
    #[default]
    Free,
    Span,
    /// A span whose id another one has already: it leaves as it came.
    Duplicate,
    Log,
}

impl Held {
    /// It has none of the attributes that may be attached to items of its signal.
    pub(crate) const BARE: u8 = 1;
    /// A span without a trace state.
    pub(crate) const STATELESS: u8 = 2;

    pub(crate) fn place(&self) -> Place {
        Place { segment: self.segment, offset: self.offset, len: self.len }
    }

    pub(crate) fn set_place(&mut self, place: Place) {
        (self.segment, self.offset, self.len) = (place.segment, place.offset, place.len);
    }
}

impl Default for Held {
    fn default() -> Self {
        Held {
            next: NONE,
            deadline: 0,
            origin: 0,
            entry: EntryNumber(0),
            ordinal: 0,
            segment: 0,
            kind: HeldKind::Free,
            traits: 0,
            offset: 0,
            len: 0,
        }
    }
}

impl Entry for Held {
    fn touch(&self) -> u32 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entries_keep_their_budget() {
        assert_eq!(size_of::<SpanSlot>(), 64);
        assert_eq!(size_of::<TraceEntry>(), 64);
        assert_eq!(size_of::<Held>(), 32);
        assert_eq!(size_of::<TraceExtension>(), 88);
    }
}
