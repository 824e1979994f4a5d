//! Turns records into the bytes of a commit group.

use bytes::Bytes;

use crate::checksum::{crc32c, crc32c_append};
use crate::format::barrier::Barrier;
use crate::format::record::{DERIVED, HEADER, Header, Kind, ZSTD, record_size};
use crate::format::watermark::Watermark;
use crate::format::{ALIGN, Chain, Key, PAGE};
use crate::record::{self, Entry, Summed};
use crate::route::{Dest, RouteSet};
use crate::tally::{Items, Tally, add_items};

/// A record with its place in the sequence, ready for any segment.
#[derive(Clone)]
pub(crate) struct Outgoing {
    /// All but `prev_hdr_crc`, which the segment decides.
    pub header: Header,
    pub routes: RouteSet,
    context: Bytes,
    payload: Bytes,
    /// For the tail; `None` for what nobody reads.
    pub entry: Option<Entry>,
    /// What its attachment keeps alive.
    pub attached: u64,
    /// Of a WATERMARK record.
    pub mark: Option<Watermark>,
}

/// Raw length in front of a compressed payload.
const RAW_LEN: usize = 4;
/// Nothing larger was ever compressed.
const MAX_RAW: usize = 1 << 30;

impl Outgoing {
    pub(crate) fn data(summed: Summed, seq: u64, route_set: u32, chain: Chain) -> Self {
        let Summed { record, data_crc } = summed;
        let (payload, packed) =
            if data_crc.is_none() { pack(&record.payload) } else { (record.payload.clone(), false) };
        let mut flags = if packed { ZSTD } else { 0 };
        if chain == Chain::Derived {
            flags |= DERIVED;
        }
        let header = Header {
            seq,
            len: (record.context.len() + payload.len()) as u32,
            data_crc: data_crc.unwrap_or_else(|| record::data_crc(&record.context, &payload)),
            prev_hdr_crc: 0,
            kind: Kind::Data,
            signal: record.signal,
            flags,
            tenant: record.tenant,
            route_set,
            items: record.items,
            ctx_len: record.context.len() as u16,
            lead: 0,
            ingest_ms: record.ingest_ms,
            request_id: record.request_id,
        };
        let attached = record.attachment_bytes;
        let entry = Entry {
            seq,
            signal: record.signal,
            items: record.items,
            tenant: record.tenant,
            ingest_ms: record.ingest_ms,
            request_id: record.request_id,
            context: record.context.clone(),
            payload: record.payload,
            attachment: record.attachment,
            condemned: false,
        };
        Outgoing {
            header,
            routes: record.routes,
            context: record.context,
            payload,
            entry: Some(entry),
            attached,
            mark: None,
        }
    }

    pub(crate) fn watermark(mark: Watermark, seq: u64, route_set: u32) -> Self {
        let payload = Bytes::from(mark.encode());
        let header = plain(seq, Kind::Watermark, route_set, &payload);
        let routes = RouteSet::EMPTY.with(Dest(mark.stage));
        Outgoing { header, routes, context: Bytes::new(), payload, entry: None, attached: 0, mark: Some(mark) }
    }

    /// A record as it is in another segment.
    pub(crate) fn copied(header: Header, routes: RouteSet, contents: Bytes) -> Self {
        let header = Header { lead: 0, ..header };
        Outgoing { header, routes, context: Bytes::new(), payload: contents, entry: None, attached: 0, mark: None }
    }

    pub(crate) fn size(&self) -> u64 {
        self.header.size()
    }

    /// As [`Outgoing::size`], with the zeros that may come before its contents.
    pub(crate) fn reach(&self, page_from: usize) -> u64 {
        self.size() + if self.payload.len() < page_from { 0 } else { PAGE }
    }

    pub(crate) fn tally(&self) -> Tally {
        Tally::one(self.header.signal, self.header.items, self.size())
    }
}

fn plain(seq: u64, kind: Kind, route_set: u32, payload: &[u8]) -> Header {
    Header {
        seq,
        len: payload.len() as u32,
        data_crc: crc32c(payload),
        prev_hdr_crc: 0,
        kind,
        signal: 0,
        flags: 0,
        tenant: 0,
        route_set,
        items: 0,
        ctx_len: 0,
        lead: 0,
        ingest_ms: 0,
        request_id: 0,
    }
}

