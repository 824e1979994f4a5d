//! Exporters: where telemetry goes out.
//!
//! | module | what it holds |
//! |---|---|
//! | [`delivery`] | reading from the spine, merging, retrying: the same for every destination |
//! | [`otlp`] | OTLP over gRPC |
//! | [`prometheus_remote_write`] | Prometheus remote write |
//! | [`nop`] | nothing |

pub mod delivery;
pub mod nop;
pub mod otlp;
pub mod prometheus_remote_write;

use sluice_pipeline::factory::{Exporters, Registry};

/// Adds every exporter to a registry.
pub fn register(registry: &mut Registry<Exporters>) {
    registry.register(otlp::OtlpFactory);
    registry.register(nop::NopFactory);
}
