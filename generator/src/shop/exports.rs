//! The SDKs of all instances on one virtual timeline: what they export, and when it reaches the collector.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use sluice_pdata::Signal;

use super::giant;
use super::walk::{Made, What, customer_request};
use super::world::{Population, World};
use crate::encode::{Item, resource_group};
use crate::metrics::{Observation, Reader};
use crate::random::Random;
use crate::settings::{Error, MILLISECOND, Nanos, SECOND, Settings};
use crate::truth::Truth;

/// One request as a collector receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    pub arrival: Nanos,
    /// Index of the process that sent it, as in [`Shop::instances`].
    pub instance: usize,
    pub signal: Signal,
    /// An `Export*ServiceRequest`.
    pub bytes: Vec<u8>,
    /// Spans, log records or data points.
    pub items: usize,
    /// Whether this is the second time that it comes.
    pub duplicate: bool,
}

/// The run, as an iterator of exports in order of arrival. It makes what is needed for the next export and no more.
#[derive(Debug)]
pub struct Shop {
    settings: Settings,
    world: World,
    /// Randomness of networks and timers, apart from that of the customers.
    network: Random,
    sdks: Vec<Sdk>,
    events: BinaryHeap<Reverse<(Nanos, u64, Event)>>,
    /// Made and not yet arrived.
    under_way: BTreeMap<(Nanos, u64), Export>,
    drawn: u64,
    now: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Customer,
    Giant,
    Background(usize),
    Flush(usize, usize),
}

/// What waits in an instance's SDK, by time and the order in which it was made.
#[derive(Debug)]
struct Sdk {
    spans: BTreeMap<(Nanos, u64), (Option<u32>, Item)>,
    logs: BTreeMap<(Nanos, u64), (u32, Item)>,
    observations: BTreeMap<(Nanos, u64), Observation>,
    reader: Reader,
}

/// Mean time between logs of an instance that no request caused.
const BACKGROUND: f64 = 4.0 * SECOND as f64;

impl Shop {
    /// A run from its beginning.
    ///
    /// # Errors
    /// The settings make no run ([`Settings::validate`]).
    pub fn new(settings: Settings) -> Result<Self, Error> {
        settings.validate()?;
        let population = Population {
            per_service: settings.instances,
            skew: settings.disturbances.skew,
            name: None,
            attributes: &[],
        };
        let mut world = World::new(settings.seed, &population);
        (world.epoch, world.sampling) = (settings.epoch, settings.sampling);
        (world.pathologies, world.secrets) = (settings.pathologies, settings.secrets);
        let sdks = world.instances.iter().map(|instance| Sdk {
            spans: BTreeMap::new(),
            logs: BTreeMap::new(),
            observations: BTreeMap::new(),
            reader: Reader::new(instance.service.delta, instance.service.exponential, 0),
        });
        let (sdks, network) = (sdks.collect(), world.random.fork());
        let (events, under_way) = (BinaryHeap::new(), BTreeMap::new());
        let mut shop = Shop { settings, world, network, sdks, events, under_way, drawn: 0, now: 0 };
        shop.plan();
        Ok(shop)
    }

    /// The first events: a customer, and timers that began when each process was started.
    fn plan(&mut self) {
        let first = self.until_next_customer();
        self.at(first, Event::Customer);
        if self.settings.giant.is_some() {
            self.at(self.settings.duration / 2, Event::Giant);
        }
        for instance in 0..self.sdks.len() {
            for signal in Signal::ALL {
                let phase = self.network.below(self.interval(signal as usize));
                self.at(phase, Event::Flush(instance, signal as usize));
            }
            let first = self.network.exponential(BACKGROUND) as Nanos;
            self.at(first, Event::Background(instance));
        }
    }

    /// `service.name` and `service.instance.id` of each instance.
    pub fn instances(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.world.instances.iter().map(|instance| (instance.service.name, instance.id.as_str()))
    }

    /// What really happened; whole once the iterator has ended.
    pub fn truth(&self) -> &Truth {
        &self.world.truth
    }

    /// The same, to keep.
    pub fn into_truth(self) -> Truth {
        self.world.truth
    }

    fn interval(&self, signal: usize) -> Nanos {
        let timers = &self.settings.timers;
        [timers.spans, timers.metrics, timers.logs][signal]
    }

