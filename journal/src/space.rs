//! Watching the disk (delivery §3.9): refusing in time, and taking appends again when it is safe.

use crate::format::{Chain, PAGE};
use crate::journal::Inner;
use crate::keeper::Keeper;
use crate::names;
use crate::observer::Event;
use crate::segment::preallocate;
use crate::vfs::{Open, Vfs, VfsFile, read_full};

/// The share of the file system that stays free, 5 %, is never asked to be more than this.
const MOST_FREE: u64 = 1 << 30;

impl Inner {
    /// Looks at the free space; enters and leaves the draining state; keeps spare segment and ballast.
    pub(crate) fn watch_space(&self, keeper: &mut Keeper) {
        let Ok(space) = self.vfs.space() else { return };
        let segment = self.config.segment_size;
        let threshold = (2 * segment).max((space.total / 20).min(MOST_FREE));
        let (before, garbage) = {
            let mut state = self.lock();
            state.stats.free_bytes = space.free;
            let before = state.drain;
            if space.free < threshold {
                state.drain.space = true;
            }
            (before, !state.garbage.is_empty())
        };
        if garbage {
            self.unlink_garbage();
        }
        if space.free < threshold {
            if !before.is_on() {
                self.observer.event(&Event::DrainOnly { cause: "no space" });
            }
            return;
        }
        if before.is_on() && space.free >= threshold + segment && self.update_meta(|_| true) {
            // Something could be written and synced.
            self.lock().drain = Default::default();
            self.observer.event(&Event::Resumed);
            self.observer.released();
        }
        if self.lock().drain.is_on() {
            return;
        }
        if !keeper.ballast && self.config.ballast > 0 && space.free >= threshold + self.config.ballast + segment {
            keeper.ballast = make(&*self.vfs, names::BALLAST, self.config.ballast);
        }
        let wanted = self.lock().lacks_spare() && space.free >= threshold + segment;
        if wanted && self.lock().has_room(&self.config, Chain::Main, 0) && make(&*self.vfs, names::SPARE, segment) {
            self.lock().spare = true;
        }
    }
}

/// A preallocated file that is there or not: it need not survive.
fn make(vfs: &dyn Vfs, path: &str, size: u64) -> bool {
    preallocate(vfs, path, size).and_then(|file| file.sync()).is_ok()
}

/// Whether a spare segment of the right size is left from before, in which nothing reads like a segment.
pub(crate) fn is_blank(vfs: &dyn Vfs, path: &str, size: u64) -> bool {
    let is_zero = |file: &dyn VfsFile, offset| {
        let mut page = vec![0; PAGE as usize];
        read_full(file, &mut page, offset).is_ok_and(|read| read == page.len()) && page.iter().all(|&byte| byte == 0)
    };
    is_ready(vfs, path, size)
        && vfs.open(path, Open::Read).is_ok_and(|file| is_zero(&*file, 0) && is_zero(&*file, size - PAGE))
}

/// Whether a preallocated file of the right size is left from before.
pub(crate) fn is_ready(vfs: &dyn Vfs, path: &str, size: u64) -> bool {
    vfs.open(path, Open::Write).and_then(|file| file.size()).is_ok_and(|len| len == size)
}
