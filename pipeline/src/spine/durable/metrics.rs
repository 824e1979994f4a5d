//! `sluice_journal_*`, and what each destination still needs (delivery §10).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_journal::Journal;

use super::{books, context};
use crate::Signal;
use crate::clock::{Clock, Monotonic};
use crate::processor::Sizer;
use crate::spine::{DestinationSpec, NOTES};
use crate::telemetry::Telemetry;

/// Shows every attached destination at each scrape, under the names that the log in memory has. The queue's size is one number:
/// the journal counts records, and not by signal.
pub(super) fn publish_queues(
    journal: &Journal,
    telemetry: &Telemetry,
    clock: Arc<dyn Clock>,
    specs: Arc<Mutex<Vec<DestinationSpec>>>,
) {
    let (journal, known) = (journal.clone(), telemetry.clone());
    telemetry.on_scrape(move || {
        let specs = specs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (dest, name, attached) in journal.destinations().into_iter().filter(|(_, name, _)| !name.ends_with(NOTES)) {
            let label = [("exporter", name.as_str())];
            let gauge = |metric: &str, value: u64| known.gauge(metric, &label).set(value as f64);
            if let Some((items, bytes)) = journal.dead_letter_usage(&name) {
                // They outlive the configuration of their destination.
                gauge("sluice_dlq_items", items);
                gauge("sluice_dlq_bytes", bytes);
            }
            if !attached {
                // What it still has shows in the ledger.
                crate::spine::memory::forget(&name, &known);
                known.forget("otelcol_exporter_queue_size", &[("exporter", name.as_str())]);
                continue;
            }
            let backlog = journal.backlog(dest);
            let items = books::by_signal(&backlog.items);
            for signal in Signal::ALL {
                let labels = [label[0], ("data_type", signal.name())];
                known.gauge("sluice_destination_lag_items", &labels).set(items[signal as usize] as f64);
            }
            let quota = specs.iter().find(|spec| *spec.name == *name).and_then(|spec| spec.queue_size);
            let size = match quota.map_or(Sizer::default(), |(_, sizer)| sizer) {
                Sizer::Requests => backlog.records,
                Sizer::Items => items.iter().sum(),
                Sizer::Bytes => backlog.bytes,
            };
            gauge("otelcol_exporter_queue_size", size);
            if let Some((capacity, _)) = quota {
                gauge("otelcol_exporter_queue_capacity", capacity);
            }
            gauge("sluice_destination_lag_bytes", backlog.bytes);
            gauge("sluice_destination_held_bytes", backlog.bytes);
            gauge("sluice_destination_quota_bytes", journal.quota_bytes(dest));
            let oldest = journal.oldest(dest).map(|(_, ingest_ms)| context::arrival(ingest_ms, &*clock).monotonic);
            let lag = oldest.map_or(0.0, |oldest| clock.now().since(oldest).as_secs_f64());
            known.gauge("sluice_destination_lag_seconds", &label).set(lag);
        }
    });
}

/// Between two looks at how fast the journal fills.
const WINDOW: Duration = Duration::from_secs(30);

/// How fast the longest backlog grows.
#[derive(Default)]
struct Growth {
    since: Option<(Monotonic, u64)>,
    bytes_a_second: f64,
}

impl Growth {
    /// Seconds until so many bytes more are used; infinite while it does not grow.
    fn seconds_for(&mut self, room: u64, longest: u64, now: Monotonic) -> f64 {
        let (at, bytes) = *self.since.get_or_insert((now, longest));
        let elapsed = now.since(at);
        if elapsed >= WINDOW {
            self.bytes_a_second = (longest as f64 - bytes as f64) / elapsed.as_secs_f64();
            self.since = Some((now, longest));
        }
        if self.bytes_a_second > 0.0 { room as f64 / self.bytes_a_second } else { f64::INFINITY }
    }
}

/// Shows the journal at each scrape, under its name.
pub(super) fn publish(journal: &Journal, name: &str, clock: Arc<dyn Clock>, telemetry: &Telemetry) {
    let label = [("journal", name)];
    let gauge = |name: &str| telemetry.gauge(name, &label);
    let time_to_full = gauge("sluice_journal_time_to_full_seconds");
    let gauges = [
        gauge("sluice_journal_bytes"),
        gauge("sluice_journal_segments"),
        gauge("sluice_journal_durable_seq"),
        gauge("sluice_journal_free_bytes"),
        gauge("sluice_journal_drain_only"),
    ];
    let counter = |name: &str| telemetry.counter(name, &label);
    let counters = [
        counter("sluice_journal_sync_errors_total"),
        counter("sluice_journal_cursor_errors_total"),
        counter("sluice_journal_cursor_reset_total"),
        counter("sluice_journal_corrupt_items_total"),
        counter("sluice_journal_corrupt_ranges_total"),
    ];
    let (journal, growth) = (journal.clone(), Mutex::<Growth>::default());
    telemetry.on_scrape(move || {
        let stats = journal.stats();
        let longest = journal.destinations().iter().map(|(dest, ..)| journal.backlog(*dest).bytes).max().unwrap_or(0);
        let room = stats.capacity.saturating_sub(stats.bytes);
        let seconds = growth.lock().unwrap_or_else(PoisonError::into_inner).seconds_for(room, longest, clock.now());
        time_to_full.set(seconds);
        let values = [stats.bytes, stats.segments, stats.durable_seq, stats.free_bytes, u64::from(stats.drain_only)];
        gauges.iter().zip(values).for_each(|(gauge, value)| gauge.set(value as f64));
        let corrupt = stats.corrupt_items.iter().sum();
        let values = [stats.sync_errors, stats.cursor_errors, stats.cursor_resets, corrupt, stats.corrupt_ranges];
        counters.iter().zip(values).for_each(|(counter, value)| counter.absolute(value));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_full_is_the_room_over_the_growth_of_the_longest_backlog() {
        let (mut growth, start) = (Growth::default(), Monotonic::default());
        let at = |windows: u32| start + WINDOW * windows;
        assert_eq!(growth.seconds_for(1000, 0, at(0)), f64::INFINITY);
        assert_eq!(growth.seconds_for(900, 100, at(0) + WINDOW / 2), f64::INFINITY, "too early to tell");
        assert_eq!(growth.seconds_for(800, 300, at(1)), 80.0, "10 bytes a second");
        assert_eq!(growth.seconds_for(400, 300, at(1)), 40.0);
        assert_eq!(growth.seconds_for(400, 100, at(2)), f64::INFINITY, "it drains");
    }
}
