//! The journal as its users see it.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Config;
use crate::cursors::Survive;
use crate::dest::Held;
use crate::dlq::DeadLetters;
use crate::error::Error;
use crate::format::meta::Meta;
use crate::format::{Chain, Uuid};
use crate::keeper::Keeper;
use crate::names;
use crate::observer::{DropReason, Event, Moved, Observer};
use crate::queue::{Answer, Queue, Request};
use crate::record::{Record, Summed};
use crate::route::{Dest, RouteSet};
use crate::slots::SlotFile;
use crate::state::{State, Stats};
use crate::tally::Tally;
use crate::upkeep::Upkeep;
use crate::vfs::Vfs;
use crate::writer::Writer;

/// A durable log with a cursor for each destination. Clones share it.
///
/// Nothing happens by itself: [`crate::threads::run`] drives it in the product, the simulation step by step.
#[derive(Clone)]
pub struct Journal(pub(crate) Arc<Inner>);

/// Locks are taken in the order of the fields, and `state` last.
pub(crate) struct Inner {
    pub vfs: Arc<dyn Vfs>,
    pub clock: Arc<dyn Clock>,
    pub observer: Arc<dyn Observer>,
    pub config: Config,
    pub uuid: Uuid,
    pub queue: Queue,
    pub upkeep: Upkeep,
    pub keeper: Mutex<Keeper>,
    pub writer: Mutex<Writer>,
    pub cursors: Mutex<std::collections::BTreeMap<u8, SlotFile>>,
    pub routes: Mutex<SlotFile>,
    pub meta: Mutex<MetaFile>,
    pub state: Mutex<State>,
    pub dead: Mutex<std::collections::BTreeMap<String, Arc<DeadLetters>>>,
    /// Counts the turns of each thread, for liveness probes.
    pub beats: [AtomicU64; 2],
    /// The directory's lock, until the journal is closed.
    pub lock: Mutex<Option<Box<dyn Any + Send + Sync>>>,
}

/// `META`, and what it says.
pub(crate) struct MetaFile {
    pub file: SlotFile,
    pub meta: Meta,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether the directory may belong to another process by now.
    pub(crate) fn is_released(&self) -> bool {
        lock(&self.lock).is_none()
    }

    pub(crate) fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        lock(&self.writer)
    }

    pub(crate) fn lock_keeper(&self) -> MutexGuard<'_, Keeper> {
        lock(&self.keeper)
    }

    /// `None` while upkeep is under way.
    pub(crate) fn try_keeper(&self) -> Option<MutexGuard<'_, Keeper>> {
        match self.keeper.try_lock() {
            Ok(keeper) => Some(keeper),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(crate) fn lock_cursors(&self) -> MutexGuard<'_, std::collections::BTreeMap<u8, SlotFile>> {
        lock(&self.cursors)
    }

    pub(crate) fn lock_dead(&self) -> MutexGuard<'_, std::collections::BTreeMap<String, Arc<DeadLetters>>> {
        lock(&self.dead)
    }

    /// Changes `META` on disk. `change` says whether there is anything to write. `false` if it could not be written: then
    /// nothing has changed.
    pub(crate) fn update_meta(&self, change: impl FnOnce(&mut Meta) -> bool) -> bool {
        let mut guard = lock(&self.meta);
        let mut changed = guard.meta.clone();
        if !change(&mut changed) {
            return false;
        }
        match guard.file.write(&*self.vfs, &self.uuid, &changed.encode()) {
            Ok(()) => {
                guard.meta = changed;
                true
            }
            Err(error) => {
                let event = Event::Trouble { what: format!("write {}", names::META), error: error.to_string() };
                self.observer.event(&event);
                false
            }
        }
    }

    /// Ids of route sets, made durable before any record uses them.
    pub(crate) fn route_ids(&self, sets: impl ExactSizeIterator<Item = RouteSet>) -> Result<Vec<u32>, Error> {
        if sets.len() == 0 {
            return Ok(Vec::new());
        }
        let mut file = lock(&self.routes);
        let trouble = |error: std::io::Error| {
            let event = Event::Trouble { what: format!("write {}", names::ROUTES), error: error.to_string() };
            self.observer.event(&event);
            Error::AppendFailed
        };
        file.settle(&*self.vfs).map_err(trouble)?;
        let mut ids = Vec::with_capacity(sets.len());
        let changed = {
            let mut state = self.lock();
            let state = &mut *state;
            let mut changed = None;
            for set in sets {
                if let Some(id) = state.routes.id(set) {
                    ids.push(id);
                    continue;
                }
                // Only a durable table is used.
                let table = changed.get_or_insert_with(|| state.routes.clone());
                if let Some(id) = table.id(set) {
                    ids.push(id);
                    continue;
                }
                let chains = &state.chains;
                let in_use = |id| chains.iter().flatten().any(|segment| segment.contents.routes.contains_key(&id));
                ids.push(table.insert(set, in_use).ok_or(Error::Full)?);
            }
            changed
        };
        if let Some(table) = changed {
            file.write(&*self.vfs, &self.uuid, &table.encode()).map_err(trouble)?;
            self.lock().routes = table;
        }
        Ok(ids)
    }

    /// Rewrites `ROUTES` with what memory knows.
    pub(crate) fn save_routes(&self) -> Result<(), Error> {
        let mut file = lock(&self.routes);
        let bytes = self.lock().routes.encode();
        file.write(&*self.vfs, &self.uuid, &bytes).map_err(Error::io(format!("write {}", names::ROUTES)))
    }
}

