//! The writer: turns requests into commit groups on disk, and answers when they are durable (delivery §3.4, §3.5).
//!
//! It is driven by the commit thread, or step by step by the simulation. Only the writer adds to segments.

use std::io;
use std::sync::Arc;

use crate::bugs::Bug;
use crate::error::Error;
use crate::format::watermark::Watermark;
use crate::format::{Chain, PAGE, SegNo};
use crate::group::{Outgoing, Place, barrier_size, encode};
use crate::journal::Inner;
use crate::observer::{Event, Moved};
use crate::queue::Request;
use crate::record::SeqRange;
use crate::route::{Dest, RouteSet};
use crate::state::{SegFile, State};
use crate::tail::Recent;
use crate::tally::{Items, Tally, add_items};
use crate::vfs::{VfsFile, write_parts_full};

/// Failures in a row after which nothing is taken any more.
const FAILURES: u32 = 3;

/// What only the writer knows.
pub(crate) struct Writer {
    /// The segments being written.
    pub active: [Option<Active>; 2],
    /// Number of the newest segment of each chain.
    pub ordinal: [u64; 2],
    /// Items of each chain, since the journal began.
    pub items: [Items; 2],
    failures: u32,
    /// The last group had several waiting requests: lingering pays.
    pub busy: bool,
    /// Who has something to read since the group under way, and was not told.
    readable: RouteSet,
    scratch: Vec<u8>,
}

/// A segment being written.
pub(crate) struct Active {
    pub handle: Arc<dyn VfsFile>,
    pub file: Arc<SegFile>,
    pub prev_crc: u32,
    /// A planted bug put its sync off.
    pub unsynced: bool,
}

impl Writer {
    pub(crate) fn new(ordinal: [u64; 2], items: [Items; 2]) -> Self {
        Writer {
            active: [None, None],
            ordinal,
            items,
            failures: 0,
            busy: false,
            readable: RouteSet::EMPTY,
            scratch: Vec::new(),
        }
    }
}

/// A request that was let in.
struct Admitted {
    request: Request,
    range: Option<SeqRange>,
    /// Its newest record, a watermark included; 0 without records.
    last: u64,
}

impl Inner {
    /// Writes one commit group, if anything waits. `false` if nothing did.
    pub(crate) fn commit_group(&self) -> bool {
        let mut writer = self.lock_writer();
        let requests = self.queue.take();
        if requests.is_empty() {
            writer.busy = false;
            return false;
        }
        writer.busy = requests.len() > 1;
        let started = self.clock.now();
        let (admitted, outgoing) = self.admit(requests);
        let (records, bytes) = (outgoing.len(), outgoing.iter().map(Outgoing::size).sum());
        let chain = admitted.first().map_or(Chain::Main, |admitted| admitted.request.chain);
        let result = self.write(&mut writer, chain, &outgoing);
        let durable = self.lock().durable;
        let readable = std::mem::take(&mut writer.readable);
        // Who is told now may run at once: it finds nothing locked, and is the last to hold what it took in.
        drop((writer, outgoing));
        if result.is_ok() && records > 0 {
            self.observer.committed(records, bytes, self.clock.now().since(&started));
        }
        for Admitted { request, range, last } in admitted {
            let answer = match &result {
                _ if last <= durable => Ok(range),
                Err(Error::Full) => Err(Error::Full),
                Ok(()) | Err(_) => Err(Error::AppendFailed),
            };
            (request.answer)(answer);
        }
        readable.iter().for_each(|dest| self.observer.readable(dest));
        true
    }

    /// Decides about each request and gives its records their sequence. What is refused is answered.
    fn admit(&self, requests: Vec<Request>) -> (Vec<Admitted>, Vec<Outgoing>) {
        let records = requests.iter().map(|request| request.records.len() + request.done.len()).sum();
        let (mut admitted, mut outgoing) = (Vec::with_capacity(requests.len()), Vec::with_capacity(records));
        let mut ahead = Tally::default();
        for mut request in requests {
            match self.admit_one(&mut request, &mut outgoing, &ahead) {
                Ok(range) => {
                    ahead.bytes += request.bytes;
                    let last = if range.is_some() { outgoing.last().map_or(0, |last| last.header.seq) } else { 0 };
                    admitted.push(Admitted { request, range, last });
                }
                Err(error) => (request.answer)(Err(error)),
            }
        }
        (admitted, outgoing)
    }

