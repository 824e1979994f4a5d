//! The task behind an `up` processor: polls discovery, drives the engine, and sends what it writes down the pipeline.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sluice_pipeline::clock::{Clock, Monotonic};
use sluice_pipeline::component::{Component, Environment};
use sluice_pipeline::context::Arrival;
use sluice_pipeline::processor::Emitter;
use sluice_pipeline::receiver::{Consumer, Pushback};
use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::{BoxFuture, ComponentId, Error, PipelineId, Signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::align::Alignment;
use super::config::{AlignLabels, Config};
use super::discovery::job::Discovery;
use super::engine::{Ended, Engine, Now, PoorlyMatched, Surroundings};
use super::observer::{Observer, SeenSeries};
use super::outbox::OwnSeries;
use super::saver::Saver;
use super::sender::{Lane, Sender};
use super::state::Mono;
use super::step::{LaneNumber, UpStep};
use super::store::Store;
use super::telemetry::{LivenessMetrics, Outgoing};
use super::tracker::StaleTracker;
use super::ways::{Way, Ways, targets};

/// How often files are looked at: a change is seen within this.
const POLL: Duration = Duration::from_secs(5);
const NO_PIPELINE: &str = "at least one metrics pipeline must list this processor";
/// Resources that the observer remembers.
const RESOURCES: usize = 100_000;

/// One `up` processor: the same for all pipelines that name it.
pub struct Up {
    id: ComponentId,
    config: Config,
    clock: Arc<dyn Clock>,
    collector: String,
    pub(super) observer: Arc<Observer>,
    seed: ahash::RandomState,
    telemetry: Telemetry,
    ways: Ways,
    /// The engine's task, then the senders'.
    tasks: Mutex<Vec<JoinHandle<()>>>,
    alignment: Arc<Alignment>,
    /// The lanes of the pipelines whose steps were made.
    numbers: Mutex<Vec<(PipelineId, Arc<LaneNumber>)>>,
    stop: watch::Sender<bool>,
    /// Set once the engine's task has ended: nothing more will be written.
    drain: watch::Sender<bool>,
}

impl Up {
    /// A processor that observes from now on and writes once it is started.
    pub fn new(config: Config, environment: &Environment) -> Self {
        let seed = ahash::RandomState::new();
        Up {
            id: environment.id.clone(),
            config,
            clock: Arc::clone(&environment.clock),
            collector: hostname(),
            observer: Arc::new(Observer::new(seed.clone(), RESOURCES)),
            seed,
            telemetry: environment.telemetry.clone(),
            ways: Ways::default(),
            tasks: Mutex::new(Vec::new()),
            alignment: Arc::default(),
            numbers: Mutex::new(Vec::new()),
            stop: watch::Sender::new(false),
            drain: watch::Sender::new(false),
        }
    }

    /// The observing side in one pipeline.
    pub fn step(&self, pipeline: Option<&PipelineId>) -> UpStep {
        let lane = pipeline.filter(|pipeline| self.config.stale_on_down && pipeline.signal() == Signal::Metrics);
        let lane = lane.map(|pipeline| {
            let number = Arc::new(LaneNumber::default());
            let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
            // Those of steps that a reload has removed go.
            numbers.retain(|(_, number)| Arc::strong_count(number) > 1);
            numbers.push((pipeline.clone(), Arc::clone(&number)));
            number
        });
        UpStep {
            observer: Arc::clone(&self.observer),
            alignment: (self.config.align_labels == AlignLabels::Sd).then(|| Arc::clone(&self.alignment)),
            lane,
            seed: self.seed.clone(),
            trusted_proxies: self.config.trusted_proxies.iter().map(std::net::IpAddr::to_canonical).collect(),
        }
    }

    /// The engine and its discovery, fresh.
    fn engine(&self) -> Result<(Engine, Vec<Discovery>), Error> {
        let surroundings = Surroundings { collector: self.collector.clone(), seed: self.seed.clone() };
        let engine = Engine::new(self.config.clone(), surroundings).map_err(|e| Error::config(e.to_string()))?;
        let jobs = self.config.jobs.iter().map(|job| Discovery::new(job, &engine));
        let jobs = jobs.collect::<Result<Vec<_>, Error>>()?;
        Ok((engine, jobs))
    }

    /// Opens what an earlier process kept, if it is to be kept at all.
    fn saver(&self, engine: &mut Engine) -> Result<Option<Saver>, Error> {
        if self.config.state.directory.is_empty() {
            return Ok(None);
        }
        let opened = Store::open(Path::new(&self.config.state.directory));
        let (store, snapshot) = opened.map_err(|error| Error::config(error.to_string()))?;
        engine.restore(snapshot);
        Ok(Some(Saver::new(store, self.config.state.interval)))
    }

    /// A lane into each of these pipelines, and the tasks that empty them.
    ///
    /// What a pipeline's series look like is kept at its own step and marked stale in its own lane: another pipeline may have
    /// redacted less.
    fn lanes(&self, targets: Vec<(PipelineId, Arc<Way>)>) -> (Vec<Arc<Lane>>, Vec<JoinHandle<()>>) {
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut lanes, mut tasks) = (Vec::new(), Vec::new());
        for (pipeline, target) in targets {
            let steps = numbers.iter().filter(|(of, _)| *of == pipeline);
            steps.for_each(|(_, number)| number.set(lanes.len()));
            // Live targets, and as many that have left and whose markers wait.
            let limit = self.config.max_targets.saturating_mul(2);
            let lane = Arc::new(Lane::new(limit, self.config.stale_tracker.max_bytes));
            let sender = Sender {
                id: self.id.clone(),
                lane: Arc::clone(&lane),
                target: target as Arc<dyn Consumer>,
                clock: Arc::clone(&self.clock),
                telemetry: self.telemetry.clone(),
                seed: self.seed.clone(),
            };
            lanes.push(lane);
            tasks.push(tokio::spawn(sender.run(self.drain.subscribe())));
        }
        (lanes, tasks)
    }
}

