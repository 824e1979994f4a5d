//! A file that is appended to past the page cache (`O_DIRECT`).
//!
//! Through the cache, each fresh block of a segment costs a page, its buffers, and later the giving back of both: more than the
//! write itself. Whole blocks go to the disk instead. The last one is filled up with zeros, which are in the file anyway, and
//! written again with what follows; the bytes that it had before are the same in both versions, so a torn write cannot hurt
//! them. Everything else (reading, writing elsewhere, a file system that does not know the flag) goes through the cache.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;

use super::VfsFile;
use super::disk::DiskFile;
use super::pages::Pages;

/// What addresses, lengths and offsets are multiples of: no disk wants more.
const BLOCK: usize = 4096;
/// Shorter parts are copied: the system looks up the memory of each.
const IN_PLACE: usize = 64 << 10;

/// A file of zeros in which every byte is written once, from the beginning on.
pub(super) struct DirectFile {
    file: DiskFile,
    append: Mutex<Append>,
    /// Shared by all files of a directory: one of them is written at a time.
    pages: Arc<Mutex<Pages>>,
}

struct Append {
    /// None once something was written elsewhere, or the file system has refused.
    direct: Option<OwnedFd>,
    /// What the last block begins with.
    tail: Vec<u8>,
    /// Where the next byte goes.
    end: u64,
}

impl DirectFile {
    pub(super) fn new(file: DiskFile, direct: OwnedFd, pages: Arc<Mutex<Pages>>) -> Self {
        let append = Append { direct: Some(direct), tail: Vec::with_capacity(BLOCK), end: 0 };
        DirectFile { file, append: Mutex::new(append), pages }
    }
}

/// What goes out together, in order: copies in memory of our own, and parts where they are.
enum Piece<'a> {
    Copied(Range<usize>),
    InPlace(&'a [u8]),
}

impl Append {
    /// Writes whole blocks. `None` if that is not possible here: nothing was written then.
    fn write(&mut self, parts: &[&[u8]], offset: u64, pages: &mut Pages) -> Option<io::Result<()>> {
        let direct = self.direct.as_ref().filter(|_| offset == self.end)?;
        let buffer = pages.get()?;
        let start = self.end - self.tail.len() as u64;
        let mut batch = Batch { at: start, filled: self.tail.len(), run: 0, pieces: Vec::with_capacity(3) };
        buffer[..self.tail.len()].copy_from_slice(&self.tail);
        for part in parts {
            let mut rest = *part;
            if let Some(blocks) = batch.in_place(rest) {
                let (blocks, later) = rest.split_at(blocks);
                batch.end_run();
                batch.pieces.push(Piece::InPlace(blocks));
                rest = later;
            }
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(buffer.len() - batch.filled));
                buffer[batch.filled..batch.filled + now.len()].copy_from_slice(now);
                batch.filled += now.len();
                rest = later;
                if batch.filled == buffer.len() {
                    batch.end_run();
                    match batch.write(direct, buffer) {
                        Err(error) if batch.at == start && is_refusal(&error) => return None,
                        Err(error) => return Some(Err(error)),
                        Ok(()) => {}
                    }
                }
            }
        }
        let filled = batch.filled;
        batch.filled = filled.next_multiple_of(BLOCK);
        buffer[filled..batch.filled].fill(0);
        self.tail.clear();
        self.tail.extend_from_slice(&buffer[filled - filled % BLOCK..filled]);
        batch.end_run();
        match batch.write(direct, buffer) {
            Err(error) if batch.at == start && is_refusal(&error) => return None,
            Err(error) => return Some(Err(error)),
            Ok(()) => {}
        }
        self.end += parts.iter().map(|part| part.len() as u64).sum::<u64>();
        Some(Ok(()))
    }
}

/// What was not written yet.
struct Batch<'a> {
    /// Where its first piece goes.
    at: u64,
    /// Copied so far, and from where on that is no piece yet.
    filled: usize,
    run: usize,
    pieces: Vec<Piece<'a>>,
}

impl Batch<'_> {
    /// How much of a part can be written from where it is: whole blocks at the beginning of one, both in memory and in the file.
    fn in_place(&self, part: &[u8]) -> Option<usize> {
        let is_aligned = self.filled.is_multiple_of(BLOCK) && (part.as_ptr() as usize).is_multiple_of(BLOCK);
        (part.len() >= IN_PLACE && is_aligned).then(|| part.len() - part.len() % BLOCK)
    }

    fn end_run(&mut self) {
        if self.filled > self.run {
            self.pieces.push(Piece::Copied(self.run..self.filled));
            self.run = self.filled;
        }
    }

    /// Writes all pieces, in one call of the system unless that stops half way. What was copied can be overwritten then. A refusal
    /// that comes after some were written is none.
    fn write(&mut self, direct: &OwnedFd, buffer: &[u8]) -> io::Result<()> {
        let bytes = self.pieces.iter().map(|piece| match piece {
            Piece::Copied(range) => &buffer[range.clone()],
            Piece::InPlace(blocks) => blocks,
        });
        let mut slices: Vec<IoSlice<'_>> = bytes.map(IoSlice::new).collect();
        let (mut at, mut left) = (self.at, &mut slices[..]);
        while !left.is_empty() {
            match rustix::io::pwritev(direct, &left[..left.len().min(PARTS)], at) {
                Ok(wrote) if wrote > 0 && wrote % BLOCK == 0 => {
                    at += wrote as u64;
                    IoSlice::advance_slices(&mut left, wrote);
                }
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(Errno::INTR) => {}
                Err(error) if at > self.at => return Err(io::Error::other(error)),
                Err(error) => return Err(error.into()),
            }
        }
        (self.at, self.filled, self.run) = (at, 0, 0);
        self.pieces.clear();
        Ok(())
    }
}

