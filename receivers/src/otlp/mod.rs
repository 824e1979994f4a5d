//! Receiver `otlp`: OTLP/gRPC and OTLP/HTTP (protobuf and JSON), three signals on each port.
//!
//! A request is admitted by bytes before its body is read, decompressed within limits, checked down to item framing, and
//! handed to the [`Ingress`](sluice_pipeline::receiver::Ingress). The answer says what became of it, in the words of
//! delivery §6.

mod config;
mod grpc;
mod health;
mod http;
mod intake;
mod receiver;
mod reserve;

pub use config::{Config, GrpcProtocol, HttpProtocol, Protocols};
pub use receiver::OtlpReceiver;

use std::sync::Arc;

use sluice_pipeline::Error;
use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::factory::{Factory, Meta, Receivers};
use sluice_pipeline::receiver::Receiver;

/// Makes `otlp` receivers.
pub struct OtlpFactory;

impl Factory<Receivers> for OtlpFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta::new("otlp", Stability::Beta)
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<Arc<dyn Receiver>, Error> {
        Ok(Arc::new(OtlpReceiver::new(config.clone(), &environment)?))
    }
}
