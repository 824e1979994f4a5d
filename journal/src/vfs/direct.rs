//! A file that is appended to past the page cache (`O_DIRECT`).
//!
//! Through the cache, each fresh block of a segment costs a page, its buffers, and later the giving back of both: more than the
//! write itself. Whole blocks go to the disk instead. The last one is filled up with zeros, which are in the file anyway, and
//! written again with what follows; the bytes that it had before are the same in both versions, so a torn write cannot hurt
//! them. Everything else (reading, writing elsewhere, a file system that does not know the flag) goes through the cache.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;

use super::VfsFile;
use super::disk::DiskFile;
use super::pages::Pages;

/// What addresses, lengths and offsets are multiples of: no disk wants more.
const BLOCK: usize = 4096;

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

impl Append {
    /// Writes whole blocks. `None` if that is not possible here: nothing was written then.
    fn write(&mut self, parts: &[&[u8]], offset: u64, pages: &mut Pages) -> Option<io::Result<()>> {
        let direct = self.direct.as_ref().filter(|_| offset == self.end)?;
        let buffer = pages.get()?;
        let start = self.end - self.tail.len() as u64;
        let (mut at, mut filled) = (start, self.tail.len());
        buffer[..filled].copy_from_slice(&self.tail);
        let mut len = 0;
        for part in parts {
            len += part.len() as u64;
            let mut rest = *part;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(buffer.len() - filled));
                buffer[filled..filled + now.len()].copy_from_slice(now);
                filled += now.len();
                rest = later;
                if filled == buffer.len() {
                    match write_blocks(direct, buffer, at) {
                        Err(error) if at == start && is_refusal(&error) => return None,
                        Err(error) => return Some(Err(error)),
                        Ok(()) => {}
                    }
                    at += buffer.len() as u64;
                    filled = 0;
                }
            }
        }
        let blocks = filled.next_multiple_of(BLOCK);
        buffer[filled..blocks].fill(0);
        match write_blocks(direct, &buffer[..blocks], at) {
            Err(error) if at == start && is_refusal(&error) => return None,
            Err(error) => return Some(Err(error)),
            Ok(()) => {}
        }
        self.end += len;
        self.tail.clear();
        self.tail.extend_from_slice(&buffer[filled - filled % BLOCK..filled]);
        Some(Ok(()))
    }
}

/// Whether the file system does not do this at all.
fn is_refusal(error: &io::Error) -> bool {
    [Errno::INVAL, Errno::OPNOTSUPP].map(Errno::raw_os_error).map(Some).contains(&error.raw_os_error())
}

/// Writes whole blocks, all of them. A refusal that comes after some were written is none.
fn write_blocks(direct: &OwnedFd, blocks: &[u8], mut at: u64) -> io::Result<()> {
    let mut left = blocks;
    while !left.is_empty() {
        match rustix::io::pwrite(direct, left, at) {
            Ok(wrote) if wrote > 0 && wrote % BLOCK == 0 => {
                at += wrote as u64;
                left = &left[wrote..];
            }
            Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
            Err(Errno::INTR) => {}
            Err(error) if left.len() < blocks.len() => return Err(io::Error::other(error)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
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
                let parts: Vec<Vec<u8>> =
                    sizes.iter().map(|&size| vec![1 + below(255) as u8; below(size + 1) as usize]).collect();
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                write_parts_full(&*log, &parts, end as u64).unwrap();
                for part in parts {
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
