//! What the journal knows, under its one lock. No I/O happens while it is held.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Stamp;
use crate::config::{Config, OnQuota, RESERVED_SEGMENTS};
use crate::dest::Destination;
use crate::error::Error;
use crate::format::footer::Contents;
use crate::format::routes::Routes;
use crate::format::segment::SegmentHeader;
use crate::format::{Chain, Key, PAGE, SegNo};
use crate::observer::{DropReason, Moved, Observer};
use crate::route::{Dest, RouteSet};
use crate::tail::Tail;
use crate::tally::{Items, SIGNALS, Tally};

/// A segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegFile {
    pub header: SegmentHeader,
    pub path: String,
}

impl SegFile {
    pub(crate) fn key(&self) -> Key {
        Key::new(&self.header.uuid, self.header.no)
    }
}

/// A segment as known in memory.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub file: Arc<SegFile>,
    pub contents: Contents,
    /// Records are still added.
    pub active: bool,
    /// Bytes on disk.
    pub size: u64,
}

impl Segment {
    pub(crate) fn no(&self) -> SegNo {
        self.file.header.no
    }
}

/// Why nothing is taken at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drain {
    /// Too little free space.
    pub space: bool,
    /// Writing failed several times in a row.
    pub failing: bool,
}

impl Drain {
    pub(crate) fn is_on(self) -> bool {
        self.space || self.failing
    }
}

/// Counters and gauges of a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of segments on disk, and what they may use.
    pub bytes: u64,
    pub capacity: u64,
    pub segments: u64,
    pub durable_seq: u64,
    pub free_bytes: u64,
    pub drain_only: bool,
    pub sync_errors: u64,
    pub cursor_errors: u64,
    pub cursor_resets: u64,
    pub corrupt_items: Items,
    pub corrupt_ranges: u64,
    /// Ends of unfinished commit groups that were cut off.
    pub torn_tails: u64,
    pub compactions: u64,
    pub reclaimed: u64,
}

pub(crate) struct State {
    pub chains: [Vec<Segment>; 2],
    /// By index.
    pub dests: BTreeMap<u8, Destination>,
    pub routes: Routes,
    /// The newest version of a cursor that was given out.
    pub cursor_version: u64,
    /// When the cursors were last on disk as they were.
    pub cursors_saved: Stamp,
    /// The next sequence to be given out.
    pub next_seq: u64,
    /// The newest published record of each chain.
    pub published: [u64; 2],
    /// The newest record of each chain that is durable for sure.
    pub proven: [u64; 2],
    /// Segments of the process before that could not be sealed, and from where on they may not be durable.
    pub unsettled: Vec<(SegNo, u64)>,
    /// Readers see records up to here.
    pub durable: u64,
    pub tail: Tail,
    pub drain: Drain,
    /// A preallocated segment is ready.
    pub spare: bool,
    /// The writer is giving the spare segment its name: there must be no other of that name meanwhile.
    pub spare_taken: bool,
    /// The names of segments as they were read are durable.
    pub names_settled: bool,
    /// Bytes of deleted segments that could not be unlinked yet.
    pub garbage: Vec<(String, u64)>,
    pub stats: Stats,
    pub closed: bool,
}

/// A destination with a backlog of more than this part of the tail's limit does not keep records in it.
const FAR_BEHIND: u64 = 8;

impl State {
    /// Drops what every destination that needs it has read out of the tail. One that is far behind reads from disk.
    pub(crate) fn trim_tail(&mut self) {
        let dests = &self.dests;
        let far = self.tail.limit() / FAR_BEHIND;
        let keeps_up = |dest: &&Destination| dest.detached.is_none() && dest.backlog.bytes <= far;
        let near: Vec<&Destination> = dests.values().filter(keeps_up).collect();
        self.tail.trim(|recent| {
            near.iter().any(|dest| dest.read_from <= recent.entry.seq && recent.routes.contains(dest.index))
        });
    }

    /// Whether a file may take the name of the spare segment.
    pub(crate) fn lacks_spare(&self) -> bool {
        !self.spare && !self.spare_taken
    }

    pub(crate) fn segment(&self, no: SegNo) -> Option<&Segment> {
        let chain = &self.chains[no.chain() as usize];
        chain.binary_search_by_key(&no, Segment::no).ok().map(|index| &chain[index])
    }

    pub(crate) fn segment_mut(&mut self, no: SegNo) -> Option<&mut Segment> {
        let chain = &mut self.chains[no.chain() as usize];
        chain.binary_search_by_key(&no, Segment::no).ok().map(|index| &mut chain[index])
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.chains.iter().flatten()
    }

