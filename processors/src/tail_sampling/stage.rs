//! The processor as a stage: everything is the window's business, but for a reload.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use sluice_config::Problems;
use sluice_config::tree::Node;
use sluice_pipeline::Error;
use sluice_pipeline::admission::{Class, MemBudget};
use sluice_pipeline::clock::WallTime;
use sluice_pipeline::component::Environment;
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Held, Port, Stage, StageOutput};

use super::config::Config;
use super::judge::CountingJudge;
use super::telemetry::{DecisionMetrics, show_window};
use crate::sampling::Sampler;
use crate::trace_window::{Engine, SharedEngine};

/// The stage.
pub struct TailSampling(SharedEngine, MemBudget);

impl TailSampling {
    /// A stage with nothing in it, whose verdicts are known from now on.
    ///
    /// # Errors
    /// Policies that do not compile.
    pub fn new(config: &Config, environment: &Environment) -> Result<Self, Error> {
        let Environment { id, telemetry, verdicts, clock, .. } = environment;
        let sampler = sampler(config)?;
        let metrics = DecisionMetrics::new(telemetry, id, &sampler);
        let judge = CountingJudge::new(sampler, metrics, Arc::clone(clock));
        let engine = SharedEngine::new(Engine::new(config.settings(memory(environment)), Some(Box::new(judge))));
        verdicts.register(id.clone(), Arc::new(engine.clone()));
        show_window(telemetry, id, &engine);
        Ok(TailSampling(engine, environment.memory.clone()))
    }
}

fn sampler(config: &Config) -> Result<Sampler, Error> {
    let node = Node::default();
    let mut problems = Problems::new(&node);
    let sampler = config.sampler("", &mut problems);
    if problems.has_errors() {
        return Err(Error::config("invalid policies"));
    }
    Ok(sampler)
}

/// What the window may account: what stages may hold together, at most.
fn memory(environment: &Environment) -> usize {
    usize::try_from(environment.memory.class_limit(Class::State)).unwrap_or(usize::MAX)
}

impl Stage for TailSampling {
    fn absorb(&mut self, port: Port, input: &Entry, now: WallTime, out: &mut StageOutput) {
        self.0.lock_within(&self.1).absorb(port, input, now, out);
    }

    fn tick(&mut self, now: WallTime, out: &mut StageOutput) {
        self.0.lock_within(&self.1).tick(now, out);
    }

    fn next_deadline(&self) -> Option<WallTime> {
        self.0.lock().next_deadline()
    }

    fn low_watermark(&self) -> Option<Seq> {
        self.0.lock().low_watermark()
    }

    fn held(&self) -> Held {
        self.0.lock().held()
    }

    fn drain(&mut self, now: WallTime, out: &mut StageOutput) {
        self.0.lock().drain(now, out);
    }

    fn recall(&mut self, note: &[u8], now: WallTime) {
        self.0.lock().recall(note, now);
    }

    /// Goes on with the window of the old one, under the new policies.
    fn succeed(&mut self, predecessor: Box<dyn Stage>) -> Option<Box<dyn Stage>> {
        // The driver only gives what this very component left behind.
        let Ok(before) = predecessor.into_any().downcast::<TailSampling>() else { return None };
        if self.0.succeed(&before.0) { None } else { Some(before) }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn is_full(&self) -> bool {
        self.0.lock().stops_reading()
    }

    fn lags(&mut self, by: Duration) {
        self.0.lock().lags(by);
    }

    fn relieve(&mut self, percent: u8, _now: WallTime, out: &mut StageOutput) {
        self.0.lock().relieve(percent, out);
    }
}
