//! Finds for every item of a batch the pipelines that it goes to, in one read-only pass.

use std::sync::{Arc, Mutex, PoisonError};

use sluice_ottl::time::Time;
use sluice_ottl::wire::Metric;
use sluice_ottl::{Conditions, WireRecord};
use sluice_pdata::msg::Message;
use sluice_pdata::pass::{BatchState, Cx, Hooks, Scratch, Step, Verdict};
use sluice_pdata::{Error, Signal};
use sluice_pipeline::{Batch, Chain, Context, Refusal};

use super::table::{Places, Question, Table};

/// The pipelines of each item, in order.
///
/// # Errors
/// Malformed bytes; a condition that fails, where the mode is to propagate.
pub(super) fn classify(
    table: &Arc<Table>,
    signal: Signal,
    batch: &Batch,
    scratch: &mut Scratch,
) -> Result<Arc<[Places]>, Refusal> {
    let found = Arc::new(Mutex::new(Vec::with_capacity(batch.items())));
    let step = Classifier { table: Arc::clone(table), found: Arc::clone(&found) };
    let chain = Chain::new(signal, vec![Arc::new(step)]);
    chain.run(batch.bytes().clone(), batch.items(), batch.context(), scratch).map_err(Refusal::malformed)?;
    let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(found.into())
}

struct Classifier {
    table: Arc<Table>,
    found: Arc<Mutex<Vec<Places>>>,
}

/// What the rules say of the envelopes around the next item.
struct State {
    /// By rule, where it asks of the resource or the metric.
    outer: Vec<bool>,
}

impl BatchState for State {
    fn apply(self: Box<Self>) {}
}

impl Classifier {
    fn asks(&self, of: fn(&Question) -> bool) -> bool {
        self.table.rules.iter().any(|rule| of(&rule.question))
    }

    /// Remembers what the rules of one level say.
    fn note(
        &self,
        cx: &mut Cx<'_, Context>,
        record: &WireRecord<'_>,
        of: fn(&Question) -> Option<&Conditions>,
    ) -> Result<Verdict, Error> {
        for (index, rule) in self.table.rules.iter().enumerate() {
            let Some(conditions) = of(&rule.question) else { continue };
            let held = holds(conditions, record, cx.context)?;
            if let Some(outer) = cx.state::<State>().and_then(|state| state.outer.get_mut(index)) {
                *outer = held;
            }
        }
        Ok(Verdict::Keep)
    }
}

fn holds(conditions: &Conditions, record: &WireRecord<'_>, context: &Context) -> Result<bool, Error> {
    let clock = || Time::from_unix_nanos(i64::try_from(context.arrival.wall.0).unwrap_or(i64::MAX));
    let mut note = |_: usize, error: &sluice_ottl::EvalError| tracing::debug!(%error, "failed to eval condition");
    conditions.eval(record, &clock, &mut note).map_err(|error| {
        tracing::warn!(%error, "condition failed; the payload is refused (error_mode: propagate)");
        Error::rejected()
    })
}

fn of_resource(question: &Question) -> Option<&Conditions> {
    if let Question::Resource(conditions) = question { Some(conditions) } else { None }
}

fn of_metric(question: &Question) -> Option<&Conditions> {
    if let Question::Metric(conditions) = question { Some(conditions) } else { None }
}

impl Step<Context> for Classifier {
    fn hooks(&self, _signal: Signal) -> Hooks {
        Hooks {
            resource: self.asks(|question| matches!(question, Question::Resource(_))),
            metric: self.asks(|question| matches!(question, Question::Metric(_))),
            item: true,
            ..Hooks::default()
        }
    }

    fn begin(&self, _signal: Signal, _batch: &[u8]) -> Option<Box<dyn BatchState>> {
        Some(Box::new(State { outer: vec![false; self.table.rules.len()] }))
    }

    fn resource(
        &self,
        cx: &mut Cx<'_, Context>,
        resource: &mut Message<'_>,
        envelope: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        let record = WireRecord::outer().in_resource(resource.bytes(), envelope.bytes());
        self.note(cx, &record, of_resource)
    }

    fn metric(
        &self,
        cx: &mut Cx<'_, Context>,
        metric: &mut Message<'_>,
        _data: &mut Message<'_>,
        whole: &[u8],
    ) -> Result<Verdict, Error> {
        let (kind, data) = sluice_pdata::view::data_member(whole)?;
        let record = WireRecord::metric(Metric::parts(metric.bytes(), kind, data))
            .in_resource(cx.resource, cx.resource_envelope())
            .in_scope(cx.scope, cx.scope_envelope());
        self.note(cx, &record, of_metric)
    }

    fn item(&self, cx: &mut Cx<'_, Context>, item: &mut Message<'_>) -> Result<Verdict, Error> {
        let bytes = item.bytes();
        let record = match (cx.signal, cx.metric) {
            (Signal::Traces, _) => WireRecord::span(bytes),
            (Signal::Logs, _) => WireRecord::log(bytes),
            (Signal::Metrics, Some(head)) => {
                WireRecord::data_point(Metric::parts(head.fields, head.kind, head.data), bytes)
            }
            (Signal::Metrics, None) => WireRecord::outer(),
        };
        let record = record.in_resource(cx.resource, cx.resource_envelope()).in_scope(cx.scope, cx.scope_envelope());
        let (mut places, mut moved) = (Places::default(), false);
        for (index, rule) in self.table.rules.iter().enumerate() {
            let held = match &rule.question {
                Question::Item(conditions) => holds(conditions, &record, cx.context)?,
                Question::Request(condition) => condition.holds(cx.context),
                Question::Resource(_) | Question::Metric(_) => {
                    cx.state::<State>().and_then(|state| state.outer.get(index).copied()).unwrap_or_default()
                }
            };
            if held {
                places = places.union(rule.places);
                moved = !rule.copies;
            }
            if moved {
                break;
            }
        }
        if !moved {
            places = places.union(self.table.default);
        }
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push(places);
        Ok(Verdict::Keep)
    }
}
