//! Processors: what stands between receivers and exporters.
//!
//! | module | component |
//! |---|---|
//! | [`attributes`] | `attributes` and `resource`: edits of attributes |
//! | [`batch`] | how exporters merge |
//! | [`filter`] | dropping by OTTL conditions |
//! | [`memory_limiter`] | the memory budget |
//! | [`redaction`] | secrets and personal data |
//! | [`sampling`] | decisions over whole traces, for those that hold them back
//! | [`correlate`] | logs, spans and exemplars joined by span id; sampling of whole traces |
//! | [`trace_window`] | the engine of `correlate` and `tail_sampling` |
//! | [`up`] | synthetic liveness for pushed telemetry |

pub mod attributes;
pub mod batch;
pub mod correlate;
pub mod filter;
pub mod memory_limiter;
pub mod redaction;
pub mod sampling;
pub mod trace_window;
pub mod up;

// The models that the laws compare with; `tests/chain_laws.rs` shares them.
#[cfg(test)]
#[path = "../tests/model/mod.rs"]
mod model;

use sluice_pipeline::factory::{Processors, Registry};

/// Adds every processor to a registry.
pub fn register(registry: &mut Registry<Processors>) {
    registry.register(attributes::AttributesFactory);
    registry.register(attributes::ResourceFactory);
    registry.register(batch::BatchFactory);
    registry.register(correlate::CorrelateFactory);
    registry.register(filter::FilterFactory);
    registry.register(memory_limiter::MemoryLimiterFactory);
    registry.register(up::factory::UpFactory::default());
    registry.register(redaction::RedactionFactory);
}
