//! What an SDK's metric reader makes of measurements: histograms, counters and gauges with exemplars.

mod exponential;
mod point;
mod series;

use std::collections::BTreeMap;

use sluice_pdata::tags::{exponential_histogram, gauge, histogram, metric, sum};
use sluice_pdata::wire::{put_message, put_varint_field};

use crate::encode::{Attributes, Item, Scope, Value, text};
use crate::settings::Nanos;
use series::Series;

/// The instruments of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instrument {
    HttpServer,
    HttpClient,
    RpcServer,
    RpcClient,
    DbClient,
    Orders,
    CartItems,
}

/// What an instrument's points are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Histogram,
    Counter,
    Gauge,
}

impl Instrument {
    const fn describe(self) -> (&'static str, &'static str, Scope, Shape) {
        match self {
            Instrument::HttpServer => ("http.server.request.duration", "s", Scope::Server, Shape::Histogram),
            Instrument::HttpClient => ("http.client.request.duration", "s", Scope::Client, Shape::Histogram),
            Instrument::RpcServer => ("rpc.server.duration", "ms", Scope::Server, Shape::Histogram),
            Instrument::RpcClient => ("rpc.client.duration", "ms", Scope::Client, Shape::Histogram),
            Instrument::DbClient => ("db.client.operation.duration", "s", Scope::Database, Shape::Histogram),
            Instrument::Orders => ("shop.orders", "{order}", Scope::App, Shape::Counter),
            Instrument::CartItems => ("shop.cart.items", "{item}", Scope::App, Shape::Gauge),
        }
    }

    fn is_in_seconds(self) -> bool {
        self.describe().1 == "s"
    }
}

/// One measurement.
#[derive(Clone, Debug)]
pub struct Observation {
    pub instrument: Instrument,
    pub attributes: Attributes,
    pub value: f64,
    /// Trace and span that it was made in, if they are sampled.
    pub context: Option<([u8; 16], [u8; 8])>,
    pub at: Nanos,
}

/// An instance's metrics.
#[derive(Debug)]
pub(crate) struct Reader {
    delta: bool,
    exponential: bool,
    /// Since when a delta counts; the start of the process for cumulative ones.
    start: Nanos,
    series: BTreeMap<(Instrument, String), Series>,
}

/// What a collection gave.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub items: Vec<Item>,
    pub points: usize,
    pub exemplars: usize,
}

impl Reader {
    pub fn new(delta: bool, exponential: bool, start: Nanos) -> Self {
        Reader { delta, exponential, start, series: BTreeMap::new() }
    }

    pub fn record(&mut self, observation: Observation) {
        let key = observation.attributes.iter().map(|(key, value)| format!("{key}={value:?};")).collect();
        let (_, _, _, shape) = observation.instrument.describe();
        let exponential = self.exponential && shape == Shape::Histogram;
        let seconds = observation.instrument.is_in_seconds();
        let series = self.series.entry((observation.instrument, key));
        series.or_insert_with(|| Series::new(&observation.attributes, exponential, seconds)).record(&observation);
    }

    /// The points of all series, at most `most`, and what their exemplars are. `stamp` gives the Unix time of this process.
    pub fn collect(&mut self, now: Nanos, most: usize, stamp: impl Fn(Nanos) -> u64) -> Collected {
        let collected = self.gather(now, most, false, stamp);
        if self.delta {
            self.series.clear();
            self.start = now;
        }
        collected
    }

    /// At most `most` points, each as a metric of its own.
    pub fn collect_single(&mut self, now: Nanos, most: usize, stamp: impl Fn(Nanos) -> u64) -> Vec<Item> {
        self.gather(now, most, true, stamp).items
    }

    fn gather(&mut self, now: Nanos, most: usize, single: bool, stamp: impl Fn(Nanos) -> u64) -> Collected {
        let mut collected = Collected::default();
        let (start, time) = (stamp(self.start), stamp(now));
        let mut groups: Vec<(Instrument, Vec<&mut Series>)> = Vec::new();
        for ((instrument, _), series) in self.series.iter_mut().take(most) {
            match groups.last_mut() {
                Some((last, group)) if last == instrument && !single => group.push(series),
                _ => groups.push((*instrument, vec![series])),
            }
        }
        for (instrument, mut group) in groups {
            collected.points += group.len();
            collected.exemplars += group.iter().map(|series| series.exemplars()).sum::<usize>();
            let payload = metric_payload(instrument, &mut group, (self.delta, self.exponential), (start, time), &stamp);
            collected.items.push(Item { scope: instrument.describe().2, payload });
        }
        collected
    }
}

/// The payload of a `Metric`. The exemplars of its series are shown once.
fn metric_payload(
    instrument: Instrument,
    group: &mut [&mut Series],
    (delta, exponential): (bool, bool),
    (start, time): (u64, u64),
    stamp: &impl Fn(Nanos) -> u64,
) -> Vec<u8> {
    let (name, unit, _, shape) = instrument.describe();
    let mut payload = Vec::new();
    text(&mut payload, metric::NAME, name);
    text(&mut payload, metric::UNIT, unit);
    let temporality = if delta { 1 } else { 2 };
    let (number, points, field) = match (shape, exponential) {
        (Shape::Histogram, false) => (metric::HISTOGRAM, histogram::DATA_POINTS, histogram::AGGREGATION_TEMPORALITY),
        (Shape::Histogram, true) => {
            let field = exponential_histogram::AGGREGATION_TEMPORALITY;
            (metric::EXPONENTIAL_HISTOGRAM, exponential_histogram::DATA_POINTS, field)
        }
        (Shape::Counter, _) => (metric::SUM, sum::DATA_POINTS, sum::AGGREGATION_TEMPORALITY),
        (Shape::Gauge, _) => (metric::GAUGE, gauge::DATA_POINTS, 0),
    };
    put_message(&mut payload, number, |out| {
        for series in group {
            put_message(out, points, |out| match shape {
                Shape::Histogram => series.histogram(out, start, time, stamp),
                Shape::Counter => series.counter(out, start, time, stamp),
                Shape::Gauge => series.gauge(out, time, stamp),
            });
            series.forget_exemplars();
        }
        if shape != Shape::Gauge {
            put_varint_field(out, field, temporality);
        }
        if shape == Shape::Counter {
            put_varint_field(out, sum::IS_MONOTONIC, 1);
        }
    });
    payload
}

/// Attributes of an exemplar that are not on its series.
fn filtered() -> Vec<(&'static str, Value)> {
    vec![("thread.name", "worker-1".into())]
}
