//! Reading: from the tail in memory for those who keep up, from segments for the others.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::chain_reader::{ChainReader, Stop, View, views};
use crate::cursors::Survive;
use crate::dest::Held;
use crate::error::Error;
use crate::format::cursor::MAX_SUSPECTS;
use crate::format::record::{Header, Kind};
use crate::format::{Chain, SegNo};
use crate::journal::{Inner, Journal};
use crate::observer::{DropReason, Moved};
use crate::record::{Entry, ReadLimit};
use crate::route::{Dest, RouteSet};
use crate::state::{SegFile, Segment, State};

/// Bytes of records for others that one call passes over before it gives its reader a pause.
const PASS_OVER: u64 = 8 << 20;
/// Failures to read in a row after which a sector counts as bad.
const READ_ERRORS: u32 = 20;
/// Damage that one call comes across before it gives up for now.
const ATTEMPTS: usize = 8;

/// Suspects that go out together. Those with which the process dies go out alone after that.
const SUSPECTS: usize = MAX_SUSPECTS / 2;

/// A record found for a destination.
pub(crate) struct Found {
    pub held: Held,
    pub entry: Entry,
}

/// What one look at the segments gave.
struct Gathered {
    found: Vec<Found>,
    /// Everything up to here was looked at.
    passed: u64,
    /// A segment that has to be audited before reading can go on.
    damaged: Option<SegNo>,
}

/// Whether the payload comes along.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Headers,
    Payloads,
}

/// What happens if the segment that is being written turns out to be damaged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfActive {
    /// It is sealed, so that it can be audited.
    Seal,
    /// It cannot be read for now: for the writer itself, who is in the middle of a group.
    Leave,
}

impl Journal {
    /// The next records of a destination, oldest first, at least one if there is any. A record is handed out once until
    /// [`Journal::rewind`].
    ///
    /// # Errors
    /// I/O, to be tried again later; an unknown destination.
    pub fn read(&self, dest: Dest, limit: ReadLimit) -> Result<Vec<Entry>, Error> {
        self.0.read(dest, limit)
    }

    /// Records that a destination was handed and has not completed, once more, from `first` to `last`, oldest first: for who has
    /// given up what it was handed. Nothing moves. Also gives up to where it looked: what is missing before that is gone.
    ///
    /// # Errors
    /// I/O, to be tried again later.
    pub fn read_again(&self, dest: Dest, first: u64, last: u64, limit: ReadLimit) -> Result<(Vec<Entry>, u64), Error> {
        let (found, passed) = self.0.look(dest, first, last, limit, What::Payloads, IfActive::Seal)?;
        Ok((found.into_iter().map(|found| found.entry).collect(), passed))
    }

    /// Whether [`Journal::read`] may have something to give.
    pub fn has_unread(&self, dest: Dest) -> bool {
        let state = self.0.lock();
        let Some(destination) = state.dests.get(&dest.0).filter(|dest| dest.detached.is_none()) else { return false };
        let held = destination.in_flight.len() as u64;
        !state.closed
            && destination.backlog.records > held
            && !destination.is_stalled()
            && destination.read_from <= state.durable
    }

    /// Whether the next [`Journal::read`] goes to the disk: its records are not in memory any more, or it notes a suspect.
    pub fn reads_disk(&self, dest: Dest) -> bool {
        let state = self.0.lock();
        state.dests.get(&dest.0).is_some_and(|destination| {
            let from = destination.read_from;
            !state.tail.covers(from) || destination.suspects_from(from)
        })
    }

    /// The oldest record that a destination has not completed: its sequence and when it came in, in milliseconds since the
    /// epoch. Looks at the disk for those who do not keep up.
    pub fn oldest(&self, dest: Dest) -> Option<(u64, u64)> {
        let from = {
            let state = self.0.lock();
            let destination = state.dests.get(&dest.0)?;
            if let Some((&seq, held)) = destination.in_flight.first_key_value() {
                return Some((seq, held.ingest_ms));
            }
            if destination.backlog.records == 0 {
                return None;
            }
            destination.read_from
        };
        let one = ReadLimit { records: 1, items: usize::MAX, bytes: usize::MAX };
        let found = self.0.look(dest, from, u64::MAX, one, What::Headers, IfActive::Seal).ok()?;
        found.0.first().map(|found| (found.entry.seq, found.entry.ingest_ms))
    }
}

