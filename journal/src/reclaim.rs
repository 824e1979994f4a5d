//! Deleting segments that nobody needs (delivery §3.6): cursors are on disk first, then `META`, then the name goes.

use crate::bugs::Bug;
use crate::format::segment::COMPACTED;
use crate::format::{Chain, SegNo};
use crate::journal::Inner;
use crate::names;
use crate::observer::Event;
use crate::state::{Segment, State};
use crate::tally::Items;

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

impl Inner {
    /// Deletes what can be deleted.
    pub(crate) fn reclaim(&self) {
        let unneeded: Vec<(SegNo, Items)> = {
            let state = self.lock();
            let sealed = state.segments().filter(|segment| !segment.active);
            let unneeded = sealed.filter(|segment| !state.is_needed(segment.no()));
            unneeded.map(|segment| (segment.no(), original_items(segment))).collect()
        };
        if !unneeded.is_empty() {
            let early = self.config.bugs.has(Bug::UnlinkBeforeCursorSync);
            if !early && !self.save_cursors(false) {
                return;
            }
            let mut deleted = Vec::new();
            let noted = self.update_meta(|meta| {
                deleted.extend(unneeded.iter().filter(|(no, items)| meta.delete(*no, items)).map(|(no, _)| *no));
                !deleted.is_empty()
            });
            if noted {
                let mut state = self.lock();
                for no in deleted {
                    let chain = &mut state.chains[no.chain() as usize];
                    let Ok(index) = chain.binary_search_by_key(&no, Segment::no) else { continue };
                    let segment = chain.remove(index);
                    state.garbage.push((segment.file.path.clone(), segment.size));
                    state.stats.reclaimed += 1;
                }
            }
        }
        self.unlink_garbage();
    }

    /// Unlinks files that are not part of the journal any more. What fails is tried again.
    pub(crate) fn unlink_garbage(&self) {
        let garbage = self.lock().garbage.clone();
        if garbage.is_empty() {
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

    /// Whether a chain is fuller than this, in percent.
    pub(crate) fn is_fuller_than(&self, chain: Chain, percent: u64) -> bool {
        self.lock().used(chain) * 100 > self.config.capacity(chain) * percent
    }
}