/// Whether the file system does not do this at all.
fn is_refusal(error: &io::Error) -> bool {
    [Errno::INVAL, Errno::OPNOTSUPP].map(Errno::raw_os_error).map(Some).contains(&error.raw_os_error())
}

impl VfsFile for DirectFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        self.write_parts_at(&[data], offset)
    }

    fn write_parts_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<usize> {
        let mut append = self.append.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        match append.write(parts, offset, &mut pages) {
            Some(written) => written.map(|()| parts.iter().map(|part| part.len()).sum()),
            None => {
                append.direct = None;
                self.file.write_parts_at(parts, offset)
            }
        }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

/// Most parts of one call of the system (`IOV_MAX`).
const PARTS: usize = 1024;

/// Writes parts through the cache, without putting them together.
pub(super) fn write_parts(fd: &OwnedFd, parts: &[&[u8]], offset: u64) -> io::Result<usize> {
    let slices: Vec<IoSlice<'_>> = parts.iter().take(PARTS).map(|part| IoSlice::new(part)).collect();
    Ok(rustix::io::pwritev(fd, &slices, offset)?)
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, IN_PLACE};
    use crate::vfs::DiskPage;
    use crate::vfs::disk::DiskVfs;
    use crate::vfs::{Open, Vfs, read_full, write_full, write_parts_full};

    const LEN: u64 = 8 << 20;

    /// Parts of all sizes, one behind the other, then something elsewhere, then parts again: read back by another handle
    /// after each write, as if all of it had gone through the cache.
    #[test]
    fn what_is_appended_past_the_cache_reads_like_any_other_file() {
        let dir = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
        let vfs = DiskVfs::open(&dir.path().join("j"), true).unwrap();
        for seed in 1..=10u64 {
            let path = format!("log-{seed}");
            vfs.open(&path, Open::Create).unwrap().allocate(LEN).unwrap();
            let (log, reader) = (vfs.open_log(&path).unwrap(), vfs.open(&path, Open::Read).unwrap());
            let mut wanted = vec![0; LEN as usize];
            let (mut end, mut state) = (0, seed);
            let mut below = |most: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) % most
            };
            while end < LEN as usize - (4 << 20) {
                let mut sizes: Vec<u64> = (0..1 + below(4)).map(|_| 1 << below(16)).collect();
                if below(20) == 0 {
                    // More than goes out at once.
                    sizes.push(3 << 20);
                }
                let mut parts: Vec<Vec<u8>> =
                    sizes.iter().map(|&size| vec![1 + below(255) as u8; below(size + 1) as usize]).collect();
                let mut aligned = DiskPage::new().unwrap();
                let mut in_place = None;
                if below(3) == 0 {
                    // One that can be written from where it is, if what comes before it ends with a block.
                    let len = IN_PLACE + below(200_000) as usize;
                    aligned.as_mut()[..len].fill(1 + below(255) as u8);
                    let before = end + parts.iter().map(Vec::len).sum::<usize>();
                    let lead = if below(4) == 0 { 100 } else { before.next_multiple_of(BLOCK) - before };
                    parts.push(vec![9; lead]);
                    in_place = Some(&aligned.as_ref()[..len]);
                }
                let mut parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                parts.extend(in_place);
                if below(2) == 0 {
                    parts.push(&[5; 200]);
                }
                write_parts_full(&*log, &parts, end as u64).unwrap();
                for part in &parts {
                    wanted[end..end + part.len()].copy_from_slice(part);
                    end += part.len();
                }
                if below(40) == 0 {
                    // As a footer: behind a gap, in the last block perhaps.
                    end = (end + 600).next_multiple_of(512);
                    write_full(&*log, &[7; 100], end as u64).unwrap();
                    wanted[end..end + 100].fill(7);
                    end += 100;
                }
                let mut read = vec![0; LEN as usize];
                assert_eq!(read_full(&*reader, &mut read, 0).unwrap(), LEN as usize, "seed {seed}");
                assert!(read == wanted, "seed {seed}, {end} bytes");
            }
            log.sync().unwrap();
            log.truncate(end as u64).unwrap();
            assert_eq!(reader.size().unwrap(), end as u64);
        }
    }
}
