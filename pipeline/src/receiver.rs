//! Receivers: where telemetry comes in.

use std::sync::Arc;

use crate::admission::MemBudget;
use crate::batch::Batch;
use crate::clock::Clock;
use crate::component::Component;
use crate::context::MetadataKeys;
use crate::error::Error;
use crate::outcome::{Accepted, Refusal};
use crate::rng::Rng;
use crate::{BoxFuture, Signal};

/// A source of batches. One instance serves all signals of its id.
pub trait Receiver: Component {
    /// Hands over where batches go, before [`Component::start`], and again after a reload changed what lies behind.
    fn connect(&self, ingress: Ingress) -> Result<(), Error>;
}

/// Where a receiver's batches go. Clones share everything.
///
/// For each request: reserve memory in the class of bodies before reading, check framing, then [`Ingress::consume`]; keep
/// the reservation until that returns.
#[derive(Clone)]
pub struct Ingress {
    /// Memory for what is being received.
    pub memory: MemBudget,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    /// Request headers to keep in the batch context.
    pub metadata_keys: MetadataKeys,
    consumers: [Option<Arc<dyn Consumer>>; 3],
}

/// Takes batches of one signal through all pipelines behind a receiver.
pub trait Consumer: Send + Sync {
    /// Returns once the batch is safe in the sense of its ack mode, or refused as a whole. Dropping the future before the
    /// append keeps nothing; an append that has begun completes.
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<Accepted, Refusal>>;
}

impl Ingress {
    /// An ingress without pipelines.
    pub fn new(memory: MemBudget, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>, metadata_keys: MetadataKeys) -> Self {
        Ingress { memory, clock, rng, metadata_keys, consumers: [None, None, None] }
    }

    /// The same ingress, with pipelines for a signal.
    #[must_use]
    pub fn with_consumer(mut self, signal: Signal, consumer: Arc<dyn Consumer>) -> Self {
        self.consumers[signal as usize] = Some(consumer);
        self
    }

    /// Whether some pipeline takes the signal: ask before reading a body.
    pub fn takes(&self, signal: Signal) -> bool {
        self.consumers[signal as usize].is_some()
    }

    /// Sends a batch through its pipelines. An empty one is accepted and goes nowhere.
    pub async fn consume(&self, batch: Batch) -> Result<Accepted, Refusal> {
        match &self.consumers[batch.signal() as usize] {
            None => Err(Refusal::NoPipeline(batch.signal())),
            Some(_) if batch.items() == 0 => Ok(Accepted::default()),
            Some(consumer) => consumer.consume(batch).await,
        }
    }
}