impl Journal {
    /// Keeps all records, or none of them. `answer` is called from the commit thread once they are durable, or at once if
    /// they cannot be taken. Records without routes are not kept.
    pub fn append(&self, records: Vec<Record>, answer: Answer) {
        self.push(Chain::Main, records, Vec::new(), answer);
    }

    /// Keeps what a stage emitted and moves its cursors past `done`, in one commit group. Once answered with success, the
    /// caller completes `done`. Without records, nothing is written and the answer is immediate.
    pub fn commit(&self, done: Vec<(Dest, Vec<u64>)>, derived: Vec<Record>, answer: Answer) {
        self.push(Chain::Derived, derived, done, answer);
    }

    fn push(&self, chain: Chain, mut records: Vec<Record>, done: Vec<(Dest, Vec<u64>)>, answer: Answer) {
        records.retain(|record| !record.routes.is_empty());
        let most = self.0.config.max_record();
        let size = |record: &Record| record.data_len() + crate::group::LEAST_RECORD;
        match records.iter().find(|record| size(record) > most || record.context.len() > usize::from(u16::MAX)) {
            Some(record) => answer(Err(Error::TooLarge { size: size(record), limit: most })),
            None if records.is_empty() => answer(Ok(None)),
            None => {
                let compress = self.0.config.compress;
                let summed = records.into_iter().map(|record| Summed::new(record, compress)).collect();
                self.0.queue.push(Request::new(chain, summed, done, answer));
            }
        }
    }

    /// The destination is done with a record it has read, in any order. `settle` is told what the record was and what is
    /// left of the backlog, before anybody else can see the change. Unknown or completed records are ignored.
    pub fn complete(&self, dest: Dest, seq: u64, settle: impl FnOnce(Moved, &crate::tally::Items)) {
        let mut state = self.0.lock();
        let Some(destination) = state.dests.get_mut(&dest.0) else { return };
        let stalled = destination.is_stalled();
        let Some(Held { no, signal, items, tenant, .. }) = destination.complete(seq) else { return };
        settle(Moved { signal, items: u64::from(items), tenant }, &destination.backlog.items);
        let emptied = !destination.pending.contains_key(&no);
        let goes_on = stalled && !destination.is_stalled();
        let many = destination.unsaved == crate::keeper::SAVE_AFTER;
        let goes = emptied && !state.is_active(no);
        drop(state);
        if many || goes {
            self.0.upkeep.ask();
        }
        if goes_on {
            // Nothing need be appended for it to have something to read.
            self.0.observer.readable(dest);
        }
        if emptied {
            self.0.observer.released();
        }
    }

