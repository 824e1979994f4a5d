//! One file of dead letters.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::{Cause, DeadLetter, Gone, Keep};
use crate::checksum::crc32c;
use crate::clock::Stamp;
use crate::format::record::{GONE, HEADER, Header, Kind, record_size};
use crate::format::segment::SegmentHeader;
use crate::format::{ALIGN, Key, PAGE, SegNo, Uuid};
use crate::segment::read as read_exactly;
use crate::tally::{Items, SIGNALS, Tally, add_items};
use crate::vfs::{Open, Vfs, VfsFile, write_full};

/// Tells files of dead letters from segments, in the number that keys their checksums.
const DEAD_BIT: u64 = 1 << 62;

pub(super) struct LetterFile {
    pub path: String,
    pub keep: Keep,
    pub bytes: u64,
    /// The newest id that was ever in it.
    pub newest: u64,
    key: Key,
    letters: BTreeMap<u64, Place>,
    /// While it can be written.
    handle: Option<Arc<dyn VfsFile>>,
}

struct Place {
    offset: u64,
    header: Header,
    cause: Cause,
    context: Bytes,
}

/// Number and kind, from a name such as `0000002a.poison.log`.
pub(super) fn parse(name: &str) -> Option<(u32, Keep)> {
    let (number, kind) = name.strip_suffix(".log")?.split_once('.')?;
    let keep = match kind {
        "poison" => Keep::Evictable,
        "kept" => Keep::Always,
        _ => return None,
    };
    Some((u32::from_str_radix(number, 16).ok()?, keep))
}

/// Bytes that a letter will take.
pub(super) fn size(letter: &DeadLetter) -> u64 {
    record_size((letter.context.len() + letter.cause.encode().len() + letter.payload.len()) as u64)
}

fn number(name: &str, file: u32) -> SegNo {
    SegNo(DEAD_BIT | u64::from(crc32c(name.as_bytes()) >> 2) << 32 | u64::from(file))
}

impl LetterFile {
    pub(super) fn create(vfs: &dyn Vfs, uuid: &Uuid, name: &str, dir: &str, file: u32, keep: Keep) -> io::Result<Self> {
        let kind = if keep == Keep::Evictable { "poison" } else { "kept" };
        let path = format!("{dir}/{file:08x}.{kind}.log");
        let no = number(name, file);
        let header = SegmentHeader {
            uuid: *uuid,
            no,
            base_seq: 0,
            flags: 0,
            generation: 0,
            created: Stamp::default(),
            before: [0; SIGNALS],
            own: [0; SIGNALS],
        };
        let handle = vfs.open(&path, Open::Create)?;
        write_full(&*handle, &header.encode(), 0)?;
        handle.sync()?;
        vfs.sync_dir(dir)?;
        let letters = BTreeMap::new();
        Ok(LetterFile { path, keep, bytes: PAGE, newest: 0, key: Key::new(uuid, no), letters, handle: Some(handle) })
    }

    /// Reads what is intact. The file is not written to any more, but for marks.
    pub(super) fn read(
        vfs: &dyn Vfs,
        uuid: &Uuid,
        name: &str,
        path: String,
        file: u32,
        keep: Keep,
    ) -> io::Result<Self> {
        let handle = vfs.open(&path, Open::Read)?;
        let len = handle.size()?;
        let key = Key::new(uuid, number(name, file));
        let mut this = LetterFile { path, keep, bytes: len, newest: 0, key, letters: BTreeMap::new(), handle: None };
        let mut offset = PAGE;
        while offset + HEADER as u64 <= len {
            let Some(bytes) = read_exactly(&*handle, offset, HEADER) else { break };
            let alive = Header::decode(&bytes, key);
            let fits = |header: &Header| offset.checked_add(header.size()).is_some_and(|end| end <= len);
            match alive.or_else(|| Header::decode_gone(&bytes, key)).map(|(header, _)| header).filter(fits) {
                Some(header) => {
                    this.newest = this.newest.max(header.seq);
                    if alive.is_some()
                        && header.kind == Kind::Dead
                        && let Some((cause, context, _)) = contents(&*handle, offset, &header)
                    {
                        this.letters.insert(header.seq, Place { offset, header, cause, context });
                    }
                    offset += header.size();
                }
                None => offset += ALIGN,
            }
        }
        Ok(this)
    }

    pub(super) fn is_open(&self, most: u64) -> bool {
        self.handle.is_some() && self.bytes < most
    }

