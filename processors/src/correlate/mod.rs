//! Processor `correlate`: joins logs, spans and metric exemplars on trace and span id while they pass. Logs learn of their span,
//! spans of their logs; in mode `decide` whole traces are sampled, and logs and exemplars follow the verdict of their trace.
//!
//! A thin shell over [`crate::trace_window`]: configuration, the stage, and metrics. All pipelines that name one `correlate`
//! share it; what came in at one leaves there.

mod config;
mod telemetry;
mod validate;

#[cfg(test)]
mod tests;

pub use config::Config;

use std::sync::Arc;

use sluice_config::Problems;
use sluice_config::tree::Node;
use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::factory::{Factory, Instances, Meta, Processors};
use sluice_pipeline::processor::Processor;
use sluice_pipeline::{Error, Signal};

use crate::trace_window::{Engine, Judge, SharedEngine, WindowStage};

/// Makes `correlate` processors.
pub struct CorrelateFactory;

impl Factory<Processors> for CorrelateFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta { holds_back: true, stage: Some(Instances::Shared), ..Meta::new("correlate", Stability::Alpha) }
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<Processor, Error> {
        let node = Node::default();
        let mut problems = Problems::new(&node);
        let sampler = config.sampler(&mut problems);
        if problems.has_errors() {
            return Err(Error::config("invalid policies or rules"));
        }
        let judge = sampler.map(|sampler| Box::new(sampler) as Box<dyn Judge>);
        let mut settings = config.settings();
        if !environment.signals.contains(&Signal::Logs) {
            // Nobody will ask for what logs are given.
            settings.attach.log.clear();
        }
        let mut engine = Engine::new(settings, judge);
        let (board, id) = (environment.verdicts.taints(), &environment.id);
        match config.taints() {
            Some(settings) => engine.use_taints(Some((board.clone(), id.clone(), settings))),
            None => board.retain(|other| other != id),
        }
        let engine = SharedEngine::new(engine);
        if config.mode == config::Mode::Decide {
            environment.verdicts.register(environment.id.clone(), Arc::new(engine.clone()));
        }
        telemetry::publish(&environment.telemetry, &environment.id, &engine);
        Ok(Processor::Stage(Box::new(WindowStage::new(engine))))
    }
}
