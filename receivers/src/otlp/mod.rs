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
use sluice_pipeline::listening::Listening;
use sluice_pipeline::receiver::Receiver;

/// Makes `otlp` receivers.
pub struct OtlpFactory;

impl Factory<Receivers> for OtlpFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta::new("otlp", Stability::Beta)
    }

    fn listeners(&self, config: &Config) -> Vec<Listening> {
        let Protocols { grpc, http } = &config.protocols;
        let grpc = grpc.as_ref().map(|grpc| Listening::grpc("protocols::grpc", &grpc.server, grpc.endpoint()));
        let http = http.as_ref().map(|http| Listening::http("protocols::http", &http.server, http.endpoint()));
        grpc.into_iter().chain(http).collect()
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<Arc<dyn Receiver>, Error> {
        Ok(Arc::new(OtlpReceiver::new(config.clone(), &environment)?))
    }
}
