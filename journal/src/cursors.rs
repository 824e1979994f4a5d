//! Saving cursors; destinations that come and go (delivery §3.6).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::bugs::{Bug, Bugs};
use crate::clock::Stamp;
use crate::config::DestSpec;
use crate::dest::Destination;
use crate::error::Error;
use crate::format::cursor::{CURSOR_SLOT, CursorState};
use crate::group::{Carried, Outgoing};
use crate::journal::{Inner, Journal};
use crate::keeper::SAVE_AFTER;
use crate::names;
use crate::observer::Event;
use crate::route::Dest;
use crate::slots::SlotFile;

/// Most destinations at a time.
const DESTINATIONS: usize = 256;
/// Commit groups carry cursors this long after they were last on disk: before they would be due.
const CARRY_EVERY: Duration = Duration::from_millis(50);
/// And after so many completions.
const CARRY_AFTER: u64 = SAVE_AFTER / 2;

/// Which cursors are written into their slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that nothing on disk knows.
    Unsaved,
    /// Those, and those that only a commit group knows.
    Old,
    All,
}

impl Inner {
    /// Adds the cursors that have moved to a commit group that is about to be written: then they cost no sync of their own. A
    /// segment is still deleted only when the slots know what is in it.
    pub(crate) fn carry_cursors(&self, now: &Stamp, outgoing: &mut Vec<Outgoing>) {
        let mut state = self.lock();
        let state = &mut *state;
        let most = state.dests.values().map(Destination::unsaved).max().unwrap_or(0);
        if outgoing.is_empty() || (now.since(&state.cursors_saved) < CARRY_EVERY && most < CARRY_AFTER) {
            return;
        }
        let moved: Vec<u8> = state.dests.values().filter(|dest| dest.unsaved() > 0).map(|dest| dest.index.0).collect();
        for index in moved {
            let Some((cursor, changes)) = state.cursor(index, self.config.bugs) else { continue };
            if self.config.bugs.has(Bug::CountCursorBeforeItsGroup)
                && let Some(destination) = state.dests.get_mut(&index)
            {
                destination.on_disk(cursor.version, changes, false);
            }
            outgoing.push(Outgoing::cursor(Carried { state: cursor, changes }, state.next_seq));
            state.next_seq += 1;
        }
    }

    /// Writes cursors into their slots. `false` if one could not be written.
    pub(crate) fn save_cursors(&self, which: Which) -> bool {
        let is_wanted = |dest: &&Destination| match which {
            Which::Unsaved => dest.unsaved() > 0,
            Which::Old => dest.slot_is_old(),
            Which::All => true,
        };
        let moved: Vec<Dest> = self.lock().dests.values().filter(is_wanted).map(|dest| dest.index).collect();
        let mut saved = true;
        for dest in moved {
            saved &= self.save_cursor(dest).is_ok();
        }
        saved
    }

    /// Writes one cursor.
    pub(crate) fn save_cursor(&self, dest: Dest) -> Result<(), Error> {
        if self.is_released() {
            return Err(Error::Closed);
        }
        let mut files = self.lock_cursors();
        let Some(file) = files.get_mut(&dest.0) else { return Ok(()) };
        let (slot, changes, name) = {
            let mut state = self.lock();
            let Some((slot, changes)) = state.cursor(dest.0, self.config.bugs) else { return Ok(()) };
            (slot, changes, state.dests.get(&dest.0).map(|dest| dest.spec.name.clone()).unwrap_or_default())
        };
        let result = file.write(&*self.vfs, &self.uuid, &slot.encode());
        let mut state = self.lock();
        match result {
            Ok(()) => {
                if let Some(destination) = state.dests.get_mut(&dest.0) {
                    destination.on_disk(slot.version, changes, true);
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
        let (last, durable, version) = {
            let mut state = self.lock();
            // Above that of whoever had the index before.
            state.cursor_version += 1;
            (state.next_seq - 1, state.proven, state.cursor_version)
        };
        let state = CursorState { index, committed: last, durable, version, ..CursorState::default() };
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
    /// A destination's cursor for the disk, and how many changes are in it.
    fn cursor(&mut self, index: u8, bugs: Bugs) -> Option<(CursorState, u64)> {
        let destination = self.dests.get(&index)?;
        let mut cursor = destination.state(self.proven);
        if bugs.has(Bug::CursorPassesUndelivered) {
            cursor.committed = destination.read_from - 1;
        }
        self.cursor_version += 1;
        cursor.version = self.cursor_version;
        Some((cursor, destination.changes))
    }

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
                    dest.changes += u64::from(dest.detached.take().is_some());
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
                dest.changes += 1;
            }
        }
        inner.save_cursors(Which::Unsaved);
        Ok(())
    }
}