/// Compressed, if that is possible and worth it.
fn pack(payload: &Bytes) -> (Bytes, bool) {
    if payload.len() <= MAX_RAW
        && let Ok(packed) = zstd::bulk::compress(payload, 1)
        && packed.len() + RAW_LEN < payload.len()
    {
        let mut framed = Vec::with_capacity(packed.len() + RAW_LEN);
        framed.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        framed.extend_from_slice(&packed);
        return (framed.into(), true);
    }
    (payload.clone(), false)
}

/// The payload as it was appended. `None` if it does not decompress to the length it names.
pub(crate) fn unpack(flags: u16, payload: &[u8]) -> Option<Bytes> {
    if flags & ZSTD == 0 {
        return Some(Bytes::copy_from_slice(payload));
    }
    let (len, packed) = payload.split_at_checked(RAW_LEN)?;
    let len = u32::from_le_bytes(len.try_into().ok()?) as usize;
    let raw = zstd::bulk::decompress(packed, len.min(MAX_RAW)).ok()?;
    (raw.len() == len).then(|| raw.into())
}

/// What one write puts into a segment.
pub(crate) struct Encoded {
    /// Headers, padding, and what is too small to stand for itself.
    small: Vec<u8>,
    /// Ends of runs of `small`, each with the large part behind it.
    large: Vec<(usize, Bytes)>,
    /// Offset and header of each record, the barrier's last.
    pub headers: Vec<(u64, Header)>,
    pub last_crc: u32,
}

/// Shorter parts are copied.
const LARGE: usize = 4 << 10;

impl Encoded {
    /// The bytes, in order.
    pub(crate) fn parts(&self) -> Vec<&[u8]> {
        let mut parts = Vec::with_capacity(2 * self.large.len() + 1);
        let mut from = 0;
        for (end, large) in &self.large {
            parts.extend([&self.small[from..*end], large]);
            from = *end;
        }
        parts.push(&self.small[from..]);
        parts
    }

    /// The room of the small parts, to be used again.
    pub(crate) fn into_scratch(self) -> Vec<u8> {
        self.small
    }
}

/// Where a group goes.
pub(crate) struct Place {
    pub key: Key,
    pub offset: u64,
    pub prev_crc: u32,
    /// Items of the segment so far.
    pub items: Items,
    /// Route sets that the segment has not named.
    pub routes: Vec<(u32, RouteSet)>,
    /// Payloads from this length on begin at a page of the file.
    pub page_from: usize,
}

/// Encodes a group and its barrier.
pub(crate) fn encode(records: &[Outgoing], place: Place, mut small: Vec<u8>) -> Encoded {
    small.clear();
    let (mut large, mut written) = (Vec::with_capacity(records.len()), 0);
    let mut headers = Vec::with_capacity(records.len() + 1);
    let (mut prev, mut crcs, mut items) = (place.prev_crc, crc32c(&[]), place.items);
    let mut put = |mut header: Header, parts: [&Bytes; 2], prev: &mut u32| {
        header.prev_hdr_crc = *prev;
        let offset = place.offset + written as u64;
        if parts[1].len() >= place.page_from {
            let before = offset + (HEADER + parts[0].len()) as u64;
            header.lead = (before.next_multiple_of(PAGE) - before) as u16;
        }
        let (encoded, crc) = header.encode(place.key);
        small.extend_from_slice(&encoded);
        small.resize(small.len() + usize::from(header.lead), 0);
        written += encoded.len() + usize::from(header.lead);
        for part in parts {
            written += part.len();
            if part.len() < LARGE {
                small.extend_from_slice(part);
            } else {
                large.push((small.len(), part.clone()));
            }
        }
        let padding = written.next_multiple_of(ALIGN as usize) - written;
        small.resize(small.len() + padding, 0);
        written += padding;
        *prev = crc;
        headers.push((offset, header));
        crc
    };
    let mut last = 0;
    for record in records {
        let crc = put(record.header, [&record.context, &record.payload], &mut prev);
        crcs = crc32c_append(crcs, &crc.to_le_bytes());
        if record.header.kind == Kind::Data {
            add_items(&mut items, &record.tally().items);
        }
        last = record.header.seq;
    }
    let barrier = Barrier { records: records.len() as u32, crc: crcs, items, routes: place.routes }.encode();
    put(plain(last, Kind::Barrier, 0, &barrier), [&Bytes::from(barrier), &Bytes::new()], &mut prev);
    Encoded { small, large, headers, last_crc: prev }
}

/// Bytes of a barrier record that names this many route sets.
pub(crate) fn barrier_size(routes: usize) -> u64 {
    record_size(Barrier::len(routes))
}

/// Bytes of a record with the least contents.
pub(crate) const LEAST_RECORD: u64 = HEADER as u64;
