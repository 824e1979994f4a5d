//! What a sink counted.

use crate::scan::{Counted, Counts, Fields, Node, Value, visit};
use crate::signal::Signal;
use crate::tracked::{Key, Seen, SeenReport};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts of accepted requests, and how many were not accepted; the answer of `GET /stats`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub requests: u64,
    /// Bytes of request bodies as they came.
    pub bytes: u64,
    pub spans: u64,
    pub logs: u64,
    pub points: u64,
    /// Remote write: time series, float samples, native histogram samples.
    pub series: u64,
    pub samples: u64,
    pub histograms: u64,
    /// Requests answered with an error because the mode says so.
    pub refused: u64,
    /// Requests that were not OTLP or remote write.
    pub malformed: u64,
    /// Items with the e-mail address of a payload in them; counted only where tracking looks into items.
    pub unmasked: u64,
}

/// Counters that handlers share.
#[derive(Debug)]
pub struct Stats {
    report: Mutex<Report>,
    seen: Option<Mutex<Seen>>,
}

/// What an accepted request carried.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Otlp(Signal),
    RemoteWrite,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stats {
    pub(super) fn new(track: bool) -> Self {
        Self { report: Mutex::default(), seen: track.then(Mutex::default) }
    }

    pub fn report(&self) -> Report {
        lock(&self.report).clone()
    }

    /// The tracked items seen; empty without tracking.
    pub fn seen(&self) -> SeenReport {
        self.seen.as_ref().map(|seen| lock(seen).report()).unwrap_or_default()
    }

    /// Begins anew.
    pub fn reset(&self) {
        *lock(&self.report) = Report::default();
        if let Some(seen) = &self.seen {
            *lock(seen) = Seen::default();
        }
    }

    /// Whether handlers must keep whole messages for [`Stats::track`].
    pub(super) fn tracks(&self) -> bool {
        self.seen.is_some()
    }

    pub(super) fn accepted(&self, kind: Kind, bytes: usize, counts: Counts) {
        let mut report = lock(&self.report);
        report.requests += 1;
        report.bytes += bytes as u64;
        match kind {
            Kind::Otlp(Signal::Traces) => report.spans += counts.items,
            Kind::Otlp(Signal::Logs) => report.logs += counts.items,
            Kind::Otlp(Signal::Metrics) => report.points += counts.items,
            Kind::RemoteWrite => {
                report.series += counts.series;
                report.samples += counts.samples;
                report.histograms += counts.histograms;
            }
        }
    }

    pub(super) fn refused(&self) {
        lock(&self.report).refused += 1;
    }

    pub(super) fn malformed(&self) {
        lock(&self.report).malformed += 1;
    }

    /// Remembers the keys of a whole, accepted message.
    pub(super) fn track(&self, kind: Kind, root: &'static Node, message: &[u8]) {
        let Some(seen) = &self.seen else { return };
        let mut seen = lock(seen);
        let mut unmasked = 0;
        let walked = visit(root, message, &mut |what, item| {
            if !matches!(what, Counted::Item | Counted::Sample) {
                return;
            }
            unmasked += u64::from(item.windows(12).any(|window| window == b"@example.com"));
            if let Some(key) = key(kind, item) {
                seen.insert(key);
            }
        });
        lock(&self.report).unmasked += unmasked;
        if walked.is_err() {
            self.malformed();
        }
    }
}

/// The tracking key of an item; other items, such as the samples of `target_info`, may have values that look like one.
fn key(kind: Kind, item: &[u8]) -> Option<Key> {
    let carrier = match kind {
        Kind::Otlp(Signal::Traces) | Kind::RemoteWrite => 1,
        Kind::Otlp(Signal::Logs) => 9,
        Kind::Otlp(Signal::Metrics) => 4,
    };
    let mut fields = Fields(item);
    while let Ok(Some((number, value))) = fields.next() {
        match value {
            Value::Bytes(id) if number == carrier => return Some(Key::of_trace_id(id.try_into().ok()?)),
            Value::Fixed64(bits) if number == carrier => return Key::of_value(f64::from_le_bytes(bits)),
            _ => {}
        }
    }
    None
}
