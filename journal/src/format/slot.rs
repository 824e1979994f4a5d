//! Two slots in one file, written in turn (delivery §3.1): a write that tears leaves the other one whole.

use super::{Uuid, VERSION};
use crate::checksum::crc32c;
use crate::codec::{Get, Put};

const MAGIC: u32 = u32::from_le_bytes(*b"SLs1");
/// In front of a slot's contents.
pub(crate) const SLOT_HEADER: usize = 44;

/// One slot as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub generation: u64,
    pub version: u32,
    pub uuid: Uuid,
    pub payload: Vec<u8>,
}

impl Slot {
    pub(crate) fn encode(generation: u64, uuid: &Uuid, payload: &[u8]) -> Vec<u8> {
        let mut rest = Put::default();
        rest.u32(VERSION).u64(generation).bytes(uuid).u32(0).count(payload.len()).bytes(payload);
        let mut put = Put::default();
        put.u32(MAGIC).u32(crc32c(&rest.0)).bytes(&rest.0);
        put.0
    }

    /// Bytes of the contents of the slot that starts like this, before anything was checked.
    pub(crate) fn payload_len(head: &[u8]) -> Option<usize> {
        let mut get = Get(head.get(..SLOT_HEADER)?);
        (get.u32()? == MAGIC).then(|| Get(&head[SLOT_HEADER - 4..]).u32().map(|len| len as usize))?
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let len = Self::payload_len(bytes)?;
        let whole = bytes.get(..SLOT_HEADER.checked_add(len)?)?;
        let crc = Get(&whole[4..]).u32()?;
        if crc != crc32c(&whole[8..]) {
            return None;
        }
        let mut get = Get(&whole[8..]);
        let slot = Slot { version: get.u32()?, generation: get.u64()?, uuid: get.array()?, payload: Vec::new() };
        Some(Slot { payload: whole[SLOT_HEADER..].to_vec(), ..slot })
    }
}
