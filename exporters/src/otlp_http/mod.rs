//! Exporter `otlp_http` (old name `otlphttp`): OTLP over HTTP, in protobuf or JSON.
//!
//! As protobuf, bytes go out as they are: concatenated requests, or, where nothing changed a batch and it came in the encoding
//! that the destination is sent, the very body that was received. JSON is written straight from wire form.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | the fields |
//! | `endpoints` | where each signal goes |
//! | `body` | the payload as a request's body: encoded, compressed |
//! | `answer` | what the destination's answer means |
//! | `exporter` | one payload, one request |

mod answer;
mod body;
pub mod config;
mod endpoints;
mod exporter;

pub use config::Config;
pub use exporter::OtlpHttpExporter;

use std::sync::Arc;

use sluice_pipeline::Error;
use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::exporter::{Delivery, ExporterKind};
use sluice_pipeline::factory::{Exporters, Factory, Meta};

/// Makes `otlp_http` exporters.
pub struct OtlpHttpFactory;

impl Factory<Exporters> for OtlpHttpFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta::new("otlp_http", Stability::Beta)
    }

    fn metadata_keys(&self, config: &Config) -> Vec<String> {
        let queue = config.sending_queue.as_ref();
        queue.and_then(|queue| queue.batching()).map(|batching| batching.metadata_keys).unwrap_or_default()
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<ExporterKind, Error> {
        let exporter = OtlpHttpExporter::new(config, &environment)?;
        let delivery = Delivery { partition: exporter.partition(), ..config.delivery() };
        Ok(ExporterKind::Destination(Arc::new(exporter), Box::new(delivery)))
    }
}
