//! Opening a journal (delivery §3.7): whatever is on the disk, it opens, unless a newer version wrote it or somebody else
//! has it. What is readable is kept; what is not is counted.

mod cursors;
mod files;
mod missing;
mod tail;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use crate::bugs::Bug;
use crate::clock::Clock;
use crate::config::{Config, DestSpec};
use crate::error::Error;
use crate::format::meta::{META_SLOT, Meta};
use crate::format::routes::{ROUTES_SLOT, Routes};
use crate::format::slot::Slot;
use crate::format::{Chain, SegNo, Uuid, VERSION};
use crate::journal::{Inner, Journal, MetaFile};
use crate::keeper::Keeper;
use crate::names;
use crate::observer::{Event, Observer};
use crate::queue::Queue;
use crate::rng::Rng;
use crate::slots::SlotFile;
use crate::space::{is_blank, is_ready};
use crate::state::{Drain, State, Stats};
use crate::tail::Tail;
use crate::tally::{Items, SIGNALS, add_items};
use crate::upkeep::Upkeep;
use crate::vfs::{LockError, Open, Vfs};
use crate::writer::Writer;

/// What a journal is made of.
pub struct Parts {
    pub vfs: Arc<dyn Vfs>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub observer: Arc<dyn Observer>,
    pub config: Config,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// There was no journal before.
    pub fresh: bool,
    /// The last run ended with [`Journal::close`].
    pub clean: bool,
    pub segments: u64,
    /// Items lost to damage, found so far. Sealed segments are only checked as they are read.
    pub corrupt_items: Items,
    pub corrupt_ranges: u64,
    /// Segments that were never finished.
    pub torn_tails: u64,
}

/// What recovery learns along the way.
pub(super) struct Findings {
    vfs: Arc<dyn Vfs>,
    observer: Arc<dyn Observer>,
    config: Config,
    uuid: Uuid,
    meta: Meta,
    /// `META` was readable.
    meta_known: bool,
    routes: Routes,
    /// `ROUTES` was readable.
    routes_known: bool,
    /// A sequence that was on disk, in a segment that does not count.
    newest: u64,
    /// A record of each chain that was durable for sure.
    durable: [u64; 2],
    stats: Stats,
    garbage: Vec<(String, u64)>,
    /// Segments that could not be sealed, and from where on they may not be durable.
    unsettled: Vec<(SegNo, u64)>,
}

impl Findings {
    fn lose(&mut self, what: String, items: Items, ranges: u64) {
        self.stats.corrupt_ranges += ranges;
        add_items(&mut self.stats.corrupt_items, &items);
        if ranges > 0 || items != [0; SIGNALS] {
            self.observer.event(&Event::Corrupt { what, items });
        }
    }
}

