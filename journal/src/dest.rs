//! One destination: how far it got, what it was handed, what it still needs. Pure bookkeeping.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Stamp;
use crate::config::DestSpec;
use crate::format::SegNo;
use crate::format::cursor::{CursorState, MAX_SUSPECTS, WINDOW};
use crate::route::Dest;
use crate::tally::Tally;

/// What a death among others counts. It only says that one of them may be to blame.
const AMONG_OTHERS: u8 = 1;
/// At this a record is not decoded any more: it died twice while it alone was looked at.
const CONDEMNED: u8 = AMONG_OTHERS + 2;

/// A record that was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub no: SegNo,
    pub signal: u8,
    pub items: u32,
    pub tenant: u32,
    /// On disk.
    pub bytes: u64,
    pub ingest_ms: u64,
}

impl Held {
    pub(crate) fn tally(&self) -> Tally {
        Tally::one(self.signal, self.items, self.bytes)
    }
}

pub(crate) struct Destination {
    pub index: Dest,
    pub spec: DestSpec,
    /// Since when it is not configured; `None` while it is.
    pub detached: Option<Stamp>,
    /// Everything before was handed out, done, or is not for this destination.
    pub read_from: u64,
    pub in_flight: BTreeMap<u64, Held>,
    /// Comes once more, or is missed: handed out before a rewind and not completed, or damaged on disk and still in memory.
    awaited: BTreeMap<u64, Held>,
    /// Done, beyond the cursor.
    done: BTreeSet<u64>,
    /// What is not done, by segment. No entry without records.
    pub pending: BTreeMap<SegNo, Tally>,
    /// Sum of `pending`.
    pub backlog: Tally,
    /// Position in a durable WATERMARK record; its entries are being completed.
    promised: Option<(u64, BTreeSet<u64>)>,
    inflight_high: u64,
    /// Records up to here are handed out one by one.
    suspect_until: u64,
    suspects: BTreeMap<u64, u8>,
    /// Suspects that this process has handed out, and that nobody has looked at so far.
    watched: BTreeSet<u64>,
    pub plan: Option<(u64, u64)>,
    /// Changes with everything that moves the reader other than reading.
    pub epoch: u64,
    /// Completions that no slot knows of.
    pub unsaved: u64,
    /// A slot knows of some that is not synced.
    pub unsynced: bool,
    /// Failures to read in a row.
    pub read_errors: u32,
    /// Was over its quota when last looked at.
    pub over_quota: bool,
}

impl Destination {
    /// One that starts behind `last`.
    pub(crate) fn new(index: Dest, spec: DestSpec, last: u64) -> Self {
        let state = CursorState { index: index.0, committed: last, ..CursorState::default() };
        Self::restore(index, spec, state, None)
    }

    /// One that goes on where its cursor says. After an unclean stop, records up to `suspects` behind the newest one handed
    /// out may be what killed the process (delivery §4.2).
    pub(crate) fn restore(index: Dest, spec: DestSpec, state: CursorState, suspects: Option<u64>) -> Self {
        let suspect_until = suspects.map_or(0, |range| state.inflight_high.saturating_add(range));
        Destination {
            index,
            spec,
            detached: state.detached,
            read_from: state.committed + 1,
            in_flight: BTreeMap::new(),
            awaited: BTreeMap::new(),
            done: state.done,
            pending: BTreeMap::new(),
            backlog: Tally::default(),
            promised: None,
            inflight_high: state.inflight_high,
            suspect_until,
            suspects: state.suspects.into_iter().collect(),
            watched: BTreeSet::new(),
            plan: state.plan,
            epoch: 0,
            // What a new process reads of the old one may not be durable.
            unsaved: 1,
            unsynced: false,
            read_errors: 0,
            over_quota: false,
        }
    }

    /// Everything up to here is done, or not for this destination.
    pub(crate) fn committed(&self) -> u64 {
        self.in_flight.keys().next().map_or(self.read_from, |&first| first.min(self.read_from)).saturating_sub(1)
    }

