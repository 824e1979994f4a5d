//! What a sealed segment says about itself, so that nobody has to walk it (delivery §3.2).

use std::collections::BTreeMap;

use super::record::{Header, Kind};
use super::{SegNo, Uuid};
use crate::checksum::crc32c;
use crate::codec::{Get, Put};
use crate::route::RouteSet;
use crate::tally::{Items, SIGNALS, Tally, add_items};

const MAGIC: u32 = u32::from_le_bytes(*b"SLf1");
/// Distance between two entries of the sparse index.
const INDEX_STEP: u64 = 64 << 10;

/// Totals and index of a segment's records. Built up as they are written or walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Behind the last record.
    pub end: u64,
    /// 0 without records.
    pub first_seq: u64,
    pub last_seq: u64,
    pub oldest_ms: u64,
    pub newest_ms: u64,
    /// Data records by signal and route set.
    pub totals: BTreeMap<(u8, u32), Tally>,
    /// Every route set that appears, and what it stood for.
    pub routes: BTreeMap<u32, RouteSet>,
    /// Offset and sequence of a record about every 64 KiB. None stands in a hole.
    pub index: Vec<(u64, u64)>,
    /// Damaged ranges that are known and counted: offset and length.
    pub holes: Vec<(u64, u64)>,
    /// Items that were counted as lost in them.
    pub lost: Items,
    /// Newest WATERMARK record; 0 for none.
    pub last_watermark: u64,
}

impl Contents {
    pub(crate) fn empty(start: u64) -> Self {
        Contents {
            end: start,
            first_seq: 0,
            last_seq: 0,
            oldest_ms: u64::MAX,
            newest_ms: 0,
            totals: BTreeMap::new(),
            routes: BTreeMap::new(),
            index: Vec::new(),
            holes: Vec::new(),
            lost: [0; SIGNALS],
            last_watermark: 0,
        }
    }

    /// Takes in the record at `offset`, behind all others.
    pub(crate) fn add(&mut self, offset: u64, header: &Header, set: RouteSet) {
        if self.index.last().is_none_or(|&(last, _)| offset >= last + INDEX_STEP) {
            self.index.push((offset, header.seq));
        }
        self.end = offset + header.extent();
        if self.first_seq == 0 {
            self.first_seq = header.seq;
        }
        self.last_seq = self.last_seq.max(header.seq);
        match header.kind {
            Kind::Data => {
                let tally = Tally::one(header.signal, header.items, header.size());
                self.totals.entry((header.signal, header.route_set)).or_default().add(&tally);
                self.routes.insert(header.route_set, set);
                self.oldest_ms = self.oldest_ms.min(header.ingest_ms);
                self.newest_ms = self.newest_ms.max(header.ingest_ms);
            }
            Kind::Watermark => {
                self.routes.insert(header.route_set, set);
                self.last_watermark = header.seq;
            }
            Kind::Barrier | Kind::Dead => {}
        }
    }

    /// Items of all data records.
    pub(crate) fn items(&self) -> Items {
        let mut items = [0; SIGNALS];
        self.totals.values().for_each(|tally| add_items(&mut items, &tally.items));
        items
    }

    /// Where to start reading for the first record with at least this sequence.
    pub(crate) fn seek(&self, seq: u64, start: u64) -> u64 {
        let index = self.index.partition_point(|&(_, at)| at < seq);
        // The entry before may be followed by it; a barrier repeats the sequence of the record before it.
        index.checked_sub(1).and_then(|index| self.index.get(index)).map_or(start, |&(offset, _)| offset)
    }

    /// Items that were ever in it, lost ones included.
    pub(crate) fn original_items(&self) -> Items {
        let mut items = self.items();
        add_items(&mut items, &self.lost);
        items
    }

    /// Most bytes that encoding takes once `more` route sets are added, rounded up.
    pub(crate) fn footer_room(&self, more: usize) -> u64 {
        let sets = self.routes.len() + more;
        (256 + (self.index.len() + 1) * 16
            + (self.totals.len() + more * SIGNALS) * 64
            + sets * 36
            + self.holes.len() * 16) as u64
    }

    pub(crate) fn encode(&self, uuid: &Uuid, no: SegNo) -> Vec<u8> {
        let mut put = Put::default();
        put.u32(MAGIC).bytes(uuid).u64(no.0).u64(self.end).u64(self.first_seq).u64(self.last_seq);
        put.u64(self.oldest_ms).u64(self.newest_ms).u64(self.last_watermark).u64s(&self.lost);
        put.count(self.totals.len());
        for ((signal, set), tally) in &self.totals {
            put.u8(*signal).u32(*set).u64(tally.records).u64(tally.bytes).u64s(&tally.items);
        }
        put.count(self.routes.len());
        for (id, set) in &self.routes {
            put.u32(*id).u64s(&set.0);
        }
        for list in [&self.index, &self.holes] {
            put.count(list.len());
            list.iter().for_each(|&(offset, other)| {
                put.u64(offset).u64(other);
            });
        }
        let crc = crc32c(&put.0);
        put.u32(crc);
        put.0
    }

    pub(crate) fn decode(bytes: &[u8], uuid: &Uuid, no: SegNo) -> Option<Self> {
        let body = bytes.len().checked_sub(4)?;
        let mut get = Get(&bytes[..body]);
        let crc = Get(&bytes[body..]).u32()?;
        if crc != crc32c(get.0) || get.u32()? != MAGIC || get.array::<16>()? != *uuid || get.u64()? != no.0 {
            return None;
        }
        let [end, first_seq, last_seq, oldest_ms, newest_ms, last_watermark] = get.u64s()?;
        let lost = get.u64s()?;
        let count = get.count(21 + SIGNALS * 8)?;
        let mut totals = BTreeMap::new();
        for _ in 0..count {
            let key = (get.u8()?, get.u32()?);
            let tally = Tally { records: get.u64()?, bytes: get.u64()?, items: get.u64s()? };
            totals.insert(key, tally);
        }
        let count = get.count(36)?;
        let routes = (0..count).map(|_| Some((get.u32()?, RouteSet(get.u64s()?)))).collect::<Option<_>>()?;
        let mut list = || {
            let count = get.count(16)?;
            (0..count).map(|_| Some((get.u64()?, get.u64()?))).collect::<Option<Vec<_>>>()
        };
        let (index, holes) = (list()?, list()?);
        Some(Contents {
            end,
            first_seq,
            last_seq,
            oldest_ms,
            newest_ms,
            totals,
            routes,
            index,
            holes,
            lost,
            last_watermark,
        })
    }
}
