//! Request bodies as real senders make them, in the sizes that the published comparisons use: spans of about 411 bytes,
//! log records of about 356 bytes, data points that become about 6.1 Prometheus samples each.

mod logs;
mod metrics;
mod random;
mod traces;

use crate::signal::Signal;
use crate::wire::{Message, Slot};
use random::Random;

/// What bodies hold. All of a run's bodies are made from one shape and differ by their index.
#[derive(Debug, Clone)]
pub struct Shape {
    pub signal: Signal,
    /// Spans, log records or data points in one request.
    pub items: u32,
    /// Share of spans whose `http.route` is `/healthz`, and of log records below INFO: 0 to 1.
    pub drop_share: f64,
    /// Items carry a tracking key. Metrics are then gauges only, because a key needs a value of its own.
    pub tracked: bool,
}

/// An encoded `Export*ServiceRequest`.
#[derive(Debug, Clone)]
pub struct Body {
    pub bytes: Vec<u8>,
    /// Where the bytes are that change from send to send.
    pub slots: Vec<Slot>,
}

impl Shape {
    /// Builds the body with this index. The same shape and index always give the same bytes.
    pub fn body(&self, index: u32) -> Body {
        let mut random = Random::new(0x9e37_79b9_7f4a_7c15 ^ u64::from(index));
        let request = match self.signal {
            Signal::Traces => traces::request(self, &mut random),
            Signal::Logs => logs::request(self, &mut random),
            Signal::Metrics => metrics::request(self, index, &mut random),
        };
        let (bytes, slots) = request.into_parts();
        Body { bytes, slots }
    }

    /// Whether the item with this index in a request is one that the drop condition meets: evenly spread, and exactly
    /// the share asked for.
    fn to_drop(&self, item: u32) -> bool {
        let share = self.drop_share;
        let passed = |n: u32| (f64::from(n) * share + 1e-9).floor();
        passed(item + 1) > passed(item)
    }

    /// How many items of one request the drop condition meets.
    pub fn dropped_items(&self) -> u32 {
        match self.signal {
            Signal::Metrics => 0,
            Signal::Traces | Signal::Logs => (0..self.items).filter(|item| self.to_drop(*item)).count() as u32,
        }
    }
}

/// The `Resource` all bodies share, but for the instance.
fn resource(instance: u32) -> Message {
    let mut resource = Message::new();
    resource
        .attribute(1, "service.name", "checkout")
        .attribute(1, "service.namespace", "shop")
        .attribute(1, "service.version", "2.14.3")
        .attribute(1, "service.instance.id", &format!("627cc493-f310-47de-96bd-{instance:012x}"))
        .attribute(1, "host.name", &format!("node-{:03}.eu-west.example.net", instance % 200))
        .attribute(1, "telemetry.sdk.language", "java")
        .attribute(1, "telemetry.sdk.name", "opentelemetry")
        .attribute(1, "telemetry.sdk.version", "1.45.0");
    resource
}

fn scope(name: &str) -> Message {
    let mut scope = Message::new();
    scope.string(1, name).string(2, "2.11.0-alpha");
    scope
}

#[cfg(test)]
mod tests;