impl Journal {
    /// Opens the journal in a directory, or makes one. Ready to append when it returns; nothing is written to it before
    /// somebody drives it.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Newer`], a configuration that cannot work, and a file system that does not let it read or
    /// make its files. Damage is never an error.
    pub fn open(parts: Parts, destinations: &[DestSpec]) -> Result<(Journal, Recovered), Error> {
        let Parts { vfs, clock, rng, observer, config } = parts;
        let lock = vfs.lock(names::LOCK).map_err(|error| match error {
            LockError::Held(pid) => Error::Locked(pid),
            LockError::Io(error) => Error::io("lock the journal")(error),
        })?;
        let meta_slot = open_slots(&*vfs, names::META, META_SLOT)?;
        let routes_slot = open_slots(&*vfs, names::ROUTES, ROUTES_SLOT)?;
        for slot in [&meta_slot, &routes_slot].into_iter().flatten().filter_map(|(_, slot)| slot.as_ref()) {
            if slot.version > VERSION {
                return Err(Error::Newer(slot.version));
            }
        }
        for dir in [names::SEGMENTS, names::CURSORS, names::DEAD_LETTERS, names::QUARANTINE] {
            vfs.create_dir(dir).map_err(Error::io(format!("create {dir}")))?;
        }
        let known = [&meta_slot, &routes_slot].into_iter().flatten().find_map(|(_, slot)| Some(slot.as_ref()?.uuid));
        let known = match known {
            Some(uuid) => Some(uuid),
            None => files::find_uuid(&*vfs)?,
        };
        let fresh = known.is_none();
        let uuid = match known {
            Some(uuid) => uuid,
            None => {
                let mut uuid = [0; 16];
                rng.fill(&mut uuid).map_err(Error::io("draw an id"))?;
                uuid
            }
        };
        let (meta_file, meta_slot) = own_slots(&*vfs, meta_slot, names::META, META_SLOT, &uuid)?;
        let (routes_file, routes_slot) = own_slots(&*vfs, routes_slot, names::ROUTES, ROUTES_SLOT, &uuid)?;
        let meta = meta_slot.and_then(|slot| Meta::decode(&slot.payload));
        let routes = routes_slot.and_then(|slot| Routes::decode(&slot.payload));
        let mut findings = Findings {
            vfs: Arc::clone(&vfs),
            observer: Arc::clone(&observer),
            config: config.clone(),
            uuid,
            meta_known: meta.is_some() || fresh,
            meta: meta.unwrap_or_default(),
            routes_known: routes.is_some() || fresh,
            routes: routes.unwrap_or_default(),
            newest: 0,
            durable: [0; 2],
            stats: Stats::default(),
            garbage: Vec::new(),
            unsettled: Vec::new(),
        };
        let clean = findings.meta.clean.take();
        let (slots, cursor_states) = cursors::read(&mut findings)?;
        for state in cursor_states.iter().filter_map(|(_, state)| state.as_ref()) {
            findings.durable = std::array::from_fn(|chain| findings.durable[chain].max(state.durable[chain]));
        }
        let files = files::collect(&mut findings)?;
        let segments = tail::read(&mut findings, files, clean.as_ref())?;
        let items = missing::count(&mut findings, &segments, clean.as_ref());
        let ordinal = Chain::BOTH.map(|chain| findings.meta.newest(chain));
        let newest = segments.iter().flatten().map(|walked| walked.newest).max().unwrap_or(0).max(findings.newest);
        let cursor_high = cursor_states.iter().filter_map(|(_, state)| {
            let state = state.as_ref()?;
            Some(state.done.last().copied().unwrap_or(0).max(state.committed).max(state.inflight_high))
        });
        let mut last = newest.max(cursor_high.max().unwrap_or(0)).max(findings.meta.high_water);
        let published = std::array::from_fn(|chain| {
            segments[chain].iter().map(|walked| walked.newest).max().unwrap_or(0).max(findings.durable[chain])
        });
        last = last.max(published[0]).max(published[1]);
        if config.bugs.has(Bug::ReuseSequence) {
            last = newest;
        }
        let now = clock.now();
        let in_slots = cursor_states.iter().filter_map(|(_, state)| state.as_ref());
        let carried = segments.iter().flatten().flat_map(|walked| walked.segment.contents.cursors.values());
        let cursor_version = in_slots.chain(carried).map(|state| state.version).max().unwrap_or(0);
        let restored = cursors::restore(&mut findings, cursor_states, &segments, clean.is_some());
        let chains = segments.map(|chain| chain.into_iter().map(|walked| walked.segment).collect());
        let ballast = is_ready(&*vfs, names::BALLAST, config.ballast);
        // A segment that is used again is told from what was in it by its number, which `META` knows.
        let spare = findings.meta_known && is_blank(&*vfs, names::SPARE, config.segment_size);
        let state = State {
            chains,
            dests: restored,
            routes: findings.routes,
            cursor_version,
            cursors_saved: now,
            next_seq: last + 1,
            published,
            proven: if findings.unsettled.is_empty() { published } else { findings.durable },
            unsettled: findings.unsettled,
            durable: last,
            tail: Tail::new(config.tail_bytes, last + 1),
            drain: Drain::default(),
            spare,
            spare_taken: false,
            names_settled: false,
            garbage: findings.garbage,
            stats: findings.stats,
            closed: false,
        };
        let recovered = Recovered {
            fresh,
            clean: clean.is_some(),
            segments: state.segments().count() as u64,
            corrupt_items: state.stats.corrupt_items,
            corrupt_ranges: state.stats.corrupt_ranges,
            torn_tails: state.stats.torn_tails,
        };
        let inner = Inner {
            queue: Queue::new(config.queue_bytes),
            upkeep: Upkeep::default(),
            writer: Mutex::new(Writer::new(ordinal, items)),
            keeper: Mutex::new(Keeper::new(now, ballast)),
            cursors: Mutex::new(slots),
            routes: Mutex::new(routes_file),
            meta: Mutex::new(MetaFile { file: meta_file, meta: findings.meta }),
            state: Mutex::new(state),
            dead: Mutex::new(BTreeMap::new()),
            beats: [AtomicU64::new(0), AtomicU64::new(0)],
            vfs,
            clock,
            observer,
            config,
            uuid,
            lock: Mutex::new(Some(lock)),
        };
        let journal = Journal(Arc::new(inner));
        journal.begin(fresh, destinations)?;
        Ok((journal, recovered))
    }

    /// The first writes: the clean mark goes, what recovery learned stays.
    fn begin(&self, fresh: bool, destinations: &[DestSpec]) -> Result<(), Error> {
        let inner = &self.0;
        if !inner.update_meta(|meta| {
            meta.high_water = meta.high_water.max(inner.lock().durable);
            true
        }) {
            if fresh {
                return Err(Error::io(format!("write {}", names::META))(std::io::ErrorKind::Other.into()));
            }
            // Appending would be safe, but the next start would take this one for a clean stop.
            inner.lock().drain.failing = true;
        }
        if fresh {
            inner.save_routes()?;
            inner.vfs.sync_dir("").map_err(Error::io("create the journal"))?;
        }
        self.configure(destinations)?;
        let state = inner.lock();
        for dest in state.dests.values().filter(|dest| dest.backlog.records > 0) {
            inner.observer.restored(dest.index, &dest.spec.name, &dest.backlog.items);
        }
        drop(state);
        inner.unlink_garbage();
        Ok(())
    }
}

type Slots = Option<(SlotFile, Option<Slot>)>;

fn open_slots(vfs: &dyn Vfs, path: &str, slot_len: u64) -> Result<Slots, Error> {
    match SlotFile::open(vfs, path, slot_len, |_| true) {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("open {path}"))(error)),
    }
}

/// The file, made if it is missing, and its slot if that belongs to this journal.
fn own_slots(
    vfs: &dyn Vfs,
    slots: Slots,
    path: &str,
    slot_len: u64,
    uuid: &Uuid,
) -> Result<(SlotFile, Option<Slot>), Error> {
    match slots {
        Some((file, slot)) => Ok((file, slot.filter(|slot| slot.uuid == *uuid))),
        None => {
            let file = SlotFile::create(vfs, path, slot_len).map_err(Error::io(format!("create {path}")))?;
            vfs.sync_dir("").map_err(Error::io(format!("create {path}")))?;
            Ok((file, None))
        }
    }
}

/// Opens a file for repair, or else for reading.
pub(super) fn open_best(vfs: &dyn Vfs, path: &str) -> std::io::Result<Arc<dyn crate::vfs::VfsFile>> {
    vfs.open(path, Open::Write).or_else(|_| vfs.open(path, Open::Read))
}
