//! Which segment files there are, and which of them count.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Findings, open_best};
use crate::error::Error;
use crate::format::cursor::CURSOR_SLOT;
use crate::format::segment::SegmentHeader;
use crate::format::{Chain, Key, PAGE, SegNo, Uuid};
use crate::names;
use crate::scan::Scan;
use crate::segment::{self, Opened, read};
use crate::slots::SlotFile;
use crate::vfs::{Open, Vfs, VfsFile};

/// Numbers that are tried for a segment which has lost both its ends.
const GUESSES: usize = 16;

/// A segment file that counts.
pub(super) struct File {
    pub path: String,
    pub no: SegNo,
    pub base_seq: u64,
    pub generation: u32,
    pub flags: u32,
    pub opened: Opened,
    pub handle: Arc<dyn VfsFile>,
}

/// The journal's id from a segment or cursor, for when both slots of both main files are gone.
pub(super) fn find_uuid(vfs: &dyn Vfs) -> Result<Option<Uuid>, Error> {
    for name in vfs.list(names::SEGMENTS).map_err(Error::io("list segments"))? {
        let file = vfs.open(&format!("{}/{name}", names::SEGMENTS), Open::Read);
        let page = file.ok().and_then(|file| read(&*file, 0, PAGE as usize));
        if let Some(header) = page.and_then(|page| SegmentHeader::decode(&page)) {
            return Ok(Some(header.uuid));
        }
    }
    for name in vfs.list(names::CURSORS).map_err(Error::io("list cursors"))? {
        let path = format!("{}/{name}", names::CURSORS);
        if let Ok((_, Some(slot))) = SlotFile::open(vfs, &path, CURSOR_SLOT, |_| true) {
            return Ok(Some(slot.uuid));
        }
    }
    Ok(None)
}

/// The segments of each chain, in order.
pub(super) fn collect(findings: &mut Findings) -> Result<[Vec<File>; 2], Error> {
    let vfs = Arc::clone(&findings.vfs);
    let mut found: BTreeMap<SegNo, File> = BTreeMap::new();
    let mut nameless = Vec::new();
    let mut names = vfs.list(names::SEGMENTS).map_err(Error::io("list segments"))?;
    names.sort();
    for name in names {
        let path = format!("{}/{name}", names::SEGMENTS);
        if path == names::SPARE {
            continue;
        }
        if names::parse_segment(&name).is_none() {
            // In the making when the process ended.
            findings.garbage.push((path, 0));
            continue;
        }
        let handle = open_best(&*vfs, &path).map_err(Error::io(path.clone()))?;
        let opened = segment::open(&*handle, &findings.uuid).map_err(Error::io(path.clone()))?;
        match opened.identity() {
            Some((no, base_seq, generation, flags)) => {
                let file = File { path, no, base_seq, generation, flags, opened, handle };
                settle(findings, &mut found, file);
            }
            None => nameless.push((name, path, opened, handle)),
        }
    }
    for (name, path, opened, handle) in nameless {
        let Some((base_seq, chain)) = names::parse_segment(&name) else { continue };
        match guess(findings, &found, chain, base_seq, &handle, opened.len) {
            Some(no) => {
                let file = File { path, no, base_seq, generation: 0, flags: 0, opened, handle };
                settle(findings, &mut found, file);
            }
            None => set_aside(findings, &path, 1),
        }
    }
    let mut chains = [Vec::new(), Vec::new()];
    for (no, file) in found {
        chains[no.chain() as usize].push(file);
    }
    Ok(chains)
}

/// Takes a file in, unless it was deleted or another generation of it wins.
fn settle(findings: &mut Findings, found: &mut BTreeMap<SegNo, File>, file: File) {
    if findings.meta.is_deleted(file.no) {
        // Its deletion did not reach the disk.
        findings.garbage.push((file.path, file.opened.len));
        return;
    }
    let Some(other) = found.remove(&file.no) else {
        found.insert(file.no, file);
        return;
    };
    let rank =
        |file: &File| (file.opened.is_complete(), file.generation, file.opened.contents.is_some(), file.base_seq);
    let (winner, loser) = if rank(&file) > rank(&other) { (file, other) } else { (other, file) };
    if loser.generation == winner.generation {
        set_aside(findings, &loser.path, 0);
    } else {
        findings.garbage.push((loser.path, loser.opened.len));
    }
    found.insert(winner.no, winner);
}

/// Moves a file that is of no use to quarantine.
fn set_aside(findings: &mut Findings, path: &str, ranges: u64) {
    let name = path.rsplit('/').next().unwrap_or(path);
    let to = format!("{}/ffffffff-{name}", names::QUARANTINE);
    let moved = findings.vfs.rename(path, &to);
    let _ = moved.and_then(|()| findings.vfs.sync_dir(names::QUARANTINE));
    let _ = findings.vfs.sync_dir(names::SEGMENTS);
    findings.lose(format!("{path} is not a segment of this journal"), Default::default(), ranges);
}

/// The number of a segment whose header and trailer are both damaged: the one that makes its records valid.
fn guess(
    findings: &Findings,
    found: &BTreeMap<SegNo, File>,
    chain: Chain,
    base_seq: u64,
    handle: &Arc<dyn VfsFile>,
    len: u64,
) -> Option<SegNo> {
    let of_chain = || found.values().filter(|file| file.no.chain() == chain);
    let before = of_chain().filter(|file| file.base_seq < base_seq).map(|file| file.no.ordinal()).max().unwrap_or(0);
    let newest = findings.meta.newest(chain).max(before) + 1;
    let behind = of_chain().filter(|file| file.base_seq > base_seq).map(|file| file.no.ordinal()).min();
    let free = |no: &SegNo| !found.contains_key(no) && !findings.meta.is_deleted(*no);
    let candidates = (before + 1..behind.unwrap_or(newest + 1)).map(|ordinal| SegNo::new(chain, ordinal)).filter(free);
    for no in candidates.take(GUESSES) {
        let key = Key::new(&findings.uuid, no);
        let mut scan = Scan::new(Arc::clone(handle), key, findings.config.bugs, PAGE, len).lenient();
        if scan.resync(PAGE, 0, u64::MAX).ok()?.is_some() {
            return Some(no);
        }
    }
    None
}