    fn admit_one(
        &self,
        request: &mut Request,
        outgoing: &mut Vec<Outgoing>,
        ahead: &Tally,
    ) -> Result<Option<SeqRange>, Error> {
        let chain = request.chain;
        let mut records = std::mem::take(&mut request.records);
        self.make_room(chain, &mut records, ahead)?;
        if records.is_empty() {
            return Ok(None);
        }
        let sets: Vec<u32> = self.route_ids(records.iter().map(|summed| summed.record.routes))?;
        let mark_sets = self.route_ids(request.done.iter().map(|(stage, _)| RouteSet::EMPTY.with(*stage)))?;
        let (first, marks) = {
            let mut state = self.lock();
            let mark = |(stage, done): &(Dest, Vec<u64>)| {
                let dest = state.dests.get(&stage.0);
                let (committed, done) = dest.map(|dest| dest.position_with(done)).unwrap_or_default();
                Watermark { stage: stage.0, committed, done }
            };
            let marks: Vec<Watermark> = request.done.iter().map(mark).collect();
            let first = state.next_seq;
            state.next_seq += (records.len() + marks.len()) as u64;
            (first, marks)
        };
        let behind = first + records.len() as u64;
        // Compressing takes its time: nothing is locked that readers need.
        for ((summed, set), seq) in records.into_iter().zip(sets).zip(first..) {
            outgoing.push(Outgoing::data(summed, seq, set, chain));
        }
        for ((mark, set), seq) in marks.into_iter().zip(mark_sets).zip(behind..) {
            outgoing.push(Outgoing::watermark(mark, seq, set));
        }
        Ok(Some(SeqRange { first, last: behind - 1 }))
    }

    /// Writes records in order, part by part where a segment ends. What was written before a failure is readable all the
    /// same.
    fn write(&self, writer: &mut Writer, chain: Chain, records: &[Outgoing]) -> Result<(), Error> {
        let mut rest = records;
        while !rest.is_empty() {
            match self.write_part(writer, chain, rest) {
                Ok(written) => {
                    writer.failures = 0;
                    rest = &rest[written..];
                }
                Err(error) => {
                    let full =
                        matches!(&error, Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull);
                    if matches!(error, Error::Full) {
                        return Err(error);
                    }
                    self.abandon(writer, chain, &error);
                    writer.failures += 1;
                    let mut state = self.lock();
                    if full && !state.spare {
                        state.drain.space = true;
                    } else if writer.failures >= FAILURES {
                        state.drain.failing = true;
                    } else {
                        continue;
                    }
                    drop(state);
                    writer.failures = 0;
                    self.observer.event(&Event::DrainOnly { cause: if full { "no space" } else { "writing fails" } });
                    return Err(Error::AppendFailed);
                }
            }
        }
        Ok(())
    }

