//! `sluice_journal_*`, and what each destination still needs (delivery §10).

use std::sync::{Arc, Mutex, PoisonError};

use sluice_journal::Journal;

use super::{books, context};
use crate::Signal;
use crate::clock::Clock;
use crate::processor::Sizer;
use crate::spine::DestinationSpec;
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
        for (dest, name, attached) in journal.destinations() {
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

/// Shows the journal at each scrape.
pub(super) fn publish(journal: &Journal, telemetry: &Telemetry) {
    let gauge = |name: &str| telemetry.gauge(name, &[]);
    let gauges = [
        gauge("sluice_journal_bytes"),
        gauge("sluice_journal_segments"),
        gauge("sluice_journal_durable_seq"),
        gauge("sluice_journal_free_bytes"),
        gauge("sluice_journal_drain_only"),
    ];
    let counter = |name: &str| telemetry.counter(name, &[]);
    let counters = [
        counter("sluice_journal_sync_errors_total"),
        counter("sluice_journal_cursor_errors_total"),
        counter("sluice_journal_cursor_reset_total"),
        counter("sluice_journal_corrupt_items_total"),
        counter("sluice_journal_corrupt_ranges_total"),
    ];
    let journal = journal.clone();
    telemetry.on_scrape(move || {
        let stats = journal.stats();
        let values = [stats.bytes, stats.segments, stats.durable_seq, stats.free_bytes, u64::from(stats.drain_only)];
        gauges.iter().zip(values).for_each(|(gauge, value)| gauge.set(value as f64));
        let corrupt = stats.corrupt_items.iter().sum();
        let values = [stats.sync_errors, stats.cursor_errors, stats.cursor_resets, corrupt, stats.corrupt_ranges];
        counters.iter().zip(values).for_each(|(counter, value)| counter.absolute(value));
    });
}
