//! What a destination may hold, and what happens beyond.

use crate::Signal;
use crate::batch::Batch;
use crate::outcome::{Refusal, SizeLimit};
use crate::processor::Sizer;
use crate::spine::{DestinationSpec, OnQuota, Record};

/// Charged for each record on top of its bytes, so that many tiny ones are bounded too.
pub const RECORD_OVERHEAD: u64 = 512;

/// What a record costs the log.
pub(super) fn charged_bytes(record: &Record) -> u64 {
    charged(&record.batch)
}

pub(super) fn charged(batch: &Batch) -> u64 {
    batch.held_bytes() as u64 + RECORD_OVERHEAD
}

/// What a destination has not completed, or what a request would add to that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// By signal, as the next two.
    pub(super) records: [u64; 3],
    pub(super) items: [u64; 3],
    /// Uncompressed OTLP, what `sizer: bytes` counts.
    pub(super) wire_bytes: [u64; 3],
    /// As charged.
    pub(super) bytes: u64,
}

impl Usage {
    pub(super) fn add(&mut self, batch: &Batch) {
        let signal = batch.signal() as usize;
        self.records[signal] += 1;
        self.items[signal] += batch.items() as u64;
        self.wire_bytes[signal] += batch.bytes().len() as u64;
        self.bytes += charged(batch);
    }

    pub(super) fn sub(&mut self, batch: &Batch) {
        let signal = batch.signal() as usize;
        self.records[signal] -= 1;
        self.items[signal] -= batch.items() as u64;
        self.wire_bytes[signal] -= batch.bytes().len() as u64;
        self.bytes -= charged(batch);
    }

    /// Both together.
    pub(super) fn plus(&self, other: &Usage) -> Usage {
        let sum = |a: &[u64; 3], b: &[u64; 3]| std::array::from_fn(|signal| a[signal] + b[signal]);
        Usage {
            records: sum(&self.records, &other.records),
            items: sum(&self.items, &other.items),
            wire_bytes: sum(&self.wire_bytes, &other.wire_bytes),
            bytes: self.bytes + other.bytes,
        }
    }

    pub(super) fn wire_bytes(&self) -> u64 {
        self.wire_bytes.iter().sum()
    }

    fn by_signal(&self, sizer: Sizer) -> &[u64; 3] {
        match sizer {
            Sizer::Requests => &self.records,
            Sizer::Items => &self.items,
            Sizer::Bytes => &self.wire_bytes,
        }
    }

    pub(super) fn sized_of(&self, sizer: Sizer, signal: Signal) -> u64 {
        self.by_signal(sizer)[signal as usize]
    }

    fn sized(&self, sizer: Sizer) -> u64 {
        self.by_signal(sizer).iter().sum()
    }
}

/// The bounds of one destination.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    /// Most bytes, of received and of derived records.
    pub(super) max_bytes: [u64; 2],
    pub(super) queue_size: Option<(u64, Sizer)>,
    pub(super) on_quota: OnQuota,
}

impl Quota {
    pub(super) fn new(spec: &DestinationSpec, shares: [u64; 2]) -> Self {
        let max_bytes = [spec.max_bytes.unwrap_or(shares[0]), shares[1]];
        Quota { max_bytes, queue_size: spec.queue_size, on_quota: spec.on_quota }
    }

    /// Whether what is used (of one origin, and of both) leaves room for more.
    pub(super) fn fits(&self, origin: usize, of_origin: &Usage, of_both: &Usage, more: &Usage) -> bool {
        of_origin.bytes + more.bytes <= self.max_bytes[origin]
            && self.queue_size.is_none_or(|(size, sizer)| of_both.sized(sizer) + more.sized(sizer) <= size)
    }

    /// The refusal of a request that does not fit: for good if it could not fit an empty queue either.
    pub(super) fn refusal(&self, origin: usize, name: &str, more: &Usage) -> Refusal {
        if more.bytes > self.max_bytes[origin] {
            let limit = self.max_bytes[origin];
            return Refusal::TooLarge { what: SizeLimit::Record, size: more.bytes, limit };
        }
        match self.queue_size {
            Some((limit, sizer)) if more.sized(sizer) > limit => {
                Refusal::TooLarge { what: SizeLimit::Queue, size: more.sized(sizer), limit }
            }
            _ => Refusal::QuotaFull { destination: name.to_owned() },
        }
    }
}
