//! What one request has come to in all its pipelines, before anything of it is lasting.

use std::sync::Arc;

use super::{Branch, ConnectorOutput, InlineDestination, Sent, route};
use crate::batch::{Batch, Redacted};
use crate::clock::{Clock, Monotonic};
use crate::exporter::Observer;
use crate::ledger::reasons::is_rejection;
use crate::ledger::{InPass, StageAccount};
use crate::outcome::{Partial, Refusal};
use crate::segment::Passage;
use crate::spine::{Confirmation, Record};
use crate::{BoxFuture, Signal};

/// The outcome of the passes of one request, or of one flush of a stage. Dropping it leaves no trace.
#[derive(Default)]
pub struct Gathered {
    records: Vec<Record>,
    passages: Vec<(InPass, Passage)>,
    observed: Vec<(Arc<dyn Observer>, Redacted<Batch>)>,
    inline: Vec<(Arc<InlineDestination>, Redacted<Batch>, Option<Sent>)>,
    routed: Vec<Routing>,
    /// Most items that one pipeline rejected, and the first reason.
    rejected: usize,
    first: Option<String>,
}

/// What a connector did.
struct Routing {
    account: Arc<StageAccount>,
    signal: Signal,
    consumed: usize,
    created: usize,
    emitted: usize,
    dropped: Vec<(sluice_pdata::pass::Reason, usize)>,
}

impl Gathered {
    /// Runs a branch over a batch, and whatever its connectors feed.
    pub fn pass<'a>(&'a mut self, branch: &'a Branch, batch: Batch) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let in_pass = branch.account.enter(batch.signal(), batch.items());
            let passage = branch.segment.run(batch).await?;
            let batch = passage.batch.clone();
            self.note_rejections(&passage);
            self.passages.push((in_pass, passage));
            if batch.items() == 0 {
                return Ok(());
            }
            route(&mut self.records, &batch, branch.outputs.routes);
            let observers = branch.outputs.observers.iter();
            self.observed.extend(observers.map(|observer| (Arc::clone(observer), batch.clone())));
            let inline = branch.outputs.inline.iter();
            self.inline.extend(inline.map(|destination| (Arc::clone(destination), batch.clone(), None)));
            for output in &branch.outputs.connectors {
                self.connect(output, &batch).await?;
            }
            Ok(())
        })
    }

    async fn connect(&mut self, output: &ConnectorOutput, batch: &Redacted<Batch>) -> Result<(), Refusal> {
        let routed = output.connector.route(batch)?;
        self.routed.push(Routing {
            account: Arc::clone(&output.account),
            signal: batch.signal(),
            consumed: batch.items(),
            created: routed.created,
            emitted: routed.outputs.iter().map(|(_, batch)| batch.items()).sum(),
            dropped: routed.dropped,
        });
        for (target, batch) in routed.outputs {
            // An index beyond the targets is a bug of the connector.
            let target = output.targets.get(target).ok_or(Refusal::Internal)?;
            self.pass(target, batch).await?;
        }
        Ok(())
    }

    fn note_rejections(&mut self, passage: &Passage) {
        let rejections = passage.dropped.iter().filter(|(_, reason, _)| is_rejection(reason));
        let rejected: usize = rejections.clone().map(|(.., items)| items).sum();
        self.rejected = self.rejected.max(rejected);
        if self.first.is_none() {
            self.first = rejections.map(|(component, reason, _)| format!("{reason} ({component})")).next();
        }
    }

    /// What the sender must be told of items that were at fault. The largest number of any one pipeline: an item that one of
    /// them rejected is not safe there.
    pub fn rejection(&self) -> Option<Partial> {
        let first = self.first.as_deref()?;
        Some(Partial::new(self.rejected as u64, format!("{} items rejected: {first}", self.rejected)))
    }

    /// Whether any item is left.
    pub fn keeps_anything(&self) -> bool {
        self.passages.iter().any(|(_, passage)| passage.batch.items() > 0)
    }

    /// Sends to the exporters without a queue, all at once.
    ///
    /// # Errors
    /// The first refusal. What the others have taken by then they will get again.
    pub async fn send_inline(&mut self, clock: &dyn Clock) -> Result<(), Refusal> {
        let sends = self.inline.iter().map(|(destination, batch, _)| destination.send(batch, clock));
        let results = futures_util::future::join_all(sends).await;
        for ((.., sent), result) in self.inline.iter_mut().zip(results) {
            *sent = Some(result?);
        }
        Ok(())
    }

    /// What exporters without a queue have not delivered, each for itself, and the number of the others.
    pub(super) fn sent(&self) -> (Vec<Confirmation>, usize) {
        let mut missing = Vec::new();
        for (destination, batch, sent) in &self.inline {
            if let Some(sent) = sent.as_ref().filter(|sent| sent.completion.delivered < batch.items()) {
                missing.push(destination.confirmation(batch, sent));
            }
        }
        let others = self.inline.len() - missing.len();
        (missing, others)
    }

    /// When whoever sent this stops waiting.
    pub(super) fn deadline(&self) -> Option<Monotonic> {
        self.passages.first().and_then(|(_, passage)| passage.batch.context().deadline)
    }

    /// The records to append.
    pub fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// The append has succeeded: effects, counts and observers.
    pub fn settle(self) {
        for (in_pass, passage) in self.passages {
            let tenant = passage.batch.context().tenant.clone();
            in_pass.settle(&tenant, passage.batch.items(), &passage.dropped, 0);
            passage.apply_effects();
        }
        for routing in self.routed {
            let Routing { account, signal, consumed, created, emitted, dropped } = routing;
            let dropped: Vec<_> = dropped.into_iter().map(|(reason, items)| (signal, reason, items)).collect();
            account.record(consumed, created, emitted, &dropped, 0);
        }
        for (destination, batch, sent) in &self.inline {
            if let Some(sent) = sent {
                destination.settle(batch, &sent.completion);
            }
        }
        for (observer, batch) in self.observed {
            observer.observe(&batch);
        }
    }
}
