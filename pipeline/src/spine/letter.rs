//! Dead letters on their way out of the spine: what a destination will not take, and why (delivery §4.2).

use std::sync::Arc;

use bytes::Bytes;
use sluice_pdata::Signal;
use sluice_pdata::pass::Reason;

use super::Seq;
use crate::context::Context;
use crate::exporter::Payload;

/// Whether a letter may go when newer ones need its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The data is at fault: the oldest such letter goes, counted.
    Evictable,
    /// The destination is at fault: never. Without room, sending has to stop.
    Always,
}

/// A payload, or what is left of one, that a destination will not take. Its bytes were read from the spine, so they have
/// passed redaction.
#[derive(Clone, Debug)]
pub struct Letter {
    pub signal: Signal,
    pub items: usize,
    /// One request.
    pub bytes: Bytes,
    pub context: Arc<Context>,
    /// The first record that it was part of.
    pub origin: Seq,
    pub reason: Reason,
    /// What the destination said.
    pub status: String,
    pub keep: Keep,
}

impl Letter {
    /// The letter of a payload.
    pub fn of(payload: &Payload, reason: Reason, status: String, keep: Keep) -> Self {
        Letter {
            signal: payload.signal,
            items: payload.items,
            bytes: payload.contiguous(),
            context: Arc::clone(&payload.context),
            origin: payload.range.first,
            reason,
            status,
            keep,
        }
    }
}

/// Why letters could not be put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unparked {
    /// This spine keeps none.
    NoPlace,
    /// No room, and nothing that may be evicted; or no space on the disk.
    Full,
    /// The disk, for now.
    Failed(String),
}