impl Up {
    /// Shows at each scrape how it is; nothing any more once the tasks are gone.
    fn publish(&self, engine: &Arc<Mutex<Engine>>, lanes: &[Arc<Lane>]) {
        let metrics = LivenessMetrics::new(&self.telemetry, &self.id);
        let (clock, lanes) = (Arc::clone(&self.clock), lanes.to_vec());
        self.telemetry.on_scrape_of(engine, move |engine| {
            let statistics = lock(engine).statistics(now(&*clock));
            let mut outgoing = Outgoing::default();
            for lane in &lanes {
                let outbox = lane.outbox();
                let counts = outbox.counts();
                outgoing.waiting += outbox.points();
                outgoing.counts.superseded += counts.superseded;
                outgoing.counts.evicted += counts.evicted;
                outgoing.degraded += lane.degraded.load(Ordering::Relaxed) + counts.own_evicted;
            }
            metrics.publish(&statistics, &outgoing);
        });
    }
}

/// The engine is whole even if a task panicked: it is changed by pure functions of values.
fn lock(engine: &Mutex<Engine>) -> MutexGuard<'_, Engine> {
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now(clock: &dyn Clock) -> Now {
    let arrival = clock.arrival();
    Now { mono: arrival.monotonic.0, unix: Duration::from_nanos(arrival.wall.0) }
}

/// The name that tells this collector from others.
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "sluice".to_owned() } else { name.to_owned() }
}

impl Component for Up {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let targets = self.ways.targets(&self.config.emit_to);
            if targets.is_empty() {
                return Err(Error::config(NO_PIPELINE));
            }
            let (mut engine, jobs) = self.engine()?;
            let saver = self.saver(&mut engine)?;
            let engine = Arc::new(Mutex::new(engine));
            self.alignment.connect(&engine);
            let (lanes, mut tasks) = self.lanes(targets);
            self.publish(&engine, &lanes);
            let trackers = lanes.iter().map(|_| StaleTracker::new(self.config.stale_tracker.clone())).collect();
            let driver = Driver {
                engine,
                jobs,
                observer: Arc::clone(&self.observer),
                clock: Arc::clone(&self.clock),
                lanes,
                trackers,
                saver,
            };
            tasks.insert(0, tokio::spawn(driver.run(self.stop.subscribe())));
            *self.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
            Ok(())
        })
    }

    fn stop(&self, grace: Duration) -> BoxFuture<'_, ()> {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        self.stop.send_replace(true);
        Box::pin(async move {
            let grace = self.clock.now() + grace;
            for mut task in tasks {
                tokio::select! {
                    _ = &mut task => {}
                    () = self.clock.sleep_until(grace) => task.abort(),
                }
                // The engine's task is the first: the senders have its last words to bring in.
                self.drain.send_replace(true);
            }
            self.ways.connect(Vec::new());
        })
    }
}

impl Emitter for Up {
    fn connect(&self, pipelines: Vec<(PipelineId, Arc<dyn Consumer>)>) {
        self.ways.connect(pipelines);
    }