    /// Writes letters and syncs. After an error nothing more is written to this file.
    pub(super) fn append(&mut self, batch: &[DeadLetter]) -> io::Result<()> {
        let Some(handle) = self.handle.take() else { return Err(io::ErrorKind::Other.into()) };
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for letter in batch {
            let mut body = letter.context.to_vec();
            body.extend_from_slice(&letter.cause.encode());
            body.extend_from_slice(&letter.payload);
            let header = Header {
                seq: letter.id,
                len: body.len() as u32,
                data_crc: crc32c(&body),
                prev_hdr_crc: 0,
                kind: Kind::Dead,
                signal: letter.signal,
                flags: 0,
                tenant: letter.tenant,
                route_set: 0,
                items: letter.items,
                ctx_len: letter.context.len() as u16,
                lead: 0,
                ingest_ms: letter.ingest_ms,
                request_id: letter.cause.origin_seq,
            };
            let offset = self.bytes + bytes.len() as u64;
            bytes.extend_from_slice(&header.encode(self.key).0);
            bytes.extend_from_slice(&body);
            bytes.resize(bytes.len().next_multiple_of(ALIGN as usize), 0);
            let context = Bytes::copy_from_slice(&letter.context);
            let place = Place { offset, header, cause: letter.cause.clone(), context };
            places.push((letter.id, place));
        }
        write_full(&*handle, &bytes, self.bytes)?;
        handle.sync()?;
        self.bytes += bytes.len() as u64;
        self.newest = places.last().map_or(self.newest, |(id, _)| *id);
        self.letters.extend(places);
        self.handle = Some(handle);
        Ok(())
    }

    pub(super) fn has(&self, id: u64) -> bool {
        self.letters.contains_key(&id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    pub(super) fn list(&self, from: u64) -> impl Iterator<Item = DeadLetter> {
        self.letters.range(from..).map(|(&id, place)| self.letter(id, place, Bytes::new()))
    }

    /// Letters that were put aside before this, in milliseconds since the epoch.
    pub(super) fn older_than(&self, parked_ms: u64) -> impl Iterator<Item = u64> {
        self.letters.iter().filter(move |(_, place)| place.cause.parked_ms < parked_ms).map(|(&id, _)| id)
    }

    /// Whether all of them were, and there are some.
    pub(super) fn is_older_than(&self, parked_ms: u64) -> bool {
        !self.is_empty() && self.letters.values().all(|place| place.cause.parked_ms < parked_ms)
    }

    pub(super) fn gone(&self) -> Vec<Gone> {
        self.letters.iter().map(|(&id, place)| place.gone(id)).collect()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = u64> {
        self.letters.keys().copied()
    }

    pub(super) fn items(&self) -> Items {
        let mut items = Items::default();
        for place in self.letters.values() {
            let of_signal = Tally::one(place.header.signal, place.header.items, 0).items;
            add_items(&mut items, &of_signal);
        }
        items
    }

    pub(super) fn bytes_of(&self, id: u64) -> Option<u64> {
        self.letters.get(&id).map(|place| place.header.size())
    }

    pub(super) fn totals(&self) -> (u64, u64) {
        let items = self.letters.values().map(|place| u64::from(place.header.items)).sum();
        (self.letters.len() as u64, items)
    }

    pub(super) fn load(&self, vfs: &dyn Vfs, id: u64) -> io::Result<Option<DeadLetter>> {
        let Some(place) = self.letters.get(&id) else { return Ok(None) };
        let handle = vfs.open(&self.path, Open::Read)?;
        let contents = contents(&*handle, place.offset, &place.header);
        Ok(contents.map(|(_, _, payload)| self.letter(id, place, payload)))
    }

    /// Marks a letter as gone, in place.
    pub(super) fn remove(&mut self, vfs: &dyn Vfs, id: u64) -> io::Result<Option<Gone>> {
        let Some(place) = self.letters.get(&id) else { return Ok(None) };
        let handle = vfs.open(&self.path, Open::Write)?;
        write_full(&*handle, &GONE, place.offset)?;
        handle.sync()?;
        Ok(self.letters.remove(&id).map(|place| place.gone(id)))
    }

    /// The same for several that are in it.
    pub(super) fn remove_all(&mut self, vfs: &dyn Vfs, ids: &[u64]) -> io::Result<Vec<Gone>> {
        let handle = vfs.open(&self.path, Open::Write)?;
        for place in ids.iter().filter_map(|id| self.letters.get(id)) {
            write_full(&*handle, &GONE, place.offset)?;
        }
        handle.sync()?;
        Ok(ids.iter().filter_map(|id| Some(self.letters.remove(id)?.gone(*id))).collect())
    }

    fn letter(&self, id: u64, place: &Place, payload: Bytes) -> DeadLetter {
        DeadLetter {
            id,
            cause: place.cause.clone(),
            keep: self.keep,
            signal: place.header.signal,
            items: place.header.items,
            tenant: place.header.tenant,
            ingest_ms: place.header.ingest_ms,
            context: place.context.clone(),
            payload,
        }
    }
}

impl Place {
    fn gone(&self, id: u64) -> Gone {
        Gone { id, signal: self.header.signal, items: self.header.items, tenant: self.header.tenant }
    }
}

/// Cause, context and payload, if the checksum is right.
fn contents(handle: &dyn VfsFile, offset: u64, header: &Header) -> Option<(Cause, Bytes, Bytes)> {
    let body = Bytes::from(read_exactly(handle, offset + HEADER as u64, header.len as usize)?);
    if crc32c(&body) != header.data_crc {
        return None;
    }
    // What is remembered must not keep the payload in memory.
    let context = Bytes::copy_from_slice(&body[..usize::from(header.ctx_len)]);
    let behind = &body[usize::from(header.ctx_len)..];
    let (cause, payload) = Cause::decode(behind)?;
    let payload = body.slice(body.len() - payload.len()..);
    Some((cause, context, payload))
}