    /// Drops everything a destination still needs; `settle` is told the items before anybody else can see the change.
    pub fn discard(&self, dest: Dest, settle: impl FnOnce(&Tally)) {
        let mut state = self.0.lock();
        let durable = state.durable;
        if let Some(destination) = state.dests.get_mut(&dest.0) {
            settle(&destination.clear(durable));
        }
        drop(state);
        self.0.upkeep.ask();
        self.0.observer.released();
    }

    /// The destination has looked at the records `first..=last`, and the process lives: none of them kills it. Durable with
    /// the next note of a suspect; for the last one, when this returns.
    pub fn survived(&self, dest: Dest, first: u64, last: u64) {
        let (none_left, goes_on) = {
            let mut state = self.0.lock();
            let Some(destination) = state.dests.get_mut(&dest.0) else { return };
            let stalled = destination.is_stalled();
            (destination.acquit(first, last), stalled && !destination.is_stalled())
        };
        if none_left {
            // An error is reported, and the suspicion lasts until a cursor can be written again.
            let _ = self.0.save_cursor(dest, Survive::PowerCut);
        }
        if goes_on {
            self.0.observer.readable(dest);
        }
    }

    /// Hands out again what was read and not completed.
    pub fn rewind(&self, dest: Dest) {
        if let Some(destination) = self.0.lock().dests.get_mut(&dest.0) {
            destination.rewind();
        }
        self.0.observer.readable(dest);
    }

    /// What a destination has not completed.
    pub fn backlog(&self, dest: Dest) -> Tally {
        self.0.lock().dests.get(&dest.0).map(|destination| destination.backlog).unwrap_or_default()
    }

    /// Most bytes that a destination may hold before it is over its quota: as configured, or its share.
    pub fn quota_bytes(&self, dest: Dest) -> u64 {
        let state = self.0.lock();
        state.dests.get(&dest.0).map_or(0, |dest| state.max_bytes(&self.0.config, dest))
    }

    /// Whether a new record for these destinations would be refused right now.
    ///
    /// # Errors
    /// The refusal.
    pub fn check(&self, routes: RouteSet) -> Result<(), Error> {
        // Its size is not known yet: where a large one would not fit, none is asked for.
        let most = Tally::one(0, 1, self.0.config.segment_size / 16);
        self.0.lock().check(&self.0.config, routes, &most, Chain::Main)
    }

    /// The index of an attached destination.
    pub fn destination(&self, name: &str) -> Option<Dest> {
        let state = self.0.lock();
        state.dests.values().find(|dest| dest.spec.name == name && dest.detached.is_none()).map(|dest| dest.index)
    }

    /// The destinations that a directory has cursors for, so that it can be opened with them by somebody who has no
    /// configuration. Nothing is opened or written.
    ///
    /// # Errors
    /// I/O: also that there is no journal.
    pub fn names_in(vfs: &dyn Vfs) -> Result<Vec<String>, Error> {
        vfs.open(names::META, crate::vfs::Open::Read).map_err(Error::io(format!("open {}", names::META)))?;
        let listed = vfs.list(names::CURSORS).map_err(Error::io("list cursors"))?;
        let mut known: Vec<String> = listed.iter().filter_map(|file| names::parse_cursor(file)).collect();
        known.sort();
        Ok(known)
    }

    /// All destinations: index, name, and whether it is configured.
    pub fn destinations(&self) -> Vec<(Dest, String, bool)> {
        let state = self.0.lock();
        state.dests.values().map(|dest| (dest.index, dest.spec.name.clone(), dest.detached.is_none())).collect()
    }

    /// Everything up to here is done for a destination.
    pub fn committed(&self, dest: Dest) -> u64 {
        self.0.lock().dests.get(&dest.0).map_or(0, |dest| dest.committed())
    }