    /// Where the cursor will be once these are done too, and what is done beyond.
    pub(crate) fn position_with(&self, done: &[u64]) -> (u64, Vec<u64>) {
        let done: BTreeSet<u64> = done.iter().copied().collect();
        let left = self.in_flight.keys().find(|seq| !done.contains(seq));
        let committed = left.map_or(self.read_from, |&first| first.min(self.read_from)).saturating_sub(1);
        (committed, done.union(&self.done).copied().filter(|&seq| seq > committed).collect())
    }

    /// For the slot.
    pub(crate) fn state(&self, durable: [u64; 2]) -> CursorState {
        let (promised, also_done) = self.promised.clone().unwrap_or_default();
        CursorState {
            index: self.index.0,
            committed: self.committed().max(promised),
            done: self.done.union(&also_done).copied().collect(),
            inflight_high: self.inflight_high,
            durable,
            detached: self.detached,
            suspects: self.suspects.iter().map(|(&seq, &deaths)| (seq, deaths)).collect(),
            plan: self.plan,
        }
    }

    /// The newest record that may be handed out: a completion has to fit the slot's window. Stages complete in order.
    pub(crate) fn horizon(&self) -> u64 {
        if self.spec.stage { u64::MAX } else { self.committed().saturating_add(WINDOW) }
    }

    /// Whether the reader waits for completions, or for somebody to look at suspects.
    pub(crate) fn is_stalled(&self) -> bool {
        self.read_from > self.horizon() || (!self.watched.is_empty() && self.suspects_from(self.read_from))
    }

    pub(crate) fn is_done(&self, seq: u64) -> bool {
        seq <= self.committed() || self.done.contains(&seq)
    }

    /// The newest record that is done.
    pub(crate) fn newest_done(&self) -> u64 {
        self.done.last().copied().unwrap_or(0).max(self.committed())
    }

    pub(crate) fn add_pending(&mut self, no: SegNo, tally: &Tally) {
        if tally.records > 0 {
            self.pending.entry(no).or_default().add(tally);
            self.backlog.add(tally);
        }
    }

    /// `true` when the segment has nothing left for this destination.
    pub(crate) fn sub_pending(&mut self, no: SegNo, tally: &Tally) -> bool {
        let Some(left) = self.pending.get_mut(&no) else {
            return true;
        };
        left.sub(tally);
        self.backlog.sub(tally);
        if left.records > 0 {
            return false;
        }
        self.pending.remove(&no);
        true
    }

    /// A record comes that is for this destination. If nothing else is unread, there is nothing to look at before it.
    pub(crate) fn comes(&mut self, seq: u64) {
        if self.backlog.records == self.in_flight.len() as u64 && self.promised.is_none() {
            self.passed(seq.saturating_sub(1));
        }
    }

    /// The reader looked at everything up to `seq`.
    pub(crate) fn passed(&mut self, seq: u64) {
        self.read_from = self.read_from.max(seq + 1);
        self.forget();
    }

    /// A record goes out.
    pub(crate) fn hand_out(&mut self, seq: u64, held: Held) {
        self.awaited.remove(&seq);
        self.in_flight.insert(seq, held);
        self.read_from = self.read_from.max(seq + 1);
        self.inflight_high = self.inflight_high.max(seq);
    }

    /// A record is damaged on disk, and may still come from memory.
    pub(crate) fn awaits(&mut self, seq: u64, held: Held) {
        self.awaited.insert(seq, held);
    }

    /// What was handed out and is not done, before a rewind or after, and what may still come from memory.
    pub(crate) fn handed(&self) -> impl Iterator<Item = (&u64, &Held)> {
        self.in_flight.iter().chain(&self.awaited)
    }

