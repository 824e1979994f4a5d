//! Exporters: where telemetry goes out.
//!
//! | module | what it holds |
//! |---|---|
//! | [`delivery`] | reading from the spine, merging, retrying: the same for every destination |
//! | [`otlp`] | OTLP over gRPC |
//! | [`otlp_http`] | OTLP over HTTP, in protobuf or JSON |
//! | [`mod@file`] | OTLP in files |
//! | [`debug`] | what arrives, in the terminal |
//! | [`prometheus_remote_write`] | Prometheus remote write |
//! | [`nop`] | nothing |

mod client;
pub mod debug;
pub mod delivery;
mod export_response;
pub mod file;
pub mod nop;
pub mod otlp;
pub mod otlp_http;
pub mod prometheus_remote_write;

use sluice_pipeline::factory::{Exporters, Registry};

/// Adds every exporter to a registry.
pub fn register(registry: &mut Registry<Exporters>) {
    registry.register(otlp::OtlpFactory);
    registry.register(otlp_http::OtlpHttpFactory);
    registry.register(file::FileFactory);
    registry.register(debug::DebugFactory);
    registry.register(prometheus_remote_write::RemoteWriteFactory);
    registry.register(nop::NopFactory);
}
