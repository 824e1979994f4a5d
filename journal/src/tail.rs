//! The newest records, in memory, for readers that keep up. What all of them have read goes: its memory is used again at once,
//! while it is in the processor's cache.

use std::collections::VecDeque;

use crate::dest::Held;
use crate::format::SegNo;
use crate::record::Entry;
use crate::route::RouteSet;

/// A recent record and where it is on disk.
#[derive(Clone)]
pub(crate) struct Recent {
    pub entry: Entry,
    pub routes: RouteSet,
    pub no: SegNo,
    /// On disk.
    pub bytes: u64,
    /// What its attachment keeps alive.
    pub attached: u64,
}

impl Recent {
    /// What a destination notes when it is handed this.
    pub(crate) fn held(&self) -> Held {
        let Entry { signal, items, tenant, ingest_ms, .. } = self.entry;
        Held { no: self.no, signal, items, tenant, bytes: self.bytes, ingest_ms }
    }

    fn charge(&self) -> u64 {
        self.bytes + self.attached + OVERHEAD
    }
}

/// Charged for a record on top of its bytes.
const OVERHEAD: u64 = 256;

/// Records from some sequence on without a hole, bounded by bytes.
pub(crate) struct Tail {
    records: VecDeque<Recent>,
    bytes: u64,
    limit: u64,
    /// Everything from here on that was published is in `records`.
    from: u64,
}

impl Tail {
    /// Knows everything from `from` on, which is nothing yet.
    pub(crate) fn new(limit: u64, from: u64) -> Self {
        Tail { records: VecDeque::new(), bytes: 0, limit, from }
    }

    pub(crate) fn push(&mut self, recent: Recent) {
        self.bytes += recent.charge();
        self.records.push_back(recent);
        while self.bytes > self.limit {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= oldest.charge();
            self.from = oldest.entry.seq + 1;
        }
    }

    /// Drops the oldest records for as long as nobody needs them.
    pub(crate) fn trim(&mut self, is_needed: impl Fn(&Recent) -> bool) {
        while let Some(oldest) = self.records.pop_front_if(|oldest| !is_needed(oldest)) {
            self.bytes -= oldest.charge();
            self.from = oldest.entry.seq + 1;
        }
    }

    /// What it holds at present, in bytes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Most bytes that it holds.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether reading from here needs no disk.
    pub(crate) fn covers(&self, seq: u64) -> bool {
        seq >= self.from
    }

    /// Records from `seq` on.
    pub(crate) fn since(&self, seq: u64) -> impl Iterator<Item = &Recent> {
        let index = self.records.partition_point(|recent| recent.entry.seq < seq);
        self.records.range(index..)
    }
}
