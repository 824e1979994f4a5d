//! From a received batch to an acknowledged one: every pipeline behind the source, one append, then what is lasting.
//!
//! Nothing counts, and no step's effect lasts, until the append has succeeded: a refused request that its sender sends again
//! counts once.

mod append;
mod gather;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Batch, Redacted};
use crate::clock::Clock;
use crate::connector::InlineConnector;
use crate::exporter::{Attempt, Exporter, Observer, Payload};
use crate::ledger::{DestinationAccount, PipelineAccount, StageAccount};
use crate::outcome::{Accepted, Refusal};
use crate::receiver::Consumer;
use crate::segment::Segment;
use crate::send::SendOutcome;
use crate::spine::{Completion, Confirmation, Record, RouteSet, Seq, SeqRange, Spine};
use crate::{BoxFuture, PipelineId};

pub use gather::Gathered;

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
    /// Those of them whose confirmation the sender waits for: the lossless ones in mode `exported`, and any with
    /// `wait_for_result`.
    pub awaited: RouteSet,
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
    pub connector: Arc<dyn InlineConnector>,
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
    /// Destinations whose confirmation a request waits for.
    awaited: RouteSet,
    /// Longest wait for that.
    hold: Duration,
}

impl Intake {
    pub fn new(branches: Vec<Arc<Branch>>, spine: Arc<dyn Spine>, clock: Arc<dyn Clock>, blocking: RouteSet) -> Self {
        Intake { branches, spine, clock, blocking, awaited: RouteSet::EMPTY, hold: Duration::ZERO }
    }

    /// The same for senders who wait: answers only when the destinations have confirmed that [`Outputs::awaited`] names, and
    /// refuses what they have not within `hold`. Without it nobody waits: what the collector makes itself has no sender.
    #[must_use]
    pub fn holding(mut self, hold: Duration) -> Self {
        self.awaited = awaited(&self.branches);
        self.hold = hold;
        self
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
        let until = gathered.deadline();
        if until.is_some_and(|deadline| deadline <= self.clock.now()) {
            return Err(Refusal::DeadlineExceeded);
        }
        gathered.send_inline(&*self.clock).await?;
        self.append(gathered, partial, until).await
    }
}

impl Consumer for Intake {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<Accepted, Refusal>> {
        Box::pin(self.take(batch))
    }

    fn ready(&self) -> Result<(), Refusal> {
        if self.awaited.is_empty() { Ok(()) } else { self.spine.exportable(self.awaited) }
    }
}

/// The destinations that senders wait for, wherever a request may come.
fn awaited(branches: &[Arc<Branch>]) -> RouteSet {
    branches.iter().fold(RouteSet::EMPTY, |all, branch| {
        let connectors = branch.outputs.connectors.iter().map(|output| awaited(&output.targets));
        connectors.fold(all.union(branch.outputs.awaited), RouteSet::union)
    })
}

impl InlineDestination {
    /// One attempt, on behalf of a sender that waits: what became of the items, and what the destination said.
    async fn send(&self, batch: &Redacted<Batch>, clock: &dyn Clock) -> Result<Sent, Refusal> {
        let range = SeqRange { first: Seq(0), last: Seq(0) };
        let payload = Payload::of(batch, self.exporter.capabilities().encoding, range);
        let deadline = self.timeout.map(|timeout| clock.now() + timeout);
        let items = batch.items();
        match self.exporter.send(payload, &Attempt { number: 0, deadline }).await {
            SendOutcome::Refused { mut dropped, refused } => {
                let message = refused.first().map(|refused| refused.message.clone());
                dropped.extend(refused.into_iter().map(|refused| (refused.reason, refused.items.len())));
                let lost: usize = dropped.iter().map(|(_, items)| items).sum();
                let completion = Completion { delivered: items.saturating_sub(lost), dropped, parked: 0 };
                Ok(Sent { completion, message })
            }
            SendOutcome::Delivered { dropped } => {
                let lost: usize = dropped.iter().map(|(_, items)| items).sum();
                let completion = Completion { delivered: items.saturating_sub(lost), dropped, parked: 0 };
                Ok(Sent { completion, message: None })
            }
            SendOutcome::Partial { rejected, message } => {
                let rejected = rejected.min(items);
                let reason = crate::ledger::reasons::PEER_PARTIAL_SUCCESS;
                let completion = Completion { delivered: items - rejected, ..Completion::dropped(reason, rejected) };
                Ok(Sent { completion, message: Some(message).filter(|message| !message.is_empty()) })
            }
            SendOutcome::Retry { message, .. } | SendOutcome::ConfigError { message } => {
                Err(Refusal::DestinationUnavailable { message })
            }
            SendOutcome::Split { message } | SendOutcome::Permanent { message } | SendOutcome::Internal { message } => {
                Err(Refusal::DestinationRejected { message })
            }
        }
    }

    /// What it made of a batch, for its sender.
    fn confirmation(&self, batch: &Batch, sent: &Sent) -> Confirmation {
        let mut confirmation = Confirmation::pending(Arc::clone(self.account.id()), batch.items());
        confirmation.add(&sent.completion, false);
        confirmation.message = sent.message.clone();
        confirmation
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

/// What an exporter without a queue has made of a batch.
struct Sent {
    completion: Completion,
    message: Option<String>,
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
