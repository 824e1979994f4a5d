//! The fused step.

use std::borrow::Cow;

use memchr::memmem;
use metrics::Counter;
use sluice_config::Problems;
use sluice_ottl::time::Time;
use sluice_ottl::wire::{Metric, Request};
use sluice_ottl::{Conditions, Context as Ottl, EvalError, Map, Value, WireRecord};
use sluice_pdata::msg::Message;
use sluice_pdata::pass::{BatchState, Cx, Hooks, Level, Step, Verdict};
use sluice_pdata::tags::span;
use sluice_pdata::{Error, Signal};
use sluice_pipeline::Context;
use sluice_pipeline::component::Environment;
use sluice_pipeline::context::Transport;

use super::config::Config;
use super::groups::{SignalConditions, compile};

/// Reason in the ledger.
const REASON: &str = "filter";

/// `filter`, compiled.
pub struct FilterStep {
    signals: [SignalConditions; 3],
    /// By signal: finders of literals without which no item condition holds.
    literals: [Option<Vec<memmem::Finder<'static>>>; 3],
    /// Some condition asks about the request.
    reads_request: bool,
    filtered: Option<Counter>,
    errors: Option<Counter>,
}

impl FilterStep {
    /// Compiles the config. What is wrong with it goes to `problems`. Counters are registered with an environment only.
    pub fn new(config: &Config, problems: &mut Problems<'_>, environment: Option<&Environment>) -> Self {
        let signals = compile(config, problems);
        let items = [Ottl::Span, Ottl::DataPoint, Ottl::Log];
        let literals = Signal::ALL.map(|signal| {
            let conditions = &signals[signal as usize];
            let literals = conditions.item_literals(items[signal as usize])?;
            Some(literals.iter().map(|literal| memmem::Finder::new(literal).into_owned()).collect())
        });
        let counters = environment.map(|environment| {
            let items = match environment.signals.first() {
                Some(Signal::Metrics) => "datapoints",
                Some(Signal::Logs) => "logs",
                _ => "spans",
            };
            let labels = [("filter", environment.id.as_str())];
            let telemetry = &environment.telemetry;
            (
                telemetry.counter(&format!("otelcol_processor_filter_{items}_filtered"), &labels),
                telemetry.counter("sluice_processor_condition_errors_total", &[("processor", environment.id.as_str())]),
            )
        });
        let (filtered, errors) = counters.unzip();
        let reads_request = signals.iter().any(SignalConditions::read_request);
        FilterStep { signals, literals, reads_request, filtered, errors }
    }

    fn conditions(&self, signal: Signal) -> &SignalConditions {
        &self.signals[signal as usize]
    }
}

/// What is gathered during a batch.
struct State {
    /// Where a literal that some item condition needs begins, ascending; `None` if conditions hold without one.
    candidates: Option<Vec<u32>>,
    next: usize,
    dropped: u64,
    failed: u64,
    filtered: Option<Counter>,
    errors: Option<Counter>,
}

impl BatchState for State {
    fn apply(self: Box<Self>) {
        if let Some(counter) = &self.filtered {
            counter.increment(self.dropped);
        }
        if let Some(counter) = &self.errors {
            counter.increment(self.failed);
        }
    }
}

impl State {
    /// Whether a condition may hold for the item at `at`. Items come in ascending order.
    fn may_hold(&mut self, at: Option<usize>, len: usize) -> bool {
        let (Some(candidates), Some(at)) = (&self.candidates, at) else { return true };
        while let Some(&candidate) = candidates.get(self.next) {
            if candidate as usize >= at {
                return (candidate as usize) < at + len;
            }
            self.next += 1;
        }
        false
    }
}

/// Evaluates the groups; the first that holds says yes.
fn holds<'r>(
    groups: &[Conditions],
    record: WireRecord<'r>,
    request: Option<&'r Request<'r>>,
    context: &Context,
    state: Option<&mut State>,
) -> Result<bool, Error> {
    let record = match request {
        Some(request) => record.in_request(request),
        None => record,
    };
    let clock = || now(context);
    let mut failed = 0;
    let mut note = |_: usize, error: &EvalError| {
        failed += 1;
        tracing::debug!(%error, "failed to eval condition");
    };
    let mut result = Ok(false);
    for group in groups {
        match group.eval(&record, &clock, &mut note) {
            Ok(false) => {}
            Ok(true) => {
                result = Ok(true);
                break;
            }
            Err(error) => {
                tracing::warn!(%error, "condition failed; the payload is refused (error_mode: propagate)");
                result = Err(Error::rejected());
                break;
            }
        }
    }
    if let Some(state) = state {
        state.failed += failed;
    }
    result
}

fn now(context: &Context) -> Time {
    Time::from_unix_nanos(i64::try_from(context.arrival.wall.0).unwrap_or(i64::MAX))
}

fn verdict(dropped: bool) -> Verdict {
    if dropped { Verdict::Drop(REASON) } else { Verdict::Keep }
}

impl Step<Context> for FilterStep {
    fn hooks(&self, signal: Signal) -> Hooks {
        let conditions = self.conditions(signal);
        let (resource, scope) = (!conditions.resource.is_empty(), !conditions.scope.is_empty());
        let metric = !conditions.metric.is_empty();
        let item = !conditions.item.is_empty() || !conditions.event.is_empty();
        let changes =
            [(item, Level::Item), (metric, Level::Metric), (scope, Level::Scope), (resource, Level::Resource)];
        Hooks {
            resource,
            scope,
            metric,
            item,
            changes: changes.into_iter().find_map(|(has, level)| has.then_some(level)),
            observes: conditions.observes(),
        }
    }