impl Inner {
    fn read(&self, dest: Dest, limit: ReadLimit) -> Result<Vec<Entry>, Error> {
        loop {
            let (from, upto, epoch, careful) = {
                let state = self.lock();
                let attached = state.dests.get(&dest.0).filter(|dest| dest.detached.is_none());
                let Some(destination) = attached else { return Err(Error::UnknownDestination) };
                if state.closed || destination.is_stalled() {
                    return Ok(Vec::new());
                }
                let upto = destination.horizon().min(state.durable);
                (destination.read_from, upto, destination.epoch, destination.suspects_from(destination.read_from))
            };
            if from > upto {
                return Ok(Vec::new());
            }
            let limit = if careful { ReadLimit { records: limit.records.min(SUSPECTS), ..limit } } else { limit };
            let looked = self.look(dest, from, upto, limit, What::Payloads, IfActive::Seal);
            self.note_read(dest, from, looked.is_ok());
            let (found, mut passed) = looked?;
            let mut state = self.lock();
            let Some(destination) = state.dests.get_mut(&dest.0) else { return Err(Error::UnknownDestination) };
            if destination.epoch != epoch || destination.read_from != from {
                // Somebody moved the reader meanwhile.
                continue;
            }
            let mut entries: Vec<Entry> = Vec::with_capacity(found.len());
            let mut suspect = false;
            for Found { held, mut entry } in found {
                if destination.has_died(entry.seq) && !entries.is_empty() {
                    break;
                }
                let alone = destination.has_died(entry.seq);
                if destination.is_suspect(entry.seq) {
                    entry.condemned = destination.note_suspect(entry.seq);
                    suspect = true;
                }
                destination.hand_out(entry.seq, held);
                entries.push(entry);
                if alone {
                    break;
                }
            }
            if suspect && let [only] = &entries[..] {
                destination.note_alone(only.seq);
            }
            if suspect && let Some(last) = entries.last() {
                // What lies behind may have been left for the next turn.
                passed = passed.min(last.seq);
            }
            destination.passed(passed);
            for (seq, held) in destination.not_found(passed) {
                destination.finish(seq, &held);
                let moved = Moved { signal: held.signal, items: u64::from(held.items), tenant: held.tenant };
                self.observer.dropped(dest, moved, DropReason::Corrupt, &destination.backlog.items);
            }
            state.trim_tail();
            drop(state);
            if suspect {
                // Noted before anybody looks at it. Without the note, a crash only takes one turn more.
                let _ = self.save_cursor(dest, Survive::PowerCut);
            }
            if !entries.is_empty() || passed >= upto {
                return Ok(entries);
            }
        }
    }

    /// Counts failures to read in a row. After some, what cannot be read is given up, so that it costs no more than it covers.
    fn note_read(&self, dest: Dest, from: u64, fine: bool) {
        let behind: Vec<SegNo> = {
            let mut state = self.lock();
            let Some(destination) = state.dests.get_mut(&dest.0) else { return };
            destination.read_errors = if fine { 0 } else { destination.read_errors + 1 };
            if destination.read_errors < READ_ERRORS {
                return;
            }
            destination.read_errors = 0;
            let chains = state.chains.iter();
            chains
                .filter_map(|chain| chain.iter().find(|s| !s.active && s.contents.last_seq >= from))
                .map(Segment::no)
                .collect()
        };
        for no in behind {
            // An error here is one more failure to read.
            let _ = self.audit(no, true);
        }
    }

    /// Finds records for a destination in `from..=upto` that are not done. Also gives how far it looked.
    pub(crate) fn look(
        &self,
        dest: Dest,
        from: u64,
        upto: u64,
        limit: ReadLimit,
        what: What,
        if_active: IfActive,
    ) -> Result<(Vec<Found>, u64), Error> {
        for _ in 0..ATTEMPTS {
            let (views, upto) = {
                let state = self.lock();
                let upto = upto.min(state.durable);
                if state.tail.covers(from) {
                    return Ok(from_tail(&state, dest, from, upto, limit));
                }
                (Chain::BOTH.map(|chain| views(&state, chain, from, upto)), upto)
            };
            let gathered = self.gather(views, dest, from, upto, limit, what)?;
            match gathered.damaged {
                None => return Ok((gathered.found, gathered.passed)),
                // What comes before the damage goes out first.
                Some(_) if !gathered.found.is_empty() => return Ok((gathered.found, gathered.passed)),
                Some(no) => {
                    if self.lock().is_active(no) {
                        if if_active == IfActive::Leave {
                            break;
                        }
                        self.roll(no.chain())?;
                    }
                    self.audit(no, false)?;
                }
            }
        }
        Err(Error::io("read damaged segments")(std::io::ErrorKind::InvalidData.into()))
    }

