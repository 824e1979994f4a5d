//! What the journal tells whoever runs it: the movements of items, for a ledger, and what people should know.

use std::time::Duration;

use crate::route::Dest;
use crate::tally::Items;

/// Why items were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    Corrupt,
    QuotaOldest,
    QuotaNewest,
    MaxAge,
    Detached,
}

/// Items of one record, or of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    pub signal: u8,
    pub items: u64,
    /// Hash of the tenant; 0 where several may be concerned.
    pub tenant: u32,
}

/// Told of every movement, in order and under the journal's lock: it must be quick, and must not call the journal.
/// `backlog` is what the destination has not completed, after the movement.
pub trait Observer: Send + Sync {
    /// Found at the start.
    fn restored(&self, _dest: Dest, _name: &str, _backlog: &Items) {}

    /// Appended for this destination.
    fn routed(&self, _dest: Dest, _moved: Moved, _backlog: &Items) {}

    /// Dropped for this destination. It was routed or restored before.
    fn dropped(&self, _dest: Dest, _moved: Moved, _reason: DropReason, _backlog: &Items) {}

    /// New records can be read by these destinations.
    fn readable(&self, _dest: Dest) {}

    /// Room came free.
    fn released(&self) {}

    /// A commit group reached the disk.
    fn committed(&self, _records: usize, _bytes: u64, _took: Duration) {}

    /// A dead letter was dropped because of its age.
    fn dead_letter_expired(&self, _name: &str, _gone: crate::dlq::Gone) {}

    /// For the log.
    fn event(&self, _event: &Event) {}
}

/// Observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}

/// What people should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A range of a segment is damaged: it was copied to `quarantine/`, and these items are lost.
    Damaged { segment: String, offset: u64, len: u64 },
    /// Items that are lost to damage in one segment, or with missing segments.
    Corrupt { what: String, items: Items },
    /// The end of an unfinished commit group was cut off: nothing of it was acknowledged.
    TornTail { segment: String, offset: u64 },
    /// Both slots of a cursor are damaged: the destination starts at the oldest record.
    CursorReset { name: String },
    /// A cursor could not be written; completions since may be delivered again after a crash.
    CursorError { name: String, error: String },
    /// A write or sync failed.
    WriteFailed { segment: String, error: String },
    /// Nothing is taken from now on, and why.
    DrainOnly { cause: &'static str },
    /// Appends are taken again.
    Resumed,
    /// The journal has passed this share of its budget, in percent.
    Filling { percent: u8 },
    /// A destination is over its quota.
    OverQuota { name: String },
    /// The backlog of a destination that is not configured any more was given up.
    Retired { name: String },
    /// Something else that went wrong and will be tried again.
    Trouble { what: String, error: String },
}
