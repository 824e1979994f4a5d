//! A world around an engine: requests go in at times of a virtual clock, and what comes out is decoded. After each event every
//! item must be accounted for (I1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use sluice_pdata::Signal;
use sluice_pipeline::ComponentId;
use sluice_pipeline::batch::{Batch, NoRedaction};
use sluice_pipeline::clock::{Monotonic, WallTime};
use sluice_pipeline::context::{Arrival, Context, Tenant};
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Port, StageOutput};

use crate::sampling::{Decision, Leaves, LogItem, RuleIndex, SpanItem, TraceFacts, Weight};
use crate::trace_window::{Deciding, Engine, ExemplarSettings, Judge, Settings};

/// Where the virtual clock starts: seconds since 1970.
const EPOCH_S: u64 = 1_700_000_000;

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) now_ms: u64,
    pub(super) out: Vec<(Port, Batch)>,
    pub(super) notes: Vec<Bytes>,
    /// Everything that went in, with the time: to be replayed.
    pub(super) log: Vec<(Port, Entry, u64)>,
    pub(super) dropped: BTreeMap<&'static str, usize>,
    accepted: usize,
    forwarded: usize,
    pub(super) repeated: usize,
    tenant: Tenant,
    /// Whether the log survives: then the engine may give up what it holds, and is given it again.
    survives: bool,
    /// Entries that the log has lost.
    pub(super) lost: BTreeSet<Seq>,
    /// What redaction has told of the next requests.
    pub(super) tainted: Vec<[u8; 16]>,
}

impl World {
    pub(super) fn new(settings: Settings, judge: Option<Box<dyn Judge>>) -> Self {
        World {
            engine: Engine::new(settings, judge),
            now_ms: 1,
            out: Vec::new(),
            notes: Vec::new(),
            log: Vec::new(),
            dropped: BTreeMap::new(),
            accepted: 0,
            forwarded: 0,
            repeated: 0,
            tenant: Tenant::default(),
            survives: false,
            lost: BTreeSet::new(),
            tainted: Vec::new(),
        }
    }

    /// On a log that survives a restart.
    pub(super) fn surviving(mut self) -> Self {
        self.survives = true;
        self.engine.lags(Duration::ZERO);
        self
    }

    pub(super) fn annotate() -> Self {
        Self::new(Settings::default(), None)
    }

    pub(super) fn with_tenant(mut self, tenant: &str) -> Self {
        self.tenant = Tenant::new(tenant);
        self
    }

    pub(super) fn set_tenant(&mut self, tenant: &str) {
        self.tenant = Tenant::new(tenant);
    }

    pub(super) fn wall(&self) -> WallTime {
        WallTime(EPOCH_S * 1_000_000_000 + self.now_ms * 1_000_000)
    }

