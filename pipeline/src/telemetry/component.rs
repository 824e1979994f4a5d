//! The metrics that every component of a kind has, under upstream's names.

use metrics::{Counter, Gauge, Histogram};

use super::registry::{BATCH_SIZE_BOUNDS, Telemetry};
use crate::Signal;
use crate::context::Transport;
use crate::id::ComponentId;
use crate::outcome::Refusal;

/// One handle per signal, each under a name that ends in the signal's items.
#[derive(Clone)]
pub struct PerSignal([Counter; 3]);

impl PerSignal {
    /// Counters `<prefix>_spans`, `<prefix>_metric_points`, `<prefix>_log_records`.
    pub fn new(telemetry: &Telemetry, prefix: &str, labels: &[(&str, &str)], help: &str) -> Self {
        PerSignal(Signal::ALL.map(|signal| {
            let name = format!("{prefix}_{}", signal.items());
            telemetry.describe(&name, None, help);
            telemetry.counter(&name, labels)
        }))
    }

    pub fn add(&self, signal: Signal, items: usize) {
        self.0[signal as usize].increment(items as u64);
    }
}

/// What a receiver counts, per transport.
#[derive(Clone)]
pub struct ReceiverMetrics {
    accepted: PerSignal,
    refused: PerSignal,
    telemetry: Telemetry,
    id: ComponentId,
}

impl ReceiverMetrics {
    pub fn new(telemetry: &Telemetry, id: &ComponentId, transport: Transport) -> Self {
        let labels = [("receiver", id.as_str()), ("transport", transport.0)];
        let counters = |what, help| PerSignal::new(telemetry, &format!("otelcol_receiver_{what}"), &labels, help);
        ReceiverMetrics {
            accepted: counters("accepted", "Number of items successfully pushed into the pipeline."),
            refused: counters("refused", "Number of items that could not be pushed into the pipeline."),
            telemetry: telemetry.clone(),
            id: id.clone(),
        }
    }

    /// Items of an accepted request.
    pub fn accepted(&self, signal: Signal, items: usize) {
        self.accepted.add(signal, items);
    }

    /// A refused request; `items` is 0 if it was not read so far.
    pub fn refused(&self, signal: Signal, items: usize, refusal: &Refusal) {
        self.refused.add(signal, items);
        // Refusals are rare enough to look the handle up, and causes are a closed list.
        let labels = [("receiver", self.id.as_str()), ("cause", refusal.cause())];
        self.telemetry.counter("sluice_requests_refused_total", &labels).increment(1);
    }
}

/// What a processor counts, per pipeline.
#[derive(Clone)]
pub struct ProcessorMetrics {
    pub incoming: Counter,
    pub outgoing: Counter,
}

impl ProcessorMetrics {
    pub fn new(telemetry: &Telemetry, id: &ComponentId, signal: Signal) -> Self {
        let labels = [("processor", id.as_str()), ("otel_signal", signal.name())];
        ProcessorMetrics {
            incoming: telemetry.counter("otelcol_processor_incoming_items", &labels),
            outgoing: telemetry.counter("otelcol_processor_outgoing_items", &labels),
        }
    }
}

/// What an exporter counts.
#[derive(Clone)]
pub struct ExporterMetrics {
    /// Delivered to the destination.
    pub sent: PerSignal,
    /// Given up after an attempt.
    pub send_failed: PerSignal,
    /// Not taken into the queue.
    pub enqueue_failed: PerSignal,
    pub in_flight: Gauge,
    /// Items of each payload sent.
    pub batch_send_size: Histogram,
}

impl ExporterMetrics {
    pub fn new(telemetry: &Telemetry, id: &ComponentId) -> Self {
        let labels = [("exporter", id.as_str())];
        let counters = |what, help| PerSignal::new(telemetry, &format!("otelcol_exporter_{what}"), &labels, help);
        telemetry.bounds("otelcol_exporter_queue_batch_send_size", BATCH_SIZE_BOUNDS);
        ExporterMetrics {
            sent: counters("sent", "Number of items successfully sent to destination."),
            send_failed: counters("send_failed", "Number of items in failed attempts to send to destination."),
            enqueue_failed: counters("enqueue_failed", "Number of items failed to be added to the sending queue."),
            in_flight: telemetry.gauge("otelcol_exporter_in_flight_requests", &labels),
            batch_send_size: telemetry.histogram("otelcol_exporter_queue_batch_send_size", &labels),
        }
    }
}
