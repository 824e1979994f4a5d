//! Processors: what stands between receivers and exporters; and connectors between pipelines.
//!
//! | module | component |
//! |---|---|
//! | [`attributes`] | `attributes` and `resource`: edits of attributes |
//! | [`batch`] | how exporters merge |
//! | [`count`] | connector `count`: how many items there are, as metrics |
//! | [`filter`] | dropping by OTTL conditions |
//! | [`forward`] | connector `forward`: fan-in and fan-out of pipelines |
//! | [`groupbytrace`] | spans of a trace, together |
//! | [`memory_limiter`] | the memory budget |
//! | [`redaction`] | secrets and personal data |
//! | [`routing`] | connector `routing`: pipelines by OTTL conditions |
//! | [`sampling`] | decisions over whole traces, for those that hold them back
//! | [`correlate`] | logs, spans and exemplars joined by span id; sampling of whole traces |
//! | [`tail_sampling`] | whole traces kept or dropped by policies |
//! | [`trace_window`] | the engine of `correlate` and `tail_sampling` |
//! | [`spanmetrics`] | connector `span_metrics`: request, error and duration metrics from spans |
//! | [`up`] | synthetic liveness for pushed telemetry |

pub mod attributes;
pub mod batch;
pub mod correlate;
pub mod count;
pub mod filter;
pub mod forward;
pub mod groupbytrace;
pub mod memory_limiter;
pub mod redaction;
pub mod routing;
pub mod sampling;
pub mod spanmetrics;
pub mod tail_sampling;
pub mod trace_window;
pub mod up;

// The models that the laws compare with; `tests/chain_laws.rs` shares them.
#[cfg(test)]
#[path = "../tests/model/mod.rs"]
mod model;

use sluice_pipeline::factory::{Connectors, Processors, Registry};

/// Adds every processor to a registry.
pub fn register(registry: &mut Registry<Processors>) {
    registry.register(attributes::AttributesFactory);
    registry.register(attributes::ResourceFactory);
    registry.register(batch::BatchFactory);
    registry.register(correlate::CorrelateFactory);
    registry.register(filter::FilterFactory);
    registry.register(groupbytrace::GroupByTraceFactory);
    registry.register(tail_sampling::TailSamplingFactory);
    registry.register(memory_limiter::MemoryLimiterFactory);
    registry.register(up::factory::UpFactory::default());
    registry.register(redaction::RedactionFactory);
}

/// Adds every connector to a registry.
pub fn register_connectors(registry: &mut Registry<Connectors>) {
    registry.register(count::CountFactory);
    registry.register(forward::ForwardFactory);
    registry.register(routing::RoutingFactory);
    registry.register(spanmetrics::SpanMetricsFactory);
}
