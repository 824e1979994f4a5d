//! Walks the records of one segment file.

use std::io;
use std::sync::Arc;

use crate::bugs::{Bug, Bugs};
use crate::checksum::crc32c;
use crate::format::record::{HEADER, Header, find_magic};
use crate::format::{ALIGN, Key};
use crate::vfs::{VfsFile, read_full};

/// Read from the file at a time.
const CHUNK: usize = 256 << 10;
/// Block that a read error is narrowed down to.
const BLOCK: usize = 4096;
/// How often a read is tried before it counts as damage.
pub(crate) const PATIENCE: usize = 4;

/// What is at the current offset.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Record {
        offset: u64,
        header: Header,
    },
    /// No valid header here, though records should go on.
    Damage {
        offset: u64,
    },
    End,
}

/// A position in a segment file, with a buffer around it.
pub(crate) struct Scan {
    file: Arc<dyn VfsFile>,
    key: Key,
    bugs: Bugs,
    /// Where the next header is expected.
    pub(crate) offset: u64,
    end: u64,
    buf: Vec<u8>,
    start: u64,
    /// Unreadable blocks read as zeros, after [`PATIENCE`] attempts, if others can be read: a bad sector, and not a disk that
    /// is gone.
    lenient: bool,
    readable: bool,
}

impl Scan {
    pub(crate) fn new(file: Arc<dyn VfsFile>, key: Key, bugs: Bugs, from: u64, end: u64) -> Self {
        Scan { file, key, bugs, offset: from, end, buf: Vec::new(), start: 0, lenient: false, readable: false }
    }

    /// For recovery and audits: what cannot be read is damage.
    pub(crate) fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// The record at the current offset; moves behind it. Does not move on damage.
    pub(crate) fn next(&mut self) -> io::Result<Step> {
        let offset = self.offset;
        if offset + HEADER as u64 > self.end {
            return Ok(Step::End);
        }
        match self.header(offset)? {
            Some((header, _)) => {
                self.offset = offset + header.extent();
                Ok(Step::Record { offset, header })
            }
            None => Ok(Step::Damage { offset }),
        }
    }

    /// A valid header at this offset, with its checksum.
    pub(crate) fn header(&mut self, offset: u64) -> io::Result<Option<(Header, u32)>> {
        let (key, bugs, end) = (self.key, self.bugs, self.end);
        let bytes = self.window(offset, HEADER)?;
        let decoded = decode(bytes, key, bugs);
        Ok(decoded.filter(|(header, _)| offset.checked_add(header.extent()).is_some_and(|behind| behind <= end)))
    }

    /// The contents of a record, if their checksum is right.
    pub(crate) fn contents(&mut self, offset: u64, header: &Header) -> io::Result<Option<&[u8]>> {
        let trusting = self.bugs.has(Bug::TrustLengthBeforeChecksum);
        let len = header.len as usize;
        let bytes = self.window(offset + header.contents(), len)?;
        Ok((bytes.len() == len && (trusting || crc32c(bytes) == header.data_crc)).then_some(bytes))
    }

    /// The next offset from `from` on with a valid header, valid contents, and a sequence above `after` and below `limit`.
    pub(crate) fn resync(&mut self, from: u64, after: u64, limit: u64) -> io::Result<Option<u64>> {
        let mut at = from.next_multiple_of(ALIGN);
        while at + HEADER as u64 <= self.end {
            let ahead = (self.end - at).min(CHUNK as u64) as usize;
            let found = {
                let bytes = self.window(at, ahead)?;
                find_magic(bytes).ok_or(bytes.len())
            };
            match found {
                Ok(index) => {
                    at += index as u64;
                    if let Some((header, _)) = self.header(at)?
                        && header.seq > after
                        && header.seq < limit
                        && self.contents(at, &header)?.is_some()
                    {
                        return Ok(Some(at));
                    }
                    at += ALIGN;
                }
                Err(seen) => at += (seen as u64 & !(ALIGN - 1)).max(ALIGN),
            }
        }
        Ok(None)
    }

    /// `len` bytes from `offset`, fewer at the end.
    fn window(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let len = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX).min(len);
        let inside = offset >= self.start && offset + len as u64 <= self.start + self.buf.len() as u64;
        if !inside {
            let want = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX).min(len.max(CHUNK));
            self.buf.clear();
            self.buf.resize(want, 0);
            self.start = offset;
            let mut read = fill(&*self.file, &mut self.buf, offset, self.lenient, &mut self.readable);
            if read.is_err() && want > len {
                // What lies behind may be what cannot be read.
                self.buf.truncate(len);
                read = fill(&*self.file, &mut self.buf, offset, self.lenient, &mut self.readable);
            }
            match read {
                Ok(read) => self.buf.truncate(read),
                Err(error) => {
                    self.buf.clear();
                    return Err(error);
                }
            }
        }
        let from = ((offset - self.start) as usize).min(self.buf.len());
        let to = (from + len).min(self.buf.len());
        Ok(&self.buf[from..to])
    }
}

fn fill(file: &dyn VfsFile, buf: &mut [u8], offset: u64, lenient: bool, readable: &mut bool) -> io::Result<usize> {
    let result = read_full(file, buf, offset);
    *readable |= result.is_ok();
    if !lenient || result.is_ok() {
        return result;
    }
    // Block by block: a bad sector costs what overlaps it.
    let mut filled = 0;
    while filled < buf.len() {
        let at = offset + filled as u64;
        // Aligned as sectors are.
        let len = (BLOCK - (at % BLOCK as u64) as usize).min(buf.len() - filled);
        let block = &mut buf[filled..filled + len];
        let read = (0..PATIENCE).find_map(|_| read_full(file, block, at).ok());
        match read {
            Some(read) if read < block.len() => return Ok(filled + read),
            Some(_) => *readable = true,
            None => block.fill(0),
        }
        filled += block.len();
    }
    if *readable { Ok(filled) } else { result }
}

#[cfg(any(test, feature = "simulation"))]
fn decode(bytes: &[u8], key: Key, bugs: Bugs) -> Option<(Header, u32)> {
    if bugs.has(Bug::TrustLengthBeforeChecksum) {
        return Header::decode_trusting(bytes, key);
    }
    Header::decode(bytes, key)
}

#[cfg(not(any(test, feature = "simulation")))]
fn decode(bytes: &[u8], key: Key, _bugs: Bugs) -> Option<(Header, u32)> {
    Header::decode(bytes, key)
}
