//! An exporter with its surroundings, and payloads for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message as _;
use sluice_config::Problems;
use sluice_exporters::otlp_http::{Config, OtlpHttpExporter};
use sluice_pdata::Signal;
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::clock::{Clock as _, VirtualClock, WallTime};
use sluice_pipeline::component::{Component, Environment};
use sluice_pipeline::exporter::{Attempt, Exporter as _, Payload};
use sluice_pipeline::extension::{ClientAuth, Extension, Extensions, NoCredentials};
use sluice_pipeline::factory::Validate as _;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::send::SendOutcome;
use sluice_pipeline::spine::{Seq, SeqRange};
use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::{BoxFuture, ComponentId, Context, Error};

pub struct Rig {
    pub exporter: OtlpHttpExporter,
    pub clock: VirtualClock,
}

/// Decodes a config, and tells what is wrong with it.
pub fn decode(yaml: &str) -> Result<Config, String> {
    let node = sluice_config::parse(yaml.as_bytes()).unwrap();
    let config: Config = sluice_config::decode(&node).map_err(|found| format!("{found:?}"))?;
    let mut problems = Problems::new(&node);
    config.validate("", &mut problems);
    if problems.has_errors() { Err(format!("{:?}", problems.into_diagnostics())) } else { Ok(config) }
}

/// An extension that adds a header.
struct Token;

impl Component for Token {}

impl Extension for Token {
    fn client_auth(&self) -> Option<Arc<dyn ClientAuth>> {
        Some(Arc::new(Token))
    }
}

impl ClientAuth for Token {
    fn headers<'a>(
        &'a self,
        _: &'a Context,
    ) -> BoxFuture<'a, Result<Vec<(String, sluice_config::Secret)>, NoCredentials>> {
        let header = ("Authorization".to_owned(), sluice_config::Secret::new("Bearer t"));
        Box::pin(std::future::ready(Ok(vec![header])))
    }
}

/// An extension that is no authenticator.
struct Other;

impl Component for Other {}
impl Extension for Other {}

pub fn build(yaml: &str, clock: &VirtualClock) -> Result<OtlpHttpExporter, Error> {
    let extensions: BTreeMap<ComponentId, Arc<dyn Extension>> =
        [(ComponentId::from("token"), Arc::new(Token) as _), (ComponentId::from("other"), Arc::new(Other) as _)].into();
    let environment = Environment {
        id: ComponentId::new("otlp_http", ""),
        signals: Arc::new(Signal::ALL),
        pipeline: None,
        pipelines: Arc::from([]),
        clock: Arc::new(clock.clone()),
        rng: Arc::new(SplitMix::seeded(1)),
        memory: MemBudget::new(1 << 30, Arc::new(clock.clone())),
        telemetry: Telemetry::new(),
        extensions: Extensions::new(extensions),
        verdicts: sluice_pipeline::verdict::VerdictBoard::default(),
        gates: Default::default(),
    };
    OtlpHttpExporter::new(&decode(yaml).unwrap_or_else(|problems| panic!("{problems}")), &environment)
}

impl Rig {
    /// An exporter to `url`, without a proxy from the environment in between.
    pub fn new(url: &str, more: &str) -> Self {
        let clock = VirtualClock::new(WallTime(1_760_000_000_000_000_000));
        let exporter = build(&format!("endpoint: {url}\n{more}"), &clock).unwrap();
        Rig { exporter, clock }
    }

    pub async fn send(&self, payload: Payload) -> SendOutcome {
        self.exporter.send(payload, &Attempt { number: 0, deadline: None }).await
    }

    pub async fn send_within(&self, payload: Payload, timeout: Duration) -> SendOutcome {
        let deadline = Some(self.clock.now() + timeout);
        self.exporter.send(payload, &Attempt { number: 0, deadline }).await
    }
}

/// Log records with these bodies.
pub fn logs<S: Into<String>>(bodies: impl IntoIterator<Item = S>) -> ExportLogsServiceRequest {
    let record = |body: S| LogRecord {
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(body.into())) }),
        time_unix_nano: 17,
        trace_id: vec![7; 16],
        ..LogRecord::default()
    };
    let scope = ScopeLogs { log_records: bodies.into_iter().map(record).collect(), ..ScopeLogs::default() };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() }],
    }
}

/// A payload of these parts.
pub fn payload(requests: &[ExportLogsServiceRequest]) -> Payload {
    let clock = VirtualClock::new(WallTime(0));
    let context = Context::internal(ComponentId::new("test", ""), clock.arrival());
    Payload {
        signal: Signal::Logs,
        parts: requests.iter().map(|request| Bytes::from(request.encode_to_vec())).collect(),
        items: requests.iter().flat_map(|request| &request.resource_logs).flat_map(|logs| &logs.scope_logs).count(),
        context: Arc::new(context),
        compressed: None,
        range: SeqRange { first: Seq(1), last: Seq(1) },
    }
}

/// One log record.
pub fn one() -> Payload {
    payload(&[logs(["hello"])])
}
