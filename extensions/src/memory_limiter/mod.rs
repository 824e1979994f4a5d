//! Extension `memory_limiter`: the memory budget of the processor of that name, for all receivers (collector-compat §4.1).
//! Receivers name it in `middlewares`; as there is one budget, it holds whether they do or not.

use std::sync::Arc;

use sluice_pipeline::Error;
use sluice_pipeline::admission::available_memory;
use sluice_pipeline::blocks::MemoryLimiter;
use sluice_pipeline::component::{Component, Environment, Stability};
use sluice_pipeline::extension::Extension;
use sluice_pipeline::factory::{Extensions, Factory, Meta};
use sluice_pipeline::processor::MemoryLimit;

/// Makes `memory_limiter` extensions.
pub struct MemoryLimiterFactory;

impl Factory<Extensions> for MemoryLimiterFactory {
    type Config = MemoryLimiter;

    fn meta(&self) -> Meta {
        Meta::new("memory_limiter", Stability::Alpha)
    }

    fn build(&self, config: &MemoryLimiter, _environment: Environment) -> Result<Arc<dyn Extension>, Error> {
        Ok(Arc::new(Limit(config.limit(available_memory()))))
    }
}

struct Limit(MemoryLimit);

impl Component for Limit {}

impl Extension for Limit {
    fn memory_limit(&self) -> Option<MemoryLimit> {
        Some(self.0)
    }
}