    fn gather(
        &self,
        views: [VecDeque<View>; 2],
        dest: Dest,
        from: u64,
        upto: u64,
        limit: ReadLimit,
        what: What,
    ) -> Result<Gathered, Error> {
        let mut chains = views.map(|views| ChainReader { views, open: None, head: None });
        let mut gathered = Gathered { found: Vec::new(), passed: from.saturating_sub(1), damaged: None };
        let (mut items, mut bytes, mut seen) = (0, 0, 0);
        loop {
            for chain in &mut chains {
                match chain.advance(self, from, upto) {
                    Ok(()) => {}
                    Err(Stop::Damaged(no)) => {
                        gathered.damaged = Some(no);
                        return Ok(gathered);
                    }
                    Err(Stop::Failed(error)) if gathered.found.is_empty() => return Err(error),
                    Err(Stop::Failed(_)) => return Ok(gathered),
                }
            }
            let heads =
                chains.iter().enumerate().filter_map(|(index, chain)| Some((chain.head.as_ref()?.1.seq, index)));
            let next = heads.min().map(|(_, index)| index);
            let Some(index) = next else {
                gathered.passed = gathered.passed.max(upto);
                return Ok(gathered);
            };
            let chain = &mut chains[index];
            let Some((offset, header)) = chain.head.take() else { continue };
            seen += header.size();
            let Some((file, no)) = chain.open.as_ref().map(|open| (Arc::clone(&open.file), open.file.header.no)) else {
                continue;
            };
            if header.kind != Kind::Data || !self.wants(dest, &file, &header) {
                gathered.passed = header.seq.max(gathered.passed);
                if seen > PASS_OVER {
                    return Ok(gathered);
                }
                continue;
            }
            (items, bytes) = (items + header.items as usize, bytes + header.len as usize);
            let over = gathered.found.len() >= limit.records || items > limit.items || bytes > limit.bytes;
            if over && !gathered.found.is_empty() {
                return Ok(gathered);
            }
            match chain.load(offset, &header, what) {
                Ok(Some(entry)) => {
                    let held = held(&header, no);
                    gathered.found.push(Found { held, entry });
                    gathered.passed = header.seq;
                }
                Ok(None) => {
                    gathered.damaged = Some(no);
                    return Ok(gathered);
                }
                Err(error) if gathered.found.is_empty() => return Err(Error::io(file.path.clone())(error)),
                Err(_) => return Ok(gathered),
            }
        }
    }

    /// Whether a record is for this destination, and not done.
    fn wants(&self, dest: Dest, file: &SegFile, header: &Header) -> bool {
        let state = self.lock();
        let routes = match state.segment(file.header.no) {
            Some(segment) => state.resolve(&segment.contents, header.route_set),
            None => state.routes.set(header.route_set).unwrap_or(RouteSet::EMPTY),
        };
        routes.contains(dest) && state.dests.get(&dest.0).is_some_and(|dest| !dest.is_done(header.seq))
    }
}

pub(crate) fn held(header: &Header, no: SegNo) -> Held {
    Held {
        no,
        signal: header.signal,
        items: header.items,
        tenant: header.tenant,
        bytes: header.size(),
        ingest_ms: header.ingest_ms,
    }
}

fn from_tail(state: &State, dest: Dest, from: u64, upto: u64, limit: ReadLimit) -> (Vec<Found>, u64) {
    let mut found: Vec<Found> = Vec::new();
    let (mut items, mut bytes) = (0, 0);
    let mut passed = from.saturating_sub(1);
    let Some(destination) = state.dests.get(&dest.0) else { return (found, passed) };
    for recent in state.tail.since(from).take_while(|recent| recent.entry.seq <= upto) {
        let entry = &recent.entry;
        if recent.routes.contains(dest) && !destination.is_done(entry.seq) {
            (items, bytes) = (items + entry.items as usize, bytes + entry.payload.len());
            let over = found.len() >= limit.records || items > limit.items || bytes > limit.bytes;
            if over && !found.is_empty() {
                return (found, passed);
            }
            found.push(Found { held: recent.held(), entry: entry.clone() });
        }
        passed = entry.seq;
    }
    (found, upto)
}

/// What a destination sees of a record.
pub(crate) fn entry(header: &Header, context: Bytes, payload: Bytes) -> Entry {
    Entry {
        seq: header.seq,
        signal: header.signal,
        items: header.items,
        tenant: header.tenant,
        ingest_ms: header.ingest_ms,
        request_id: header.request_id,
        context,
        payload,
        attachment: None,
        condemned: false,
    }
}
