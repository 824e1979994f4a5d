//! Requests of one signal without a timeline, for load: the shop's items in the order in which they are made.

use std::collections::VecDeque;

use sluice_pdata::Signal;

use crate::encode::{Item, resource_group};
use crate::metrics::Reader;
use crate::secrets::Planted;
use crate::settings::{Nanos, SECOND};
use crate::shop::{Instance, Population, What, World, customer_request};

/// How items are made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Replaces the names of all services.
    pub service: Option<String>,
    /// Further attributes of resources.
    pub attributes: Vec<(String, String)>,
    /// Share of spans and logs with a planted secret.
    pub secrets: f64,
    /// Share of requests that fail; `None`: what the shop's operations have for themselves.
    pub error_ratio: Option<f64>,
}

/// An endless supply of items.
#[derive(Debug)]
pub struct Stream {
    signal: Signal,
    world: World,
    readers: Vec<Reader>,
    waiting: VecDeque<(usize, Item)>,
    planted: Vec<Planted>,
    /// Unix time of the first request.
    began: Option<u64>,
}

/// How long ago customers came whose requests are told of now: even a slow one has ended. Virtual zero is this long before the
/// first request.
const AGO: Nanos = 10 * SECOND;

impl Stream {
    /// A supply of items of one signal.
    pub fn new(signal: Signal, seed: u64, options: &Options) -> Self {
        let name = options.service.as_deref();
        let population = Population { per_service: 1, skew: 0, name, attributes: &options.attributes };
        let mut world = World::new(seed, &population);
        (world.secrets, world.error_ratio) = (options.secrets, options.error_ratio);
        // Cumulative all of them: collected bit by bit, a delta would have no interval.
        let reader = |instance: &Instance| Reader::new(false, instance.service.exponential, 0);
        let readers = world.instances.iter().map(reader).collect();
        Stream { signal, world, readers, waiting: VecDeque::new(), planted: Vec::new(), began: None }
    }

    /// A request with exactly this many spans, log records or data points, made at `now` in Unix nanoseconds, or shortly
    /// before. Time must not run backwards from call to call.
    pub fn request(&mut self, items: usize, now: u64) -> Vec<u8> {
        let began = *self.began.get_or_insert(now);
        self.world.epoch = began.saturating_sub(AGO);
        let now = now.saturating_sub(began);
        let mut taken: Vec<(usize, Item)> = Vec::with_capacity(items);
        while taken.len() < items {
            match self.waiting.pop_front() {
                Some(item) => taken.push(item),
                None => self.refill(now, items - taken.len()),
            }
        }
        let mut bytes = Vec::new();
        // Stable: the order of one process stays.
        taken.sort_by_key(|(instance, _)| *instance);
        for group in taken.chunk_by(|one, other| one.0 == other.0) {
            let resource = &self.world.instances[group[0].0].resource;
            resource_group(&mut bytes, self.signal, resource, group.iter().map(|(_, item)| item));
        }
        self.notice_planted(&bytes);
        bytes
    }

    /// The secrets in the requests since the last call.
    pub fn planted(&mut self) -> Vec<Planted> {
        std::mem::take(&mut self.planted)
    }

    /// Moves what this request holds to the list; the rest is still waiting, or in a signal that is not sent.
    fn notice_planted(&mut self, request: &[u8]) {
        let signal = self.signal;
        let sent = self.world.truth.planted.extract_if(.., |planted| {
            let value = planted.value.as_bytes();
            planted.place.signal() == signal && request.windows(value.len()).any(|window| window == value)
        });
        self.planted.extend(sent);
        self.world.truth.planted.retain(|planted| planted.place.signal() == signal);
    }

    /// One more customer. `now` is virtual time less [`AGO`].
    fn refill(&mut self, now: Nanos, most: usize) {
        let at = now + self.world.random.below(SECOND);
        let made = customer_request(&mut self.world, at);
        let mut measured = false;
        for one in made {
            match (one.what, self.signal) {
                (What::Span(_, item), Signal::Traces) | (What::Log(_, item), Signal::Logs) => {
                    self.waiting.push_back((one.instance, item));
                }
                (What::Observation(observation), Signal::Metrics) => {
                    measured = true;
                    self.readers[one.instance].record(observation);
                }
                _ => {}
            }
        }
        // The truth of single items is nobody's concern here.
        self.world.truth.spans.clear();
        self.world.truth.logs.clear();
        self.world.truth.traces.clear();
        if measured {
            self.collect(now + AGO, most);
        }
    }

    /// Each point is an item of its own.
    fn collect(&mut self, now: Nanos, most: usize) {
        let world = &self.world;
        for (instance, reader) in self.readers.iter_mut().enumerate() {
            let left = most.saturating_sub(self.waiting.len());
            if left == 0 {
                break;
            }
            let collected = reader.collect_single(now, left, |at| world.stamp(instance, at));
            self.waiting.extend(collected.into_iter().map(|item| (instance, item)));
        }
    }
}