    fn begin(&self, signal: Signal, batch: &[u8]) -> Option<Box<dyn BatchState>> {
        let candidates = self.literals[signal as usize].as_ref().map(|finders| {
            let mut found: Vec<u32> =
                finders.iter().flat_map(|finder| finder.find_iter(batch)).map(|at| at as u32).collect();
            if finders.len() > 1 {
                found.sort_unstable();
            }
            found
        });
        let (filtered, errors) = (self.filtered.clone(), self.errors.clone());
        Some(Box::new(State { candidates, next: 0, dropped: 0, failed: 0, filtered, errors }))
    }

    fn resource(
        &self,
        cx: &mut Cx<'_, Context>,
        resource: &mut Message<'_>,
        envelope: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        let groups = &self.conditions(cx.signal).resource;
        let request = request(cx.context, self.reads_request);
        let record = WireRecord::outer().in_resource(resource.bytes(), envelope.bytes());
        holds(groups, record, request.as_ref(), cx.context, cx.state()).map(verdict)
    }

    fn scope(
        &self,
        cx: &mut Cx<'_, Context>,
        scope: &mut Message<'_>,
        envelope: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        let groups = &self.conditions(cx.signal).scope;
        let request = request(cx.context, self.reads_request);
        let record = WireRecord::outer()
            .in_resource(cx.resource, cx.resource_envelope())
            .in_scope(scope.bytes(), envelope.bytes());
        holds(groups, record, request.as_ref(), cx.context, cx.state()).map(verdict)
    }

    fn metric(
        &self,
        cx: &mut Cx<'_, Context>,
        metric: &mut Message<'_>,
        _data: &mut Message<'_>,
        whole: &[u8],
    ) -> Result<Verdict, Error> {
        let groups = &self.conditions(Signal::Metrics).metric;
        let request = request(cx.context, self.reads_request);
        let (kind, data) = sluice_pdata::view::data_member(whole)?;
        let record = WireRecord::metric(Metric::parts(metric.bytes(), kind, data))
            .in_resource(cx.resource, cx.resource_envelope())
            .in_scope(cx.scope, cx.scope_envelope());
        holds(groups, record, request.as_ref(), cx.context, cx.state()).map(verdict)
    }

    fn item(&self, cx: &mut Cx<'_, Context>, item: &mut Message<'_>) -> Result<Verdict, Error> {
        let (at, len) = (item.position(), item.encoded_len());
        if let Some(state) = cx.state::<State>()
            && !state.may_hold(at, len)
        {
            return Ok(Verdict::Keep);
        }
        let conditions = self.conditions(cx.signal);
        let request = request(cx.context, self.reads_request);
        if !conditions.item.is_empty() {
            let bytes = item.bytes();
            let record = match (cx.signal, cx.metric) {
                (Signal::Traces, _) => WireRecord::span(bytes),
                (Signal::Logs, _) => WireRecord::log(bytes),
                (Signal::Metrics, Some(head)) => {
                    WireRecord::data_point(Metric::parts(head.fields, head.kind, head.data), bytes)
                }
                (Signal::Metrics, None) => return Ok(Verdict::Keep),
            };
            let record =
                record.in_resource(cx.resource, cx.resource_envelope()).in_scope(cx.scope, cx.scope_envelope());
            if holds(&conditions.item, record, request.as_ref(), cx.context, cx.state())? {
                if let Some(state) = cx.state::<State>() {
                    state.dropped += 1;
                }
                return Ok(Verdict::Drop(REASON));
            }
        }
        if !conditions.event.is_empty() {
            self.events(cx, item, request.as_ref())?;
        }
        Ok(Verdict::Keep)
    }
}

impl FilterStep {
    /// Removes events for which a condition holds; the span stays.
    fn events(
        &self,
        cx: &mut Cx<'_, Context>,
        item: &mut Message<'_>,
        request: Option<&Request<'_>>,
    ) -> Result<(), Error> {
        let groups = &self.conditions(Signal::Traces).event;
        let whole = item.bytes().to_vec();
        item.index()?;
        let mut removed = Vec::new();
        for (index, (id, event)) in item.len_fields(span::EVENTS).enumerate() {
            let record = WireRecord::span_event(&whole, event, index)
                .in_resource(cx.resource, cx.resource_envelope())
                .in_scope(cx.scope, cx.scope_envelope());
            if holds(groups, record, request, cx.context, cx.state())? {
                removed.push(id);
            }
        }
        for id in removed {
            item.remove(id);
        }
        Ok(())
    }
}

/// What conditions may ask of the request. `None` unless some condition does.
fn request<'c>(context: &'c Context, wanted: bool) -> Option<Request<'c>> {
    if !wanted {
        return None;
    }
    let client_addr = match context.peer {
        Some(peer) => Value::string(peer.ip().to_string()),
        None => Value::Nil,
    };
    let auth = context.identity.iter().flat_map(|identity| &identity.attributes);
    let auth = auth.map(|(key, value)| (Cow::Borrowed(key.as_bytes()), Value::str(value.as_bytes()))).collect();
    let mut metadata: Vec<(Cow<'c, [u8]>, Value<'c>)> = Vec::new();
    for (key, _) in context.metadata.iter() {
        if !metadata.iter().any(|(known, _)| **known == *key.as_bytes()) {
            let values = context.metadata.get(key).map(|value| Value::str(value.as_bytes())).collect();
            metadata.push((Cow::Borrowed(key.as_bytes()), Value::list(values)));
        }
    }
    let grpc = if context.transport == Transport::GRPC { metadata.clone() } else { Vec::new() };
    Some(Request {
        client_addr,
        auth_attributes: Map::Shared(auth),
        client_metadata: Map::Shared(metadata.into()),
        grpc_metadata: Map::Shared(grpc.into()),
    })
}
