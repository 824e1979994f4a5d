//! The processor as a stage: everything is the window's business, but for a reload.

use std::sync::Arc;

use sluice_config::Problems;
use sluice_config::tree::Node;
use sluice_pipeline::Error;
use sluice_pipeline::admission::Class;
use sluice_pipeline::component::Environment;
use sluice_pipeline::gates::{FeatureGates, RECORD_POLICY};

use super::config::Config;
use super::judge::CountingJudge;
use super::telemetry::{DecisionMetrics, show_window};
use crate::sampling::Sampler;
use crate::trace_window::{Engine, Settings, SharedEngine, WindowStage};

/// Makes its stages.
pub enum TailSampling {}

impl TailSampling {
    /// A stage with nothing in it, whose verdicts are known from now on.
    ///
    /// # Errors
    /// Policies that do not compile.
    pub fn stage(config: &Config, environment: &Environment) -> Result<WindowStage, Error> {
        let Environment { id, telemetry, verdicts, clock, gates, .. } = environment;
        let sampler = sampler(config, gates)?;
        let metrics = DecisionMetrics::new(telemetry, id, &sampler);
        let judge = CountingJudge::new(sampler, metrics, Arc::clone(clock));
        let settings =
            Settings { record_policy: gates.is_enabled(RECORD_POLICY), ..config.settings(memory(environment)) };
        let engine = SharedEngine::new(Engine::new(settings, Some(Box::new(judge))));
        verdicts.register(id.clone(), Arc::new(engine.clone()));
        show_window(telemetry, id, &engine);
        Ok(WindowStage::within_budget(engine, environment.memory.clone()))
    }
}

fn sampler(config: &Config, gates: &FeatureGates) -> Result<Sampler, Error> {
    let node = Node::default();
    let mut problems = Problems::new(&node);
    let sampler = config.sampler_with("", &mut problems, gates);
    if problems.has_errors() {
        return Err(Error::config("invalid policies"));
    }
    Ok(sampler)
}

/// What the window may account: what stages may hold together, at most.
fn memory(environment: &Environment) -> usize {
    usize::try_from(environment.memory.class_limit(Class::State)).unwrap_or(usize::MAX)
}
