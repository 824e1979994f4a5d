//! Rewriting a segment with only the records that somebody needs (delivery §3.10).

use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;
use crate::format::footer::Contents;
use crate::format::record::Kind;
use crate::format::segment::{COMPACTED, SegmentHeader};
use crate::format::{Chain, PAGE, SegNo};
use crate::group::{Outgoing, Place, barrier_size, encode};
use crate::journal::Inner;
use crate::keeper::Keeper;
use crate::names;
use crate::observer::Event;
use crate::reclaim::original_items;
use crate::route::RouteSet;
use crate::scan::Scan;
use crate::segment::{preallocate, seal};
use crate::state::{SegFile, Segment};
use crate::vfs::{Open, VfsFile, write_full, write_parts_full};
use crate::walk::{Rules, Seen, walk};

/// Fullness from which segments are rewritten, in percent.
const FULL: u64 = 75;
/// Most of a segment that may be needed for a rewrite to pay, in percent.
const NEEDED: u64 = 50;
/// Bytes written at a time.
const PART: u64 = 1 << 20;
/// In the making.
const COMPACT: &str = "seg/compact";

impl Inner {
    /// The chain whose segments are rewritten for room, if the journal or the disk is nearly full.
    pub(crate) fn tight_chain(&self) -> Option<Chain> {
        let full = Chain::BOTH.into_iter().find(|&chain| self.is_fuller_than(chain, FULL));
        full.or_else(|| self.lock().drain.space.then_some(Chain::Main))
    }

    /// Rewrites at most one segment, if there is little room.
    pub(crate) fn compact(&self, keeper: &mut Keeper) {
        let Some(chain) = self.tight_chain() else { return };
        let Some((no, backlog)) = self.sparsest(chain, keeper) else { return };
        if keeper.ballast && self.lock().drain.space && self.vfs.unlink(names::BALLAST).is_ok() {
            keeper.ballast = false;
        }
        match self.rewrite(no) {
            Ok(true) => {}
            Ok(false) => {
                keeper.rejected.insert(no, backlog);
            }
            Err(error) => {
                keeper.rejected.insert(no, backlog);
                let _ = self.vfs.unlink(COMPACT);
                self.observer.event(&Event::Trouble { what: "compaction".to_owned(), error: error.to_string() });
            }
        }
    }

    /// The sealed segment of which the smallest part is needed, and the backlog in it.
    fn sparsest(&self, chain: Chain, keeper: &Keeper) -> Option<(SegNo, u64)> {
        let state = self.lock();
        let mut best: Option<(u64, SegNo, u64)> = None;
        for segment in state.chains[chain as usize].iter().filter(|segment| !segment.active) {
            let no = segment.no();
            let pending = || state.dests.values().filter_map(|dest| dest.pending.get(&no)).map(|tally| tally.bytes);
            // Several destinations may need the same records: the largest part is the least that is needed.
            let (most, sum) = (pending().max().unwrap_or(0), pending().sum());
            let percent = most * 100 / (segment.contents.end - PAGE).max(1);
            let worth = percent <= NEEDED && segment.size > 4 * PAGE && keeper.rejected.get(&no) != Some(&sum);
            if most > 0 && worth && best.is_none_or(|(least, _, _)| percent < least) {
                best = Some((percent, no, sum));
            }
        }
        best.map(|(_, no, sum)| (no, sum))
    }

