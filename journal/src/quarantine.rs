//! Damaged ranges are kept for people to look at, within a bound; the oldest go first (delivery §3.8).

use std::io;

use crate::journal::Inner;
use crate::names;
use crate::observer::Event;
use crate::vfs::{Open, Vfs, VfsFile, read_full, write_full};

/// Copied at a time.
const CHUNK: usize = 64 << 10;

impl Inner {
    /// Copies a range. That it cannot be copied loses nothing more.
    pub(crate) fn quarantine(&self, path: &str, file: &dyn VfsFile, offset: u64, len: u64) {
        keep(&*self.vfs, path, file, offset, len, self.config.quarantine_bytes);
        self.observer.event(&Event::Damaged { segment: path.to_owned(), offset, len });
    }
}

/// Copies `len` bytes from `offset` of a file, as far as they can be read.
pub(crate) fn keep(vfs: &dyn Vfs, path: &str, file: &dyn VfsFile, offset: u64, len: u64, limit: u64) {
    let _ = copy(vfs, path, file, offset, len.min(limit), limit);
}

fn copy(vfs: &dyn Vfs, path: &str, file: &dyn VfsFile, offset: u64, len: u64, limit: u64) -> io::Result<()> {
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".log");
    let mut kept: Vec<(String, u64)> = Vec::new();
    for name in vfs.list(names::QUARANTINE)? {
        let path = format!("{}/{name}", names::QUARANTINE);
        let len = vfs.open(&path, Open::Read).and_then(|file| file.size()).unwrap_or(0);
        kept.push((path, len));
    }
    // Names begin with a rising number.
    kept.sort();
    let number = |path: &String| {
        let name = path.rsplit('/').next()?;
        u64::from_str_radix(name.get(..8)?, 16).ok()
    };
    let next = kept.iter().filter_map(|(path, _)| number(path)).max().map_or(0, |last| last + 1);
    let mut used: u64 = kept.iter().map(|(_, len)| len).sum();
    for (path, bytes) in kept {
        if used + len <= limit {
            break;
        }
        vfs.unlink(&path)?;
        used = used.saturating_sub(bytes);
    }
    let to = vfs.open(&format!("{}/{next:08x}-{stem}-{offset:x}.bin", names::QUARANTINE), Open::Create)?;
    let mut buf = vec![0; CHUNK];
    let mut done = 0;
    while done < len {
        let want = (len - done).min(CHUNK as u64) as usize;
        let read = read_full(file, &mut buf[..want], offset + done)?;
        if read == 0 {
            break;
        }
        write_full(&*to, &buf[..read], done)?;
        done += read as u64;
    }
    to.sync()?;
    vfs.sync_dir(names::QUARANTINE)
}
