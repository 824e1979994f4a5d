//! The processor as a stage: everything is the window's business, but for a reload.

use std::any::Any;
use std::sync::Arc;

use sluice_config::Problems;
use sluice_config::tree::Node;
use sluice_pipeline::Error;
use sluice_pipeline::admission::Class;
use sluice_pipeline::clock::WallTime;
use sluice_pipeline::component::Environment;
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Held, Port, Stage, StageOutput};

use super::config::Config;
use super::judge::CountingJudge;
use super::telemetry::{DecisionMetrics, show_window};
use crate::sampling::{LeafNumbers, Sampler};
use crate::trace_window::{Engine, SharedEngine};

/// The stage.
pub struct TailSampling {
    config: Config,
    environment: Environment,
    engine: SharedEngine,
    /// How the sampler numbers its conditions: what traces in the window have gathered goes by it.
    numbers: LeafNumbers,
}

impl TailSampling {
    /// A stage with nothing in it, whose verdicts are known from now on.
    ///
    /// # Errors
    /// Policies that do not compile.
    pub fn new(config: &Config, environment: &Environment) -> Result<Self, Error> {
        let sampler = sampler(config)?;
        let numbers = sampler.leaf_numbers();
        let engine = Engine::new(config.settings(memory(environment)), Some(Box::new(judge(sampler, environment))));
        let stage = TailSampling {
            config: config.clone(),
            environment: environment.clone(),
            engine: SharedEngine::new(engine),
            numbers,
        };
        stage.make_known();
        Ok(stage)
    }

    fn make_known(&self) {
        let Environment { id, telemetry, verdicts, .. } = &self.environment;
        verdicts.register(id.clone(), Arc::new(self.engine.clone()));
        show_window(telemetry, id, &self.engine);
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

fn judge(sampler: Sampler, environment: &Environment) -> CountingJudge {
    let metrics = DecisionMetrics::new(&environment.telemetry, &environment.id, &sampler);
    CountingJudge::new(sampler, metrics, Arc::clone(&environment.clock))
}

/// What the window may account: what stages may hold together, at most.
fn memory(environment: &Environment) -> usize {
    usize::try_from(environment.memory.class_limit(Class::State)).unwrap_or(usize::MAX)
}

impl Stage for TailSampling {
    fn absorb(&mut self, port: Port, input: &Entry, now: WallTime, out: &mut StageOutput) {
        self.engine.lock().absorb(port, input, now, out);
    }

    fn tick(&mut self, now: WallTime, out: &mut StageOutput) {
        self.engine.lock().tick(now, out);
    }

    fn next_deadline(&self) -> Option<WallTime> {
        self.engine.lock().next_deadline()
    }

    fn low_watermark(&self) -> Option<Seq> {
        self.engine.lock().low_watermark()
    }

    fn held(&self) -> Held {
        self.engine.lock().held()
    }

    fn drain(&mut self, now: WallTime, out: &mut StageOutput) {
        self.engine.lock().drain(now, out);
    }

    fn recall(&mut self, note: &[u8], now: WallTime) {
        self.engine.lock().recall(note, now);
    }

    /// Goes on with the window of the old one, under the new policies.
    fn succeed(&mut self, predecessor: Box<dyn Stage>) -> Option<Box<dyn Stage>> {
        let old = match predecessor.into_any().downcast::<TailSampling>() {
            Ok(old) => old,
            Err(_) => return None,
        };
        let adopted = sampler(&self.config).ok().and_then(|mut sampler| sampler.adopt(&old.numbers).then_some(sampler));
        // Too many different conditions, over several reloads: what is held is decided by the old ones.
        let Some(sampler) = adopted else { return Some(old) };
        self.numbers = sampler.leaf_numbers();
        self.engine = old.engine.clone();
        let settings = self.config.settings(memory(&self.environment));
        self.engine.lock().reconfigure(settings, Some(Box::new(judge(sampler, &self.environment))));
        self.make_known();
        None
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn relieve(&mut self, percent: u8, _now: WallTime, out: &mut StageOutput) {
        self.engine.lock().relieve(percent, out);
    }
}