    /// `false` if it does not pay after all.
    fn rewrite(&self, no: SegNo) -> Result<bool, Error> {
        let Some((file, contents)) = self.lock().segment(no).map(|s| (Arc::clone(&s.file), s.contents.clone())) else {
            return Ok(false);
        };
        let failed = || Error::io(format!("rewrite {}", file.path));
        let handle = self.vfs.open(&file.path, Open::Read).map_err(failed())?;
        let mut scan = Scan::new(handle, file.key(), self.config.bugs, PAGE, contents.end);
        let routes = |id| contents.routes.get(&id).copied();
        let rules = Rules {
            limit: u64::MAX,
            failed: (0, 0),
            holes: &contents.holes,
            verify: true,
            routes: &routes,
            sealed: true,
        };
        let walked = walk(&mut scan, contents.end, &rules).map_err(failed())?;
        if !walked.damage.is_empty() {
            self.audit(no, false)?;
            return Ok(false);
        }
        let needed: Vec<(Seen, RouteSet)> = {
            let state = self.lock();
            let with_routes =
                walked.records.iter().map(|seen| (*seen, state.resolve(&contents, seen.header.route_set)));
            let is_needed = |(seen, set): &(Seen, RouteSet)| {
                let pending = |dest| state.dests.get(&dest).is_some_and(|dest| !dest.is_done(seen.header.seq));
                set.iter().any(|dest| pending(dest.0))
            };
            with_routes.filter(is_needed).collect()
        };
        let bytes: u64 = needed.iter().map(|(seen, _)| seen.header.size()).sum();
        if needed.is_empty() || bytes * 100 > (contents.end - PAGE) * NEEDED {
            return Ok(false);
        }
        let own = self.lock().segment(no).map(original_items).unwrap_or_default();
        let header = SegmentHeader {
            flags: file.header.flags | COMPACTED,
            generation: file.header.generation + 1,
            own,
            ..file.header.clone()
        };
        let (rewritten, size) = self.write_compacted(&header, &needed, &mut scan, &contents)?;
        // The records left out are done according to memory; a crash must not bring back a cursor that wants them.
        if !self.save_cursors(self.survive_deletion()) {
            let _ = self.vfs.unlink(COMPACT);
            return Ok(false);
        }
        let path = names::segment(no, header.base_seq, header.generation);
        self.vfs.rename(COMPACT, &path).map_err(failed())?;
        self.vfs.sync_dir(names::SEGMENTS).map_err(failed())?;
        let mut state = self.lock();
        state.stats.compactions += 1;
        if let Some(segment) = state.segment_mut(no) {
            let old = std::mem::replace(
                segment,
                Segment { file: Arc::new(SegFile { header, path }), contents: rewritten, active: false, size },
            );
            state.garbage.push((old.file.path.clone(), old.size));
        }
        drop(state);
        self.unlink_garbage();
        Ok(true)
    }

    fn write_compacted(
        &self,
        header: &SegmentHeader,
        needed: &[(Seen, RouteSet)],
        scan: &mut Scan,
        old: &Contents,
    ) -> Result<(Contents, u64), Error> {
        let failed = || Error::io(format!("write {COMPACT}"));
        let bytes: u64 = needed.iter().map(|(seen, _)| seen.header.size()).sum();
        let room =
            bytes + old.footer_room(0) + 4 * PAGE + bytes / PART * barrier_size(0) + barrier_size(old.routes.len());
        let handle: Arc<dyn VfsFile> =
            preallocate(&*self.vfs, COMPACT, (PAGE + room).next_multiple_of(PAGE)).map_err(failed())?;
        write_full(&*handle, &header.encode(), 0).map_err(failed())?;
        let key = crate::format::Key::new(&header.uuid, header.no);
        let (mut contents, mut prev_crc) = (Contents::empty(PAGE), 0);
        let mut rest = needed;
        while !rest.is_empty() {
            let mut size = 0;
            let fits = rest.iter().take_while(|(seen, _)| {
                size += seen.header.size();
                size <= PART
            });
            let (part, behind) = rest.split_at(fits.count().max(1));
            rest = behind;
            let mut records = Vec::with_capacity(part.len());
            for (seen, set) in part {
                let copied = scan.contents(seen.offset, &seen.header).map_err(failed())?.map(Bytes::copy_from_slice);
                let copied = copied.ok_or_else(|| failed()(std::io::ErrorKind::InvalidData.into()))?;
                records.push(Outgoing::copied(seen.header, *set, copied));
            }
            let mut routes: Vec<(u32, RouteSet)> =
                part.iter().map(|(seen, set)| (seen.header.route_set, *set)).collect();
            routes.sort_unstable();
            routes.dedup_by_key(|(id, _)| *id);
            routes.retain(|(id, _)| !contents.routes.contains_key(id));
            let place =
                Place { key, offset: contents.end, prev_crc, items: contents.items(), routes, page_from: usize::MAX };
            let encoded = encode(&records, place, Vec::new());
            write_parts_full(&*handle, &encoded.parts(), contents.end).map_err(failed())?;
            prev_crc = encoded.last_crc;
            for (index, (offset, header)) in encoded.headers.iter().enumerate() {
                let set = part.get(index).map_or(RouteSet::EMPTY, |(_, set)| *set);
                contents.add(*offset, header, if header.kind == Kind::Data { set } else { RouteSet::EMPTY });
            }
        }
        // It stands for all that the segment ever was, so the next segment's base still bounds it.
        contents.last_seq = contents.last_seq.max(old.last_seq);
        let size = seal(&*handle, header, &contents).map_err(failed())?;
        Ok((contents, size))
    }
}
