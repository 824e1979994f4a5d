//! From a received batch to an acknowledged one: every pipeline behind the source, one append, then what is lasting.
//!
//! Nothing counts, and no step's effect lasts, until the append has succeeded: a refused request that its sender sends again
//! counts once.

mod gather;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::batch::{Batch, Redacted};
use crate::clock::Clock;
use crate::connector::InlineConnector;
use crate::exporter::{Attempt, Exporter, Observer, Payload};
use crate::ledger::{DestinationAccount, PipelineAccount, StageAccount};
use crate::outcome::{Accepted, Partial, Refusal};
use crate::receiver::Consumer;
use crate::segment::Segment;
use crate::send::SendOutcome;
use crate::spine::{Completion, Record, RouteSet, Seq, SeqRange, Spine};
use crate::{BoxFuture, PipelineId};

pub use gather::Gathered;

/// Longest wait for room where `block_on_overflow` asks for one.
const OVERFLOW_WAIT: Duration = Duration::from_secs(5);

/// A pipeline from its source to the next place where data is kept.
pub struct Branch {
    pub pipeline: PipelineId,
    pub segment: Segment,
    pub account: Arc<PipelineAccount>,
    pub outputs: Outputs,
}

/// Where a branch ends.
#[derive(Default)]
pub struct Outputs {
    /// Exporters and stages that read from the spine.
    pub routes: RouteSet,
    pub observers: Vec<Arc<dyn Observer>>,
    /// Exporters without a queue: sent to before the append.
    pub inline: Vec<Arc<InlineDestination>>,
    pub connectors: Vec<ConnectorOutput>,
}

/// An exporter with `sending_queue: {enabled: false}`: its answer is the sender's.
pub struct InlineDestination {
    pub exporter: Arc<dyn Exporter>,
    pub account: Arc<DestinationAccount>,
    /// Of one attempt.
    pub timeout: Option<Duration>,
}

/// An inline connector and the branches it feeds, in its own order.
pub struct ConnectorOutput {
    pub connector: Box<dyn InlineConnector>,
    pub account: Arc<StageAccount>,
    pub targets: Vec<Arc<Branch>>,
}

/// All pipelines behind one receiver and signal.
pub struct Intake {
    branches: Vec<Arc<Branch>>,
    spine: Arc<dyn Spine>,
    clock: Arc<dyn Clock>,
    /// Destinations for whose room a request waits.
    blocking: RouteSet,
}

impl Intake {
    pub fn new(branches: Vec<Arc<Branch>>, spine: Arc<dyn Spine>, clock: Arc<dyn Clock>, blocking: RouteSet) -> Self {
        Intake { branches, spine, clock, blocking }
    }

    async fn take(&self, batch: Batch) -> Result<Accepted, Refusal> {
        let items = batch.items();
        let mut gathered = Gathered::default();
        for branch in &self.branches {
            gathered.pass(branch, batch.clone()).await?;
        }
        let partial = gathered.rejection();
        if let Some(partial) = &partial
            && partial.rejected as usize >= items
            && !gathered.keeps_anything()
        {
            return Err(Refusal::AllRejected(partial.clone()));
        }
        gathered.send_inline(&*self.clock).await?;
        self.append(gathered, partial).await
    }

    async fn append(&self, mut gathered: Gathered, partial: Option<Partial>) -> Result<Accepted, Refusal> {
        let give_up = self.clock.now() + OVERFLOW_WAIT;
        let mut records = gathered.take_records();
        let waits = records.iter().any(|record| record.routes.iter().any(|route| self.blocking.contains(route)));
        loop {
            // Asked for before the append, so that room that comes free right after a refusal is not missed.
            let released = waits.then(|| self.spine.released());
            let attempt = if waits { records.clone() } else { std::mem::take(&mut records) };
            let mut append = self.spine.append(attempt);
            // An append that has begun completes, and is settled, even if the client goes away.
            let result = match std::future::poll_fn(|cx| Poll::Ready(append.as_mut().poll(cx))).await {
                Poll::Ready(result) => result,
                Poll::Pending => {
                    let settle = async move { append.await.map(|_| gathered.settle()) };
                    let settled = tokio::spawn(settle).await.unwrap_or(Err(Refusal::Internal));
                    return settled.map(|()| Accepted { partial });
                }
            };
            match (result, released) {
                (Ok(_), _) => {
                    gathered.settle();
                    return Ok(Accepted { partial });
                }
                (Err(Refusal::QuotaFull { .. } | Refusal::QueueFull), Some(released)) if self.clock.now() < give_up => {
                    tokio::select! {
                        () = released => {}
                        () = self.clock.sleep_until(give_up) => {}
                    }
                }
                (Err(refusal), _) => return Err(refusal),
            }
        }
    }
}

impl Consumer for Intake {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<Accepted, Refusal>> {
        Box::pin(self.take(batch))
    }
}

impl InlineDestination {
    /// One attempt, on behalf of a sender that waits.
    async fn send(&self, batch: &Redacted<Batch>, clock: &dyn Clock) -> Result<Completion, Refusal> {
        let range = SeqRange { first: Seq(0), last: Seq(0) };
        let payload = Payload::of(batch, self.exporter.capabilities().encoding, range);
        let deadline = self.timeout.map(|timeout| clock.now() + timeout);
        let items = batch.items();
        match self.exporter.send(payload, &Attempt { number: 0, deadline }).await {
            SendOutcome::Delivered { dropped } => {
                let lost: usize = dropped.iter().map(|(_, items)| items).sum();
                Ok(Completion { delivered: items.saturating_sub(lost), dropped, parked: 0 })
            }
            SendOutcome::Partial { rejected, .. } => {
                let rejected = rejected.min(items);
                let reason = crate::ledger::reasons::PEER_PARTIAL_SUCCESS;
                Ok(Completion { delivered: items - rejected, ..Completion::dropped(reason, rejected) })
            }
            SendOutcome::Retry { message, .. } | SendOutcome::ConfigError { message } => {
                Err(Refusal::DestinationUnavailable { message })
            }
            SendOutcome::Split { message } | SendOutcome::Permanent { message } | SendOutcome::Internal { message } => {
                Err(Refusal::DestinationRejected { message })
            }
        }
    }

    /// Counts what was sent, once the request is accepted.
    fn settle(&self, batch: &Redacted<Batch>, completion: &Completion) {
        self.account.routed(batch.signal(), batch.items(), self.backlog(batch));
        self.account.completed(batch.signal(), &batch.context().tenant, completion, [0; 3]);
    }

    /// The batch's items, as a tally.
    fn backlog(&self, batch: &Batch) -> [u64; 3] {
        let mut tally = [0; 3];
        tally[batch.signal() as usize] = batch.items() as u64;
        tally
    }
}

/// Adds a record, or the routes to one with the same output.
fn route(records: &mut Vec<Record>, batch: &Redacted<Batch>, routes: RouteSet) {
    if routes.is_empty() || batch.items() == 0 {
        return;
    }
    match records.iter_mut().find(|record| record.batch.same_output(batch)) {
        Some(record) => record.routes = record.routes.union(routes),
        None => records.push(Record { batch: batch.clone(), routes }),
    }
}

#[cfg(test)]
mod tests;
