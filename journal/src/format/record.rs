//! The 64-byte header in front of every record (delivery §3.3).

use bytes::BufMut;

use super::{Key, PAGE, aligned};
use crate::codec::Get;

/// Length of a header.
pub(crate) const HEADER: usize = 64;
const MAGIC: u32 = u32::from_le_bytes(*b"SLr1");
/// In place of the magic number once a dead letter was replayed, dropped or evicted. The checksum does not cover it.
pub(crate) const GONE: [u8; 4] = *b"SLx1";
/// Bit of `flags`: the payload is compressed with zstd.
pub(crate) const ZSTD: u16 = 1;
/// Bit of `flags`: a stage made it.
pub(crate) const DERIVED: u16 = 2;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A batch on its way to destinations.
    Data = 1,
    /// The end of a commit group.
    Barrier = 2,
    /// A stage's cursor moved.
    Watermark = 3,
    /// A dead letter.
    Dead = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub seq: u64,
    /// Bytes behind the header, context included, padding not.
    pub len: u32,
    pub data_crc: u32,
    /// Checksum of the header before this one in the segment.
    pub prev_hdr_crc: u32,
    pub kind: Kind,
    pub signal: u8,
    pub flags: u16,
    pub tenant: u32,
    pub route_set: u32,
    pub items: u32,
    pub ctx_len: u16,
    /// Zeros between the header and what it covers, so that a payload begins at a page.
    pub lead: u16,
    pub ingest_ms: u64,
    pub request_id: u64,
}

impl Header {
    /// The bytes, and the checksum in them.
    pub(crate) fn encode(&self, key: Key) -> ([u8; HEADER], u32) {
        let mut bytes = [0; HEADER];
        let mut rest = &mut bytes[8..];
        rest.put_u64_le(self.seq);
        rest.put_u32_le(self.len);
        rest.put_u32_le(self.data_crc);
        rest.put_u32_le(self.prev_hdr_crc);
        rest.put_u8(self.kind as u8);
        rest.put_u8(self.signal);
        rest.put_u16_le(self.flags);
        rest.put_u32_le(self.tenant);
        rest.put_u32_le(self.route_set);
        rest.put_u32_le(self.items);
        rest.put_u16_le(self.ctx_len);
        rest.put_u16_le(self.lead);
        rest.put_u64_le(self.ingest_ms);
        rest.put_u64_le(self.request_id);
        let crc = key.crc(&bytes[8..]);
        bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    /// Reads a header and its checksum. The checksum is compared before anything in it is believed, `len` above all.
    pub(crate) fn decode(bytes: &[u8], key: Key) -> Option<(Header, u32)> {
        Self::decode_as(bytes, key, &MAGIC.to_le_bytes(), true)
    }

    /// Reads the header of a dead letter that is gone.
    pub(crate) fn decode_gone(bytes: &[u8], key: Key) -> Option<(Header, u32)> {
        Self::decode_as(bytes, key, &GONE, true)
    }

    /// As [`Header::decode`] without the comparison: only a planted bug asks for that.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn decode_trusting(bytes: &[u8], key: Key) -> Option<(Header, u32)> {
        Self::decode_as(bytes, key, &MAGIC.to_le_bytes(), false)
    }

    fn decode_as(bytes: &[u8], key: Key, magic: &[u8; 4], check: bool) -> Option<(Header, u32)> {
        let mut get = Get(bytes.get(..HEADER)?);
        if get.array::<4>()? != *magic {
            return None;
        }
        let crc = get.u32()?;
        if check && key.crc(get.0) != crc {
            return None;
        }
        let header = Header {
            seq: get.u64()?,
            len: get.u32()?,
            data_crc: get.u32()?,
            prev_hdr_crc: get.u32()?,
            kind: match get.u8()? {
                1 => Kind::Data,
                2 => Kind::Barrier,
                3 => Kind::Watermark,
                4 => Kind::Dead,
                _ => return None,
            },
            signal: get.u8()?,
            flags: get.u16()?,
            tenant: get.u32()?,
            route_set: get.u32()?,
            items: get.u32()?,
            ctx_len: get.u16()?,
            lead: get.u16()?,
            ingest_ms: get.u64()?,
            request_id: get.u64()?,
        };
        let is_whole = u32::from(header.ctx_len) <= header.len && u64::from(header.lead) < PAGE;
        is_whole.then_some((header, crc))
    }

    /// Bytes of the record wherever it lies: header, contents, padding to the next record.
    pub(crate) fn size(&self) -> u64 {
        record_size(u64::from(self.len))
    }

    /// Bytes from the beginning of its header to the next record, where it lies now.
    pub(crate) fn extent(&self) -> u64 {
        record_size(u64::from(self.lead) + u64::from(self.len))
    }

    /// Where its contents begin, behind the beginning of its header.
    pub(crate) fn contents(&self) -> u64 {
        HEADER as u64 + u64::from(self.lead)
    }
}

/// Bytes of a record with this much behind its header.
pub(crate) fn record_size(len: u64) -> u64 {
    HEADER as u64 + aligned(len)
}

/// Where in `bytes` the next header might start: the offset of a magic number at a multiple of 8.
pub(crate) fn find_magic(bytes: &[u8]) -> Option<usize> {
    let magic = MAGIC.to_le_bytes();
    bytes.chunks(8).position(|chunk| chunk.starts_with(&magic)).map(|index| index * 8)
}