    /// Writes as many records as fit into the segment, at least one, syncs, and publishes them. Gives their number.
    fn write_part(&self, writer: &mut Writer, chain: Chain, records: &[Outgoing]) -> Result<usize, Error> {
        let first = records.first().map_or(0, Outgoing::size);
        if writer.active[chain as usize].is_none() || self.room(writer, chain) < first {
            let rolls = writer.active[chain as usize].is_some();
            let opened = self.roll_locked(writer, chain).and_then(|()| self.open_segment(writer, chain));
            if rolls {
                // Only now: a segment that is done with becomes the next spare one, if this one is taken.
                self.upkeep.ask();
            }
            opened?;
        }
        let mut room = self.room(writer, chain);
        let page_from = self.config.page_from;
        // One that fits only without zeros before it goes without.
        let page_from =
            if records.first().is_some_and(|first| first.reach(page_from) <= room) { page_from } else { usize::MAX };
        let fit = records.iter().take_while(|record| {
            let fits = record.reach(page_from) <= room;
            room = room.saturating_sub(record.reach(page_from) + FOOTER_SHARE);
            fits
        });
        let part = &records[..fit.count().max(1)];
        let Some(active) = &mut writer.active[chain as usize] else { return Err(Error::AppendFailed) };
        let what = || format!("write to {}", active.file.path);
        let place = {
            let state = self.lock();
            let Some(segment) = state.segment(active.file.header.no) else { return Err(Error::AppendFailed) };
            let contents = &segment.contents;
            let is_new = |record: &&Outgoing| !contents.routes.contains_key(&record.header.route_set);
            let mut new: Vec<(u32, RouteSet)> =
                part.iter().filter(is_new).map(|record| (record.header.route_set, record.routes)).collect();
            new.sort_unstable();
            new.dedup_by_key(|(id, _)| *id);
            Place {
                key: active.file.key(),
                offset: contents.end,
                prev_crc: active.prev_crc,
                items: contents.items(),
                routes: new,
                page_from,
            }
        };
        let offset = place.offset;
        let encoded = encode(part, place, std::mem::take(&mut writer.scratch));
        if active.unsynced {
            active.handle.sync().map_err(|error| Error::io(what())(error))?;
        }
        write_parts_full(&*active.handle, &encoded.parts(), offset).map_err(|error| Error::io(what())(error))?;
        active.unsynced = self.config.bugs.has(Bug::AckBeforeSync);
        if !active.unsynced {
            let synced = active.handle.sync();
            let retried = match synced {
                Err(_) if self.config.bugs.has(Bug::RetryFailedSync) => active.handle.sync(),
                synced => synced,
            };
            if let Err(error) = retried {
                self.lock().stats.sync_errors += 1;
                return Err(Error::io(what())(error));
            }
        }
        active.prev_crc = encoded.last_crc;
        let no = active.file.header.no;
        for record in part {
            add_items(&mut writer.items[chain as usize], &record.tally().items);
        }
        writer.readable = writer.readable.union(self.publish(no, part, &encoded.headers));
        writer.scratch = encoded.into_scratch();
        Ok(part.len())
    }

    /// Bytes that records may still take in the active segment.
    fn room(&self, writer: &Writer, chain: Chain) -> u64 {
        let Some(active) = &writer.active[chain as usize] else { return 0 };
        let state = self.lock();
        let Some(segment) = state.segment(active.file.header.no) else { return 0 };
        let contents = &segment.contents;
        // A barrier, the footer with what the records add to it, the padding and the page of the trailer.
        let reserved = barrier_size(SETS) + contents.footer_room(SETS) + 2 * PAGE;
        self.config.segment_size.saturating_sub(contents.end + reserved)
    }

    /// Makes records visible to readers, and counts them. Gives the destinations that have something to read.
    fn publish(&self, no: SegNo, part: &[Outgoing], headers: &[(u64, crate::format::record::Header)]) -> RouteSet {
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(segment) = state.segment_mut(no) {
            for (index, (offset, header)) in headers.iter().enumerate() {
                let set = part.get(index).map_or(RouteSet::EMPTY, |record| record.routes);
                segment.contents.add(*offset, header, set);
            }
        }
        let mut readable = RouteSet::EMPTY;
        for record in part {
            state.durable = state.durable.max(record.header.seq);
            state.published[no.chain() as usize] = state.durable;
            state.proven[no.chain() as usize] = state.durable;
            if let Some(mark) = &record.mark
                && let Some(stage) = state.dests.get_mut(&mark.stage)
            {
                stage.promise(mark.committed, &mark.done);
            }
            let Some(entry) = &record.entry else { continue };
            let tally = record.tally();
            let moved = Moved { signal: entry.signal, items: u64::from(entry.items), tenant: entry.tenant };
            for dest in record.routes.iter() {
                if let Some(destination) = state.dests.get_mut(&dest.0) {
                    destination.comes(record.header.seq);
                    destination.add_pending(no, &tally);
                    self.observer.routed(dest, moved, &destination.backlog.items);
                    readable = readable.with(dest);
                }
            }
            let recent = Recent {
                entry: entry.clone(),
                routes: record.routes,
                no,
                bytes: tally.bytes,
                attached: record.attached,
            };
            state.tail.push(recent);
        }
        readable
    }
}

/// Route sets that are reckoned with before any record is.
const SETS: usize = 1;
/// Most that a record adds to barrier and footer: a route set in each, totals, an index entry.
const FOOTER_SHARE: u64 = 160;

impl State {
    /// Whether a segment is being written to.
    pub(crate) fn is_active(&self, no: SegNo) -> bool {
        self.segment(no).is_some_and(|segment| segment.active)
    }
}
