//! What a stage notes for itself, as records of the log: kept with what it emits, read again at a start.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::Signal;
use crate::batch::{Batch, NoRedaction};
use crate::clock::{Clock, WallTime};
use crate::context::Context;
use crate::id::ComponentId;
use crate::spine::{Completion, Destination, Entry, ReadLimit, Record, RouteSet, Seq, Spine};

/// Read at once.
const READ: ReadLimit = ReadLimit { records: 1024, items: usize::MAX, bytes: 4 << 20 };

/// The notes of a stage that are still needed.
pub(super) struct Notes {
    spine: Arc<dyn Spine>,
    clock: Arc<dyn Clock>,
    destination: Destination,
    /// In the order of the log, with the time until which each is needed.
    kept: VecDeque<(Seq, WallTime)>,
}

/// A note as it was kept: the time until which it is needed in front of it.
fn decode(entry: &Entry) -> Option<(WallTime, Bytes)> {
    let (until, _) = entry.batch().bytes().split_first_chunk::<8>()?;
    Some((WallTime(u64::from_le_bytes(*until)), entry.batch().bytes().slice(8..)))
}

impl Notes {
    pub(super) fn new(spine: Arc<dyn Spine>, clock: Arc<dyn Clock>, destination: Destination) -> Self {
        spine.rewind(destination);
        Notes { spine, clock, destination, kept: VecDeque::new() }
    }

    /// Starts over.
    pub(super) fn rewind(&mut self) {
        self.spine.rewind(self.destination);
        self.kept.clear();
    }

    /// All that there are, oldest first, without those that nobody needs any more at `now`.
    pub(super) async fn recall(&mut self, now: WallTime, mut tell: impl FnMut(&[u8])) {
        loop {
            let (spine, destination) = (Arc::clone(&self.spine), self.destination);
            let entries = match self.spine.read_blocks(destination) {
                true => tokio::task::spawn_blocking(move || spine.read(destination, READ)).await.unwrap_or_default(),
                false => self.spine.read(destination, READ),
            };
            if entries.is_empty() {
                return;
            }
            for (until, note) in self.keep(&entries) {
                if until > now {
                    tell(&note);
                }
            }
        }
    }

    /// Remembers what has just been kept.
    pub(super) fn appended(&mut self) {
        loop {
            let entries = self.spine.read(self.destination, READ);
            if entries.is_empty() {
                return;
            }
            self.keep(&entries);
        }
    }

    fn keep(&mut self, entries: &[Entry]) -> Vec<(WallTime, Bytes)> {
        let mut notes = Vec::with_capacity(entries.len());
        for entry in entries {
            let note = decode(entry);
            // What no version has written is needed no longer than its neighbours.
            self.kept.push_back((entry.seq(), note.as_ref().map_or(WallTime(0), |(until, _)| *until)));
            notes.extend(note);
        }
        if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
            let range = crate::spine::SeqRange { first: first.seq(), last: last.seq() };
            self.spine.survived(self.destination, range);
        }
        notes
    }

    /// The records of new notes.
    pub(super) fn records(&self, notes: &[(Bytes, WallTime)]) -> Vec<Record> {
        let routes = RouteSet::EMPTY.with(self.destination);
        let context = Arc::new(Context::internal(ComponentId::new("notes", ""), self.clock.arrival()));
        let record = |(note, until): &(Bytes, WallTime)| {
            let bytes = [&until.0.to_le_bytes()[..], note].concat();
            // It holds what the stage has read, which was redacted as far as the pipeline asks for that.
            let batch = NoRedaction.waive(Batch::new(Signal::Traces, bytes.into(), 0, Arc::clone(&context)));
            Record { batch, routes }
        };
        notes.iter().map(record).collect()
    }

    /// Gives up those that nobody needs any more; never one in front of which another is still needed.
    pub(super) fn expire(&mut self, now: WallTime) {
        while let Some((seq, until)) = self.kept.front()
            && *until <= now
        {
            self.spine.complete(self.destination, *seq, Completion::default());
            self.kept.pop_front();
        }
    }
}
