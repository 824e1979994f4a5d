//! Receivers: where telemetry comes in.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sluice_config::service::Limits;
use sluice_net::PageSource;
use sluice_net::listen::Sockets;
use tokio::time::Instant;

use crate::admission::MemBudget;
use crate::batch::Batch;
use crate::clock::Clock;
use crate::component::Component;
use crate::context::{Arrival, MetadataKeys};
use crate::error::Error;
use crate::outcome::{Accepted, Refusal};
use crate::rng::Rng;
use crate::{BoxFuture, Signal};

/// A source of batches. One instance serves all signals of its id.
pub trait Receiver: Component {
    /// Hands over where batches go, before [`Component::start`], and again whenever a reload changed what lies behind: what
    /// comes from then on goes to the new place, what is under way ends at the old one. An error is possible the first time
    /// only.
    fn connect(&self, ingress: Ingress) -> Result<(), Error>;

    /// Binds what it will listen on, without accepting: everything that can go wrong goes wrong here, while whoever it is to
    /// replace still works. Takes over what `sockets` has for its places.
    fn bind<'a>(&'a self, _sockets: &'a mut Sockets) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Offers what it listens on to those that come after it.
    fn offer(&self, _sockets: &mut Sockets) {}

    /// When the accept loop that is silent longest showed that it is alive. `None` without any.
    fn last_heartbeat(&self) -> Option<Instant> {
        None
    }

    /// Stops because a reload has put another one in its place, or none: takes no new connections, but refuses no request that
    /// comes on an old one within `grace`.
    fn retire(&self, grace: Duration) -> BoxFuture<'_, ()> {
        self.stop(grace)
    }
}

/// Where a listener's batches go at this moment. Clones share it; a reload swaps it under a listener that stays.
#[derive(Clone)]
pub struct CurrentIngress(Arc<RwLock<Arc<Ingress>>>);

impl CurrentIngress {
    pub fn new(ingress: Ingress) -> Self {
        CurrentIngress(Arc::new(RwLock::new(Arc::new(ingress))))
    }

    /// The one of this moment. Keep it from a request's first step to its last, so that they are of one configuration.
    pub fn get(&self) -> Arc<Ingress> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces it, for whoever asks from now on.
    pub fn set(&self, ingress: Ingress) {
        let old = std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), Arc::new(ingress));
        // What lies behind is dropped outside the lock.
        drop(old);
    }
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
    /// Where large bodies are best received.
    pub pages: Option<PageSource>,
    /// Request headers to keep in the batch context.
    pub metadata_keys: MetadataKeys,
    /// What a request may be.
    pub limits: RequestLimits,
    consumers: [Option<Arc<dyn Consumer>>; 3],
    /// By signal.
    pushback: [Vec<Arc<dyn Pushback>>; 3],
}

/// Limits of whole requests (security §6). Over one of them a request is refused, and will always be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Body as it comes, in bytes.
    pub wire_bytes: usize,
    /// Body decompressed, in bytes.
    pub decompressed_bytes: usize,
    /// Decompressed bytes for each byte that came, after the first MiB.
    pub compression_ratio: usize,
    /// Spans, data points or log records.
    pub items: usize,
    /// Objects and arrays around each other in JSON.
    pub json_depth: usize,
}

impl From<&Limits> for RequestLimits {
    fn from(limits: &Limits) -> Self {
        let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        RequestLimits {
            wire_bytes: size(limits.wire_bytes.0),
            decompressed_bytes: size(limits.decompressed_bytes.0),
            compression_ratio: size(limits.compression_ratio),
            items: size(limits.items_per_request),
            // Deeper ones would be a danger to the stack.
            json_depth: limits.json_depth.min(1_000) as usize,
        }
    }
}

impl Default for RequestLimits {
    fn default() -> Self {
        RequestLimits::from(&Limits::default())
    }
}

/// Learns that the collector turned away a request for a reason of its own. Its sender is not to blame, and must not be
/// taken for silent (`up.md` section 6, Own faults).
pub trait Pushback: Send + Sync {
    /// A request was refused at this instant. Called for every one of them: must be cheap.
    fn pushed_back(&self, at: Arrival);
}

/// Takes batches of one signal through all pipelines behind a receiver.
pub trait Consumer: Send + Sync {
    /// Returns once the batch is safe in the sense of its ack mode, or refused as a whole. Dropping the future before the
    /// append keeps nothing; an append that has begun completes.
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<Accepted, Refusal>>;

    /// Whether a batch would be refused right now whatever it is, because a destination takes nothing whose confirmation
    /// senders wait for. Asked before a body is read.
    fn ready(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

impl Ingress {
    /// An ingress without pipelines.
    pub fn new(memory: MemBudget, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>, metadata_keys: MetadataKeys) -> Self {
        Ingress {
            memory,
            pages: None,
            clock,
            rng,
            metadata_keys,
            limits: RequestLimits::default(),
            consumers: [None, None, None],
            pushback: Default::default(),
        }
    }

    /// The same ingress, with pipelines for a signal.
    #[must_use]
    pub fn with_consumer(mut self, signal: Signal, consumer: Arc<dyn Consumer>) -> Self {
        self.consumers[signal as usize] = Some(consumer);
        self
    }

    /// The same ingress, with somebody who is told of refusals of a signal that are the collector's own.
    #[must_use]
    pub fn with_pushback(mut self, signal: Signal, listener: Arc<dyn Pushback>) -> Self {
        self.pushback[signal as usize].push(listener);
        self
    }

    /// Whether some pipeline takes the signal: ask before reading a body.
    pub fn takes(&self, signal: Signal) -> bool {
        self.consumers[signal as usize].is_some()
    }

    /// Whether a request of this signal would be refused right now, whatever is in it: ask before reading a body.
    ///
    /// # Errors
    /// [`Refusal::NoPipeline`], or what [`Consumer::ready`] says.
    pub fn ready(&self, signal: Signal) -> Result<(), Refusal> {
        match &self.consumers[signal as usize] {
            None => Err(Refusal::NoPipeline(signal)),
            Some(consumer) => consumer.ready(),
        }
    }

    /// Sends a batch through its pipelines. An empty one is accepted and goes nowhere.
    pub async fn consume(&self, batch: Batch) -> Result<Accepted, Refusal> {
        match &self.consumers[batch.signal() as usize] {
            None => Err(Refusal::NoPipeline(batch.signal())),
            Some(_) if batch.items() == 0 => Ok(Accepted::default()),
            Some(consumer) => {
                let signal = batch.signal();
                let outcome = consumer.consume(batch).await;
                if let Err(refusal) = &outcome {
                    self.refused(signal, refusal);
                }
                outcome
            }
        }
    }

    /// Tells who must know that the collector pushed a request back. [`Ingress::consume`] does so itself; a receiver calls
    /// this for what it refuses before: for want of memory, say.
    pub fn refused(&self, signal: Signal, refusal: &Refusal) {
        let listeners = &self.pushback[signal as usize];
        // What may succeed later failed for our reasons; what never will is the sender's own doing.
        if refusal.is_retryable() && !listeners.is_empty() {
            let at = self.clock.arrival();
            listeners.iter().for_each(|listener| listener.pushed_back(at));
        }
    }
}

#[cfg(test)]
mod tests;
