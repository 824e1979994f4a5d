//! What a sink counted.

use crate::Error;
use crate::scan::{Counted, Counts, Fields, Node, Value, visit};
use crate::signal::Signal;
use crate::tracked::{Key, Seen, SeenReport};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

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
    /// Tracked spans and log records since the last `POST /window`: from the generator's send to here, in microseconds.
    pub delivery_p50_us: u64,
    pub delivery_p99_us: u64,
}

/// Counters that handlers share.
#[derive(Debug)]
pub struct Stats {
    report: Mutex<Report>,
    seen: Option<Mutex<Seen>>,
    /// Microseconds from send to arrival.
    deliveries: Mutex<Histogram<u32>>,
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
    pub(super) fn new(track: bool) -> Result<Self, Error> {
        /// Longer ones are recorded as ten minutes.
        const LONGEST_US: u64 = 600_000_000;
        let deliveries = Histogram::new_with_bounds(1, LONGEST_US, 3);
        let deliveries = Mutex::new(deliveries.map_err(|error| Error::Invalid(error.to_string()))?);
        Ok(Self { report: Mutex::default(), seen: track.then(Mutex::default), deliveries })
    }

    pub fn report(&self) -> Report {
        let deliveries = lock(&self.deliveries);
        Report {
            delivery_p50_us: deliveries.value_at_quantile(0.5),
            delivery_p99_us: deliveries.value_at_quantile(0.99),
            ..lock(&self.report).clone()
        }
    }

    /// Forgets the latencies so far.
    pub fn open_window(&self) {
        lock(&self.deliveries).reset();
    }

    /// The tracked items seen; empty without tracking.
    pub fn seen(&self) -> SeenReport {
        self.seen.as_ref().map(|seen| lock(seen).report()).unwrap_or_default()
    }

    /// Begins anew.
    pub fn reset(&self) {
        *lock(&self.report) = Report::default();
        self.open_window();
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
        let (mut seen, mut deliveries) = (lock(seen), lock(&self.deliveries));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let mut unmasked = 0;
        let walked = visit(root, message, &mut |what, item| {
            if !matches!(what, Counted::Item | Counted::Sample) {
                return;
            }
            unmasked += u64::from(item.windows(12).any(|window| window == b"@example.com"));
            let (key, sent) = key(kind, item);
            if let Some(key) = key {
                seen.insert(key);
            }
            if let Some(sent) = sent {
                deliveries.saturating_record(now.saturating_sub(sent) / 1000);
            }
        });
        lock(&self.report).unmasked += unmasked;
        if walked.is_err() {
            self.malformed();
        }
    }
}

/// The tracking key of an item, and when it was sent; other items, such as the samples of `target_info`, may have values that
/// look like a key.
fn key(kind: Kind, item: &[u8]) -> (Option<Key>, Option<u64>) {
    let (carrier, sent_carrier) = match kind {
        Kind::Otlp(Signal::Traces) => (1, Some(2)),
        Kind::Otlp(Signal::Logs) => (9, Some(10)),
        Kind::Otlp(Signal::Metrics) => (4, None),
        Kind::RemoteWrite => (1, None),
    };
    let (mut key, mut sent) = (None, None);
    let mut fields = Fields(item);
    while let Ok(Some((number, value))) = fields.next() {
        match value {
            Value::Bytes(id) if number == carrier => key = id.try_into().ok().map(Key::of_trace_id),
            Value::Bytes(id) if Some(number) == sent_carrier => sent = id.try_into().ok().map(u64::from_le_bytes),
            Value::Fixed64(bits) if number == carrier => key = Key::of_value(f64::from_le_bytes(bits)),
            _ => continue,
        }
        if key.is_some() && (sent.is_some() || sent_carrier.is_none()) {
            break;
        }
    }
    (key, sent)
}
