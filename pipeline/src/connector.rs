//! Connectors: exporters of one pipeline that are receivers of another.

use std::sync::Arc;

use crate::batch::Batch;
use crate::outcome::Refusal;
use crate::stage::Stage;
use crate::{PipelineId, Signal};

/// What a connector's factory builds, per pair of signals.
pub enum Connector {
    /// Answers at once, on the receiver's task and before the append (`forward`, `routing`, `count`).
    Inline(Arc<dyn InlineConnector>),
    /// Keeps state (`spanmetrics`): reads from the spine like any stage, and emits into the pipelines behind it.
    Stage(Box<dyn Stage>),
}

/// A connector without state of its own.
pub trait InlineConnector: Send + Sync {
    /// Distributes a batch over the pipelines behind the connector, in the order they were given to the factory. Items that
    /// reach no pipeline must be reported as dropped.
    fn route(&self, batch: &Batch) -> Result<Routed, Refusal>;
}

/// Where an inline connector sends a batch.
#[derive(Debug, Default)]
pub struct Routed {
    /// Index of the pipeline, and what it gets.
    pub outputs: Vec<(usize, Batch)>,
    /// Items that were in the batch and are in no output, with their reason.
    pub dropped: Vec<(sluice_pdata::pass::Reason, usize)>,
    /// Items in the outputs beyond those of the batch: copies for further pipelines, and conversions.
    pub created: usize,
}

/// The pipelines around a connector, for its factory.
#[derive(Clone, Debug)]
pub struct Between {
    pub from: Signal,
    pub to: Signal,
    /// The pipelines that the connector feeds, in the order in which [`Routed::outputs`] counts.
    pub targets: Vec<PipelineId>,
}
