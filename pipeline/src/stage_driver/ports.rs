//! Reads all ports of a stage as one stream, in the order of the sequence.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::spine::{Advance, Completion, Destination, Entry, ReadLimit, Seq, SeqRange, Spine};
use crate::stage::Port;

/// Read at once from one port.
const READ: ReadLimit = ReadLimit { records: 64, items: 8192, bytes: 4 << 20 };

/// The cursors of a stage.
pub(super) struct Ports {
    spine: Arc<dyn Spine>,
    ports: Vec<Cursor>,
    /// The newest entry seen at any port.
    newest: Seq,
}

/// One port.
struct Cursor {
    destination: Destination,
    /// Read and not handed to the stage yet.
    read: VecDeque<Entry>,
    /// What the last read gave, until all of it has been handed over.
    range: Option<SeqRange>,
    /// Everything up to here was read: the last read gave nothing, and this had been seen elsewhere by then.
    proven: Seq,
    /// Handed over, and not passed by the cursor, with the items.
    absorbed: BTreeMap<Seq, usize>,
}

impl Ports {
    /// Starts over from the cursors.
    pub(super) fn new(spine: Arc<dyn Spine>, destinations: &[Destination]) -> Self {
        destinations.iter().for_each(|&destination| spine.rewind(destination));
        let cursor = |&destination| Cursor {
            destination,
            read: VecDeque::new(),
            range: None,
            proven: Seq(0),
            absorbed: BTreeMap::new(),
        };
        Ports { spine, ports: destinations.iter().map(cursor).collect(), newest: Seq(0) }
    }

    /// The next entry and its port; of an entry at several ports, the first port first. `None` if there is nothing to read.
    ///
    /// Whoever sees an entry at one port sees all older ones at the others, as records become readable in their order: so a
    /// port that is empty is asked again once a newer entry was seen elsewhere, and before that one is handed over.
    pub(super) async fn next(&mut self) -> Option<(Port, Entry)> {
        loop {
            let fronts =
                self.ports.iter().enumerate().filter_map(|(index, port)| Some((port.read.front()?.seq(), index)));
            let next = fronts.min();
            let wanted = next.map_or(Seq(u64::MAX), |(seq, _)| seq);
            let unknown = |port: &Cursor| port.read.is_empty() && port.proven < wanted;
            let Some(asked) = self.ports.iter().position(unknown) else {
                let Some((_, index)) = next else {
                    // What comes next was not there when they were found empty.
                    self.ports.iter_mut().for_each(|port| port.proven = Seq(0));
                    return None;
                };
                return self.take(index);
            };
            // Without an entry anywhere, one turn over all ports is enough: what comes meanwhile wakes the reader.
            let seen = if next.is_some() { self.newest } else { Seq(u64::MAX) };
            if !self.read(asked).await {
                self.ports[asked].proven = seen;
            }
            if next.is_none() && self.ports.iter().any(|port| !port.read.is_empty()) {
                // What was found empty before that was not proven to be.
                self.ports.iter_mut().for_each(|port| port.proven = Seq(0));
            }
        }
    }

    fn take(&mut self, index: usize) -> Option<(Port, Entry)> {
        let port = self.ports.get_mut(index)?;
        let entry = port.read.pop_front()?;
        port.absorbed.insert(entry.seq(), entry.batch().items());
        Some((Port(u16::try_from(index).unwrap_or(u16::MAX)), entry))
    }

    /// An entry, or what is left of one, is to be handed over next.
    pub(super) fn give_back(&mut self, port: Port, entry: Entry) {
        if let Some(cursor) = self.ports.get_mut(usize::from(port.0)) {
            cursor.read.push_front(entry);
        }
    }

    /// Reads a port whose entries have all been handed over. `false` if there are none.
    async fn read(&mut self, index: usize) -> bool {
        self.survived(index);
        let Some(port) = self.ports.get_mut(index) else { return false };
        let destination = port.destination;
        let entries = match self.spine.read_blocks(destination) {
            true => {
                let spine = Arc::clone(&self.spine);
                tokio::task::spawn_blocking(move || spine.read(destination, READ)).await.unwrap_or_default()
            }
            false => self.spine.read(destination, READ),
        };
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return false };
        port.range = Some(SeqRange { first: first.seq(), last: last.seq() });
        self.newest = self.newest.max(last.seq());
        port.read.extend(entries);
        true
    }

    /// What was read last has been handed over, and the process lives. After a crash, the next ones wait for that.
    fn survived(&mut self, index: usize) {
        if let Some(port) = self.ports.get_mut(index)
            && let Some(range) = port.range.take()
        {
            self.spine.survived(port.destination, range);
        }
    }

    /// As [`Ports::survived`], for every port of which nothing waits.
    pub(super) fn all_survived(&mut self) {
        for index in 0..self.ports.len() {
            if self.ports[index].read.is_empty() {
                self.survived(index);
            }
        }
    }

    /// Until one of the ports has something to read.
    pub(super) async fn readable(&self) {
        let readable = self.ports.iter().map(|port| self.spine.readable(port.destination));
        match readable.len() {
            0 => std::future::pending().await,
            _ => drop(futures_util::future::select_all(readable).await),
        }
    }

    /// The entries that the cursors may pass: those before the watermark, or all that were handed over.
    pub(super) fn pass(&mut self, watermark: Option<Seq>) -> Vec<Advance> {
        let mut passed = Vec::new();
        for port in &mut self.ports {
            let behind = watermark.map(|watermark| port.absorbed.split_off(&watermark)).unwrap_or_default();
            let done = std::mem::replace(&mut port.absorbed, behind);
            if !done.is_empty() {
                let done = done.into_iter().map(|(seq, items)| (seq, Completion::delivered(items)));
                passed.push((port.destination, done.collect()));
            }
        }
        passed
    }
}
