//! Self-telemetry: our recorder behind the `metrics` facade, and its Prometheus exposition (collector-compat §8).
//!
//! Handles are registered when a component is built and kept by it; nothing is looked up while data flows. What is cheaper to
//! read than to keep (queue sizes, the ledger, the process) is set by a hook just before a scrape.

mod certificates;
mod component;
mod process;
mod registry;
mod render;

pub use certificates::show_certificates;
pub use component::{ExporterMetrics, PerSignal, ProcessorMetrics, ReceiverMetrics};
pub use process::{ProcFs, Process, ProcessMetrics};
pub use registry::{BATCH_SIZE_BOUNDS, SECONDS_BOUNDS, Telemetry};
pub use render::Naming;

#[cfg(test)]
mod tests;
