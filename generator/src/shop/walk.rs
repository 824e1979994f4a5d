//! One request through the shop: its spans, its logs, and what was measured.

use super::calls::messaging;
use super::context::{Context, new_trace};
use super::topology::{Entry, Operation, REQUESTS};
use super::world::{World, uid};
use crate::encode::{Attributes, Exception, Item, Kind, Log, Scope, Severity, Span};
use crate::metrics::{Instrument, Observation};
use crate::secrets::Place;
use crate::settings::{MILLISECOND, Nanos};
use crate::truth::{LogKind, SpanTruth, TraceTruth};

/// Something that an instance hands to its SDK.
#[derive(Debug)]
pub(crate) struct Made {
    pub instance: usize,
    /// A span's end, a log's emission, a measurement's time.
    pub at: Nanos,
    pub what: What,
}

/// What it is. Numbers are those of the truth; a broken span has none.
#[derive(Debug)]
pub(crate) enum What {
    Span(Option<u32>, Item),
    Log(u32, Item),
    Observation(Observation),
}

/// A customer's request at this time, walked to its end.
pub(crate) fn customer_request(world: &mut World, at: Nanos) -> Vec<Made> {
    let mut draw = world.random.below(REQUESTS.iter().map(|(weight, _)| weight).sum());
    let chosen = REQUESTS.iter().find(|(weight, _)| {
        let hit = draw < *weight;
        draw = draw.wrapping_sub(*weight);
        hit
    });
    let operation = chosen.map_or(REQUESTS[0].1, |(_, operation)| operation);
    let instance = world.any(operation.service);
    let context = begin(world, instance, at);
    let mut walk = Walk { world, context, made: Vec::new() };
    walk.serve(operation, instance, None, at);
    walk.made
}

/// Draws a trace and enters it into the truth.
pub(super) fn begin(world: &mut World, instance: usize, at: Nanos) -> Context {
    let (id, sampled, state) = new_trace(&mut world.random, &world.sampling);
    let trace = world.truth.traces.len() as u32;
    world.truth.traces.push(TraceTruth {
        trace_id: id,
        root_service: world.instances[instance].service.name,
        spans: 0,
        errors: 0,
        start: at,
        end: at,
        logs: 0,
        log_errors: 0,
        sampled,
        arrived: 0,
        root_at: None,
        last_at: None,
    });
    Context { trace, id, sampled, state }
}

pub(super) struct Walk<'w> {
    pub world: &'w mut World,
    pub context: Context,
    pub made: Vec<Made>,
}

/// A span that runs.
#[derive(Clone, Copy)]
pub(super) struct Running {
    pub id: [u8; 8],
    pub parent: Option<[u8; 8]>,
    pub instance: usize,
    pub start: Nanos,
    /// Number in the truth, if it will be exported.
    pub ticket: Option<u32>,
}

/// How a span ends.
pub(super) struct Ending {
    pub scope: Scope,
    pub kind: Kind,
    pub name: String,
    pub attributes: Attributes,
    pub failure: Option<Exception>,
    pub end: Nanos,
}

pub(super) fn ms(value: f64) -> Nanos {
    (value * MILLISECOND as f64) as Nanos
}

