//! The processor as a step of the fused pass.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use sluice_pdata::leaves::{self, Outcome, Root};
use sluice_pdata::msg::Message;
use sluice_pdata::pass::{BatchState, Cx, Hooks, Level, Reason, Step, Verdict};
use sluice_pdata::tags::{metric, span, traces_request};
use sluice_pdata::wire::{Value, fields};
use sluice_pdata::{Error, Signal, canonical};
use sluice_pipeline::taint::{Literal, TaintBoard};

use super::counts::FailClosed;
use super::engine::{Engine, Scratch};
use super::leaf::Dropped;
use super::scan::Candidates;
use super::telemetry::Telemetry;
use super::visit::{Buffers, Visit, summarizes};

/// Ledger reason of items that a rule has dropped.
const BY_RULE: Reason = "filter";
/// Ledger reason of items that could not be redacted.
const FAILED: Reason = "redaction_failed";
/// Ledger reason of items with ids of a length that no id has (security §6): the sender is told.
const INVALID: Reason = "invalid";

/// The `redaction` processor of one pipeline.
pub struct Redaction {
    shared: Arc<Shared>,
    pub(super) taints: TaintBoard,
}

struct Shared {
    engine: Engine,
    telemetry: Telemetry,
    /// Workers that are not in use: as many as batches have run side by side.
    idle: Mutex<Vec<Worker>>,
}

/// What one batch needs to be walked, reused from batch to batch.
struct Worker {
    scratch: Scratch,
    /// Candidates of the batch, and of a message that is not where the batch has it.
    batch: Candidates,
    message: Candidates,
    buffers: Buffers,
    canonical: Vec<u8>,
    /// Values of the current item that were masked for their key, if anybody wants to know.
    taints: Option<Vec<Literal>>,
}

/// A worker while it is in use.
struct Gathered {
    worker: Option<Worker>,
    shared: Arc<Shared>,
    signal: Signal,
}

impl Gathered {
    fn give_back(&mut self) {
        if let Some(mut worker) = self.worker.take() {
            worker.scratch.counts.reset();
            self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        }
    }
}

impl BatchState for Gathered {
    fn apply(mut self: Box<Self>) {
        if let Some(worker) = &self.worker {
            self.shared.telemetry.record(self.signal, &self.shared.engine, &worker.scratch.counts);
        }
        self.give_back();
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Redaction {
    /// The step of the processor `id`, such as `redaction/cards`.
    pub fn new(id: &str, engine: Engine) -> Self {
        let telemetry = Telemetry::new(id, &engine);
        let shared = Arc::new(Shared { engine, telemetry, idle: Mutex::default() });
        Redaction { shared, taints: TaintBoard::default() }
    }

    /// The values of the item before, which were masked for their key.
    pub(super) fn take_taints<C: ?Sized>(cx: &mut Cx<'_, C>) -> Vec<Literal> {
        let worker = cx.state::<Gathered>().and_then(|gathered| gathered.worker.as_mut());
        worker.and_then(|worker| worker.taints.as_mut()).map(std::mem::take).unwrap_or_default()
    }

    /// The compiled block, for start-up messages.
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    fn worker(&self) -> Worker {
        let idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| Worker {
            scratch: self.shared.engine.scratch(),
            batch: Candidates::default(),
            message: Candidates::default(),
            buffers: Buffers::default(),
            canonical: Vec::new(),
            taints: None,
        })
    }

    /// Redacts a message of type `root`.
    #[inline]
    fn redact<C: ?Sized>(&self, cx: &mut Cx<'_, C>, root: Root, message: &mut Message<'_>) -> Result<Verdict, Error> {
        let Some(worker) = cx.state::<Gathered>().and_then(|gathered| gathered.worker.as_mut()) else {
            return Ok(Verdict::Drop(FAILED)); // nothing passes unseen
        };
        let engine = &self.shared.engine;
        worker.scratch.counts.mark();
        match catch_unwind(AssertUnwindSafe(|| worker.redact(engine, root, message))) {
            Ok(verdict) => verdict,
            Err(_) => {
                worker.scratch.counts.fail_closed(FailClosed::Panic);
                Ok(Verdict::Drop(FAILED))
            }
        }
    }
}

impl Worker {
    #[inline]
    fn redact(&mut self, engine: &Engine, root: Root, message: &mut Message<'_>) -> Result<Verdict, Error> {
        let mut dropped = None;
        message.rewrite(|bytes, position, out| {
            let Worker { scratch, batch, message, buffers, canonical, taints } = self;
            let (candidates, base) = match position {
                Some(position) => (batch, position),
                None => {
                    engine.scan_batch(bytes, message);
                    (message, 0)
                }
            };
            let mut visit = visit(engine, scratch, candidates, buffers, root, taints.as_mut());
            let mut outcome = leaves::rewrite(root, bytes, base, &mut visit, out)?;
            dropped = visit.dropped;
            if outcome == Outcome::Odd {
                (outcome, dropped) =
                    redact_odd(engine, root, bytes, Odd { scratch, buffers, canonical, taints: taints.as_mut() }, out)?;
            }
            if outcome == Outcome::Dropped {
                dropped.get_or_insert(Dropped::OnLimit);
            }
            Ok::<bool, Error>(outcome == Outcome::Changed && dropped.is_none() && !engine.is_dry_run())
        })?;
        Ok(match dropped {
            None => Verdict::Keep,
            Some(_) if engine.is_dry_run() => Verdict::Keep,
            Some(Dropped::ByRule) => Verdict::Drop(BY_RULE),
            Some(Dropped::OnLimit) => Verdict::Drop(FAILED),
            Some(Dropped::Invalid) => Verdict::Drop(INVALID),
        })
    }
}

fn visit<'a>(
    engine: &'a Engine,
    scratch: &'a mut Scratch,
    candidates: &'a mut Candidates,
    buffers: &'a mut Buffers,
    root: Root,
    taints: Option<&'a mut Vec<Literal>>,
) -> Visit<'a> {
    buffers.start();
    Visit {
        engine,
        scratch,
        candidates,
        buffers,
        root,
        dropped: None,
        summarize: summarizes(engine),
        every_value: engine.needs_every_value(),
        max_len: engine.max_value_bytes(),
        taints,
    }
}

