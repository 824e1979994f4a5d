//! Exporter `nop`: takes everything and does nothing with it. An observer: it owes nothing and is part of no ack.

use std::sync::Arc;

use sluice_pipeline::component::{Component, Environment, Stability};
use sluice_pipeline::exporter::{ExporterKind, Observer};
use sluice_pipeline::factory::{Exporters, Factory, Meta, NoConfig};
use sluice_pipeline::{Batch, Error, Redacted};

/// Makes `nop` exporters.
pub struct NopFactory;

struct Nop;

impl Component for Nop {}

impl Observer for Nop {
    fn observe(&self, _batch: &Redacted<Batch>) {}
}

impl Factory<Exporters> for NopFactory {
    type Config = NoConfig;

    fn meta(&self) -> Meta {
        Meta::new("nop", Stability::Beta)
    }

    fn build(&self, _config: &NoConfig, _environment: Environment) -> Result<ExporterKind, Error> {
        Ok(ExporterKind::Observer(Arc::new(Nop)))
    }
}
