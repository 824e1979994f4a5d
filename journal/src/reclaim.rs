//! Deleting segments that nobody needs (delivery §3.6): cursors are on disk first, then `META`, then the name goes.

use std::collections::BTreeSet;

use crate::bugs::Bug;
use crate::cursors::Survive;
use crate::format::meta::Meta;
use crate::format::segment::COMPACTED;
use crate::format::{Chain, PAGE, SegNo};
use crate::journal::{Inner, lock};
use crate::names;
use crate::observer::Event;
use crate::state::{Segment, State};
use crate::tally::{Items, SIGNALS};
use crate::vfs::{Open, write_full};

impl State {
    /// Whether a destination still needs a record of the segment.
    pub(crate) fn is_needed(&self, no: SegNo) -> bool {
        self.dests.values().any(|dest| dest.pending.contains_key(&no))
    }
}

/// Items that a segment had when it was first sealed.
pub(crate) fn original_items(segment: &Segment) -> Items {
    let header = &segment.file.header;
    if header.flags & COMPACTED == 0 { segment.contents.original_items() } else { header.own }
}

/// Notes the numbers next to a deleted segment which nothing came of: what was before them and what is behind them tell how much
/// there was in between only if all of them are known to be gone.
fn note_unused(meta: &mut Meta, deleted: SegNo, made: &BTreeSet<SegNo>) {
    let of_chain = |no: &SegNo| no.chain() == deleted.chain();
    let is_unused = |no: &SegNo| !made.contains(no) && !meta.is_deleted(*no);
    let before = (1..deleted.ordinal()).rev().map(|ordinal| SegNo::new(deleted.chain(), ordinal)).take_while(is_unused);
    let next = made.range(deleted..).nth(1).filter(|no| of_chain(no)).map_or(0, |no| no.ordinal());
    let behind =
        (deleted.ordinal() + 1..next).map(|ordinal| SegNo::new(deleted.chain(), ordinal)).take_while(is_unused);
    let unused: Vec<SegNo> = before.chain(behind).collect();
    // They touch what was deleted, so there is room for them.
    unused.iter().for_each(|no| _ = meta.delete(*no, &[0; SIGNALS]));
}

impl Inner {
    /// Deletes what can be deleted.
    pub(crate) fn reclaim(&self) {
        let (unneeded, made): (Vec<(SegNo, Items)>, BTreeSet<SegNo>) = {
            let state = self.lock();
            let sealed = state.segments().filter(|segment| !segment.active);
            let unneeded = sealed.filter(|segment| !state.is_needed(segment.no()));
            let unneeded = unneeded.map(|segment| (segment.no(), original_items(segment))).collect();
            (unneeded, state.segments().map(Segment::no).collect())
        };
        let mut full = Vec::new();
        if !unneeded.is_empty() {
            if !self.save_cursors(self.survive_deletion()) {
                return;
            }
            let mut deleted = Vec::new();
            let noted = self.update_meta(|meta| {
                deleted.extend(unneeded.iter().filter(|(no, items)| meta.delete(*no, items)).map(|(no, _)| *no));
                deleted.iter().for_each(|no| note_unused(meta, *no, &made));
                !deleted.is_empty()
            });
            if noted {
                let mut state = self.lock();
                for no in deleted {
                    let chain = &mut state.chains[no.chain() as usize];
                    let Ok(index) = chain.binary_search_by_key(&no, Segment::no) else { continue };
                    let segment = chain.remove(index);
                    if segment.size > self.config.segment_size / 2 {
                        full.push(segment.file.path.clone());
                    }
                    state.garbage.push((segment.file.path.clone(), segment.size));
                    state.stats.reclaimed += 1;
                }
            }
        }
        self.dispose_of_garbage(&full);
    }

    /// What cursors must survive before a record goes that they have passed.
    pub(crate) fn survive_deletion(&self) -> Survive {
        if self.config.bugs.has(Bug::UnlinkBeforeCursorSync) { Survive::Kill } else { Survive::PowerCut }
    }

    /// Unlinks files that are not part of the journal any more. What fails is tried again.
    pub(crate) fn unlink_garbage(&self) {
        self.dispose_of_garbage(&[]);
    }

    /// The same, but one of the files in `full` becomes the spare segment if there is none: its blocks have been written
    /// before, so that a sync has no extents to convert.
    fn dispose_of_garbage(&self, full: &[String]) {
        let garbage = self.lock().garbage.clone();
        if garbage.is_empty() {
            return;
        }
        // Nor may the slot of `META` be that calls them garbage.
        if lock(&self.meta).file.settle(&*self.vfs).is_err() {
            return;
        }
        if !self.lock().names_settled {
            // A name that only the kernel remembers must not be the reason to delete another.
            if self.vfs.sync_dir(names::SEGMENTS).is_err() {
                return;
            }
            self.lock().names_settled = true;
        }
        let mut gone = Vec::new();
        for (path, _) in garbage {
            if full.contains(&path) && self.make_spare(&path) {
                gone.push(path);
                continue;
            }
            match self.vfs.unlink(&path) {
                Ok(()) => gone.push(path),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => gone.push(path),
                Err(error) => {
                    self.observer.event(&Event::Trouble { what: format!("unlink {path}"), error: error.to_string() });
                }
            }
        }
        // A name that comes back after a crash is recognised by `META`.
        let _ = self.vfs.sync_dir(names::SEGMENTS);
        self.lock().garbage.retain(|(path, _)| !gone.contains(path));
        self.observer.released();
    }

    /// Turns a deleted segment into the spare one, if there is none. `false` if its name is still there.
    ///
    /// Old records stay in it. Their headers are bound to the old number, which is given out only once.
    fn make_spare(&self, path: &str) -> bool {
        let wanted = {
            let state = self.lock();
            state.lacks_spare() && !state.drain.is_on() && state.has_room(&self.config, Chain::Main, 0)
        };
        if !wanted || self.vfs.rename(path, names::SPARE).is_err() {
            return false;
        }
        // Durable before anything in it changes: under its old name it would be a damaged segment.
        let blank = self.vfs.sync_dir(names::SEGMENTS).and_then(|()| {
            let file = self.vfs.open(names::SPARE, Open::Write)?;
            write_full(&*file, &[0; PAGE as usize], 0)?;
            // The trailer is in the last page.
            file.truncate(file.size()?.saturating_sub(PAGE))?;
            file.allocate(self.config.segment_size)?;
            file.sync()
        });
        match blank {
            Ok(()) => self.lock().spare = true,
            // Another is made in its place.
            Err(_) => _ = self.vfs.unlink(names::SPARE),
        }
        true
    }

    /// Whether a chain is fuller than this, in percent.
    pub(crate) fn is_fuller_than(&self, chain: Chain, percent: u64) -> bool {
        self.lock().used(chain) * 100 > self.config.capacity(chain) * percent
    }
}