/// What a worker needs for a message that is odd.
struct Odd<'a> {
    scratch: &'a mut Scratch,
    buffers: &'a mut Buffers,
    canonical: &'a mut Vec<u8>,
    taints: Option<&'a mut Vec<Literal>>,
}

/// A message in which something occurs twice, or in an order in which it cannot be judged: what counts is its canonical
/// form, and that is what leaves.
#[cold]
fn redact_odd(
    engine: &Engine,
    root: Root,
    bytes: &[u8],
    odd: Odd<'_>,
    out: &mut Vec<u8>,
) -> Result<(Outcome, Option<Dropped>), Error> {
    let Odd { scratch, buffers, canonical, taints } = odd;
    scratch.counts.back_to_mark();
    scratch.counts.mark();
    canonical.clear();
    out.clear();
    // A key-value list takes three messages a level.
    let options =
        canonical::Options { drop_unknown: !engine.keeps_unknown_fields(), depth: engine.max_depth() * 3 + 16 };
    if canonical::message(root.message(), bytes, &options, canonical).is_err() {
        scratch.counts.fail_closed(FailClosed::Parse);
        return Ok((Outcome::Dropped, Some(Dropped::OnLimit)));
    }
    let mut candidates = Candidates::default();
    engine.scan_batch(canonical, &mut candidates);
    let mut visit = visit(engine, scratch, &mut candidates, buffers, root, taints);
    let outcome = leaves::rewrite(root, canonical, 0, &mut visit, out)?;
    let dropped = visit.dropped;
    Ok(match outcome {
        Outcome::Unchanged => {
            out.extend_from_slice(canonical);
            (Outcome::Changed, dropped)
        }
        Outcome::Odd => {
            scratch.counts.fail_closed(FailClosed::Parse);
            (Outcome::Dropped, Some(Dropped::OnLimit))
        }
        outcome => (outcome, dropped),
    })
}

/// Fields of the request itself that nobody can judge.
fn unknown_request_fields(batch: &[u8]) -> u64 {
    fields(batch)
        .filter(|field| {
            let known = |field: &sluice_pdata::wire::Field<'_>| {
                field.number == traces_request::RESOURCE_SPANS && matches!(field.value, Value::Len(_))
            };
            field.as_ref().is_ok_and(|field| !known(field))
        })
        .count() as u64
}

/// Field number of the data member of a metric; plain metrics have at most one.
fn data_kind(whole: &[u8]) -> u32 {
    const KINDS: [u32; 5] =
        [metric::GAUGE, metric::SUM, metric::HISTOGRAM, metric::EXPONENTIAL_HISTOGRAM, metric::SUMMARY];
    fields(whole)
        .filter_map(Result::ok)
        .find(|field| KINDS.contains(&field.number) && matches!(field.value, Value::Len(_)))
        .map_or(metric::GAUGE, |field| field.number)
}

