//! Tells the taint board which values were masked for their key (correlation §9): the only place that sees them raw. Only values
//! in a span or log record are told, which have a trace; those of resources and metrics have none.

use sluice_pdata::msg::Message;
use sluice_pdata::pass::{BatchState, Cx, Hooks, Step, Verdict};
use sluice_pdata::tags::{log_record, span};
use sluice_pdata::{Error, Signal};
use sluice_pipeline::Context;
use sluice_pipeline::taint::{LITERAL, TaintBoard};

use super::step::Redaction;

/// Redaction that tells.
pub(super) struct Tainting(Redaction);

impl Tainting {
    pub(super) fn new(mut redaction: Redaction, board: &TaintBoard) -> Self {
        redaction.taints = board.clone();
        Tainting(redaction)
    }

    #[cold]
    fn publish(&self, cx: &mut Cx<'_, Context>, item: &mut Message<'_>) -> Result<(), Error> {
        let literals = Redaction::take_taints(cx);
        if literals.is_empty() {
            return Ok(());
        }
        item.index()?;
        let number = if cx.signal == Signal::Traces { span::TRACE_ID } else { log_record::TRACE_ID };
        let Some(trace) = item.len_field(number).and_then(|id| <[u8; 16]>::try_from(id).ok()) else { return Ok(()) };
        let Context { tenant, arrival, tainted, .. } = cx.context;
        if literals.iter().any(|literal| LITERAL.contains(&literal.text().len())) {
            // Kept with the record: a stage notes it only when it reads that.
            tainted.add(trace);
        }
        literals.into_iter().for_each(|literal| self.0.taints.publish(tenant, trace, literal, arrival.wall));
        Ok(())
    }
}

impl Step<Context> for Tainting {
    fn hooks(&self, signal: Signal) -> Hooks {
        Step::<Context>::hooks(&self.0, signal)
    }

    fn strips_request(&self) -> bool {
        Step::<Context>::strips_request(&self.0)
    }

    fn begin(&self, signal: Signal, batch: &[u8]) -> Option<Box<dyn BatchState>> {
        Step::<Context>::begin(&self.0, signal, batch)
    }

    fn resource(
        &self,
        cx: &mut Cx<'_, Context>,
        resource: &mut Message<'_>,
        envelope: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        let verdict = self.0.resource(cx, resource, envelope);
        Redaction::take_taints(cx);
        verdict
    }

    fn scope(
        &self,
        cx: &mut Cx<'_, Context>,
        scope: &mut Message<'_>,
        envelope: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        let verdict = self.0.scope(cx, scope, envelope);
        Redaction::take_taints(cx);
        verdict
    }

    fn metric(
        &self,
        cx: &mut Cx<'_, Context>,
        metric: &mut Message<'_>,
        data: &mut Message<'_>,
        whole: &[u8],
    ) -> Result<Verdict, Error> {
        self.0.metric(cx, metric, data, whole)
    }

    #[inline]
    fn item(&self, cx: &mut Cx<'_, Context>, item: &mut Message<'_>) -> Result<Verdict, Error> {
        let verdict = self.0.item(cx, item)?;
        if self.0.taints.is_wanted() && cx.signal != Signal::Metrics {
            self.publish(cx, item)?;
        }
        Ok(verdict)
    }
}
