//! Processors `attributes` and `resource`: insert, update, upsert, delete, hash, extract and convert attributes.
//!
//! `attributes` acts on spans, log records and data points, optionally only on those that `include`/`exclude` select;
//! `resource` acts on resources. Both are steps of the fused pass with the same actions.

mod action;
mod config;
mod convert;
mod matcher;
mod step;
mod write;

#[cfg(test)]
mod tests;

pub use config::{
    Action, ActionKind, AttributesConfig, ConvertedType, Library, MatchAttribute, MatchProperties, MatchType,
    ResourceConfig, SeverityNumberMatch,
};
pub use step::{AttributesStep, ResourceStep};

use std::sync::Arc;

use sluice_config::Problems;
use sluice_config::tree::Node;
use sluice_pipeline::Error;
use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::factory::{Factory, Meta, Processors, Validate};
use sluice_pipeline::processor::Processor;

impl Validate for AttributesConfig {
    fn validate(&self, _at: &str, problems: &mut Problems<'_>) {
        AttributesStep::new(self, problems);
    }
}

impl Validate for ResourceConfig {
    fn validate(&self, _at: &str, problems: &mut Problems<'_>) {
        ResourceStep::new(self, problems);
    }
}

/// Makes `attributes` processors.
pub struct AttributesFactory;

impl Factory<Processors> for AttributesFactory {
    type Config = AttributesConfig;

    fn meta(&self) -> Meta {
        Meta::new("attributes", Stability::Beta)
    }

    fn metadata_keys(&self, config: &AttributesConfig) -> Vec<String> {
        let step = AttributesStep::new(config, &mut Problems::new(&Node::default()));
        step.metadata_keys().map(str::to_owned).collect()
    }

    fn build(&self, config: &AttributesConfig, _environment: Environment) -> Result<Processor, Error> {
        let node = Node::default();
        let mut problems = Problems::new(&node);
        let step = AttributesStep::new(config, &mut problems);
        if problems.has_errors() {
            return Err(Error::config("invalid actions"));
        }
        Ok(Processor::Step(Arc::new(step)))
    }
}

/// Makes `resource` processors.
pub struct ResourceFactory;

impl Factory<Processors> for ResourceFactory {
    type Config = ResourceConfig;

    fn meta(&self) -> Meta {
        Meta::new("resource", Stability::Beta)
    }

    fn metadata_keys(&self, config: &ResourceConfig) -> Vec<String> {
        let step = ResourceStep::new(config, &mut Problems::new(&Node::default()));
        step.metadata_keys().map(str::to_owned).collect()
    }

    fn build(&self, config: &ResourceConfig, _environment: Environment) -> Result<Processor, Error> {
        let node = Node::default();
        let mut problems = Problems::new(&node);
        let step = ResourceStep::new(config, &mut problems);
        if problems.has_errors() {
            return Err(Error::config("invalid actions"));
        }
        Ok(Processor::Step(Arc::new(step)))
    }
}
