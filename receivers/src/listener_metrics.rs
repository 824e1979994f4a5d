//! What listeners count by themselves, as self-telemetry: connections, and what was refused before there was a request.

use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Gauge};
use sluice_net::listen::{Counters, Snapshot};
use sluice_pipeline::ComponentId;
use sluice_pipeline::context::Transport;
use sluice_pipeline::telemetry::Telemetry;

/// A value of the label `cause`, and what it counts.
type Cause = (&'static str, Count);

type Count = fn(&Snapshot) -> u64;

/// What a listener refused without the service behind it being told, by the value of the label `cause`
/// (delivery §10). The services count the rest themselves.
const REFUSED: [Cause; 9] = [
    ("connections", |counts| counts.refused_total),
    ("connections_per_ip", |counts| counts.refused_per_ip),
    ("handshake", |counts| counts.handshake_failures),
    ("protocol", |counts| counts.unknown_protocol + counts.protocol_errors),
    ("malformed", |counts| counts.head_malformed),
    ("headers", |counts| counts.head_too_large),
    ("streams", |counts| counts.streams_refused),
    ("flood", |counts| counts.floods),
    ("slow", |counts| {
        counts.first_byte_timeouts
            + counts.handshake_timeouts
            + counts.header_timeouts
            + counts.body_timeouts
            + counts.write_timeouts
            + counts.ping_timeouts
    }),
];

/// Why a listener closed connections that did nothing wrong.
const CLOSED: [Cause; 3] =
    [("idle", |counts| counts.idle_closed), ("age", |counts| counts.aged), ("cut", |counts| counts.cut)];

/// One listener's handles.
struct Handles {
    counters: Arc<Counters>,
    /// What was shown last: series go on when a reload puts another listener in this one's place, so only what is new is added.
    shown: Mutex<Snapshot>,
    open: Gauge,
    accepted: Counter,
    accept_errors: Counter,
    panics: Counter,
    closed: [Counter; CLOSED.len()],
}

/// The counts of a receiver's listeners, shown before each scrape for as long as this lives.
pub struct ListenerMetrics {
    listeners: Vec<Handles>,
    /// The listeners of one receiver share these series.
    refused: [(Counter, Count); REFUSED.len()],
}

/// Begins to show the counts of a receiver's listeners.
pub fn publish(
    telemetry: &Telemetry,
    receiver: &ComponentId,
    listeners: Vec<(Transport, Arc<Counters>)>,
) -> Arc<ListenerMetrics> {
    for (name, help) in [
        ("sluice_requests_refused_total", "Requests and connections that were refused, by cause."),
        ("sluice_listener_connections", "Connections open now."),
        ("sluice_listener_accepted_total", "Connections accepted from the kernel."),
        ("sluice_listener_accept_errors_total", "Errors of accepting: out of descriptors, and the like."),
        ("sluice_listener_closed_total", "Connections closed here though they did nothing wrong."),
    ] {
        telemetry.describe(name, None, help);
    }
    let refused = REFUSED.map(|(cause, count)| {
        let labels = [("receiver", receiver.as_str()), ("cause", cause)];
        (telemetry.counter("sluice_requests_refused_total", &labels), count)
    });
    let listeners = listeners.into_iter().map(|(transport, counters)| {
        let labels = [("receiver", receiver.as_str()), ("transport", transport.0)];
        Handles {
            counters,
            shown: Mutex::default(),
            open: telemetry.gauge("sluice_listener_connections", &labels),
            accepted: telemetry.counter("sluice_listener_accepted_total", &labels),
            accept_errors: telemetry.counter("sluice_listener_accept_errors_total", &labels),
            panics: telemetry.counter("sluice_panics_total", &[("scope", transport.0)]),
            closed: CLOSED.map(|(cause, _)| {
                let labels = [labels[0], labels[1], ("cause", cause)];
                telemetry.counter("sluice_listener_closed_total", &labels)
            }),
        }
    });
    let metrics = Arc::new(ListenerMetrics { listeners: listeners.collect(), refused });
    telemetry.on_scrape_of(&metrics, ListenerMetrics::show);
    metrics
}

impl ListenerMetrics {
    /// Adds what was counted since the last time. To be called a last time when the listeners have ended.
    pub fn show(&self) {
        for handles in &self.listeners {
            let mut shown = handles.shown.lock().unwrap_or_else(PoisonError::into_inner);
            let now = handles.counters.snapshot();
            let add = |counter: &Counter, count: Count| {
                counter.increment(count(&now).saturating_sub(count(&shown)));
            };
            handles.open.increment(now.open as f64 - shown.open as f64);
            add(&handles.accepted, |counts| counts.accepted);
            add(&handles.accept_errors, |counts| counts.accept_errors);
            add(&handles.panics, |counts| counts.panics);
            handles.closed.iter().zip(CLOSED).for_each(|(counter, (_, count))| add(counter, count));
            self.refused.iter().for_each(|(counter, count)| add(counter, *count));
            *shown = now;
        }
    }
}