    fn number(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    fn at(&mut self, time: Nanos, event: Event) {
        let number = self.number();
        self.events.push(Reverse((time, number, event)));
    }

    fn until_next_customer(&mut self) -> Nanos {
        self.network.exponential(SECOND as f64 / self.settings.traces_per_second) as Nanos
    }

    fn happen(&mut self, event: Event) {
        let (now, lasts) = (self.now, self.now < self.settings.duration);
        match event {
            Event::Customer if lasts => {
                let made = customer_request(&mut self.world, now);
                self.hand_over(made);
                let next = now + self.until_next_customer();
                self.at(next, Event::Customer);
            }
            Event::Giant => {
                let made = giant::job(&mut self.world, now, self.settings.giant.unwrap_or(0));
                self.hand_over(made);
            }
            Event::Background(instance) if lasts => {
                let (number, item) = self.world.background_log(instance, now);
                self.hand_over(vec![Made { instance, at: now, what: What::Log(number, item) }]);
                let next = now + self.network.exponential(BACKGROUND) as Nanos;
                self.at(next, Event::Background(instance));
            }
            Event::Customer | Event::Background(_) => {}
            Event::Flush(instance, signal) => self.flush(instance, signal),
        }
    }

    fn hand_over(&mut self, made: Vec<Made>) {
        for Made { instance, at, what } in made {
            let key = (at, self.number());
            let sdk = &mut self.sdks[instance];
            match what {
                What::Span(number, item) => drop(sdk.spans.insert(key, (number, item))),
                What::Log(number, item) => drop(sdk.logs.insert(key, (number, item))),
                What::Observation(observation) => drop(sdk.observations.insert(key, observation)),
            }
        }
    }

    /// A timer's turn: exports what has come up to now, and winds the timer up again.
    fn flush(&mut self, instance: usize, signal: usize) {
        let at = match Signal::ALL[signal] {
            Signal::Traces => self.flush_spans(instance),
            Signal::Logs => self.flush_logs(instance),
            Signal::Metrics => self.flush_metrics(instance),
        };
        let sdk = &self.sdks[instance];
        let waits = match Signal::ALL[signal] {
            Signal::Traces => !sdk.spans.is_empty(),
            Signal::Logs => !sdk.logs.is_empty(),
            Signal::Metrics => !sdk.observations.is_empty(),
        };
        if waits || self.now < self.settings.duration {
            // The timer runs from the end of an export, which is why timers of two signals do not stay in step.
            let took = self.network.log_normal(4.0, 0.6) * MILLISECOND as f64;
            let next = at + self.interval(signal) + took as Nanos;
            self.at(next.max(self.now + 1), Event::Flush(instance, signal));
        }
    }

    /// Since when the timer runs again: now, or when the last full batch left.
    fn flush_spans(&mut self, instance: usize) -> Nanos {
        let (mut since, most) = (None, self.settings.timers.max_export_batch_size);
        while let Some((batch, at)) = full(&mut self.sdks[instance].spans, self.now, most) {
            self.export_spans(instance, batch, at);
            since = Some(at);
        }
        if let Some(at) = self.still_waits(since, Signal::Traces) {
            return at;
        }
        let batch = due(&mut self.sdks[instance].spans, self.now);
        self.export_spans(instance, batch, self.now);
        self.now
    }

    fn flush_logs(&mut self, instance: usize) -> Nanos {
        let (mut since, most) = (None, self.settings.timers.max_export_batch_size);
        while let Some((batch, at)) = full(&mut self.sdks[instance].logs, self.now, most) {
            self.export_logs(instance, batch, at);
            since = Some(at);
        }
        if let Some(at) = self.still_waits(since, Signal::Logs) {
            return at;
        }
        let batch = due(&mut self.sdks[instance].logs, self.now);
        self.export_logs(instance, batch, self.now);
        self.now
    }

    /// A timer that was wound up again by a full batch at `since`, and has not run down by now.
    fn still_waits(&self, since: Option<Nanos>, signal: Signal) -> Option<Nanos> {
        since.filter(|at| at + self.interval(signal as usize) > self.now)
    }

    fn export_spans(&mut self, instance: usize, batch: Vec<(Option<u32>, Item)>, at: Nanos) {
        let (numbers, items): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        self.export(instance, Signal::Traces, at, &items, items.len(), |truth, arrival| {
            for number in numbers.into_iter().flatten() {
                let span = &mut truth.spans[number as usize];
                span.at = arrival;
                let (Some(arrival), trace) = (arrival, &mut truth.traces[span.trace as usize]) else { continue };
                trace.arrived += 1;
                trace.last_at = trace.last_at.max(Some(arrival));
                if span.is_root {
                    trace.root_at = Some(arrival);
                }
            }
        });
    }

    fn export_logs(&mut self, instance: usize, batch: Vec<(u32, Item)>, at: Nanos) {
        let (numbers, items): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        self.export(instance, Signal::Logs, at, &items, items.len(), |truth, arrival| {
            numbers.into_iter().for_each(|number| truth.logs[number as usize].at = arrival);
        });
    }

    fn flush_metrics(&mut self, instance: usize) -> Nanos {
        let batch = due(&mut self.sdks[instance].observations, self.now);
        batch.into_iter().for_each(|observation| self.sdks[instance].reader.record(observation));
        let world = &self.world;
        let collected = self.sdks[instance].reader.collect(self.now, usize::MAX, |at| world.stamp(instance, at));
        self.export(instance, Signal::Metrics, self.now, &collected.items, collected.points, |truth, arrival| {
            truth.points += collected.points;
            truth.exemplars += collected.exemplars;
            truth.points_lost += if arrival.is_none() { collected.points } else { 0 };
        });
        self.now
    }

    /// Sends a request on its way. What is empty is not sent.
    fn export(
        &mut self,
        instance: usize,
        signal: Signal,
        at: Nanos,
        items: &[Item],
        count: usize,
        tell: impl FnOnce(&mut Truth, Option<Nanos>),
    ) {
        if items.is_empty() {
            return;
        }
        let disturbances = self.settings.disturbances;
        let mut arrival = at + (self.network.log_normal(3.0, 0.6) * MILLISECOND as f64) as Nanos;
        if self.network.chance(disturbances.late) {
            arrival += self.network.below(disturbances.lateness.max(1));
        }
        let lost = self.network.chance(disturbances.lost);
        tell(&mut self.world.truth, (!lost).then_some(arrival));
        if lost {
            return;
        }
        let mut bytes = Vec::new();
        resource_group(&mut bytes, signal, &self.world.instances[instance].resource, items.iter());
        let export = Export { arrival, instance, signal, bytes, items: count, duplicate: false };
        if self.network.chance(disturbances.duplicated) {
            let again = arrival + 100 * MILLISECOND + self.network.below(3 * SECOND);
            self.world.truth.duplicated[signal as usize] += count;
            let number = self.number();
            self.under_way.insert((again, number), Export { arrival: again, duplicate: true, ..export.clone() });
        }
        let number = self.number();
        self.under_way.insert((arrival, number), export);
    }

    /// Nothing that is made from now on arrives before this: a full batch is found at its timer's turn, but left when it was
    /// full.
    fn horizon(&self) -> Nanos {
        self.now.saturating_sub(self.settings.timers.spans.max(self.settings.timers.logs) + SECOND)
    }
}

/// What has come by now, oldest first.
fn due<T>(waiting: &mut BTreeMap<(Nanos, u64), T>, now: Nanos) -> Vec<T> {
    let later = waiting.split_off(&(now, u64::MAX));
    std::mem::replace(waiting, later).into_values().collect()
}

/// The oldest `size`, if so many have come by now, and when they had.
fn full<T>(waiting: &mut BTreeMap<(Nanos, u64), T>, now: Nanos, size: usize) -> Option<(Vec<T>, Nanos)> {
    let last = *waiting.keys().nth(size - 1)?;
    if last.0 > now {
        return None;
    }
    let later = waiting.split_off(&(last.0, last.1 + 1));
    Some((std::mem::replace(waiting, later).into_values().collect(), last.0))
}

impl Iterator for Shop {
    type Item = Export;

    fn next(&mut self) -> Option<Export> {
        loop {
            let horizon = if self.events.is_empty() { Nanos::MAX } else { self.horizon() };
            if let Some(first) = self.under_way.first_entry()
                && first.key().0 <= horizon
            {
                return Some(first.remove());
            }
            let Reverse((at, _, event)) = self.events.pop()?;
            self.now = at;
            self.happen(event);
        }
    }
}
