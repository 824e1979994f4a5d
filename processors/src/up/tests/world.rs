//! A world of virtual time for the engine: fake discovery, fake receivers, and everything that was written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::up::config::{Config, Signal};
use crate::up::discovery::TargetGroup;
use crate::up::engine::{Arrival, Engine, JobId, Now, SharedIdentity, Surroundings, SyncOutcome};
use crate::up::identity::Identity;
use crate::up::labels::Labels;
use crate::up::series::{Emission, Series};
use crate::up::target::{Target, TargetBuilder};

pub const START: Duration = Duration::from_secs(1_700_000_000);

pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn seed() -> ahash::RandomState {
    ahash::RandomState::with_seeds(1, 2, 3, 4)
}

pub struct World {
    pub config: Config,
    pub engine: Engine,
    pub mono: Duration,
    pub unix: Duration,
    /// Subtracted from `mono` for the engine: its process started then.
    started: Duration,
    pub written: Vec<Emission>,
    /// When each of them was handed over.
    pub written_at: Vec<Duration>,
    pub collector: String,
}

impl World {
    /// The engine is ready to receive at time 0.
    pub fn new(yaml: &str) -> World {
        World::named(yaml, "c1")
    }

    pub fn named(yaml: &str, collector: &str) -> World {
        let config: Config = serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}"));
        let mut world = World {
            engine: engine(&config, collector),
            config,
            mono: Duration::ZERO,
            unix: START,
            started: Duration::ZERO,
            written: Vec::new(),
            written_at: Vec::new(),
            collector: collector.to_owned(),
        };
        world.engine.receiver_ready(world.now());
        world
    }

    pub fn now(&self) -> Now {
        Now { mono: self.mono - self.started, unix: self.unix }
    }

    /// Lets time pass, with a tick whenever the engine asks for one.
    pub fn run_until(&mut self, mono: Duration) {
        while self.mono < mono {
            let next = (self.engine.next_wakeup() + self.started).clamp(self.mono, mono);
            self.sleep(next - self.mono);
            self.tick();
        }
    }

    /// Lets time pass without a tick.
    pub fn sleep(&mut self, time: Duration) {
        self.mono += time;
        self.unix += time;
    }

    pub fn tick(&mut self) {
        let emissions = self.engine.tick(self.now());
        self.written.extend(emissions);
        self.written_at.resize(self.written.len(), self.mono);
    }

    pub fn push(&mut self, identity: &SharedIdentity) {
        self.push_with(identity, Arrival { items: 10, bytes: 1000, ..Arrival::new(Signal::Metrics) });
    }

    pub fn push_with(&mut self, identity: &SharedIdentity, arrival: Arrival) {
        self.engine.observe(self.now(), identity, &arrival);
    }

    /// Pushes at a steady interval up to and including `until`.
    pub fn push_every(&mut self, identity: &SharedIdentity, every: Duration, until: Duration) {
        while self.mono + every <= until {
            self.run_until(self.mono + every);
            self.push(identity);
        }
        self.run_until(until);
    }

    /// A discovery update of the only job with these instances.
    pub fn sync(&mut self, instances: &[&str]) -> SyncOutcome {
        let targets = self.targets(instances);
        self.engine.sync(JobId(0), &targets, self.now())
    }

    pub fn targets(&self, instances: &[&str]) -> Vec<Arc<Target>> {
        let addresses = instances.iter().map(|i| BTreeMap::from([("__address__".to_owned(), (*i).to_owned())]));
        let group = TargetGroup { targets: addresses.collect(), ..TargetGroup::default() };
        TargetBuilder::new(&self.config.jobs[0]).expect("job").build([&group]).targets
    }

    /// The process ends and another one takes over its state after a while.
    pub fn restart(&mut self, pause: Duration) {
        let snapshot = self.engine.snapshot(self.now());
        self.tick();
        self.restart_from(Some(snapshot), pause);
    }

    pub fn restart_from(&mut self, snapshot: Option<crate::up::snapshot::Snapshot>, pause: Duration) {
        self.sleep(pause);
        self.started = self.mono;
        self.engine = engine(&self.config, &self.collector);
        if let Some(snapshot) = snapshot {
            self.engine.restore(snapshot);
        }
        self.engine.receiver_ready(self.now());
    }

    /// Virtual time of a timestamp, for a wall clock that never jumped.
    pub fn at(time_ms: u64) -> Duration {
        Duration::from_millis(time_ms).saturating_sub(START)
    }

    /// All samples of a series, as (virtual time, labels, value); no value is a marker.
    pub fn samples(&self, series: Series) -> Vec<(Duration, Labels, Option<f64>)> {
        let of = |e: &Emission| {
            let samples = e.samples.iter().filter(|s| s.series == series);
            samples.map(|s| (World::at(e.time_ms), e.labels.clone(), s.value)).collect::<Vec<_>>()
        };
        self.written.iter().flat_map(of).collect()
    }

    /// `up` of one instance as (virtual time, value).
    pub fn up(&self, instance: &str) -> Vec<(Duration, Option<f64>)> {
        let of_instance =
            self.samples(Series::Up).into_iter().filter(|(_, labels, _)| labels.get("instance") == instance);
        of_instance.map(|(at, _, value)| (at, value)).collect()
    }

    /// The grid points of an instance in (from, until].
    pub fn points(&self, instance: &str, from: Duration, until: Duration) -> Vec<Duration> {
        let target = self.targets(&[instance]).remove(0);
        let grid = crate::up::grid::Grid::new(target.grid, target.labels.fnv64a());
        let mut points = Vec::new();
        let mut at = grid.after((START + from).as_millis() as u64);
        while World::at(at) <= until {
            points.push(World::at(at));
            at = grid.after(at);
        }
        points
    }
}

fn engine(config: &Config, collector: &str) -> Engine {
    Engine::new(config.clone(), Surroundings { collector: collector.to_owned(), seed: seed() })
        .unwrap_or_else(|e| panic!("{e}"))
}

/// An identity from `key=value` attributes; `peer=` sets the peer address.
pub fn identity(attributes: &str) -> SharedIdentity {
    let pairs: Vec<(&str, &str)> = attributes.split_whitespace().filter_map(|pair| pair.split_once('=')).collect();
    let special = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let peer = special("peer").map(|address| address.parse().expect("address"));
    let pairs = pairs.iter().map(|(key, value)| (key.as_bytes(), *value));
    Arc::new(Identity::new(pairs, special("tenant"), peer, &seed()))
}

/// The identity that rung `job_instance` matches with an instance of job `app`.
pub fn app(instance: &str) -> SharedIdentity {
    identity(&format!("service.name=app service.instance.id={instance}"))
}

/// Points with one value each.
pub fn valued(points: impl IntoIterator<Item = Duration>, value: Option<f64>) -> Vec<(Duration, Option<f64>)> {
    points.into_iter().map(|at| (at, value)).collect()
}

/// Values at points: 1 up to and including `up_until`, then 0.
pub fn up_then_down(points: Vec<Duration>, up_until: Duration) -> Vec<(Duration, Option<f64>)> {
    points.into_iter().map(|at| (at, Some(if at <= up_until { 1.0 } else { 0.0 }))).collect()
}
