//! Records as they come in and go out.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::checksum::{crc32c, crc32c_append};
use crate::route::RouteSet;

/// Something that travels with a record in memory, for readers that keep up. Never on disk.
pub type Attachment = Arc<dyn Any + Send + Sync>;

/// Longest context of a record, in bytes.
pub const CONTEXT_BYTES: usize = 4096;

/// What is appended.
#[derive(Clone, Default)]
pub struct Record {
    pub routes: RouteSet,
    /// 0 to 3; what it means is the caller's affair.
    pub signal: u8,
    pub items: u32,
    /// Hash of the tenant.
    pub tenant: u32,
    /// Milliseconds since the epoch.
    pub ingest_ms: u64,
    pub request_id: u64,
    /// At most [`CONTEXT_BYTES`].
    pub context: Bytes,
    pub payload: Bytes,
    pub attachment: Option<Attachment>,
    /// What the attachment keeps alive beyond context and payload.
    pub attachment_bytes: u64,
}

impl Record {
    /// Bytes of context and payload.
    pub(crate) fn data_len(&self) -> u64 {
        (self.context.len() + self.payload.len()) as u64
    }
}

/// A record with the checksum of its context and payload. Who appends computes it: there the bytes are warm, and there is
/// more than one who appends.
pub(crate) struct Summed {
    pub record: Record,
    /// `None` if the payload is compressed first.
    pub data_crc: Option<u32>,
}

impl Summed {
    pub(crate) fn new(record: Record, compress: bool) -> Self {
        let data_crc = (!compress).then(|| data_crc(&record.context, &record.payload));
        Summed { record, data_crc }
    }
}

/// The checksum of what a record says, as it is on disk.
pub(crate) fn data_crc(context: &[u8], payload: &[u8]) -> u32 {
    crc32c_append(crc32c(context), payload)
}

/// What a destination reads.
#[derive(Clone)]
pub struct Entry {
    pub seq: u64,
    pub signal: u8,
    pub items: u32,
    pub tenant: u32,
    pub ingest_ms: u64,
    pub request_id: u64,
    pub context: Bytes,
    pub payload: Bytes,
    /// As appended, if it is still in memory.
    pub attachment: Option<Attachment>,
    /// The process died twice while this record alone was being looked at: not to be decoded, but to be put aside.
    pub condemned: bool,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({}, {} items, {} bytes)", self.seq, self.items, self.payload.len())
    }
}

/// The records `first..=last`, gaps included that belong to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeqRange {
    pub first: u64,
    pub last: u64,
}

/// How much to read at once. At least one record is read if there is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    pub records: usize,
    pub items: usize,
    pub bytes: usize,
}