    /// Bytes that a chain uses on disk.
    pub(crate) fn used(&self, chain: Chain) -> u64 {
        let garbage: u64 = if chain == Chain::Main { self.garbage.iter().map(|(_, bytes)| bytes).sum() } else { 0 };
        self.chains[chain as usize].iter().map(|segment| segment.size).sum::<u64>() + garbage
    }

    /// Whether a chain may have another segment, with `spare` more to follow.
    pub(crate) fn has_room(&self, config: &Config, chain: Chain, spare: u64) -> bool {
        self.used(chain) + (1 + spare) * config.segment_size <= config.capacity(chain)
    }

    /// Destinations of a route set; those of a set whose meaning is lost are everybody.
    pub(crate) fn resolve(&self, contents: &Contents, id: u32) -> RouteSet {
        let set = self.routes.set(id).or_else(|| contents.routes.get(&id).copied()).unwrap_or(RouteSet::EMPTY);
        if set.is_empty() { self.dests.values().map(|dest| dest.index).collect() } else { set }
    }

    /// Most bytes of backlog of a destination.
    pub(crate) fn max_bytes(&self, config: &Config, dest: &Destination) -> u64 {
        let attached = self.dests.values().filter(|dest| dest.detached.is_none()).count().max(1) as u64;
        dest.spec.quota.max_bytes.unwrap_or(config.capacity(Chain::Main) / attached)
    }

    /// Whether `more` would take a destination over its quota.
    pub(crate) fn over_quota(&self, config: &Config, dest: &Destination, more: &Tally) -> bool {
        dest.backlog.bytes + more.bytes > self.max_bytes(config, dest) || over_counts(dest, more)
    }

    /// Whether records for these destinations would be refused right now.
    pub(crate) fn check(&self, config: &Config, routes: RouteSet, more: &Tally, chain: Chain) -> Result<(), Error> {
        if self.closed {
            return Err(Error::Closed);
        }
        let active = self.chains[chain as usize].last().filter(|segment| segment.active);
        let left = active.map_or(0, |segment| config.segment_size.saturating_sub(segment.contents.end + 4 * PAGE));
        if chain == Chain::Derived {
            // Stages must be able to finish while the disk is full: their chain goes on in what it has.
            let fits = left > more.bytes || ((self.spare || !self.drain.is_on()) && self.has_room(config, chain, 0));
            return if fits { Ok(()) } else { Err(Error::Full) };
        }
        if self.drain.is_on() {
            return Err(Error::DrainOnly);
        }
        let tight = left <= more.bytes && !self.has_room(config, chain, RESERVED_SEGMENTS);
        for dest in routes.iter().filter_map(|dest| self.dests.get(&dest.0)) {
            let quota = &dest.spec.quota;
            let strict = quota.strict && over_counts(dest, more);
            if quota.on_quota == OnQuota::Reject && (strict || (tight && self.over_quota(config, dest, more))) {
                return Err(Error::QuotaFull(dest.spec.name.clone()));
            }
        }
        if left <= more.bytes && !self.has_room(config, chain, 0) {
            return Err(Error::Full);
        }
        Ok(())
    }

    /// Gives up what a destination has not completed.
    pub(crate) fn clear(&mut self, dest: Dest, reason: DropReason, observer: &dyn Observer) -> Tally {
        let durable = self.durable;
        let Some(destination) = self.dests.get_mut(&dest.0) else { return Tally::default() };
        let mut left = destination.backlog.items;
        let dropped = destination.clear(durable);
        for signal in 0..SIGNALS {
            let items = std::mem::take(&mut left[signal]);
            if items > 0 {
                let moved = Moved { signal: signal as u8, items, tenant: 0 };
                observer.dropped(dest, moved, reason, &left);
            }
        }
        observer.released();
        dropped
    }

    pub(crate) fn snapshot(&self, config: &Config) -> Stats {
        Stats {
            bytes: self.used(Chain::Main) + self.used(Chain::Derived),
            capacity: config.capacity(Chain::Main) + config.capacity(Chain::Derived),
            segments: self.segments().count() as u64,
            durable_seq: self.durable,
            drain_only: self.drain.is_on(),
            ..self.stats
        }
    }
}

fn over_counts(dest: &Destination, more: &Tally) -> bool {
    let (quota, backlog) = (&dest.spec.quota, &dest.backlog);
    quota.max_records.is_some_and(|most| backlog.records + more.records > most)
        || quota.max_items.is_some_and(|most| backlog.all_items() + more.all_items() > most)
}
