//! Processors: what stands between receivers and exporters.

use std::sync::Arc;
use std::time::Duration;

use crate::component::Component;
use crate::error::Error;
use crate::receiver::{Consumer, Pushback};
use crate::stage::Stage;
use crate::{PipelineId, Step};

/// What a processor's factory builds. Only steps and stages touch data; the other two are policies under upstream's names.
pub enum Processor {
    /// Item-level and stateless or internally shared: fused with its neighbours into one walk.
    Step(Arc<Step>),
    /// A step that also makes telemetry of its own, which enters the pipeline right behind it (`up`).
    Emitting(Arc<Step>, Arc<dyn Emitter>),
    /// Batch-level and stateful: reads from the spine, may hold back.
    Stage(Box<dyn Stage>),
    /// `batch`: how exporters behind it merge.
    Batching(Batching),
    /// `memory_limiter`: where admission refuses.
    Memory(MemoryLimit),
}

/// The part of a processor that makes telemetry. One instance may stand behind the steps of several pipelines; it is started
/// once. It is told of requests that would have come to its steps but for the collector itself.
pub trait Emitter: Component + Pushback {
    /// Hands over where its telemetry goes: every pipeline that names the processor, in the order of the configuration, each
    /// from behind the processor on. Before [`Component::start`], and at each reload that it survives, in place of those before.
    fn connect(&self, pipelines: Vec<(PipelineId, Arc<dyn Consumer>)>);

    /// Whether it can start in these pipelines, as far as one can tell while an earlier instance still works.
    ///
    /// # Errors
    /// As [`Component::start`].
    fn check(&self, _pipelines: &[PipelineId]) -> Result<(), Error> {
        Ok(())
    }

    /// Whether it can go on, with what it knows, when these are the pipelines that name it. If not it is built anew.
    fn survives(&self, pipelines: &[PipelineId]) -> bool;
}

/// How records are merged into payloads. Never in front of the spine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Longest wait for `min_size`; zero sends what is readable.
    pub flush_timeout: Duration,
    /// Size that ends the wait.
    pub min_size: u64,
    /// Size above which payloads are split; 0 for never.
    pub max_size: u64,
    pub sizer: Sizer,
    /// Metadata keys, lower-case, by whose values payloads are kept apart.
    pub metadata_keys: Vec<String>,
}

/// What queue and batch sizes count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sizer {
    /// Records.
    #[default]
    Requests,
    /// Spans, data points, log records.
    Items,
    /// Uncompressed OTLP bytes.
    Bytes,
}

/// A memory limit as configured; the smallest of several wins (delivery §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// The budget, in bytes.
    pub limit: u64,
    /// New bodies are refused above `limit - spike`.
    pub spike: u64,
    /// How often resident memory is compared with the limit.
    pub check_interval: Duration,
}
