//! The stage under test, and what it is fed with and said, decoded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use sluice_config::parse;
use sluice_pdata::Signal;
use sluice_pipeline::ComponentId;
use sluice_pipeline::batch::{Batch, NoRedaction};
use sluice_pipeline::clock::{Monotonic, WallTime};
use sluice_pipeline::context::{Arrival, Context, Tenant};
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Port, Stage, StageOutput};

use crate::model::chain::environment;
use crate::spanmetrics::{Config, SpanMetrics};

pub const START: u64 = 1_760_000_000_000_000_000;
pub const SECOND: u64 = 1_000_000_000;
pub const INSTANCE: &str = "me";

/// A stage with its clock.
pub struct Collector {
    pub stage: Box<SpanMetrics>,
    pub now: u64,
    pub seq: u64,
    pub telemetry: sluice_pipeline::telemetry::Telemetry,
    pub verdicts: sluice_pipeline::verdict::VerdictBoard,
}

pub fn config(yaml: &str) -> Config {
    sluice_config::decode(&parse(yaml.as_bytes()).unwrap()).unwrap()
}

impl Collector {
    pub fn new(yaml: &str) -> Self {
        Self::with_ports(yaml, 1)
    }

    pub fn with_ports(yaml: &str, ports: usize) -> Self {
        let environment = environment(Signal::Traces, "span_metrics", 0);
        let stage = Box::new(SpanMetrics::new(&config(yaml), &environment, INSTANCE, ports));
        let (telemetry, verdicts) = (environment.telemetry.clone(), environment.verdicts.clone());
        Collector { stage, now: START, seq: 1, telemetry, verdicts }
    }

    pub fn entry(&mut self, request: &ExportTraceServiceRequest, tenant: &str) -> Entry {
        let entry = entry(self.seq, request, tenant, self.now);
        self.seq += 1;
        entry
    }

    /// Absorbs a request now.
    pub fn absorb(&mut self, request: &ExportTraceServiceRequest) {
        self.absorb_of(request, "");
    }

    pub fn absorb_of(&mut self, request: &ExportTraceServiceRequest, tenant: &str) {
        let entry = self.entry(request, tenant);
        let mut out = StageOutput::default();
        self.stage.absorb(Port(0), &entry, WallTime(self.now), &mut out);
        assert!(out.is_empty());
    }

    /// Spans of one resource with these attributes.
    pub fn spans(&mut self, resource: &[(&str, &str)], spans: Vec<Span>) {
        self.absorb(&request(resource, spans));
    }

    /// Lets time pass, telling the stage its deadlines as a driver does.
    pub fn pass(&mut self, seconds: u64) -> StageOutput {
        let end = self.now + seconds * SECOND;
        let mut out = StageOutput::default();
        while let Some(WallTime(due)) = self.stage.next_deadline().filter(|due| due.0 <= end) {
            self.stage.tick(WallTime(due), &mut out);
        }
        self.now = end;
        out
    }

    /// The next flush, decoded.
    pub fn flush(&mut self) -> Metrics {
        let Some(WallTime(due)) = self.stage.next_deadline() else { return Metrics::default() };
        self.now = self.now.max(due);
        let mut out = StageOutput::default();
        self.stage.tick(WallTime(self.now), &mut out);
        Metrics::of(&out)
    }

    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let mut all = vec![("connector", "span_metrics/0")];
        all.extend_from_slice(labels);
        self.telemetry.value(name, &all).unwrap_or_else(|| panic!("no metric {name} {labels:?}"))
    }
}

pub fn entry(seq: u64, request: &ExportTraceServiceRequest, tenant: &str, now: u64) -> Entry {
    let arrival = Arrival { monotonic: Monotonic(Duration::from_nanos(now)), wall: WallTime(now) };
    let mut context = Context::internal(ComponentId::new("otlp", ""), arrival);
    context.tenant = Tenant::new(tenant);
    let items = request.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum();
    let batch = Batch::new(Signal::Traces, Bytes::from(request.encode_to_vec()), items, Arc::new(context));
    Entry::new(Seq(seq), NoRedaction.waive(batch), arrival, Box::new(()))
}

pub fn pair(key: &str, value: &str) -> KeyValue {
    typed(key, Value::StringValue(value.into()))
}

pub fn typed(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub fn request(resource: &[(&str, &str)], spans: Vec<Span>) -> ExportTraceServiceRequest {
    let attributes = resource.iter().map(|(key, value)| pair(key, value)).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }],
    }
}

/// A span that took some milliseconds.
pub fn span(name: &str, milliseconds: f64) -> Span {
    Span {
        name: name.into(),
        kind: 2,
        trace_id: vec![7; 16],
        span_id: vec![9; 8],
        start_time_unix_nano: START,
        end_time_unix_nano: START + (milliseconds * 1e6) as u64,
        ..Span::default()
    }
}

