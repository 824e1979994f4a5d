//! The task behind an `up` processor: polls discovery, drives the engine, and sends what it writes down the pipeline.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sluice_pipeline::clock::Clock;
use sluice_pipeline::component::{Component, Environment};
use sluice_pipeline::processor::Emitter;
use sluice_pipeline::receiver::Consumer;
use sluice_pipeline::{Batch, BoxFuture, ComponentId, Context, Error, PipelineId, Signal};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::config::{Config, JobConfig};
use super::discovery::file::FileDiscovery;
use super::discovery::{TargetGroup, static_};
use super::emit::encode;
use super::engine::{Engine, JobId, Now, Surroundings, SyncOutcome};
use super::observer::Observer;
use super::target::TargetBuilder;

/// How often files are looked at: a change is seen within this.
const POLL: Duration = Duration::from_secs(5);
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
    lanes: Mutex<Vec<(PipelineId, Arc<dyn Consumer>)>>,
    task: Mutex<Option<JoinHandle<()>>>,
    stop: Arc<Notify>,
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
            lanes: Mutex::new(Vec::new()),
            task: Mutex::new(None),
            stop: Arc::new(Notify::new()),
        }
    }

    /// Where the series go: the first metrics pipeline, or those that `emit_to` names.
    fn targets(&self) -> Vec<Arc<dyn Consumer>> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = lanes.iter().filter(|(pipeline, _)| pipeline.signal() == Signal::Metrics);
        if self.config.emit_to.is_empty() {
            return metrics.take(1).map(|(_, consumer)| Arc::clone(consumer)).collect();
        }
        let named = metrics.filter(|(pipeline, _)| self.config.emit_to.iter().any(|name| name == pipeline.as_str()));
        named.map(|(_, consumer)| Arc::clone(consumer)).collect()
    }
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
            let targets = self.targets();
            if targets.is_empty() {
                return Err(Error::config("at least one metrics pipeline must list this processor"));
            }
            let surroundings = Surroundings { collector: self.collector.clone(), seed: self.seed.clone() };
            let engine = Engine::new(self.config.clone(), surroundings).map_err(|e| Error::config(e.to_string()))?;
            let jobs = self.config.jobs.iter().map(|job| Discovery::new(job, &engine));
            let jobs = jobs.collect::<Result<Vec<_>, Error>>()?;
            let driver = Driver {
                id: self.id.clone(),
                engine,
                jobs,
                observer: Arc::clone(&self.observer),
                clock: Arc::clone(&self.clock),
                targets,
            };
            let task = tokio::spawn(driver.run(Arc::clone(&self.stop)));
            *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
            Ok(())
        })
    }

    fn stop(&self, grace: Duration) -> BoxFuture<'_, ()> {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.stop.notify_one();
        Box::pin(async move {
            if let Some(task) = task {
                let abort = task.abort_handle();
                if tokio::time::timeout(grace, task).await.is_err() {
                    abort.abort();
                }
            }
        })
    }
}

impl Emitter for Up {
    fn connect(&self, pipeline: &PipelineId, behind: Arc<dyn Consumer>) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).push((pipeline.clone(), behind));
    }
}

/// The discovery mechanisms of one job.
struct Discovery {
    job: JobId,
    name: String,
    builder: TargetBuilder,
    fixed: Vec<TargetGroup>,
    files: Vec<FileDiscovery>,
    /// Whether the engine has the present set: nothing is built again before it changes.
    applied: bool,
}

impl Discovery {
    fn new(job: &JobConfig, engine: &Engine) -> Result<Self, Error> {
        let invalid = |text: String| Error::config(format!("job {:?}: {text}", job.job_name));
        Ok(Discovery {
            job: engine.job(&job.job_name).ok_or_else(|| invalid("unknown to the engine".to_owned()))?,
            name: job.job_name.clone(),
            builder: TargetBuilder::new(job).map_err(|error| invalid(error.to_string()))?,
            fixed: static_::groups(&job.static_configs),
            files: job.file_sd_configs.iter().cloned().map(FileDiscovery::new).collect(),
            applied: false,
        })
    }

    /// Looks for targets and tells the engine. Blocking file I/O of small files.
    fn poll(&mut self, engine: &mut Engine, now: Now) {
        let mut failed = false;
        let mut synced = true;
        for files in &mut self.files {
            let poll = files.poll(now.mono);
            synced &= poll.synced;
            self.applied &= !poll.changed;
            for error in &poll.errors {
                tracing::warn!(job = %self.name, %error, "discovery: the last good content stays in force");
                failed = true;
            }
        }
        if failed || !synced {
            engine.sync_failed(self.job, now);
        }
        if !synced {
            return;
        }
        if self.applied {
            if !failed {
                engine.sync_unchanged(self.job, now);
            }
            return;
        }
        let set = self.builder.build(self.fixed.iter().chain(self.files.iter().flat_map(FileDiscovery::groups)));
        for (labels, problem) in &set.invalid {
            tracing::warn!(job = %self.name, ?labels, %problem, "discovered target is not usable");
        }
        // A doubted set is handed in again at the next poll: that is its confirmation.
        self.applied = engine.sync(self.job, &set.targets, now) == SyncOutcome::Applied;
    }
}

struct Driver {
    id: ComponentId,
    engine: Engine,
    jobs: Vec<Discovery>,
    observer: Arc<Observer>,
    clock: Arc<dyn Clock>,
    targets: Vec<Arc<dyn Consumer>>,
}

impl Driver {
    fn now(&self) -> Now {
        Now { mono: self.clock.now().0, unix: Duration::from_nanos(self.clock.wall().0) }
    }

    async fn run(mut self, stop: Arc<Notify>) {
        let mut next_poll = Duration::ZERO;
        let started = self.now();
        self.poll(started);
        self.engine.receiver_ready(started);
        loop {
            let now = self.now();
            // First what has arrived: what is due is judged by it.
            self.observer.drain(&mut self.engine, now);
            if now.mono >= next_poll {
                self.poll(now);
                next_poll = now.mono + POLL;
            }
            let emissions = self.engine.tick(now);
            if !emissions.is_empty() {
                let mut request = Vec::new();
                let points = encode(&emissions, &mut request);
                self.send(Bytes::from(request), points).await;
            }
            let wake = self.engine.next_wakeup().min(next_poll).max(now.mono + Duration::from_millis(10));
            tokio::select! {
                () = self.clock.sleep_until(sluice_pipeline::clock::Monotonic(wake)) => {}
                () = stop.notified() => return,
            }
        }
    }

    fn poll(&mut self, now: Now) {
        for job in &mut self.jobs {
            job.poll(&mut self.engine, now);
        }
    }

    async fn send(&self, request: Bytes, points: usize) {
        let context = Arc::new(Context::internal(self.id.clone(), self.clock.arrival()));
        for target in &self.targets {
            let batch = Batch::new(Signal::Metrics, request.clone(), points, Arc::clone(&context));
            if let Err(refusal) = target.consume(batch).await {
                // A gap, never a wrong value: the grid point is not written again.
                tracing::warn!(processor = %self.id, %refusal, points, "synthetic metrics were refused");
            }
        }
    }
}
