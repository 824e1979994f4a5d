//! The journal's format 1 (delivery §3): what is on disk, as pure functions between values and bytes.
//!
//! Little endian, records aligned to 8 bytes, checksums CRC-32C. Nothing here does I/O.

pub(crate) mod barrier;
pub(crate) mod cursor;
pub(crate) mod dead;
pub(crate) mod footer;
pub(crate) mod meta;
pub(crate) mod record;
pub(crate) mod routes;
pub(crate) mod segment;
pub(crate) mod slot;
pub(crate) mod watermark;

#[cfg(test)]
mod tests;

use crate::checksum::{crc32c, crc32c_append};

/// The format that this code writes, and the newest it reads.
pub(crate) const VERSION: u32 = 2;
/// What segments, slots and headers are aligned to.
pub(crate) const PAGE: u64 = 4096;
/// Every record starts at a multiple of this.
pub(crate) const ALIGN: u64 = 8;

/// The secret id of a journal, mixed into every checksum so that nothing foreign can pose as a record.
pub(crate) type Uuid = [u8; 16];

/// The two segment chains: what receivers append, and what stages derive. They share the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Chain {
    Main = 0,
    Derived = 1,
}

impl Chain {
    pub(crate) const BOTH: [Chain; 2] = [Chain::Main, Chain::Derived];
}

/// Number of a segment: counted from 1 in each chain, with the chain in the top bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegNo(pub u64);

const DERIVED_BIT: u64 = 1 << 63;

impl SegNo {
    pub(crate) fn new(chain: Chain, ordinal: u64) -> Self {
        SegNo(if chain == Chain::Derived { ordinal | DERIVED_BIT } else { ordinal & !DERIVED_BIT })
    }

    pub(crate) fn chain(self) -> Chain {
        if self.0 & DERIVED_BIT == 0 { Chain::Main } else { Chain::Derived }
    }

    /// Its number within the chain.
    pub(crate) fn ordinal(self) -> u64 {
        self.0 & !DERIVED_BIT
    }
}

/// What the checksums of one segment's headers start from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key(u32);

impl Key {
    pub(crate) fn new(uuid: &Uuid, no: SegNo) -> Self {
        Key(crc32c_append(crc32c(uuid), &no.0.to_le_bytes()))
    }

    pub(crate) fn crc(self, bytes: &[u8]) -> u32 {
        crc32c_append(self.0, bytes)
    }
}

/// Rounds up to the alignment of records.
pub(crate) fn aligned(len: u64) -> u64 {
    len.next_multiple_of(ALIGN)
}
