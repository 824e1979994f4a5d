//! Metadata entries, for the version that does not have metadata on each series.

use super::walk::{Converter, Current};
use crate::prometheus_remote_write::encode::Encoder;

/// How often they are sent, in milliseconds.
const INTERVAL_MS: i64 = 60_000;
/// Entries in a request.
const MAX_ENTRIES: usize = 2000;

impl<E: Encoder> Converter<E> {
    /// Notes that the metric's entry is due, if it is.
    pub(super) fn note_metadata(&mut self, current: Current<'_>) {
        if !E::METADATA_ENTRIES || !self.plan.metadata {
            return;
        }
        let (now, help) = (self.plan.now, self.hasher.hash_one(current.help));
        let metric = self.metrics.get_mut(current.id);
        let due = metric.metadata_sent.is_none_or(|(sent, known)| known != help || now - sent >= INTERVAL_MS);
        if due {
            metric.metadata_sent = Some((now, help));
            self.due.push((current.id, current.help.into()));
        }
    }

    /// Writes what is due, in requests of its own.
    pub(super) fn metadata_requests(&mut self) {
        for (index, (id, help)) in std::mem::take(&mut self.due).into_iter().enumerate() {
            let metric = self.metrics.get(id);
            let full = self.requests.encoder.size() + help.len() > self.requests.limits.bytes;
            if index > 0 && (index % MAX_ENTRIES == 0 || full) {
                self.requests.close();
            }
            self.requests.encoder.metadata_entry(&metric.name, metric.metric_type, &help, &metric.unit);
        }
        self.requests.close();
    }
}