impl Walk<'_> {
    /// Begins a span.
    pub fn open(&mut self, instance: usize, parent: Option<[u8; 8]>, start: Nanos) -> Running {
        let id = self.world.random.span_id();
        let ticket = self.context.sampled.then(|| {
            let spans = &mut self.world.truth.spans;
            let (trace, is_root) = (self.context.trace, parent.is_none());
            spans.push(SpanTruth { trace, span_id: id, is_root, error: false, ended: start, at: None });
            (spans.len() - 1) as u32
        });
        Running { id, parent, instance, start, ticket }
    }

    /// Ends a span. One that is not sampled leaves no trace.
    pub fn close(&mut self, running: Running, ending: Ending) {
        let Some(ticket) = running.ticket else { return };
        let failed = ending.failure.is_some();
        let trace = &mut self.world.truth.traces[self.context.trace as usize];
        trace.spans += 1;
        trace.errors += usize::from(failed);
        trace.end = trace.end.max(ending.end);
        let known = &mut self.world.truth.spans[ticket as usize];
        (known.error, known.ended) = (failed, ending.end);
        let remote = matches!(ending.kind, Kind::Server | Kind::Consumer) && running.parent.is_some();
        let mut attributes = ending.attributes;
        if let Some(value) = self.world.plant(Place::SpanAttribute, &self.context.id) {
            attributes.push(("app.note", format!("requested by {value} today").into()));
        }
        if let Some(failure) = &ending.failure {
            attributes.push(("error.type", failure.kind.as_str().into()));
        }
        let span = Span {
            trace_id: self.context.id.to_vec(),
            span_id: running.id.to_vec(),
            parent_id: running.parent.map(Vec::from).unwrap_or_default(),
            trace_state: self.context.state.clone(),
            name: ending.name,
            kind: ending.kind,
            start: self.world.stamp(running.instance, running.start),
            end: self.world.stamp(running.instance, ending.end),
            attributes,
            error: ending.failure.as_ref().map(|failure| failure.message.clone()),
            exception: ending
                .failure
                .map(|failure| Exception { at: self.world.stamp(running.instance, failure.at), ..failure }),
            // Sampled, and whether the parent is in another process.
            flags: 0x101 | if remote { 0x200 } else { 0 },
        };
        if self.world.random.chance(self.world.pathologies) {
            self.break_span(running.instance, ending.end, ending.scope, span.clone());
        }
        let item = Item { scope: ending.scope, payload: span.payload() };
        self.made.push(Made { instance: running.instance, at: ending.end, what: What::Span(Some(ticket), item) });
    }

    /// A second, broken span beside the good one.
    fn break_span(&mut self, instance: usize, at: Nanos, scope: Scope, mut span: Span) {
        match self.world.random.below(4) {
            0 => span.span_id = vec![0; 8],
            1 => span.trace_id = vec![0; 16],
            2 => span.trace_id.truncate(8),
            // The same ids, another content.
            _ => span.name.push_str(" (again)"),
        }
        self.made.push(Made { instance, at, what: What::Span(None, Item { scope, payload: span.payload() }) });
    }

    /// Emits a log in the context of a span.
    pub fn log(
        &mut self,
        running: Running,
        at: Nanos,
        severity: Severity,
        body: String,
        exception: Option<&Exception>,
        late: bool,
    ) {
        let broken = self.world.random.chance(self.world.pathologies);
        let kind = match (broken, running.ticket, late) {
            (true, ..) => LogKind::Pathological,
            (_, None, _) => LogKind::Unsampled,
            (_, _, true) => LogKind::AfterEnd,
            _ => LogKind::Inside,
        };
        let number = self.world.register_log(kind, running.ticket.filter(|_| !broken), at);
        let trace = &mut self.world.truth.traces[self.context.trace as usize];
        if !broken {
            trace.logs += 1;
            trace.log_errors += usize::from(severity == Severity::Error);
        }
        let (trace_id, span_id) = if broken {
            self.world.broken_ids(&self.context, running.id)
        } else {
            (self.context.id.to_vec(), running.id.to_vec())
        };
        let mut attributes = vec![uid(number), ("thread.id", (self.world.random.below(64) as i64).into())];
        let mut body = body;
        if let Some(exception) = exception {
            attributes.extend(exception.attributes());
        }
        if let Some(value) = self.world.plant(Place::LogBody, &trace_id) {
            body = format!("{body}, contact {value} first");
        } else if let Some(value) = self.world.plant(Place::LogAttribute, &trace_id) {
            attributes.push(("app.detail", value.into()));
        }
        let stamp = self.world.stamp(running.instance, at);
        let fills_flags = self.world.instances[running.instance].service.fills_log_flags;
        let flags = u32::from(self.context.sampled && fills_flags);
        let observed = stamp + 1_000 * (1 + self.world.random.below(400));
        let log = Log { time: stamp, observed, severity, body, attributes, trace_id, span_id, flags };
        let item = Item { scope: Scope::App, payload: log.payload() };
        self.made.push(Made { instance: running.instance, at, what: What::Log(number, item) });
    }

    pub fn observe(&mut self, running: Running, instrument: Instrument, attributes: Attributes, value: f64, at: Nanos) {
        let context = self.context.sampled.then_some((self.context.id, running.id));
        let observation = Observation { instrument, attributes, value, context, at };
        self.made.push(Made { instance: running.instance, at, what: What::Observation(observation) });
    }

    /// An operation as its service runs it: when it ends, and why it failed.
    pub fn serve(
        &mut self,
        operation: &'static Operation,
        instance: usize,
        parent: Option<[u8; 8]>,
        start: Nanos,
    ) -> (Nanos, Option<Exception>) {
        let running = self.open(instance, parent, start);
        let name = server_name(&operation.entry);
        let mut now = start + ms(self.world.random.log_normal(0.3, 0.5));
        if self.world.random.chance(0.6) {
            self.log(running, now, Severity::Info, format!("handling {name}"), None, false);
        }
        let mut failure = None;
        for step in operation.steps {
            let (end, failed) = self.step(step, running, now);
            now = end;
            let Some(failed) = failed else { continue };
            if self.world.random.chance(0.6) {
                failure = Some(Exception { at: now, ..failed });
                break;
            }
            self.log(running, now, Severity::Warn, format!("going on without: {}", failed.message), None, false);
        }
        // Garbage collection, a cold cache, a lock: now and then everything takes long.
        if self.world.random.chance(0.01) {
            now += ms(self.world.random.log_normal(700.0, 0.7));
            self.log(running, now, Severity::Warn, format!("{name} is slow"), None, false);
        }
        let error_rate = self.world.error_rate(operation.error_rate, parent.is_none());
        if failure.is_none() && self.world.random.chance(error_rate) {
            let message = format!("{name} failed after {} ms", (now - start) / MILLISECOND);
            failure = Some(Exception { kind: operation.exception.to_owned(), message, at: now });
        }
        match &failure {
            Some(failure) => self.log(running, now, Severity::Error, failure.message.clone(), Some(failure), false),
            None if self.world.random.chance(0.5) => {
                self.log(running, now, Severity::Info, format!("{name} done"), None, false);
            }
            None => {}
        }
        let end = now + ms(self.world.random.log_normal(0.4, 0.5));
        if self.world.random.chance(0.03) {
            let later = end + ms(self.world.random.exponential(150.0));
            self.log(running, later, Severity::Info, format!("cleaned up after {name}"), None, true);
        }
        self.finish(operation, running, name, failure.clone(), end);
        (end, failure)
    }

    fn finish(&mut self, of: &Operation, running: Running, name: String, failure: Option<Exception>, end: Nanos) {
        let failed = failure.is_some();
        let seconds = (end - running.start) as f64 / 1e9;
        let (scope, kind, attributes) = match of.entry {
            Entry::Http { method, route } => {
                let status = if failed { 500 } else { 200 };
                let number = self.world.random.below(5_000);
                let measured: Attributes = vec![
                    ("http.request.method", method.into()),
                    ("http.route", route.into()),
                    ("http.response.status_code", status.into()),
                    ("url.scheme", "https".into()),
                ];
                self.observe(running, Instrument::HttpServer, measured.clone(), seconds, end);
                if route == "/orders" && !failed {
                    self.observe(running, Instrument::Orders, vec![("currency", "EUR".into())], 1.0, end);
                }
                let mut attributes = measured;
                attributes.push(("url.path", route.replace("{id}", &number.to_string()).into()));
                attributes.push(("server.address", "shop.example.net".into()));
                attributes.push(("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)".into()));
                attributes.push(("network.protocol.version", "1.1".into()));
                (Scope::Server, Kind::Server, attributes)
            }
            Entry::Rpc { service, method } => {
                let status = if failed { 13 } else { 0 };
                let attributes: Attributes = vec![
                    ("rpc.system", "grpc".into()),
                    ("rpc.service", service.into()),
                    ("rpc.method", method.into()),
                    ("rpc.grpc.status_code", status.into()),
                ];
                self.observe(running, Instrument::RpcServer, attributes.clone(), seconds * 1e3, end);
                if service == "shop.Cart" {
                    let items = self.world.random.below(12) as f64;
                    self.observe(running, Instrument::CartItems, Vec::new(), items, end);
                }
                (Scope::Server, Kind::Server, attributes)
            }
            Entry::Consume { destination } => {
                (Scope::Messaging, Kind::Consumer, messaging(destination, "process", self.world.random.bits()))
            }
        };
        self.close(running, Ending { scope, kind, name, attributes, failure, end });
    }
}

fn server_name(entry: &Entry) -> String {
    match entry {
        Entry::Http { method, route } => format!("{method} {route}"),
        Entry::Rpc { service, method } => format!("{service}/{method}"),
        Entry::Consume { destination } => format!("process {destination}"),
    }
}
