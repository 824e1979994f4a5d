//! Exporter `otlp_grpc` (old name `otlp`): OTLP over gRPC.
//!
//! Bytes go out as they are: one message of concatenated requests, or, where nothing changed a batch and it came in the encoding
//! that the destination is sent, the very body that was received. What changed is compressed once here.

mod config;
mod exporter;

pub use config::Config;
pub use exporter::OtlpExporter;

use std::sync::Arc;

use sluice_pipeline::Error;
use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::exporter::{Delivery, ExporterKind};
use sluice_pipeline::factory::{Exporters, Factory, Meta};

/// Makes `otlp_grpc` exporters.
pub struct OtlpFactory;

impl Factory<Exporters> for OtlpFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta::new("otlp_grpc", Stability::Beta)
    }

    fn metadata_keys(&self, config: &Config) -> Vec<String> {
        let queue = config.sending_queue.as_ref();
        queue.and_then(|queue| queue.batching()).map(|batching| batching.metadata_keys).unwrap_or_default()
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<ExporterKind, Error> {
        let exporter = OtlpExporter::new(config, &environment)?;
        let delivery = Delivery { partition: exporter.partition(), ..config.delivery() };
        Ok(ExporterKind::Destination(Arc::new(exporter), Box::new(delivery)))
    }
}
