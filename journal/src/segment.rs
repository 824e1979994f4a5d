//! Segment files: making one, sealing it, opening what is there (delivery §3.2).

use std::io;
use std::sync::Arc;

use crate::bugs::{Bug, Bugs};
use crate::format::footer::Contents;
use crate::format::segment::{COMPACTED, SegmentHeader, TRAILER, Trailer};
use crate::format::{PAGE, SegNo, Uuid};
use crate::names;
use crate::scan::PATIENCE;
use crate::state::SegFile;
use crate::vfs::{Open, Vfs, VfsFile, read_full, write_full};

/// Makes a segment durable under its name: contents first, then the directory. `spare` uses the preallocated file.
pub(crate) fn create(
    vfs: &dyn Vfs,
    header: SegmentHeader,
    size: u64,
    spare: bool,
    bugs: Bugs,
) -> io::Result<(Arc<dyn VfsFile>, SegFile)> {
    let path = names::segment(header.no, header.base_seq, header.generation);
    let from = if spare {
        names::SPARE
    } else {
        preallocate(vfs, names::FRESH, size)?;
        names::FRESH
    };
    let handle = vfs.open_log(from)?;
    write_full(&*handle, &header.encode(), 0)?;
    handle.sync()?;
    vfs.rename(from, &path)?;
    if !bugs.has(Bug::NoDirectorySync) {
        vfs.sync_dir(names::SEGMENTS)?;
    }
    Ok((handle, SegFile { header, path }))
}

/// A file of this size, with blocks behind it and zeros in it.
pub(crate) fn preallocate(vfs: &dyn Vfs, path: &str, size: u64) -> io::Result<Arc<dyn VfsFile>> {
    let handle = match vfs.open(path, Open::Create) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Left over: what is in it is not to be trusted.
            vfs.unlink(path)?;
            vfs.open(path, Open::Create)?
        }
        opened => opened?,
    };
    if let Err(error) = handle.allocate(size) {
        let _ = vfs.unlink(path);
        return Err(error);
    }
    Ok(handle)
}

/// Writes footer and trailer, cuts the file behind them, and syncs. Gives the size on disk.
pub(crate) fn seal(handle: &dyn VfsFile, header: &SegmentHeader, contents: &Contents) -> io::Result<u64> {
    let footer = contents.encode(&header.uuid, header.no);
    let footer_offset = contents.end.next_multiple_of(PAGE.min(512));
    let trailer_offset = (footer_offset + footer.len() as u64).next_multiple_of(PAGE);
    let trailer = Trailer {
        no: header.no,
        base_seq: header.base_seq,
        generation: header.generation,
        flags: header.flags,
        footer_offset,
        footer_len: u32::try_from(footer.len()).unwrap_or(u32::MAX),
    };
    let mut page = trailer.encode(&header.uuid);
    page.resize(PAGE as usize, 0);
    write_full(handle, &footer, footer_offset)?;
    write_full(handle, &page, trailer_offset)?;
    let size = trailer_offset + PAGE;
    handle.truncate(size)?;
    handle.sync()?;
    Ok(size)
}

/// Seals what a process before this one wrote. Records from an offset on may be nothing but memory of the kernel, if a sync
/// failed before that process ended: they are written once more, and durable before a footer says so.
pub(crate) fn settle(file: &dyn VfsFile, from: u64, header: &SegmentHeader, contents: &Contents) -> io::Result<u64> {
    let mut buf = vec![0; REWRITE.min((contents.end - from) as usize)];
    let mut at = from;
    while at < contents.end {
        let want = buf.len().min((contents.end - at) as usize);
        let read = read_full(file, &mut buf[..want], at)?;
        if read == 0 {
            break;
        }
        write_full(file, &buf[..read], at)?;
        at += read as u64;
    }
    if from < contents.end {
        file.sync()?;
    }
    seal(file, header, contents)
}

/// Written again at a time.
const REWRITE: usize = 1 << 20;

/// What a segment file says about itself.
pub(crate) struct Opened {
    pub header: Option<SegmentHeader>,
    pub trailer: Option<Trailer>,
    /// Of a sealed segment.
    pub contents: Option<Contents>,
    pub len: u64,
}

impl Opened {
    /// Number, first sequence, generation and flags, from whichever end of the file is intact.
    pub(crate) fn identity(&self) -> Option<(SegNo, u64, u32, u32)> {
        let header = self.header.as_ref().map(|h| (h.no, h.base_seq, h.generation, h.flags));
        header.or_else(|| self.trailer.map(|t| (t.no, t.base_seq, t.generation, t.flags)))
    }

    /// A rewrite that was not finished is worth nothing.
    pub(crate) fn is_complete(&self) -> bool {
        self.identity().is_some_and(|(_, _, _, flags)| flags & COMPACTED == 0 || self.contents.is_some())
    }
}

/// Reads header, trailer and footer, as far as they are intact.
pub(crate) fn open(file: &dyn VfsFile, uuid: &Uuid) -> io::Result<Opened> {
    let len = file.size()?;
    let header = read(file, 0, PAGE as usize).and_then(|page| SegmentHeader::decode(&page));
    let header = header.filter(|header| header.uuid == *uuid);
    let trailer = len
        .checked_sub(PAGE)
        .filter(|offset| offset % PAGE == 0)
        .and_then(|offset| read(file, offset, TRAILER))
        .and_then(|bytes| Trailer::decode(&bytes, uuid))
        .filter(|trailer| header.as_ref().is_none_or(|header| header.no == trailer.no));
    let contents = trailer.and_then(|trailer| {
        let behind = trailer.footer_offset.checked_add(u64::from(trailer.footer_len))?;
        let footer = (behind <= len).then(|| read(file, trailer.footer_offset, trailer.footer_len as usize))??;
        let contents = Contents::decode(&footer, uuid, trailer.no)?;
        (contents.end <= trailer.footer_offset).then_some(contents)
    });
    Ok(Opened { header, trailer, contents, len })
}

/// Exactly `len` bytes, with some patience for errors.
pub(crate) fn read(file: &dyn VfsFile, offset: u64, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    (0..PATIENCE).find_map(|_| read_full(file, &mut bytes, offset).ok().filter(|&read| read == len))?;
    Some(bytes)
}
