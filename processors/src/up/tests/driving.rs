//! The processor as the collector runs it: its tasks under virtual time, in front of a spine that may be full.

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
use sluice_pipeline::context::MetadataKeys;
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
    Completion, CursorRule, Destination, DestinationSpec, OnQuota, ReadLimit, RouteSet, Spine,
};
use sluice_pipeline::telemetry::{Naming, Telemetry};
use sluice_pipeline::{Accepted, Batch, ComponentId, Context, PipelineId, Refusal, Signal, Step};

use super::world::{START, secs};
use crate::up::config::Config;
use crate::up::factory::UpFactory;

const ALL: ReadLimit = ReadLimit { records: usize::MAX, items: usize::MAX, bytes: usize::MAX };

/// (seconds since the start, instance, value; none is a marker)
type UpSample = (u64, String, Option<f64>);

/// A collector with one metrics pipeline, `up` in it, and one destination with a quota.
pub(super) struct Collector {
    pub(super) clock: VirtualClock,
    pub(super) telemetry: Telemetry,
    spine: MemorySpine,
    ingress: Ingress,
    emitter: Arc<dyn Emitter>,
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
        let to =
            [DestinationSpec { name: "a".into(), max_bytes: Some(quota), queue_size: None, on_quota: OnQuota::Reject }];
        let spine =
            MemorySpine::new(1 << 24, false, CursorRule::Absorbed, memory.clone(), &ledger, &to).expect("spine");
        let pipeline = PipelineId::new(Signal::Metrics, "");
        let rng = Arc::new(SplitMix::seeded(1));
        let environment = Environment {
            id: ComponentId::new("up", ""),
            signals: [Signal::Metrics].as_slice().into(),
            pipeline: Some(pipeline.clone()),
            clock: Arc::clone(&shared),
            rng: rng.clone(),
            memory: memory.clone(),
            telemetry: telemetry.clone(),
            extensions: Extensions::default(),
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
        emitter.connect(&pipeline, intake(Vec::new()));
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
    async fn settle(&mut self) {
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

    pub(super) async fn stop(&mut self) {
        let stopping = Arc::clone(&self.emitter);
        let stopped = tokio::spawn(async move { stopping.stop(secs(5)).await });
        self.settle().await;
        assert!(stopped.is_finished());
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
                    let at = point.time_unix_nano / 1_000_000_000 - START.as_secs();
                    samples.push((at, instance.clone(), value));
                }
            }
        }
        samples
    }

    /// The values of `up`; none is a marker.
    fn up(&self) -> Vec<Option<f64>> {
        self.samples("up").into_iter().map(|(.., value)| value).collect()
    }

    pub(super) fn exposed(&self, series: &str) -> Option<f64> {
        let text = self.telemetry.render(&Naming::default());
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }
}

