//! What the fused pass promises, on small requests: what is dropped goes with its emptied parents, what nobody changed is the
//! same allocation, edits land where they belong.
#![expect(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use sluice_pdata::msg::{Message, NewValue};
use sluice_pdata::pass::{Chain, Cx, Hooks, Level, Passed, Progress, Scratch, Step, Verdict};
use sluice_pdata::tags::{log_record, resource};
use sluice_pdata::{Error, Signal};
use std::sync::Arc;

struct DropBelow(u64);

impl Step<()> for DropBelow {
    fn hooks(&self, _: Signal) -> Hooks {
        Hooks { item: true, changes: Some(Level::Item), ..Hooks::default() }
    }
    fn item(&self, _: &mut Cx<'_, ()>, item: &mut Message<'_>) -> Result<Verdict, Error> {
        item.index()?;
        let severity = item.varint(log_record::SEVERITY_NUMBER);
        Ok(if severity < self.0 { Verdict::Drop("filter") } else { Verdict::Keep })
    }
}

struct InsertOnResource(&'static str);

impl Step<()> for InsertOnResource {
    fn hooks(&self, _: Signal) -> Hooks {
        Hooks { resource: true, changes: Some(Level::Resource), ..Hooks::default() }
    }
    fn resource(&self, _: &mut Cx<'_, ()>, found: &mut Message<'_>, _: &mut Message<'_>) -> Result<Verdict, Error> {
        found.attributes(resource::ATTRIBUTES).insert(b"added", NewValue::Str(self.0.as_bytes()))?;
        Ok(Verdict::Keep)
    }
}

struct InsertOnItem(u32);

impl Step<()> for InsertOnItem {
    fn hooks(&self, _: Signal) -> Hooks {
        Hooks { item: true, changes: Some(Level::Item), ..Hooks::default() }
    }
    fn item(&self, cx: &mut Cx<'_, ()>, item: &mut Message<'_>) -> Result<Verdict, Error> {
        let seen = cx.resource.len() as i64;
        item.attributes(self.0).set(b"resource.len", NewValue::Int(seen))?;
        Ok(Verdict::Keep)
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}

fn logs(severities: &[&[i32]]) -> ExportLogsServiceRequest {
    let scope_logs = |severities: &[i32]| ScopeLogs {
        scope: Some(InstrumentationScope { name: "scope".into(), ..Default::default() }),
        log_records: severities
            .iter()
            .map(|&severity_number| LogRecord {
                severity_number,
                attributes: vec![text("k", "v")],
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    let resource = Some(Resource { attributes: vec![text("service.name", "shop")], ..Default::default() });
    let resource_logs = severities
        .iter()
        .map(|severities| ResourceLogs {
            resource: resource.clone(),
            scope_logs: vec![scope_logs(severities)],
            ..Default::default()
        })
        .collect();
    ExportLogsServiceRequest { resource_logs }
}

fn run(signal: Signal, steps: Vec<Arc<dyn Step<()>>>, bytes: &Bytes, items: usize, slice: usize) -> Passed {
    let chain = Chain::new(signal, steps);
    let mut scratch = Scratch::default();
    let mut run = chain.start(bytes.clone(), items);
    loop {
        match run.advance(&(), &mut scratch, slice).unwrap() {
            Progress::Yield(again) => run = again,
            Progress::Done(passed) => return passed,
        }
    }
}

#[test]
fn a_batch_nobody_changed_is_forwarded_without_copying() {
    let bytes = Bytes::from(logs(&[&[9, 17], &[13]]).encode_to_vec());
    let passed = run(Signal::Logs, vec![Arc::new(DropBelow(1))], &bytes, 3, usize::MAX);
    assert_eq!(passed.bytes.as_ptr(), bytes.as_ptr());
    assert_eq!(passed.items, 3);
}

#[test]
fn dropped_items_take_their_emptied_parents_along() {
    for slice in [1, 100, usize::MAX] {
        let bytes = Bytes::from(logs(&[&[9, 17, 1], &[1, 2], &[13]]).encode_to_vec());
        let passed = run(Signal::Logs, vec![Arc::new(DropBelow(9))], &bytes, 6, slice);
        let expected = logs(&[&[9, 17], &[13]]);
        assert_eq!(ExportLogsServiceRequest::decode(passed.bytes.clone()).unwrap(), expected);
        assert_eq!((passed.items, passed.dropped.as_slice()), (3, &[(0, "filter", 3)][..]));
    }
}

#[test]
fn each_step_sees_the_resource_that_the_steps_before_it_left() {
    let bytes = Bytes::from(logs(&[&[9], &[9]]).encode_to_vec());
    let before = logs(&[&[9]]).resource_logs[0].resource.clone().unwrap().encoded_len() as i64;
    let steps: Vec<Arc<dyn Step<()>>> =
        vec![Arc::new(InsertOnItem(log_record::ATTRIBUTES)), Arc::new(InsertOnResource("x".repeat(200).leak()))];
    let passed = run(Signal::Logs, steps, &bytes, 2, usize::MAX);
    let decoded = ExportLogsServiceRequest::decode(passed.bytes).unwrap();
    for resource_logs in decoded.resource_logs {
        assert_eq!(resource_logs.resource.unwrap().attributes.len(), 2);
        let seen = &resource_logs.scope_logs[0].log_records[0].attributes[1].value;
        assert_eq!(seen.clone().unwrap().value, Some(any_value::Value::IntValue(before)));
    }
}

struct DropPoints;

impl Step<()> for DropPoints {
    fn hooks(&self, _: Signal) -> Hooks {
        Hooks { item: true, changes: Some(Level::Item), ..Hooks::default() }
    }
    fn item(&self, cx: &mut Cx<'_, ()>, item: &mut Message<'_>) -> Result<Verdict, Error> {
        item.index()?;
        let name = cx.metric.map(|metric| metric.fields.to_vec()).unwrap_or_default();
        let unwanted = item.fixed64(sluice_pdata::tags::number_data_point::TIME_UNIX_NANO) == 1;
        Ok(if unwanted && name.ends_with(b"a") { Verdict::Drop("filter") } else { Verdict::Keep })
    }
}

#[test]
fn a_metric_goes_with_its_last_point() {
    let metric = |name: &str, times: &[u64]| Metric {
        name: name.into(),
        data: Some(metric::Data::Sum(Sum {
            data_points: times
                .iter()
                .map(|&time_unix_nano| NumberDataPoint { time_unix_nano, ..Default::default() })
                .collect(),
            aggregation_temporality: 2,
            is_monotonic: true,
        })),
        ..Default::default()
    };
    let request = |metrics: Vec<Metric>| ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics { metrics, ..Default::default() }],
            ..Default::default()
        }],
    };
    let bytes =
        Bytes::from(request(vec![metric("a", &[1, 1]), metric("b", &[1]), metric("za", &[1, 2])]).encode_to_vec());
    let passed = run(Signal::Metrics, vec![Arc::new(DropPoints)], &bytes, 5, 1);
    let expected = request(vec![metric("b", &[1]), metric("za", &[2])]);
    assert_eq!(ExportMetricsServiceRequest::decode(passed.bytes).unwrap(), expected);
    assert_eq!(passed.items, 2);
}
