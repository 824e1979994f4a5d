//! What stands behind a receiver: the pipelines of one signal, from a batch to its append.

use std::sync::Arc;

use sluice_pipeline::batch::Redacted;
use sluice_pipeline::exporter::{Attempt, Delivery, Exporter, Observer, Payload};
use sluice_pipeline::ledger::PipelineAccount;
use sluice_pipeline::outcome::Partial;
use sluice_pipeline::receiver::Consumer;
use sluice_pipeline::segment::{Passage, Segment};
use sluice_pipeline::send::SendOutcome;
use sluice_pipeline::spine::{Record, RouteSet, Seq, SeqRange, Spine};
use sluice_pipeline::{Accepted, Batch, BoxFuture, ComponentId, Refusal};
use sluice_pipeline::clock::Clock;

/// One pipeline, from its first processor (or from behind an emitting one) to its destinations.
pub struct Lane {
    pub segment: Segment,
    pub account: Arc<PipelineAccount>,
    /// Destinations on the spine.
    pub routes: RouteSet,
    pub observers: Vec<Arc<dyn Observer>>,
    pub inline: Vec<Inline>,
    /// Batches that enter here were not sent by anybody: they count as created.
    pub creates: bool,
}

/// An exporter with `sending_queue: {enabled: false}`: sent within the request, before the append.
pub struct Inline {
    pub id: ComponentId,
    pub exporter: Arc<dyn Exporter>,
    pub delivery: Delivery,
}

/// All pipelines of one signal behind one receiver.
pub struct Ingest {
    pub lanes: Vec<Arc<Lane>>,
    pub spine: Arc<dyn Spine>,
    pub clock: Arc<dyn Clock>,
}

impl Consumer for Ingest {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<Accepted, Refusal>> {
        Box::pin(self.take(batch))
    }
}

impl Ingest {
    async fn take(&self, batch: Batch) -> Result<Accepted, Refusal> {
        let mut passes = Vec::with_capacity(self.lanes.len());
        for lane in &self.lanes {
            let (sent, created) = if lane.creates { (0, batch.items()) } else { (batch.items(), 0) };
            let pass = lane.account.enter(batch.signal(), sent);
            let passage = lane.segment.run(batch.clone()).await?;
            passes.push((lane, pass, passage, created));
        }
        let mut accepted = Accepted::default();
        for (lane, _, passage, _) in &passes {
            for inline in &lane.inline {
                if let Some(partial) = inline.send(&passage.batch, &*self.clock).await? {
                    accepted.partial = Some(partial);
                }
            }
        }
        let records = records(passes.iter().map(|(lane, _, passage, _)| (&**lane, passage)));
        if !records.is_empty() {
            self.spine.append(records).await?;
        }
        for (lane, pass, passage, created) in passes {
            for observer in &lane.observers {
                if passage.batch.items() > 0 {
                    observer.observe(&passage.batch);
                }
            }
            pass.settle(&batch.context().tenant, passage.batch.items(), &passage.dropped, created);
            passage.apply_effects();
        }
        Ok(accepted)
    }
}

/// One record per distinct output: pipelines with the same output share one, with the union of their routes.
fn records<'p>(passes: impl Iterator<Item = (&'p Lane, &'p Passage)>) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    for (lane, passage) in passes {
        if passage.batch.items() == 0 || lane.routes.is_empty() {
            continue;
        }
        match records.iter_mut().find(|record| record.batch.same_output(&passage.batch)) {
            Some(record) => record.routes = record.routes.union(lane.routes),
            None => records.push(Record { batch: passage.batch.clone(), routes: lane.routes }),
        }
    }
    records
}

impl Inline {
    /// One attempt. What the destination says is what the client is told.
    async fn send(&self, batch: &Redacted<Batch>, clock: &dyn Clock) -> Result<Option<Partial>, Refusal> {
        if batch.items() == 0 {
            return Ok(None);
        }
        let capabilities = self.exporter.capabilities();
        let payload = Payload {
            signal: batch.signal(),
            parts: [batch.bytes().clone()].into_iter().collect(),
            items: batch.items(),
            context: batch.context().clone(),
            compressed: batch
                .compressed()
                .filter(|body| capabilities.encoding == Some(body.encoding))
                .cloned(),
            range: SeqRange { first: Seq(0), last: Seq(0) },
        };
        let timeout = self.delivery.timeout;
        let deadline = (!timeout.is_zero()).then(|| clock.now() + timeout);
        match self.exporter.send(payload, &Attempt { number: 0, deadline }).await {
            SendOutcome::Delivered { .. } => Ok(None),
            SendOutcome::Partial { rejected: 0, .. } => Ok(None),
            SendOutcome::Partial { rejected, message } => Ok(Some(Partial::new(rejected as u64, message))),
            SendOutcome::Retry { message, .. } | SendOutcome::ConfigError { message } => {
                tracing::warn!(exporter = %self.id, error = %message, "Exporting failed. Rejecting data.");
                Err(Refusal::DestinationUnavailable { message })
            }
            SendOutcome::Split { message } | SendOutcome::Permanent { message } | SendOutcome::Internal { message } => {
                Err(Refusal::DestinationRejected { message })
            }
        }
    }
}
