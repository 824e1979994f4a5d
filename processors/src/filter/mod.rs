//! Processor `filter`: drops spans, span events, metrics, data points and log records for which an OTTL condition holds.
//!
//! Conditions of one context are ORed; contexts run outermost first, and what an outer one dropped is not looked at again. A
//! fused step: what a condition needs as a literal is searched for once per batch, and an item without it is not looked at.

mod config;
mod groups;
mod step;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use step::FilterStep;

use std::sync::Arc;

use sluice_config::Problems;
use sluice_config::tree::Node;
use sluice_pipeline::Error;
use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::factory::{Factory, Meta, Processors};
use sluice_pipeline::processor::Processor;

/// Makes `filter` processors.
pub struct FilterFactory;

impl Factory<Processors> for FilterFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta::new("filter", Stability::Alpha)
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<Processor, Error> {
        let node = Node::default();
        let mut problems = Problems::new(&node);
        let step = FilterStep::new(config, &mut problems, Some(&environment));
        if problems.has_errors() {
            return Err(Error::config("invalid conditions"));
        }
        Ok(Processor::Step(Arc::new(step)))
    }
}
