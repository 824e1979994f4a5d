//! The queues of the log as metrics: upstream's names for their size, and our own for how far a destination lags.

use std::sync::Arc;

use super::quota::{Quota, Usage};
use crate::Signal;
use crate::clock::Monotonic;
use crate::processor::Sizer;
use crate::telemetry::Telemetry;

/// One destination's queue at one instant.
pub(super) struct Shown {
    pub(super) name: Arc<str>,
    pub(super) usage: Usage,
    pub(super) quota: Quota,
    /// Arrival of the oldest entry.
    pub(super) oldest: Option<Monotonic>,
}

/// Sets the queue's series.
pub(super) fn show(queue: &Shown, telemetry: &Telemetry, now: Monotonic) {
    let Shown { name, usage, quota, oldest } = queue;
    let label = [("exporter", &**name)];
    let sizer = quota.queue_size.map_or(Sizer::default(), |(_, sizer)| sizer);
    for signal in Signal::ALL {
        let labels = [label[0], ("data_type", signal.name())];
        let size = usage.sized_of(sizer, signal);
        telemetry.gauge("otelcol_exporter_queue_size", &labels).set(size as f64);
        telemetry.gauge("sluice_destination_lag_items", &labels).set(usage.items[signal as usize] as f64);
    }
    let lag = oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
    telemetry.gauge("sluice_destination_lag_seconds", &label).set(lag);
    telemetry.gauge("sluice_destination_lag_bytes", &label).set(usage.wire_bytes() as f64);
    telemetry.gauge("sluice_destination_quota_bytes", &label).set(quota.max_bytes[0] as f64);
    // What the quota charges: with the room that an entry needs besides its bytes.
    telemetry.gauge("sluice_destination_held_bytes", &label).set(usage.bytes as f64);
    if let Some((capacity, _)) = quota.queue_size {
        telemetry.gauge("otelcol_exporter_queue_capacity", &label).set(capacity as f64);
    }
}
