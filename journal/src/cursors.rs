//! Saving cursors; destinations that come and go (delivery §3.6).

use std::collections::BTreeSet;

use crate::bugs::Bug;
use crate::clock::Stamp;
use crate::config::DestSpec;
use crate::dest::Destination;
use crate::error::Error;
use crate::format::cursor::{CURSOR_SLOT, CursorState};
use crate::journal::{Inner, Journal};
use crate::names;
use crate::observer::Event;
use crate::route::Dest;
use crate::slots::SlotFile;

/// Most destinations at a time.
const DESTINATIONS: usize = 256;

/// What a cursor is to survive once it is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Survive {
    /// The end of the process.
    Kill,
    /// The end of power: it is synced.
    PowerCut,
}

impl Inner {
    /// Writes the cursors that would not survive this. `false` if one could not be written.
    pub(crate) fn save_cursors(&self, survive: Survive) -> bool {
        self.save_those(survive, |dest| dest.unsaved > 0 || (survive == Survive::PowerCut && dest.unsynced))
    }

    /// Writes and syncs all cursors. `false` if one could not be written.
    pub(crate) fn save_all_cursors(&self) -> bool {
        self.save_those(Survive::PowerCut, |_| true)
    }

    fn save_those(&self, survive: Survive, which: impl Fn(&Destination) -> bool) -> bool {
        let those: Vec<Dest> = self.lock().dests.values().filter(|dest| which(dest)).map(|dest| dest.index).collect();
        let failed = those.into_iter().filter(|dest| self.save_cursor(*dest, survive).is_err()).count();
        failed == 0
    }

    /// Writes one cursor.
    pub(crate) fn save_cursor(&self, dest: Dest, survive: Survive) -> Result<(), Error> {
        if self.is_released() {
            return Err(Error::Closed);
        }
        let mut files = self.lock_cursors();
        let Some(file) = files.get_mut(&dest.0) else { return Ok(()) };
        let (slot, unsaved, name) = {
            let state = self.lock();
            let Some(destination) = state.dests.get(&dest.0) else { return Ok(()) };
            let mut slot = destination.state(state.proven);
            if self.config.bugs.has(Bug::CursorPassesUndelivered) {
                slot.committed = destination.read_from - 1;
            }
            (slot, destination.unsaved, destination.spec.name.clone())
        };
        let result = match survive {
            Survive::Kill => file.write_unsynced(&*self.vfs, &self.uuid, &slot.encode(), self.config.bugs),
            Survive::PowerCut => file.write(&*self.vfs, &self.uuid, &slot.encode()),
        };
        let mut state = self.lock();
        match result {
            Ok(()) => {
                if let Some(destination) = state.dests.get_mut(&dest.0) {
                    destination.unsaved = destination.unsaved.saturating_sub(unsaved);
                    destination.unsynced = survive == Survive::Kill;
                }
                Ok(())
            }
            Err(error) => {
                state.stats.cursor_errors += 1;
                drop(state);
                self.observer.event(&Event::CursorError { name, error: error.to_string() });
                Err(Error::io("write a cursor")(error))
            }
        }
    }

    /// Deletes the cursors of retired destinations that no segment refers to any more; their indexes are free then.
    pub(crate) fn forget_retired(&self, now: &Stamp) {
        let gone: Vec<(Dest, String)> = {
            let state = self.lock();
            let over = |since: &Stamp| now.since(since) >= self.config.detach_grace;
            let retired = state.dests.values().filter(|dest| dest.detached.as_ref().is_some_and(over));
            let unused = retired.filter(|dest| dest.backlog.records == 0 && !state.refers_to(dest.index));
            unused.map(|dest| (dest.index, dest.spec.name.clone())).collect()
        };
        for (dest, name) in gone {
            let mut files = self.lock_cursors();
            self.lock().routes.names.remove(&dest.0);
            if self.save_routes().is_err() {
                self.lock().routes.names.insert(dest.0, name);
                continue;
            }
            files.remove(&dest.0);
            self.lock().dests.remove(&dest.0);
            drop(files);
            // A file that comes back is the cursor of an unknown destination, which starts at nothing it needs.
            let _ = self.vfs.unlink(&names::cursor(&name)).and_then(|()| self.vfs.sync_dir(names::CURSORS));
        }
    }

    /// Makes a cursor for a destination that was not known, starting behind everything that is there.
    fn attach_new(&self, spec: &DestSpec) -> Result<(), Error> {
        let index = {
            let state = self.lock();
            let free = (0..=u8::MAX).find(|index| !state.dests.contains_key(index) && !state.refers_to(Dest(*index)));
            free.ok_or_else(|| Error::Config(format!("more than {DESTINATIONS} exporters and stages")))?
        };
        // The last sequence given out: nothing that is being written now is for this destination.
        let (last, durable) = {
            let state = self.lock();
            (state.next_seq - 1, state.proven)
        };
        let state = CursorState { index, committed: last, durable, ..CursorState::default() };
        let path = names::cursor(&spec.name);
        let _ = self.vfs.unlink(&path);
        let mut file = SlotFile::create(&*self.vfs, &path, CURSOR_SLOT).map_err(Error::io("create a cursor"))?;
        file.write(&*self.vfs, &self.uuid, &state.encode()).map_err(Error::io("write a cursor"))?;
        self.vfs.sync_dir(names::CURSORS).map_err(Error::io("create a cursor"))?;
        let mut files = self.lock_cursors();
        self.lock().routes.names.insert(index, spec.name.clone());
        if let Err(error) = self.save_routes() {
            self.lock().routes.names.remove(&index);
            return Err(error);
        }
        files.insert(index, file);
        self.lock().dests.insert(index, Destination::new(Dest(index), spec.clone(), last));
        Ok(())
    }
}

impl crate::state::State {
    /// Whether any record names this destination.
    pub(crate) fn refers_to(&self, dest: Dest) -> bool {
        self.segments().any(|segment| segment.contents.routes.values().any(|set| set.contains(dest)))
    }
}

impl Journal {
    /// Sets the destinations. One of a known name keeps its backlog; a new one starts behind everything that is there; one
    /// that is gone is detached, and retired after the time of grace.
    ///
    /// # Errors
    /// Too many destinations, two of one name, a cursor that cannot be made. What was attached before the error stays so.
    pub fn configure(&self, specs: &[DestSpec]) -> Result<(), Error> {
        let mut names = BTreeSet::new();
        for spec in specs {
            spec.validate()?;
            if !names.insert(spec.name.as_str()) {
                return Err(Error::Config(format!("two destinations named `{}`", spec.name)));
            }
        }
        let inner = &self.0;
        for spec in specs {
            let known = {
                let mut state = inner.lock();
                state.dests.values_mut().find(|dest| dest.spec.name == spec.name).map(|dest| {
                    dest.spec = spec.clone();
                    dest.unsaved += u64::from(dest.detached.take().is_some());
                })
            };
            if known.is_none() {
                inner.attach_new(spec)?;
            }
        }
        let now = inner.clock.now();
        for dest in inner.lock().dests.values_mut() {
            if !names.contains(dest.spec.name.as_str()) && dest.detached.is_none() {
                dest.detached = Some(now);
                dest.rewind();
                dest.unsaved += 1;
            }
        }
        inner.save_cursors(Survive::PowerCut);
        Ok(())
    }
}