    /// A record is done.
    pub(crate) fn complete(&mut self, seq: u64) -> Option<Held> {
        let held = self.in_flight.remove(&seq).or_else(|| self.awaited.remove(&seq))?;
        self.finish(seq, &held);
        Some(held)
    }

    /// A record that was not handed out is done: evicted, expired, or put aside.
    pub(crate) fn finish(&mut self, seq: u64, held: &Held) {
        self.awaited.remove(&seq);
        self.done.insert(seq);
        self.suspects.remove(&seq);
        self.watched.remove(&seq);
        self.unsaved += 1;
        self.sub_pending(held.no, &held.tally());
        self.forget();
    }

    /// Completions that the cursor has passed need no mark.
    fn forget(&mut self) {
        let committed = self.committed();
        if self.promised.as_ref().is_some_and(|(promised, _)| *promised <= committed) {
            self.promised = None;
        }
        if self.done.first().is_some_and(|&first| first <= committed) {
            self.done = self.done.split_off(&(committed + 1));
        }
    }

    /// What was handed out and not completed is handed out again.
    pub(crate) fn rewind(&mut self) {
        for seq in std::mem::take(&mut self.watched) {
            // They are handed out again by a process that lives.
            let Some(deaths) = self.suspects.get_mut(&seq) else { continue };
            *deaths = deaths.saturating_sub(1);
            if *deaths == 0 {
                self.suspects.remove(&seq);
            }
        }
        self.read_from = self.committed() + 1;
        self.awaited.append(&mut self.in_flight);
        self.epoch += 1;
    }

    /// Records that were awaited, and were not among those up to `passed`: they are damaged by now.
    pub(crate) fn not_found(&mut self, passed: u64) -> Vec<(u64, Held)> {
        let behind = self.awaited.split_off(&(passed + 1));
        std::mem::replace(&mut self.awaited, behind).into_iter().collect()
    }

    /// Gives up everything up to `last`; what is pending is returned.
    pub(crate) fn clear(&mut self, last: u64) -> Tally {
        let dropped = std::mem::take(&mut self.backlog);
        self.pending.clear();
        self.in_flight.clear();
        self.awaited.clear();
        self.done.clear();
        self.suspects.clear();
        self.watched.clear();
        self.read_from = self.read_from.max(last + 1);
        self.unsaved += 1;
        self.epoch += 1;
        dropped
    }

    /// A WATERMARK record is durable; its entries are completed in a moment.
    pub(crate) fn promise(&mut self, committed: u64, done: &[u64]) {
        self.promised = Some((committed, done.iter().copied().collect()));
        self.unsaved += 1;
    }

    /// Takes over a position from a WATERMARK record.
    pub(crate) fn advance(&mut self, committed: u64, done: &[u64]) {
        self.read_from = self.read_from.max(committed + 1);
        self.done.extend(done.iter().copied());
        self.unsaved += 1;
        self.forget();
    }

    /// Whether a record may be what killed the process: it is noted in the cursor before it goes out.
    pub(crate) fn is_suspect(&self, seq: u64) -> bool {
        seq <= self.suspect_until || self.suspects.contains_key(&seq)
    }

    /// Whether any record from here on may be suspect.
    pub(crate) fn suspects_from(&self, seq: u64) -> bool {
        seq <= self.suspect_until || self.suspects.range(seq..).next().is_some()
    }

    /// Whether the process died with this record before: then it goes out alone.
    pub(crate) fn has_died(&self, seq: u64) -> bool {
        self.suspects.contains_key(&seq)
    }

    /// A suspect that was noted just now for the first time goes out alone.
    pub(crate) fn note_alone(&mut self, seq: u64) {
        if let Some(deaths) = self.suspects.get_mut(&seq).filter(|deaths| **deaths == AMONG_OTHERS) {
            *deaths += 1;
        }
    }