pub fn with(mut span: Span, attributes: &[(&str, &str)]) -> Span {
    span.attributes.extend(attributes.iter().map(|(key, value)| pair(key, value)));
    span
}

pub fn failed(mut span: Span) -> Span {
    span.status = Some(Status { code: 2, ..Status::default() });
    span
}

pub fn traced(mut span: Span, trace: u8, state: &str) -> Span {
    span.trace_id = vec![trace; 16];
    span.span_id = vec![trace; 8];
    span.trace_state = state.into();
    span
}

/// Attributes as text, in their order.
pub type Pairs = Vec<(String, String)>;

pub fn pairs(attributes: &[KeyValue]) -> Pairs {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        None => String::new(),
        Some(other) => format!("{other:?}"),
    };
    attributes.iter().map(|pair| (pair.key.clone(), text(&pair.value))).collect()
}

/// A flush, decoded: points by resource, metric and attributes. Points that begin a sum with 0 stand apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    pub sums: BTreeMap<(Pairs, String, Pairs), NumberDataPoint>,
    pub zeros: BTreeMap<(Pairs, String, Pairs), NumberDataPoint>,
    pub histograms: BTreeMap<(Pairs, String, Pairs), HistogramDataPoint>,
    pub exponentials: BTreeMap<(Pairs, String, Pairs), ExponentialHistogramDataPoint>,
    pub temporalities: Vec<i32>,
    pub units: BTreeMap<String, String>,
    pub points: usize,
}

impl Metrics {
    pub fn of(out: &StageOutput) -> Self {
        let mut metrics = Metrics::default();
        let mut created = 0;
        for (port, batch) in &out.batches {
            assert_eq!(batch.signal(), Signal::Metrics);
            created += batch.items();
            if *port == Port(0) {
                let before = metrics.points;
                metrics.add(&ExportMetricsServiceRequest::decode(&batch.bytes()[..]).unwrap());
                assert_eq!(metrics.points - before, batch.items());
            }
        }
        assert_eq!(out.created, created);
        metrics
    }

    fn add(&mut self, request: &ExportMetricsServiceRequest) {
        for resource in &request.resource_metrics {
            let of = pairs(&resource.resource.as_ref().unwrap().attributes);
            for scope in &resource.scope_metrics {
                assert_eq!(scope.scope.as_ref().unwrap().name, "spanmetricsconnector");
                for metric in &scope.metrics {
                    self.units.insert(metric.name.clone(), metric.unit.clone());
                    let key = |attributes: &[KeyValue]| (of.clone(), metric.name.clone(), pairs(attributes));
                    match metric.data.clone().unwrap() {
                        Data::Sum(sum) => {
                            assert!(sum.is_monotonic);
                            self.temporalities.push(sum.aggregation_temporality);
                            for point in sum.data_points {
                                self.points += 1;
                                let key = key(&point.attributes);
                                let zero = point.time_unix_nano == point.start_time_unix_nano;
                                let into = if zero { &mut self.zeros } else { &mut self.sums };
                                assert!(into.insert(key, point).is_none(), "a series twice");
                            }
                        }
                        Data::Histogram(histogram) => {
                            self.temporalities.push(histogram.aggregation_temporality);
                            for point in histogram.data_points {
                                self.points += 1;
                                let key = key(&point.attributes);
                                assert!(self.histograms.insert(key, point).is_none(), "a series twice");
                            }
                        }
                        Data::ExponentialHistogram(histogram) => {
                            self.temporalities.push(histogram.aggregation_temporality);
                            for point in histogram.data_points {
                                self.points += 1;
                                let key = key(&point.attributes);
                                assert!(self.exponentials.insert(key, point).is_none(), "a series twice");
                            }
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }

    /// The values of a sum, by attributes, without the default dimensions but `span.name`.
    pub fn calls(&self, metric: &str) -> Vec<(Pairs, i64)> {
        let short = |pairs: &Pairs| {
            let shown =
                |key: &str| !matches!(key, "service.name" | "span.kind" | "status.code" | "collector.instance.id");
            pairs.iter().filter(|(key, _)| shown(key)).cloned().collect()
        };
        let of_metric = self.sums.iter().filter(|((_, name, _), _)| name == metric);
        of_metric.map(|((_, _, pairs), point)| (short(pairs), int(point))).collect()
    }
}

pub fn int(point: &NumberDataPoint) -> i64 {
    match point.value {
        Some(number_data_point::Value::AsInt(value)) => value,
        other => panic!("{other:?}"),
    }
}

/// Attributes for comparison.
pub fn owned(pairs: &[(&str, &str)]) -> Pairs {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
