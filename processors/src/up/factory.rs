//! How `up` processors are made: one instance per id, shared by all pipelines that name it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::factory::{Factory, Meta, Processors};
use sluice_pipeline::processor::Processor;
use sluice_pipeline::{ComponentId, Error};

use super::config::Config;
use super::step::FORWARDED_FOR;
use super::task::Up;

/// Makes `up` processors.
#[derive(Default)]
pub struct UpFactory {
    built: Mutex<HashMap<ComponentId, Weak<Up>>>,
}

impl Factory<Processors> for UpFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta::new("up", Stability::Alpha)
    }

    fn metadata_keys(&self, config: &Config) -> Vec<String> {
        if config.trusted_proxies.is_empty() { Vec::new() } else { vec![FORWARDED_FOR.to_owned()] }
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<Processor, Error> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        let up = match built.get(&environment.id).and_then(Weak::upgrade) {
            Some(up) => up,
            None => {
                let up = Arc::new(Up::new(config.clone(), &environment));
                built.insert(environment.id.clone(), Arc::downgrade(&up));
                up
            }
        };
        let step = up.step(environment.pipeline.as_ref());
        Ok(Processor::Emitting(Arc::new(step), up))
    }
}
