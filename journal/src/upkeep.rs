//! Waking the upkeep thread: it sleeps until cursors have to be saved, unless there is something to do before.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where the upkeep thread waits.
#[derive(Default)]
pub(crate) struct Upkeep {
    asked: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Default)]
struct Asked {
    /// A turn is due.
    now: bool,
    ended: bool,
}

impl Upkeep {
    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn is due: completions should be saved, or a segment can go.
    pub(crate) fn ask(&self) {
        if !std::mem::replace(&mut self.lock().now, true) {
            self.changed.notify_one();
        }
    }

    /// No turn is taken any more.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits until a turn is due, at most this long. `false` once no turn is to be taken.
    pub(crate) fn wait(&self, most: Duration) -> bool {
        let idle = |asked: &mut Asked| !asked.now && !asked.ended;
        let (mut asked, _) =
            self.changed.wait_timeout_while(self.lock(), most, idle).unwrap_or_else(PoisonError::into_inner);
        asked.now = false;
        !asked.ended
    }
}
