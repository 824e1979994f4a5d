//! Processor `tail_sampling`: whole traces are kept or dropped by upstream's policies (correlation §11).
//!
//! A thin shell: [`crate::trace_window`] holds the spans, [`crate::sampling`] decides. Here are upstream's fields, and upstream's
//! metrics.

mod config;
mod judge;
mod stage;
mod telemetry;

#[cfg(test)]
pub(crate) mod tests;

pub use config::{Config, DecisionCacheConfig};
pub use stage::TailSampling;

use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::factory::{Factory, Instances, Meta, Processors};
use sluice_pipeline::processor::Processor;
use sluice_pipeline::{Error, Signal};

/// Makes `tail_sampling` processors.
pub struct TailSamplingFactory;

impl Factory<Processors> for TailSamplingFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta {
            stability: [Some(Stability::Alpha), None, None],
            holds_back: true,
            stage: Some(Instances::PerPipeline),
            ..Meta::new("tail_sampling", Stability::Alpha)
        }
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<Processor, Error> {
        if let Some(other) = environment.signals.iter().find(|signal| **signal != Signal::Traces) {
            return Err(Error::config(format!("tail_sampling is for traces, not {}", other.name())));
        }
        Ok(Processor::Stage(Box::new(TailSampling::stage(config, &environment)?)))
    }
}
