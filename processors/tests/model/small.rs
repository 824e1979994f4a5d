//! One processor from its YAML, and small requests: for table tests.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde_json::{Value as Json, json};
use sluice_config::parse;
use sluice_pdata::Signal;
use sluice_pdata::testing::Rng;
use sluice_pipeline::context::{Context, Metadata, MetadataKeys};
use sluice_pipeline::factory::{Processors, Registry};
use sluice_pipeline::processor::Processor;
use sluice_pipeline::{Error, Step};

use super::chain::{context, environment, pass};

/// What is wrong with a config, a line for each problem. Panics if it is accepted.
pub fn problems(kind: &str, yaml: &str) -> String {
    match configured(kind, yaml) {
        Ok(_) => panic!("accepted: {yaml}"),
        Err(problems) => problems,
    }
}

/// The step, and the request headers that it reads. Panics if the config is refused.
pub fn step(kind: &str, yaml: &str) -> (Arc<Step>, Vec<String>) {
    configured(kind, yaml).unwrap_or_else(|problems| panic!("{yaml}: {problems}"))
}

fn configured(kind: &str, yaml: &str) -> Result<(Arc<Step>, Vec<String>), String> {
    let mut registry = Registry::<Processors>::new();
    crate::register(&mut registry);
    let node = parse(yaml.as_bytes()).unwrap();
    let configured = registry
        .decode(kind, &node)
        .unwrap()
        .map_err(|problems| problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("\n"))?;
    match configured.build(environment(Signal::Logs, kind, 0)).map_err(|error: Error| error.to_string())? {
        Processor::Step(step) | Processor::Emitting(step, _) => Ok((step, configured.metadata_keys)),
        _ => panic!("{kind} is no step"),
    }
}

/// Where the requests of table tests come from: 192.0.2.7, authenticated as `sender`, with headers.
pub fn sender(headers: &[String]) -> Context {
    let known = context(&mut Rng::new(1), &[]);
    let keys = MetadataKeys::new(headers.iter().map(String::as_str));
    let sent = [("X-Team", "blue"), ("x-team", "green"), ("Authorization", "Bearer secret")];
    Context {
        peer: Some("192.0.2.7:4317".parse().unwrap()),
        metadata: Metadata::collect(&keys, sent),
        identity: Some(sluice_pipeline::context::Identity {
            subject: "sender".into(),
            scopes: Vec::new(),
            attributes: vec![("auth.claims.role".into(), "admin".into())],
        }),
        ..known
    }
}

/// Runs processors over an encoded request.
///
/// # Errors
/// A request that is refused.
pub fn run(signal: Signal, processors: &[(&str, &str)], request: &impl Message) -> Result<Bytes, sluice_pdata::Error> {
    let built: Vec<_> = processors.iter().map(|(kind, yaml)| step(kind, yaml)).collect();
    let headers: Vec<String> = built.iter().flat_map(|(_, headers)| headers.clone()).collect();
    let steps = built.into_iter().map(|(step, _)| step).collect();
    let bytes = Bytes::from(request.encode_to_vec());
    pass(signal, steps, &sender(&headers), &bytes, usize::MAX).map(|passed| passed.bytes)
}

/// Runs processors over log requests.
pub fn logs(processors: &[(&str, &str)], request: ExportLogsServiceRequest) -> ExportLogsServiceRequest {
    Message::decode(run(Signal::Logs, processors, &request).unwrap()).unwrap()
}

/// A log request with one resource and one scope.
pub fn log_request(resource: Option<Json>, records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let resource = resource.map(|attributes| Resource { attributes: pairs(&attributes), ..Resource::default() });
    let scope_logs = vec![ScopeLogs { log_records: records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }] }
}

/// A log record with attributes.
pub fn record(attributes: Json) -> LogRecord {
    LogRecord { attributes: pairs(&attributes), ..LogRecord::default() }
}

/// Attributes from a JSON map; null is an empty value.
pub fn pairs(map: &Json) -> Vec<KeyValue> {
    let map = map.as_object().unwrap();
    map.iter().map(|(key, member)| KeyValue { key: key.clone(), value: Some(value(member)), key_strindex: 0 }).collect()
}

/// A value from JSON.
pub fn value(json: &Json) -> AnyValue {
    let value = match json {
        Json::Null => return AnyValue::default(),
        Json::Bool(flag) => Value::BoolValue(*flag),
        Json::Number(number) if number.is_i64() => Value::IntValue(number.as_i64().unwrap()),
        Json::Number(number) => Value::DoubleValue(number.as_f64().unwrap()),
        Json::String(text) => Value::StringValue(text.clone()),
        Json::Array(list) => Value::ArrayValue(ArrayValue { values: list.iter().map(self::value).collect() }),
        Json::Object(_) => Value::KvlistValue(KeyValueList { values: pairs(json) }),
    };
    AnyValue { value: Some(value) }
}

/// Attributes as a JSON map; of equal keys the last is shown.
pub fn shown(pairs: &[KeyValue]) -> Json {
    let member = |value: &Option<AnyValue>| shown_value(value.as_ref().and_then(|value| value.value.as_ref()));
    Json::Object(pairs.iter().map(|pair| (pair.key.clone(), member(&pair.value))).collect())
}

fn shown_value(value: Option<&Value>) -> Json {
    match value {
        None | Some(Value::StringValueStrindex(_)) => Json::Null,
        Some(Value::BoolValue(flag)) => json!(flag),
        Some(Value::IntValue(number)) => json!(number),
        Some(Value::DoubleValue(number)) => json!(number),
        Some(Value::StringValue(text)) => json!(text),
        Some(Value::BytesValue(bytes)) => json!({"bytes": bytes}),
        Some(Value::ArrayValue(list)) => list.values.iter().map(|value| shown_value(value.value.as_ref())).collect(),
        Some(Value::KvlistValue(map)) => shown(&map.values),
    }
}
