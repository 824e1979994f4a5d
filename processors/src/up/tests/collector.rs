//! A collector with the processor in it, as far as the processor can tell: tasks under virtual time, in front of a spine that
//! may be full.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::batch::NoRedaction;
use sluice_pipeline::clock::{Clock, Monotonic, VirtualClock, WallTime};
use sluice_pipeline::component::Environment;
use sluice_pipeline::context::{Metadata, MetadataKeys};
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::factory::Factory;
use sluice_pipeline::intake::{Branch, Intake, Outputs};
use sluice_pipeline::ledger::Ledger;
use sluice_pipeline::processor::{Emitter, Processor};
use sluice_pipeline::receiver::{Ingress, Pushback};
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::segment::{Redaction, Segment, SegmentStep};
use sluice_pipeline::spine::memory::MemorySpine;
use sluice_pipeline::spine::{
    Completion, CursorRule, Destination, DestinationSpec, OnQuota, ReadLimit, Role, RouteSet, Spine,
};
use sluice_pipeline::telemetry::{Naming, Telemetry};
use sluice_pipeline::{Accepted, Batch, ComponentId, Context, PipelineId, Refusal, Signal, Step};

use super::world::{START, secs};
use crate::up::config::Config;
use crate::up::factory::UpFactory;

const ALL: ReadLimit = ReadLimit { records: usize::MAX, items: usize::MAX, bytes: usize::MAX };

/// (seconds since the start, instance, value; none is a marker)
pub(super) type UpSample = (u64, String, Option<f64>);

/// A collector with one metrics pipeline, `up` in it, and one destination with a quota.
pub(super) struct Collector {
    pub(super) clock: VirtualClock,
    pub(super) telemetry: Telemetry,
    spine: MemorySpine,
    ingress: Ingress,
    pub(super) emitter: Arc<dyn Emitter>,
    /// Whether the destination takes what comes.
    pub(super) delivers: bool,
    /// What the destination has, in order.
    pub(super) delivered: Vec<ExportMetricsServiceRequest>,
}

