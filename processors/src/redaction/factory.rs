//! How the processor is made from its block.

use std::sync::Arc;

use sluice_config::Problems;
use sluice_pipeline::Error;
use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::factory::{Factory, Meta, Processors, Validate};
use sluice_pipeline::processor::Processor;

use super::config::{Config, HashFunction};
use super::engine::Engine;
use super::error::RedactionError;
use super::step::Redaction;
use super::taint::Tainting;

impl Validate for Config {
    fn validate(&self, _at: &str, problems: &mut Problems<'_>) {
        if let Err(error) = Engine::new(self) {
            match &error {
                RedactionError::Pattern { offset, .. } => {
                    problems.error_within("E0302", &error.path(), *offset, 1, &error.to_string())
                }
                RedactionError::Field { .. } => problems.error(&error.path(), error.to_string()),
            };
        }
    }
}

/// Makes `redaction` processors.
pub struct RedactionFactory;

impl Factory<Processors> for RedactionFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta { redacts: true, ..Meta::new("redaction", Stability::Alpha) }
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<Processor, Error> {
        let engine = Engine::new(config).map_err(|error| Error::config(error.to_string()))?;
        let id = environment.id.to_string();
        report(&id, config, &engine);
        Ok(Processor::Step(Arc::new(Tainting::new(Redaction::new(&id, engine), environment.verdicts.taints()))))
    }
}

/// What the log says at the start.
fn report(id: &str, config: &Config, engine: &Engine) {
    let detectors: Vec<&str> = engine.detector_ids().collect();
    tracing::info!(
        processor = id,
        detectors = detectors.join(","),
        keeps_all_keys = config.allows_all_keys(),
        "redaction"
    );
    if matches!(config.hash(), HashFunction::Md5 | HashFunction::Sha1 | HashFunction::Sha3) {
        tracing::warn!(processor = id, "unkeyed hashes of short values can be reversed; hmac-sha256 cannot");
    }
    for pattern in engine.slow_patterns() {
        tracing::warn!(
            processor = id,
            pattern,
            "the pattern holds no fixed text to look for and searches every value whole"
        );
    }
    if engine.is_dry_run() {
        tracing::warn!(processor = id, "dry run: nothing is redacted");
    }
}
