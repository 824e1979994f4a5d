//! `sluice_journal_*` (delivery §10).

use sluice_journal::Journal;

use crate::telemetry::Telemetry;

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