    /// A file that the destination plans to write, kept with its cursor. It is durable when this returns.
    ///
    /// # Errors
    /// I/O.
    pub fn set_plan(&self, dest: Dest, plan: Option<(u64, u64)>) -> Result<(), Error> {
        if let Some(destination) = self.0.lock().dests.get_mut(&dest.0) {
            destination.plan = plan;
            destination.unsaved += 1;
        }
        self.0.save_cursor(dest, Survive::PowerCut)
    }

    /// The planned file.
    pub fn plan(&self, dest: Dest) -> Option<(u64, u64)> {
        self.0.lock().dests.get(&dest.0).and_then(|destination| destination.plan)
    }

    /// Gives up the backlog of a destination that is not configured any more.
    pub fn retire(&self, dest: Dest) {
        self.0.lock().clear(dest, DropReason::Detached, &*self.0.observer);
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        self.0.lock().snapshot(&self.0.config)
    }

    /// The secret id: with the first and last sequence of a batch it names the batch for good.
    pub fn id(&self) -> [u8; 16] {
        self.0.uuid
    }

    /// Turns of the commit thread and of the upkeep thread so far. They beat twice a second at least.
    pub fn heartbeats(&self) -> [u64; 2] {
        [self.0.beats[0].load(Ordering::Relaxed), self.0.beats[1].load(Ordering::Relaxed)]
    }

    /// Writes one commit group, if anything waits. For whoever drives the journal.
    pub fn step_writer(&self) -> bool {
        self.0.beats[0].fetch_add(1, Ordering::Relaxed);
        self.0.commit_group()
    }

    /// Saves cursors if that is due. For whoever drives the journal, between two groups. Gives the time until it is due again.
    pub fn step_cursors(&self) -> Duration {
        self.0.save_in_passing()
    }

    /// Does what is due: syncs cursors, frees and rewrites segments, watches the disk. For whoever drives the journal. Gives
    /// the time until it is due again, unless something happens before.
    pub fn step_keeper(&self) -> Duration {
        self.0.beats[1].fetch_add(1, Ordering::Relaxed);
        self.0.keep()
    }

    /// Requests that wait to be written.
    pub fn waiting(&self) -> usize {
        self.0.queue.len()
    }

    /// Takes nothing more, writes what waits, seals the segments and notes a clean stop. Idempotent.
    ///
    /// # Errors
    /// I/O; the journal is then as after a crash, and nothing durable is lost.
    pub fn close(&self) -> Result<(), Error> {
        self.0.queue.close();
        while self.step_writer() {}
        let inner = &self.0;
        // No upkeep is under way, and none begins.
        let _keeper = inner.lock_keeper();
        let mut writer = inner.lock_writer();
        if std::mem::replace(&mut inner.lock().closed, true) {
            return Ok(());
        }
        for chain in Chain::BOTH {
            inner.roll_locked(&mut writer, chain)?;
        }
        // A process that stops was killed by none of what it held.
        inner.lock().dests.values_mut().for_each(|dest| _ = dest.acquit(0, u64::MAX));
        let saved = inner.save_all_cursors();
        let items = writer.items;
        let durable = inner.lock().durable;
        let clean = crate::format::meta::Clean { items };
        let noted = inner.update_meta(|meta| {
            meta.high_water = meta.high_water.max(durable);
            meta.clean = Some(clean);
            true
        });
        // Whoever still holds a clone can read, and changes nothing on disk any more.
        lock(&inner.lock).take();
        if saved && noted { Ok(()) } else { Err(Error::Closed) }
    }
}

#[cfg(any(test, feature = "simulation"))]
impl Inner {
    /// Where a destination is.
    pub(crate) fn cursor_for_tests(&self, name: &str) -> crate::format::cursor::CursorState {
        let state = self.lock();
        let dest = state.dests.values().find(|dest| dest.spec.name == name);
        dest.map(|dest| dest.state(state.proven)).unwrap_or_default()
    }

    /// Whether every completion survives this.
    pub(crate) fn is_saved(&self, name: &str, survive: Survive) -> bool {
        let state = self.lock();
        let dest = state.dests.values().find(|dest| dest.spec.name == name);
        dest.is_some_and(|dest| dest.unsaved == 0 && (survive == Survive::Kill || !dest.unsynced))
    }
}