    fn check(&self, pipelines: &[PipelineId]) -> Result<(), Error> {
        if targets(pipelines, &self.config.emit_to).is_empty() {
            return Err(Error::config(NO_PIPELINE));
        }
        self.engine().map(|_| ())
    }

    /// Its series must go on where they went: what it keeps of a pipeline may not come into another one.
    fn survives(&self, pipelines: &[PipelineId]) -> bool {
        let before = self.ways.targets(&self.config.emit_to);
        before.iter().map(|(pipeline, _)| pipeline).eq(targets(pipelines, &self.config.emit_to))
    }
}

impl Pushback for Up {
    fn pushed_back(&self, at: Arrival) {
        self.observer.refused(Now { mono: at.monotonic.0, unix: Duration::from_nanos(at.wall.0) });
    }
}

/// Drives the engine by the clock.
struct Driver {
    /// Locked for one turn at a time; scrapes look at it in between.
    engine: Arc<Mutex<Engine>>,
    jobs: Vec<Discovery>,
    observer: Arc<Observer>,
    clock: Arc<dyn Clock>,
    lanes: Vec<Arc<Lane>>,
    /// One for each lane.
    trackers: Vec<StaleTracker>,
    saver: Option<Saver>,
}

impl Driver {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut next_poll = self.begin();
        loop {
            let mut wake = self.turn(&mut next_poll);
            if let Some(saver) = &mut self.saver {
                let now = now(&*self.clock);
                wake = wake.min(saver.save_if_due(now.mono, || lock(&self.engine).snapshot(now)));
            }
            tokio::select! {
                () = self.clock.sleep_until(Monotonic(wake)) => {}
                _ = stop.changed() => break,
            }
        }
        // What has arrived since the last turn is known to the next process.
        self.turn(&mut next_poll);
        if let Some(saver) = self.saver {
            let snapshot = lock(&self.engine).snapshot(now(&*self.clock));
            saver.finish(snapshot).await;
        }
    }

    /// Discovery, and readiness. When to look for targets again.
    fn begin(&mut self) -> Mono {
        let engine = &mut *lock(&self.engine);
        let now = now(&*self.clock);
        self.jobs.iter_mut().for_each(|job| job.poll(engine, now));
        engine.receiver_ready(now);
        now.mono + POLL
    }

    /// Does what is due. When to come again.
    fn turn(&mut self, next_poll: &mut Mono) -> Mono {
        let shared = Arc::clone(&self.engine);
        let engine = &mut *lock(&shared);
        let now = now(&*self.clock);
        // First what has arrived: what is due is judged by it.
        let seen = self.observer.drain(engine, now);
        seen.iter().for_each(|seen| self.keep(engine, seen));
        if now.mono >= *next_poll {
            self.jobs.iter_mut().for_each(|job| job.poll(engine, now));
            *next_poll = now.mono + POLL;
            for PoorlyMatched { job, matched, targets } in engine.poorly_matched(now) {
                tracing::warn!(
                    %job,
                    matched,
                    targets,
                    "less than half of the targets were found among the senders: do the keys of `match` fit?"
                );
            }
        }
        let emissions = engine.tick(now);
        if !emissions.is_empty() {
            self.lanes.iter().for_each(|lane| lane.add(&emissions));
        }
        for ended in engine.take_ended() {
            for (lane, tracker) in self.lanes.iter().zip(&mut self.trackers) {
                match ended {
                    Ended::Silent { series, time_ms } => {
                        let kept = tracker.last_pushed(series);
                        lane.add_own(OwnSeries { target: series, time_ms, kept });
                    }
                    Ended::Forgotten { series } => tracker.forget(series),
                }
            }
        }
        engine.next_wakeup().min(*next_poll).max(now.mono + Duration::from_millis(10))
    }

    /// Remembers which series a target has pushed.
    fn keep(&mut self, engine: &mut Engine, seen: &SeenSeries) {
        let SeenSeries { at, known, pushed } = seen;
        let (Some(lane), Some(tracker)) = (self.lanes.get(pushed.lane), self.trackers.get_mut(pushed.lane)) else {
            return;
        };
        let before = tracker.degraded();
        let mut complete = true;
        for (target, timing) in engine.targets_of(known.identity()) {
            complete &= tracker.pushed(target, &timing, *at, pushed.series, pushed.bytes.as_deref());
            lane.outbox().drop_own(target);
        }
        lane.degraded.fetch_add(tracker.degraded() - before, Ordering::Relaxed);
        if !complete {
            known.forget(pushed.series);
        }
    }
}