impl<C: ?Sized> Step<C> for Redaction {
    fn hooks(&self, _signal: Signal) -> Hooks {
        Hooks { resource: true, scope: true, metric: true, item: true, changes: Some(Level::Item), observes: None }
    }

    fn strips_request(&self) -> bool {
        !self.shared.engine.keeps_unknown_fields() && !self.shared.engine.is_dry_run()
    }

    fn begin(&self, signal: Signal, batch: &[u8]) -> Option<Box<dyn BatchState>> {
        let mut worker = self.worker();
        let engine = &self.shared.engine;
        engine.scan_batch(batch, &mut worker.batch);
        worker.scratch.metrics = signal == Signal::Metrics;
        worker.taints = (signal != Signal::Metrics && self.taints.is_wanted()).then(Vec::new);
        let tally = &mut worker.scratch.counts.tally;
        tally.bytes_scanned += batch.len() as u64;
        if !engine.keeps_unknown_fields() {
            tally.unknown_fields += unknown_request_fields(batch);
        }
        Some(Box::new(Gathered { worker: Some(worker), shared: Arc::clone(&self.shared), signal }))
    }

    fn resource(
        &self,
        cx: &mut Cx<'_, C>,
        resource: &mut Message<'_>,
        envelope: &mut Message<'_>,
    ) -> Result<Verdict, Error> {
        match self.redact(cx, Root::Resource, resource)? {
            Verdict::Keep => self.redact(cx, Root::ResourceEnvelope, envelope),
            dropped => Ok(dropped),
        }
    }

    fn scope(&self, cx: &mut Cx<'_, C>, scope: &mut Message<'_>, envelope: &mut Message<'_>) -> Result<Verdict, Error> {
        match self.redact(cx, Root::Scope, scope)? {
            Verdict::Keep => self.redact(cx, Root::ScopeEnvelope, envelope),
            dropped => Ok(dropped),
        }
    }

    fn metric(
        &self,
        cx: &mut Cx<'_, C>,
        metric: &mut Message<'_>,
        data: &mut Message<'_>,
        whole: &[u8],
    ) -> Result<Verdict, Error> {
        match self.redact(cx, Root::Metric, metric)? {
            Verdict::Keep => self.redact(cx, Root::Data(data_kind(whole)), data),
            dropped => Ok(dropped),
        }
    }

    #[inline]
    fn item(&self, cx: &mut Cx<'_, C>, item: &mut Message<'_>) -> Result<Verdict, Error> {
        let root = match cx.signal {
            Signal::Traces => Root::Span,
            Signal::Logs => Root::LogRecord,
            Signal::Metrics => Root::DataPoint(cx.metric.map_or(metric::GAUGE, |head| head.kind)),
        };
        let verdict = self.redact(cx, root, item)?;
        if verdict == Verdict::Keep && root == Root::Span && self.shared.engine.sanitizes_span_names() {
            self.sanitize_name(item)?;
        }
        Ok(verdict)
    }
}

/// Attributes that mark a span as HTTP, as upstream knows them.
const HTTP_KEYS: [&[u8]; 9] = [
    b"http.route",
    b"http.request.method",
    b"http.request.method_original",
    b"http.response.status_code",
    b"url.full",
    b"http.scheme",
    b"http.target",
    b"http.method",
    b"http.url",
];

impl Redaction {
    /// Collapses the path in the name of a client or server span that speaks HTTP.
    fn sanitize_name(&self, span: &mut Message<'_>) -> Result<(), Error> {
        const SERVER: u64 = 2;
        const CLIENT: u64 = 3;
        span.index()?;
        if !matches!(span.varint(span::KIND), SERVER | CLIENT) {
            return Ok(());
        }
        let Some(name) = span.len_field(span::NAME) else { return Ok(()) };
        let is_http = |pair: &[u8]| {
            sluice_pdata::view::KeyValueView::parse(pair).is_ok_and(|pair| HTTP_KEYS.contains(&pair.key()))
        };
        if !name.contains(&b'/') && !span.len_fields(span::ATTRIBUTES).any(|(_, pair)| is_http(pair)) {
            return Ok(());
        }
        let mut sanitized = Vec::new();
        if self.shared.engine.sanitize_span_name(name, &mut sanitized) {
            span.set_len(span::NAME, &sanitized)?;
        }
        Ok(())
    }
}
