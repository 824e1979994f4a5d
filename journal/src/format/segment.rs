//! The first 4 KiB of a segment, and its trailer in the last 4 KiB (delivery §3.2).

use super::{Key, PAGE, SegNo, Uuid, VERSION};
use crate::checksum::crc32c;
use crate::clock::Stamp;
use crate::codec::{Get, Put};
use crate::tally::{Items, SIGNALS};
use std::time::Duration;

const MAGIC: [u8; 8] = *b"SLUICEsg";
const TRAILER_MAGIC: u32 = u32::from_le_bytes(*b"SLt1");
/// Length of a trailer.
pub(crate) const TRAILER: usize = 64;
/// Bit of `flags`: rewritten with only the needed records; gaps in the sequence are legal.
pub(crate) const COMPACTED: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub uuid: Uuid,
    pub no: SegNo,
    /// No record in it is older; no valid one in the segment before it is as new.
    pub base_seq: u64,
    pub flags: u32,
    /// Counts rewrites of the same segment.
    pub generation: u32,
    pub created: Stamp,
    /// Items of the chain's segments before this one, since the journal began.
    pub before: Items,
    /// Of a compacted segment: the items it had when it was first sealed.
    pub own: Items,
}

impl SegmentHeader {
    /// A full page.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut put = Put::default();
        put.bytes(&MAGIC).u32(VERSION).u32(0).bytes(&self.uuid).u64(self.no.0).u64(self.base_seq);
        put.u32(self.flags).u32(self.generation);
        put.u64(self.created.boot).u64(nanos(self.created.wall)).u64(nanos(self.created.boottime));
        put.u64s(&self.before).u64s(&self.own);
        let crc = crc32c(&put.0);
        put.u32(crc);
        put.0.resize(PAGE as usize, 0);
        put.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut get = Get(bytes);
        if get.array::<8>()? != MAGIC || get.u32()? > VERSION {
            return None;
        }
        let _features = get.u32()?;
        let header = SegmentHeader {
            uuid: get.array()?,
            no: SegNo(get.u64()?),
            base_seq: get.u64()?,
            flags: get.u32()?,
            generation: get.u32()?,
            created: {
                let (boot, wall, boottime) = (get.u64()?, get.u64()?, get.u64()?);
                Stamp { boot, wall: Duration::from_nanos(wall), boottime: Duration::from_nanos(boottime) }
            },
            before: get.u64s::<SIGNALS>()?,
            own: get.u64s::<SIGNALS>()?,
        };
        let read = bytes.len() - get.0.len();
        (get.u32()? == crc32c(&bytes[..read])).then_some(header)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Points to the footer of a sealed segment, and repeats enough of the header to do without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub no: SegNo,
    pub base_seq: u64,
    pub generation: u32,
    pub flags: u32,
    pub footer_offset: u64,
    pub footer_len: u32,
}

impl Trailer {
    pub(crate) fn encode(&self, uuid: &Uuid) -> Vec<u8> {
        let mut rest = Put::default();
        rest.u64(self.no.0).u64(self.base_seq).u32(self.generation).u32(self.flags);
        rest.u64(self.footer_offset).u32(self.footer_len);
        rest.0.resize(TRAILER - 8, 0);
        let mut put = Put::default();
        put.u32(TRAILER_MAGIC).u32(Key::new(uuid, self.no).crc(&rest.0)).bytes(&rest.0);
        put.0
    }

    pub(crate) fn decode(bytes: &[u8], uuid: &Uuid) -> Option<Self> {
        let mut get = Get(bytes.get(..TRAILER)?);
        if get.u32()? != TRAILER_MAGIC {
            return None;
        }
        let crc = get.u32()?;
        let rest = get.0;
        let trailer = Trailer {
            no: SegNo(get.u64()?),
            base_seq: get.u64()?,
            generation: get.u32()?,
            flags: get.u32()?,
            footer_offset: get.u64()?,
            footer_len: get.u32()?,
        };
        (Key::new(uuid, trailer.no).crc(rest) == crc).then_some(trailer)
    }
}