    /// Notes that a suspect goes out now; `true` if it died twice alone already.
    pub(crate) fn note_suspect(&mut self, seq: u64) -> bool {
        let deaths = self.suspects.entry(seq).or_default();
        if *deaths >= CONDEMNED {
            return true;
        }
        *deaths += 1;
        self.watched.insert(seq);
        while self.suspects.len() > MAX_SUSPECTS {
            self.suspects.pop_first();
        }
        self.unsaved += 1;
        false
    }

    /// Somebody has looked at these suspects, and the process lives. `true` if none is left.
    pub(crate) fn acquit(&mut self, first: u64, last: u64) -> bool {
        self.watched.retain(|seq| !(first..=last).contains(seq));
        let before = self.suspects.len();
        self.suspects.retain(|seq, _| !(first..=last).contains(seq));
        self.unsaved += (before - self.suspects.len()) as u64;
        before > 0 && self.suspects.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Chain;

    fn held() -> Held {
        Held { no: SegNo::new(Chain::Main, 1), signal: 0, items: 2, tenant: 0, bytes: 128, ingest_ms: 0 }
    }

    fn reading(stage: bool) -> Destination {
        let spec = DestSpec { stage, ..DestSpec::new("a") };
        let mut dest = Destination::new(Dest(0), spec, 10);
        for _ in 11..=15 {
            dest.add_pending(held().no, &held().tally());
        }
        (11..=15).for_each(|seq| dest.hand_out(seq, held()));
        dest
    }

    #[test]
    fn the_cursor_never_passes_what_is_in_flight() {
        let mut dest = reading(false);
        assert_eq!(dest.committed(), 10);
        assert!(dest.complete(12).is_some() && dest.complete(12).is_none());
        assert_eq!((dest.committed(), dest.state([15; 2]).done), (10, BTreeSet::from([12])));
        dest.complete(11);
        assert_eq!((dest.committed(), dest.state([15; 2]).done), (12, BTreeSet::new()));
        assert_eq!(dest.backlog.items[0], 6);
        assert_eq!(dest.horizon(), 12 + WINDOW);
        assert_eq!(reading(true).horizon(), u64::MAX);
    }

    #[test]
    fn a_late_completion_counts_after_a_rewind() {
        let mut dest = reading(false);
        dest.complete(13);
        dest.rewind();
        assert_eq!((dest.read_from, dest.committed()), (11, 10));
        assert!(dest.complete(11).is_some());
        assert!(dest.is_done(11) && dest.is_done(13) && !dest.is_done(12));
        dest.passed(11);
        assert_eq!(dest.committed(), 11);
    }

    #[test]
    fn a_slot_brings_everything_back() {
        let mut dest = reading(false);
        dest.complete(13);
        dest.plan = Some((11, 12));
        dest.note_suspect(14);
        let state = dest.state([15; 2]);
        let decoded = CursorState::decode(&state.encode()).unwrap();
        assert_eq!(decoded, state);
        let again = Destination::restore(Dest(0), DestSpec::new("a"), decoded, Some(1000));
        assert!(again.is_suspect(15 + 1000) && !again.is_suspect(16 + 1000));
        assert!(again.is_done(13) && !again.is_done(14));
    }

    #[test]
    fn a_suspect_that_was_looked_at_is_one_no_more() {
        let mut dest = reading(false);
        assert!(!dest.note_suspect(11) && !dest.note_suspect(11));
        assert!(!dest.acquit(12, 20), "others say nothing of it");
        assert!(dest.acquit(10, 11) && !dest.acquit(10, 11));
        assert!(!dest.note_suspect(11), "it starts from nothing");
    }

    #[test]
    fn two_deaths_alone_condemn() {
        let mut dest = reading(false);
        assert!(!dest.note_suspect(11), "among others");
        assert!(!dest.note_suspect(11) && !dest.note_suspect(11) && dest.note_suspect(11));
        assert!(!dest.note_suspect(12));
        dest.note_alone(12);
        assert!(!dest.note_suspect(12) && dest.note_suspect(12));
    }
}