    /// Lets time pass, in steps of the engine's own deadlines.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            let next =
                self.engine.next_deadline().map_or(end, |at| (at.0 - EPOCH_S * 1_000_000_000).div_ceil(1_000_000));
            self.now_ms = next.clamp(self.now_ms + 1, end);
            let mut out = StageOutput::default();
            self.engine.tick(self.wall(), &mut out);
            self.take(out);
            self.give_again();
        }
    }

    /// As the driver does after each turn.
    pub(super) fn give_again(&mut self) {
        loop {
            let wanted = self.engine.wanted();
            assert!(self.survives || wanted.is_empty());
            assert!(wanted.is_sorted_by_key(|(_, seq)| *seq));
            let Some(&(port, seq)) = wanted.first() else { return };
            let found = self.log.iter().find(|(at, entry, _)| *at == port && entry.seq() == seq);
            let found = found.filter(|_| !self.lost.contains(&seq)).map(|(_, entry, _)| entry.clone());
            let mut out = StageOutput::default();
            self.engine.restore(port, seq, found.as_ref(), self.wall(), &mut out);
            self.take(out);
        }
    }

    pub(super) fn request(&mut self, signal: Signal, bytes: Vec<u8>, items: usize) -> Entry {
        let arrival = Arrival { monotonic: Monotonic(Duration::from_millis(self.now_ms)), wall: self.wall() };
        let mut context = Context::internal(ComponentId::new("otlp", ""), arrival);
        context.tenant = self.tenant.clone();
        self.tainted.iter().for_each(|&trace| context.tainted.add(trace));
        let batch = Batch::new(signal, bytes.into(), items, Arc::new(context));
        let seq = Seq(self.log.len() as u64 + 1);
        Entry::new(seq, NoRedaction.waive(batch), arrival, Box::new(()))
    }

    pub(super) fn absorb(&mut self, port: u16, signal: Signal, bytes: Vec<u8>, items: usize) {
        let entry = self.request(signal, bytes, items);
        self.log.push((Port(port), entry.clone(), self.now_ms));
        self.feed(Port(port), &entry);
    }

    pub(super) fn feed(&mut self, port: Port, entry: &Entry) {
        self.accepted += entry.batch().items();
        let mut out = StageOutput::default();
        self.engine.absorb(port, entry, self.wall(), &mut out);
        self.take(out);
        self.give_again();
    }

    pub(super) fn drain(&mut self) {
        let mut out = StageOutput::default();
        self.engine.drain(self.wall(), &mut out);
        self.take(out);
        self.give_again();
        assert_eq!((self.engine.held().items, self.engine.low_watermark()), (0, None));
    }

    pub(super) fn take(&mut self, out: StageOutput) {
        for (port, batch) in out.batches {
            assert!(batch.items() <= 8192);
            let framing = sluice_pdata::framing::check(batch.signal(), batch.bytes()).unwrap();
            assert_eq!(framing.items, batch.items());
            self.forwarded += batch.items();
            self.out.push((port, batch));
        }
        for (_, reason, items) in out.dropped {
            *self.dropped.entry(reason).or_default() += items;
        }
        self.notes.extend(out.notes.into_iter().map(|(note, _)| note));
        self.repeated += out.repeated;
        let dropped: usize = self.dropped.values().sum();
        assert_eq!(self.accepted, self.forwarded + dropped + self.repeated + self.engine.held().items, "conservation");
        assert_eq!(self.engine.held().items > 0, self.engine.low_watermark().is_some());
    }

    pub(super) fn spans(&mut self, service: &str, spans: Vec<Span>) {
        let (bytes, items) = (traces(service, &spans), spans.len());
        self.absorb(0, Signal::Traces, bytes, items);
    }

    pub(super) fn logs(&mut self, service: &str, logs: Vec<LogRecord>) {
        let (bytes, items) = (log_request(service, &logs), logs.len());
        self.absorb(1, Signal::Logs, bytes, items);
    }

    /// Spans that came out since the last call, in order; logs stay.
    pub(super) fn out_spans(&mut self) -> Vec<Span> {
        let mut found = Vec::new();
        self.out.retain(|(port, batch)| {
            if batch.signal() == Signal::Traces {
                assert_eq!(*port, Port(0));
                let request = ExportTraceServiceRequest::decode(batch.bytes().clone()).unwrap();
                found.extend(request.resource_spans.into_iter().flat_map(|it| it.scope_spans).flat_map(|it| it.spans));
            }
            batch.signal() != Signal::Traces
        });
        found
    }

    pub(super) fn out_logs(&mut self) -> Vec<LogRecord> {
        let mut found = Vec::new();
        self.out.retain(|(port, batch)| {
            if batch.signal() == Signal::Logs {
                assert_eq!(*port, Port(1));
                let request = ExportLogsServiceRequest::decode(batch.bytes().clone()).unwrap();
                found.extend(
                    request.resource_logs.into_iter().flat_map(|it| it.scope_logs).flat_map(|it| it.log_records),
                );
            }
            batch.signal() != Signal::Logs
        });
        found
    }
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.into())) }),
        ..KeyValue::default()
    }
}

pub(super) fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found: Vec<_> = attributes.iter().filter(|pair| pair.key == key).collect();
    assert!(found.len() <= 1, "{key} twice");
    found.first()?.value.as_ref()?.value.as_ref()
}

pub(super) fn string(attributes: &[KeyValue], key: &str) -> Option<String> {
    match attribute(attributes, key)? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(value) => Some(value.to_string()),
        Value::BoolValue(value) => Some(value.to_string()),
        other => panic!("{other:?}"),
    }
}

