//! Processor `groupbytrace`: holds the spans of a trace for some time, and lets them go together.
//!
//! A thin shell over [`crate::trace_window`], with a judge that keeps everything.

mod config;
mod stage;
mod telemetry;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use stage::GroupByTrace;

use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::factory::{Factory, Instances, Meta, Processors};
use sluice_pipeline::processor::Processor;
use sluice_pipeline::{Error, Signal};

/// Makes `groupbytrace` processors.
pub struct GroupByTraceFactory;

impl Factory<Processors> for GroupByTraceFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta {
            stability: [Some(Stability::Alpha), None, None],
            holds_back: true,
            stage: Some(Instances::PerPipeline),
            ..Meta::new("groupbytrace", Stability::Alpha)
        }
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<Processor, Error> {
        if let Some(other) = environment.signals.iter().find(|signal| **signal != Signal::Traces) {
            return Err(Error::config(format!("groupbytrace is for traces, not {}", other.name())));
        }
        Ok(Processor::Stage(Box::new(GroupByTrace::stage(config, &environment))))
    }
}