fn text(pair: &KeyValue) -> String {
    match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{other:?}"),
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// One gauge `load` of an instance of the service `app`.
pub(super) fn pushed(instance: &str) -> ExportMetricsServiceRequest {
    let resource = Resource {
        attributes: vec![attribute("service.name", "app"), attribute("service.instance.id", instance)],
        ..Resource::default()
    };
    let point = NumberDataPoint { value: Some(number_data_point::Value::AsDouble(0.5)), ..NumberDataPoint::default() };
    let metric = Metric {
        name: "load".to_owned(),
        data: Some(Data::Gauge(Gauge { data_points: vec![point] })),
        ..Metric::default()
    };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    let resource = ResourceMetrics { resource: Some(resource), scope_metrics, ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }
}

const APP: &str = "{ingest_metrics: off, jobs: [{job_name: app, scrape_interval: 15s, expected_interval: 60s, \
                   static_configs: [{targets: [\"a:1\"]}]}]}";

#[tokio::test]
async fn a_collector_that_refuses_does_not_blame_its_targets() {
    let mut collector = Collector::start(APP, 2_000).await;
    let mut refusals = 0;
    for minute in 0..20 {
        collector.run_until(secs(minute * 60)).await;
        // The destination hangs from minute 5 to 12, several deadlines long.
        collector.delivers = !(5..12).contains(&minute);
        refusals += usize::from(collector.push(&pushed("a:1")).await.is_err());
    }
    collector.run_until(secs(1_200)).await;
    assert!((4..8).contains(&refusals), "the queue was full: {refusals}");
    let up = collector.samples("up");
    assert!(up.iter().all(|(.., value)| *value == Some(1.0)), "{up:?}");
    assert!(up.iter().any(|(at, ..)| *at < 300) && up.iter().any(|(at, ..)| *at > 1_100), "{up:?}");
}

#[tokio::test]
async fn a_target_that_dies_while_its_collector_refuses_others_is_down_a_deadline_later() {
    let yaml = APP.replace("[\"a:1\"]", "[\"a:1\", \"b:1\"]");
    let mut collector = Collector::start(&yaml, 2_000).await;
    for minute in 0..20 {
        collector.run_until(secs(minute * 60)).await;
        collector.delivers = !(5..8).contains(&minute);
        let _ = collector.push(&pushed("a:1")).await;
        if minute < 5 {
            collector.push(&pushed("b:1")).await.expect("accepted");
        }
    }
    let zeros: Vec<_> = collector.samples("up").into_iter().filter(|(.., value)| *value == Some(0.0)).collect();
    assert!(zeros.iter().all(|(_, instance, _)| instance == "b:1"), "{zeros:?}");
    // The last refusal comes at minute 8; D is 135 s, G 15 s.
    let first = zeros.first().expect("its outage is not hidden").0;
    assert!((480 + 135..480 + 135 + 16).contains(&first), "{first}");
}

#[tokio::test]
async fn what_the_spine_refuses_is_sent_again_with_the_newest_value() {
    let mut collector = Collector::start(APP, 2_000).await;
    collector.push(&pushed("a:1")).await.expect("accepted");
    collector.run_until(secs(20)).await;
    assert_eq!(collector.up(), [Some(1.0), Some(1.0)]);
    collector.delivers = false;
    // Silent from now on: 1 until 135 s, then 0; nothing comes through once the queue is full.
    collector.run_until(secs(400)).await;
    assert_eq!(collector.up(), [Some(1.0), Some(1.0)]);
    collector.delivers = true;
    collector.run_until(secs(411)).await;
    let before: Vec<_> = collector.samples("up");
    let (at, _, value) = before.last().expect("samples");
    assert_eq!(*value, Some(0.0));
    assert!(*at > 380, "the newest grid point, not the oldest: {at}");
    let superseded = collector.exposed("otlp_liveness_withheld_total{reason=\"superseded\",processor=\"up\"} ");
    assert!(superseded.is_some_and(|count| count > 5.0), "{superseded:?}");
    let refused = collector.exposed("otlp_liveness_emissions_refused_total{cause=\"quota_full\",processor=\"up\"} ");
    assert!(refused.is_some_and(|count| count > 5.0), "{refused:?}");
    // No grid point twice.
    let mut points: Vec<u64> = before.iter().map(|(at, ..)| *at).collect();
    points.dedup();
    assert_eq!(points.len(), before.len());
}

#[tokio::test]
async fn a_stale_marker_that_is_refused_comes_as_soon_as_there_is_room() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("targets.json");
    std::fs::write(&file, "[{\"targets\": [\"a:1\"]}]").expect("written");
    let yaml = format!(
        "{{ingest_metrics: off, jobs: [{{job_name: app, scrape_interval: 15s, expected_interval: 60s, \
         file_sd_configs: [{{files: [{:?}]}}]}}]}}",
        file.display().to_string()
    );
    let mut collector = Collector::start(&yaml, 2_000).await;
    collector.push(&pushed("a:1")).await.expect("accepted");
    collector.run_until(secs(30)).await;
    collector.delivers = false;
    for _ in 0..20 {
        let _ = collector.push(&pushed("a:1")).await;
    }
    std::fs::write(&file, "[]").expect("written");
    collector.run_until(secs(600)).await;
    assert!(!collector.up().contains(&None), "no room for it");
    collector.delivers = true;
    collector.run_until(secs(615)).await;
    let up = collector.samples("up");
    assert_eq!(up.last().map(|(.., value)| *value), Some(None), "{up:?}");
    assert_eq!(up.iter().filter(|(.., value)| value.is_none()).count(), 1, "once");
}

#[tokio::test]
async fn what_still_waits_at_the_end_is_tried_once_more() {
    let mut collector = Collector::start(APP, 2_000).await;
    collector.push(&pushed("a:1")).await.expect("accepted");
    collector.delivers = false;
    collector.run_until(secs(200)).await;
    let before = collector.up().len();
    collector.delivers = true;
    // Room is there, but the sender waits for its next attempt: the end comes first.
    collector.settle().await;
    collector.stop().await;
    assert!(collector.up().len() > before);
}

#[tokio::test]
async fn what_it_knows_is_shown_at_each_scrape() {
    let yaml = APP.replace("[\"a:1\"]", "[\"a:1\", \"b:1\"]");
    let mut collector = Collector::start(&yaml, 1 << 20).await;
    let targets = |collector: &Collector, state: &str| {
        collector.exposed(&format!("otlp_liveness_targets{{job=\"app\",state=\"{state}\",processor=\"up\"}} "))
    };
    assert_eq!((targets(&collector, "unknown"), targets(&collector, "up")), (Some(2.0), Some(0.0)));
    assert_eq!(collector.exposed("otlp_liveness_warming_up{processor=\"up\"} "), Some(1.0));
    collector.push(&pushed("a:1")).await.expect("accepted");
    collector.push(&pushed("who:1")).await.expect("accepted");
    collector.run_until(secs(20)).await;
    assert_eq!((targets(&collector, "unknown"), targets(&collector, "up")), (Some(1.0), Some(1.0)));
    let shown = |series: &str| collector.exposed(&format!("{series} "));
    assert_eq!(shown("otlp_liveness_match_total{key=\"job_instance\",processor=\"up\"}"), Some(1.0));
    assert_eq!(shown("otlp_liveness_match_total{key=\"peer_ip\",processor=\"up\"}"), Some(0.0));
    assert_eq!(shown("otlp_liveness_unexpected_identities{processor=\"up\"}"), Some(1.0));
    let success = "otlp_liveness_sd_last_success_timestamp_seconds{job=\"app\",processor=\"up\"}";
    assert!(shown(success).is_some_and(|at| at >= START.as_secs_f64() + 15.0), "{:?}", shown(success));
    collector.run_until(secs(600)).await;
    assert_eq!((targets(&collector, "down"), targets(&collector, "never_seen")), (Some(1.0), Some(1.0)));
    assert_eq!(collector.exposed("otlp_liveness_warming_up{processor=\"up\"} "), Some(0.0));
}
