//! What listeners count by themselves, as self-telemetry: connections, and what was refused before there was a request.

use std::sync::Arc;

use metrics::{Counter, Gauge};
use sluice_net::listen::{Counters, Snapshot};
use sluice_pipeline::ComponentId;
use sluice_pipeline::context::Transport;
use sluice_pipeline::telemetry::Telemetry;

/// A value of the label `cause`, and what it counts.
type Cause = (&'static str, fn(&Snapshot) -> u64);

/// What a listener refused without the service behind it being told, by the value of the label `cause`
/// (delivery §10). The services count the rest themselves.
const REFUSED: [Cause; 6] = [
    ("connections", |counts| counts.refused_total),
    ("connections_per_ip", |counts| counts.refused_per_ip),
    ("handshake", |counts| counts.handshake_failures),
    ("protocol", |counts| counts.unknown_protocol),
    ("flood", |counts| counts.floods),
    ("slow", |counts| {
        counts.first_byte_timeouts
            + counts.handshake_timeouts
            + counts.header_timeouts
            + counts.body_timeouts
            + counts.write_timeouts
    }),
];

/// Why a listener closed connections that did nothing wrong.
const CLOSED: [Cause; 3] =
    [("idle", |counts| counts.idle_closed), ("age", |counts| counts.aged), ("cut", |counts| counts.cut)];

/// One listener's handles.
struct ListenerMetrics {
    counters: Arc<Counters>,
    open: Gauge,
    accepted: Counter,
    accept_errors: Counter,
    panics: Counter,
    closed: [Counter; CLOSED.len()],
}

/// Shows the counts of a receiver's listeners before each scrape.
pub fn publish(telemetry: &Telemetry, receiver: &ComponentId, listeners: Vec<(Transport, Arc<Counters>)>) {
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
    let handles = listeners.into_iter().map(|(transport, counters)| {
        let labels = [("receiver", receiver.as_str()), ("transport", transport.0)];
        ListenerMetrics {
            counters,
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
    let handles: Vec<ListenerMetrics> = handles.collect();
    telemetry.on_scrape(move || {
        let snapshots: Vec<Snapshot> = handles.iter().map(|handle| handle.counters.snapshot()).collect();
        for (handle, counts) in handles.iter().zip(&snapshots) {
            handle.open.set(counts.open as f64);
            handle.accepted.absolute(counts.accepted);
            handle.accept_errors.absolute(counts.accept_errors);
            handle.panics.absolute(counts.panics);
            for (counter, (_, count)) in handle.closed.iter().zip(CLOSED) {
                counter.absolute(count(counts));
            }
        }
        // The listeners of one receiver share these series.
        for (counter, count) in &refused {
            counter.absolute(snapshots.iter().map(count).sum());
        }
    });
}