pub(super) fn trace_id(n: u64) -> Vec<u8> {
    [&n.to_be_bytes()[..], &(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes()].concat()
}

pub(super) fn span_id(n: u64) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

/// A span of a millisecond; the parent 0 makes it a root.
pub(super) fn span(trace: u64, id: u64, parent: u64) -> Span {
    Span {
        trace_id: trace_id(trace),
        span_id: span_id(id),
        parent_span_id: if parent == 0 { Vec::new() } else { span_id(parent) },
        name: format!("span {id}"),
        kind: 2,
        start_time_unix_nano: EPOCH_S * 1_000_000_000,
        end_time_unix_nano: EPOCH_S * 1_000_000_000 + 1_000_000,
        attributes: vec![text("http.route", "/x"), text("n", &id.to_string())],
        flags: 1,
        ..Span::default()
    }
}

pub(super) fn failed(span: Span) -> Span {
    Span { status: Some(Status { code: 2, message: String::new() }), ..span }
}

pub(super) fn log(trace: u64, span: u64, body: &str) -> LogRecord {
    LogRecord {
        trace_id: trace_id(trace),
        span_id: span_id(span),
        severity_number: 9,
        body: Some(AnyValue { value: Some(Value::StringValue(body.into())) }),
        flags: 1,
        ..LogRecord::default()
    }
}

pub(super) fn body(log: &LogRecord) -> String {
    match log.body.as_ref().and_then(|body| body.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{other:?}"),
    }
}

fn resource(service: &str) -> Option<Resource> {
    Some(Resource { attributes: vec![text("service.name", service)], ..Resource::default() })
}

pub(super) fn traces(service: &str, spans: &[Span]) -> Vec<u8> {
    let scope = Some(InstrumentationScope { name: "lib".into(), ..InstrumentationScope::default() });
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: resource(service),
            scope_spans: vec![ScopeSpans { scope, spans: spans.to_vec(), schema_url: "https://schema".into() }],
            schema_url: "https://resource-schema".into(),
        }],
    }
    .encode_to_vec()
}

pub(super) fn log_request(service: &str, logs: &[LogRecord]) -> Vec<u8> {
    let scope = Some(InstrumentationScope { name: "logger".into(), ..InstrumentationScope::default() });
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource(service),
            scope_logs: vec![ScopeLogs { scope, log_records: logs.to_vec(), schema_url: String::new() }],
            schema_url: String::new(),
        }],
    }
    .encode_to_vec()
}

/// Keeps traces with an error, at once; of the others those with R in the upper half, at `T` = one half.
#[derive(Default)]
pub(super) struct ErrorsAndHalf;

/// One half, in units of 2^-56.
pub(super) const HALF: u64 = 1 << 55;

impl Judge for ErrorsAndHalf {
    fn observe_span(&mut self, item: &SpanItem<'_>, leaves: &mut Leaves) {
        if item.view.name == b"keep me" {
            leaves.insert(7);
        }
    }

    fn observe_log(&mut self, _item: &LogItem<'_>, _leaves: &mut Leaves) {}

    fn early(&mut self, facts: &TraceFacts) -> Option<Decision> {
        let keep = Decision { kept: true, weight: Weight::Threshold(0), rule: Some(RuleIndex(0)), sub_rule: None };
        (facts.errors > 0).then_some(keep)
    }

    fn decide(&mut self, facts: &[TraceFacts], _now: u64) -> Vec<Decision> {
        let decide = |facts: &TraceFacts| {
            if facts.errors > 0 || facts.leaves.contains(7) {
                return Decision { kept: true, weight: Weight::Threshold(0), rule: Some(RuleIndex(0)), sub_rule: None };
            }
            let kept = facts.randomness >= HALF;
            Decision { kept, weight: Weight::Threshold(HALF), rule: Some(RuleIndex(1)), sub_rule: None }
        };
        facts.iter().map(decide).collect()
    }

    fn rule_name(&self, rule: RuleIndex) -> &str {
        ["errors", "half"][usize::from(rule.0)]
    }

    fn take_evaluation_errors(&mut self) -> Vec<(RuleIndex, u64)> {
        Vec::new()
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any> {
        self
    }
}

pub(super) fn deciding() -> Settings {
    Settings {
        decide: Some(Deciding {
            wait: Duration::from_secs(30),
            wait_after_root: Duration::from_millis(5500),
            dry_run: false,
        }),
        exemplars: ExemplarSettings { keep_unknown: false, ..Settings::default().exemplars },
        ..Settings::default()
    }
}

pub(super) fn decider(settings: Settings) -> World {
    World::new(settings, Some(Box::new(ErrorsAndHalf)))
}

/// R of a trace of this number.
pub(super) fn randomness(trace: u64) -> u64 {
    crate::sampling::threshold::randomness(None, &trace_id(trace).try_into().unwrap())
}
