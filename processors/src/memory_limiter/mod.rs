//! Processor `memory_limiter`: sets the memory budget by which bodies are admitted (collector-compat §4.1, delivery §5).

use sluice_pipeline::Error;
use sluice_pipeline::blocks::MemoryLimiter;
use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::factory::{Factory, Meta, Processors};
use sluice_pipeline::processor::Processor;

/// Makes `memory_limiter` processors.
pub struct MemoryLimiterFactory;

impl Factory<Processors> for MemoryLimiterFactory {
    type Config = MemoryLimiter;

    fn meta(&self) -> Meta {
        Meta::new("memory_limiter", Stability::Beta)
    }

    fn build(&self, config: &MemoryLimiter, _environment: Environment) -> Result<Processor, Error> {
        Ok(Processor::Memory(config.limit(sluice_pipeline::admission::available_memory())))
    }
}
