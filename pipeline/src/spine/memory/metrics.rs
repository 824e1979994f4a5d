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

const SIZE: &str = "otelcol_exporter_queue_size";
const CAPACITY: &str = "otelcol_exporter_queue_capacity";
const LAG_ITEMS: &str = "sluice_destination_lag_items";
const LAG_SECONDS: &str = "sluice_destination_lag_seconds";
const LAG_BYTES: &str = "sluice_destination_lag_bytes";
const QUOTA_BYTES: &str = "sluice_destination_quota_bytes";
/// What the quota charges: with the room that an entry needs besides its bytes.
const HELD_BYTES: &str = "sluice_destination_held_bytes";

/// Sets the queue's series.
pub(super) fn show(queue: &Shown, telemetry: &Telemetry, now: Monotonic) {
    let Shown { name, usage, quota, oldest } = queue;
    let label = [("exporter", &**name)];
    let sizer = quota.queue_size.map_or(Sizer::default(), |(_, sizer)| sizer);
    for signal in Signal::ALL {
        let labels = [label[0], ("data_type", signal.name())];
        telemetry.gauge(SIZE, &labels).set(usage.sized_of(sizer, signal) as f64);
        telemetry.gauge(LAG_ITEMS, &labels).set(usage.items[signal as usize] as f64);
    }
    let lag = oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
    telemetry.gauge(LAG_SECONDS, &label).set(lag);
    telemetry.gauge(LAG_BYTES, &label).set(usage.wire_bytes() as f64);
    telemetry.gauge(QUOTA_BYTES, &label).set(quota.max_bytes[0] as f64);
    telemetry.gauge(HELD_BYTES, &label).set(usage.bytes as f64);
    if let Some((capacity, _)) = quota.queue_size {
        telemetry.gauge(CAPACITY, &label).set(capacity as f64);
    }
}

/// Takes the series of a destination back that is not configured any more.
pub(in crate::spine) fn forget(name: &str, telemetry: &Telemetry) {
    let label = [("exporter", name)];
    for signal in Signal::ALL {
        let labels = [label[0], ("data_type", signal.name())];
        [SIZE, LAG_ITEMS].iter().for_each(|family| telemetry.forget(family, &labels));
    }
    [LAG_SECONDS, LAG_BYTES, QUOTA_BYTES, HELD_BYTES, CAPACITY]
        .iter()
        .for_each(|family| telemetry.forget(family, &label));
}