impl Collector {
    pub(super) async fn start(yaml: &str, quota: u64) -> Self {
        let config: Config = serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}"));
        let clock = VirtualClock::new(WallTime(START.as_nanos() as u64));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let telemetry = Telemetry::new();
        let memory = MemBudget::new(1 << 30, Arc::clone(&shared));
        let ledger = Ledger::new(&telemetry, []);
        let to = [DestinationSpec {
            name: "a".into(),
            role: Role::Exporter,
            max_bytes: Some(quota),
            queue_size: None,
            on_quota: OnQuota::Reject,
        }];
        let spine =
            MemorySpine::new(1 << 24, false, CursorRule::Absorbed, memory.clone(), &ledger, &to).expect("spine");
        let pipeline = PipelineId::new(Signal::Metrics, "");
        let rng = Arc::new(SplitMix::seeded(1));
        let environment = Environment {
            id: ComponentId::new("up", ""),
            signals: [Signal::Metrics].as_slice().into(),
            pipeline: Some(pipeline.clone()),
            pipelines: Arc::from([]),
            clock: Arc::clone(&shared),
            rng: rng.clone(),
            memory: memory.clone(),
            telemetry: telemetry.clone(),
            extensions: Extensions::default(),
            verdicts: sluice_pipeline::verdict::VerdictBoard::default(),
            gates: Default::default(),
        };
        let Ok(Processor::Emitting(step, emitter)) = UpFactory::default().build(&config, environment) else {
            panic!("`up` emits");
        };
        let intake = |steps: Vec<Arc<Step>>| {
            let steps = steps.into_iter().map(|step| SegmentStep { processor: ComponentId::new("up", ""), step });
            let segment = Segment::new(Signal::Metrics, steps.collect(), Redaction::Waived(NoRedaction), &telemetry);
            let outputs = Outputs { routes: RouteSet::EMPTY.with(Destination(0)), ..Outputs::default() };
            let account = ledger.pipeline(pipeline.as_str());
            let branch = Branch { pipeline: pipeline.clone(), segment, account, outputs };
            Arc::new(Intake::new(vec![Arc::new(branch)], Arc::new(spine.clone()), Arc::clone(&shared), RouteSet::EMPTY))
        };
        emitter.connect(vec![(pipeline.clone(), intake(Vec::new()))]);
        let ingress = Ingress::new(memory, Arc::clone(&shared), rng, MetadataKeys::default())
            .with_consumer(Signal::Metrics, intake(vec![step]))
            .with_pushback(Signal::Metrics, Arc::clone(&emitter) as Arc<dyn Pushback>);
        emitter.start().await.expect("started");
        let mut collector =
            Collector { clock, telemetry, spine, ingress, emitter, delivers: true, delivered: Vec::new() };
        collector.settle().await;
        collector
    }

    /// Lets all tasks run until they wait for time or for each other.
    pub(super) async fn settle(&mut self) {
        for _ in 0..32 {
            tokio::task::yield_now().await;
            if self.delivers {
                for entry in self.spine.read(Destination(0), ALL) {
                    let batch = entry.batch();
                    self.delivered.push(ExportMetricsServiceRequest::decode(&**batch.bytes()).expect("OTLP"));
                    self.spine.complete(Destination(0), entry.seq(), Completion::delivered(batch.items()));
                }
            }
        }
    }

    pub(super) async fn run_until(&mut self, at: Duration) {
        self.settle().await;
        while self.clock.now().0 < at {
            let next = self.clock.next_timer().unwrap_or(Monotonic(at)).0.min(at);
            self.clock.advance(next.saturating_sub(self.clock.now().0));
            self.settle().await;
        }
    }

    pub(super) async fn push(&self, request: &ExportMetricsServiceRequest) -> Result<Accepted, Refusal> {
        let context = Arc::new(Context::internal(ComponentId::new("otlp", ""), self.clock.arrival()));
        let bytes = Bytes::from(request.encode_to_vec());
        let items = sluice_pdata::framing::check(Signal::Metrics, &bytes).expect("framing").items;
        self.ingress.consume(Batch::new(Signal::Metrics, bytes, items, context)).await
    }

    pub(super) async fn push_from(
        &self,
        peer: &str,
        forwarded: &[&str],
        request: &ExportMetricsServiceRequest,
    ) -> Result<Accepted, Refusal> {
        let mut context = Context::internal(ComponentId::new("otlp", ""), self.clock.arrival());
        context.peer = Some(std::net::SocketAddr::new(peer.parse().expect("address"), 4711));
        let headers = forwarded.iter().map(|line| ("X-Forwarded-For", *line));
        context.metadata = Metadata::collect(&MetadataKeys::new(["x-forwarded-for"]), headers);
        let bytes = Bytes::from(request.encode_to_vec());
        self.ingress.consume(Batch::new(Signal::Metrics, bytes, 1, Arc::new(context))).await
    }

    pub(super) async fn stop(&mut self) {
        let stopping = Arc::clone(&self.emitter);
        let stopped = tokio::spawn(async move { stopping.stop(secs(5)).await });
        stopped.await.expect("stopped");
        self.settle().await;
    }

    /// All samples of the metric `name` that the destination has.
    pub(super) fn samples(&self, name: &str) -> Vec<UpSample> {
        let mut samples = Vec::new();
        for resource in self.delivered.iter().flat_map(|request| &request.resource_metrics) {
            let attributes = &resource.resource.as_ref().expect("resource").attributes;
            let instance = attributes.iter().find(|kv| kv.key == "service.instance.id").map(text).unwrap_or_default();
            let metrics = resource.scope_metrics.iter().flat_map(|scope| &scope.metrics);
            for metric in metrics.filter(|metric| metric.name == name) {
                let Some(Data::Gauge(gauge)) = &metric.data else { continue };
                for point in &gauge.data_points {
                    let value = match point.value {
                        Some(number_data_point::Value::AsDouble(value)) => Some(value),
                        Some(number_data_point::Value::AsInt(value)) => Some(value as f64),
                        None => None,
                    };
                    let value = value.filter(|_| point.flags & 1 == 0);
                    let at = (point.time_unix_nano / 1_000_000_000).saturating_sub(START.as_secs());
                    samples.push((at, instance.clone(), value));
                }
            }
        }
        samples
    }

    /// The values of `up`; none is a marker.
    pub(super) fn up(&self) -> Vec<Option<f64>> {
        self.samples("up").into_iter().map(|(.., value)| value).collect()
    }

    pub(super) fn exposed(&self, series: &str) -> Option<f64> {
        let text = self.telemetry.render(&Naming::default());
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }
}

pub(super) fn text(pair: &KeyValue) -> String {
    match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// One gauge `load` of an instance of the service `app`.
pub(super) fn pushed(instance: &str) -> ExportMetricsServiceRequest {
    pushed_by(&[("service.name", "app"), ("service.instance.id", instance)], &["load"])
}

/// A gauge for each name, of a resource with these attributes.
pub(super) fn pushed_by(attributes: &[(&str, &str)], names: &[&str]) -> ExportMetricsServiceRequest {
    let attributes = attributes.iter().map(|(key, value)| attribute(key, value)).collect();
    let resource = Resource { attributes, ..Resource::default() };
    let metric = |name: &&str| {
        let value = Some(number_data_point::Value::AsDouble(0.5));
        let attributes = vec![attribute("core", "0")];
        let point = NumberDataPoint { value, attributes, ..NumberDataPoint::default() };
        let data = Some(Data::Gauge(Gauge { data_points: vec![point] }));
        Metric { name: (*name).to_owned(), data, ..Metric::default() }
    };
    let scope_metrics = vec![ScopeMetrics { metrics: names.iter().map(metric).collect(), ..ScopeMetrics::default() }];
    let resource = ResourceMetrics { resource: Some(resource), scope_metrics, ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }
}
