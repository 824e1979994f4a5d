//! Counts of random requests are those of a plain reading of the decoded request.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use serde_json::json;
use sluice_pdata::testing::{Rng, Shape, laws, request_of};
use sluice_pipeline::Signal;

use super::{NOW, batch, build, routed};
use crate::model::{KEYS, TEXTS};

/// A metric of the config.
struct Plain {
    name: String,
    attributes: Vec<(&'static str, Option<&'static str>)>,
    /// `attributes[key] == text`.
    condition: Option<(&'static str, &'static str)>,
}

impl Plain {
    fn random(rng: &mut Rng, name: String, has_attributes: bool) -> Self {
        let mut attributes: Vec<(&str, Option<&str>)> = Vec::new();
        for _ in 0..if has_attributes { rng.below(3) } else { 0 } {
            let key = rng.pick(&KEYS);
            if !attributes.iter().any(|(known, _)| *known == key) {
                attributes.push((key, rng.chance(70).then_some("none")));
            }
        }
        let condition = (has_attributes && rng.chance(50)).then(|| (rng.pick(&KEYS), rng.pick(&TEXTS[1..6])));
        Plain { name, attributes, condition }
    }

    fn config(&self) -> serde_json::Value {
        let attributes = self.attributes.iter().map(|(key, default)| match default {
            Some(default) => json!({"key": key, "default_value": default}),
            None => json!({"key": key}),
        });
        let condition = self.condition.map(|(key, text)| format!("attributes[\"{key}\"] == \"{text}\""));
        json!({"description": "d", "attributes": attributes.collect::<Vec<_>>(), "conditions": condition.as_slice()})
    }

    /// The attributes of the point that an item counts in.
    fn of(&self, owners: [&[KeyValue]; 3]) -> Option<Vec<KeyValue>> {
        let first = |list: &[KeyValue], key: &str| list.iter().find(|pair| pair.key == key).cloned();
        let found = self.attributes.iter().map(|(key, default)| {
            owners.iter().find_map(|owner| first(owner, key)).or_else(|| {
                let value = AnyValue { value: Some(Value::StringValue((*default)?.to_owned())) };
                Some(KeyValue { key: (*key).to_owned(), value: Some(value), ..KeyValue::default() })
            })
        });
        let found = found.collect::<Option<Vec<_>>>()?;
        let held = self.condition.is_none_or(|(key, text)| {
            let value = first(owners[0], key).and_then(|pair| pair.value).and_then(|value| value.value);
            value == Some(Value::StringValue(text.to_owned()))
        });
        held.then_some(found)
    }
}

/// The counts of one section in one resource: for each metric its points, in the order in which they came.
struct Counts<'p> {
    of: &'p [Plain],
    points: Vec<Vec<(Vec<KeyValue>, i64)>>,
    times: Vec<u64>,
}

impl<'p> Counts<'p> {
    fn new(of: &'p [Plain]) -> Self {
        Counts { of, points: vec![Vec::new(); of.len()], times: Vec::new() }
    }

    fn add(&mut self, owners: [&[KeyValue]; 3], times: &[u64]) {
        self.times.extend(times.iter().filter(|time| **time != 0));
        for (plain, points) in self.of.iter().zip(&mut self.points) {
            let Some(attributes) = plain.of(owners) else { continue };
            let encoded = |list: &[KeyValue]| list.iter().map(KeyValue::encode_to_vec).collect::<Vec<_>>();
            match points.iter_mut().find(|(known, _)| encoded(known) == encoded(&attributes)) {
                Some((_, count)) => *count += 1,
                None => points.push((attributes, 1)),
            }
        }
    }

    fn metrics(self) -> Vec<Metric> {
        let start = self.times.iter().min().copied().unwrap_or(NOW);
        let end = self.times.iter().max().copied().unwrap_or(NOW);
        let metric = |(plain, points): (&Plain, Vec<(Vec<KeyValue>, i64)>)| {
            let points = points.into_iter().map(|(attributes, count)| NumberDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: end,
                value: Some(Number::AsInt(count)),
                ..NumberDataPoint::default()
            });
            let sum = Sum { data_points: points.collect(), aggregation_temporality: 1, is_monotonic: true };
            Metric {
                name: plain.name.clone(),
                description: "d".to_owned(),
                data: Some(Data::Sum(sum)),
                ..Metric::default()
            }
        };
        let counted = self.of.iter().zip(self.points).filter(|(_, points)| !points.is_empty());
        counted.map(metric).collect()
    }
}

fn resource_metrics(resource: Option<Resource>, counts: [Counts<'_>; 2]) -> Option<ResourceMetrics> {
    let metrics: Vec<_> = counts.into_iter().flat_map(Counts::metrics).collect();
    if metrics.is_empty() {
        return None;
    }
    let name = "github.com/open-telemetry/opentelemetry-collector-contrib/connector/countconnector".to_owned();
    let scope = Some(InstrumentationScope { name, ..InstrumentationScope::default() });
    Some(ResourceMetrics {
        resource: Some(Resource { attributes: resource.unwrap_or_default().attributes, ..Resource::default() }),
        scope_metrics: vec![ScopeMetrics { scope, metrics, ..ScopeMetrics::default() }],
        ..ResourceMetrics::default()
    })
}

fn model(signal: Signal, bytes: &[u8], [outer, inner]: [&[Plain]; 2]) -> ExportMetricsServiceRequest {
    let attributes = |resource: &Option<Resource>| resource.clone().unwrap_or_default().attributes;
    let of_scope = |scope: &Option<InstrumentationScope>| scope.clone().unwrap_or_default().attributes;
    let mut all = Vec::new();
    match signal {
        Signal::Traces => {
            for it in ExportTraceServiceRequest::decode(bytes).unwrap().resource_spans {
                let (mut spans, mut events, of) = (Counts::new(outer), Counts::new(inner), attributes(&it.resource));
                for scoped in &it.scope_spans {
                    let scope = of_scope(&scoped.scope);
                    for span in &scoped.spans {
                        let times = [span.start_time_unix_nano, span.end_time_unix_nano];
                        spans.add([&span.attributes, &scope, &of], &times);
                        for event in &span.events {
                            events.add([&event.attributes, &scope, &of], &[event.time_unix_nano]);
                        }
                    }
                }
                all.extend(resource_metrics(it.resource, [spans, events]));
            }
        }
        Signal::Metrics => {
            for it in ExportMetricsServiceRequest::decode(bytes).unwrap().resource_metrics {
                let (mut metrics, mut points, of) = (Counts::new(outer), Counts::new(inner), attributes(&it.resource));
                for scoped in &it.scope_metrics {
                    let scope = of_scope(&scoped.scope);
                    for metric in &scoped.metrics {
                        metrics.add([&[], &scope, &of], &[]);
                        let mut add = |own: &[KeyValue], time| points.add([own, &scope, &of], &[time]);
                        match &metric.data {
                            Some(Data::Gauge(it)) => {
                                it.data_points.iter().for_each(|it| add(&it.attributes, it.time_unix_nano));
                            }
                            Some(Data::Sum(it)) => {
                                it.data_points.iter().for_each(|it| add(&it.attributes, it.time_unix_nano));
                            }
                            Some(Data::Histogram(it)) => {
                                it.data_points.iter().for_each(|it| add(&it.attributes, it.time_unix_nano));
                            }
                            Some(Data::ExponentialHistogram(it)) => {
                                it.data_points.iter().for_each(|it| add(&it.attributes, it.time_unix_nano));
                            }
                            Some(Data::Summary(it)) => {
                                it.data_points.iter().for_each(|it| add(&it.attributes, it.time_unix_nano));
                            }
                            None => {}
                        }
                    }
                }
                all.extend(resource_metrics(it.resource, [metrics, points]));
            }
        }
        Signal::Logs => {
            for it in ExportLogsServiceRequest::decode(bytes).unwrap().resource_logs {
                let (mut logs, of) = (Counts::new(outer), attributes(&it.resource));
                for scoped in &it.scope_logs {
                    let scope = of_scope(&scoped.scope);
                    for log in &scoped.log_records {
                        logs.add([&log.attributes, &scope, &of], &[log.time_unix_nano]);
                    }
                }
                all.extend(resource_metrics(it.resource, [logs, Counts::new(&[])]));
            }
        }
    }
    ExportMetricsServiceRequest { resource_metrics: all }
}

#[test]
fn counts_are_those_of_a_plain_reading() {
    laws(|signal, seed| {
        let mut rng = Rng::new(seed ^ 0x636f_756e);
        let sections = match signal {
            Signal::Traces => ["spans", "spanevents"],
            Signal::Metrics => ["metrics", "datapoints"],
            Signal::Logs => ["logs", ""],
        };
        let plain = sections.map(|section| {
            let number = if section.is_empty() { 0 } else { 1 + rng.below(3) };
            let metrics =
                (0..number).map(|at| Plain::random(&mut rng, format!("{section}.{at}"), section != "metrics"));
            metrics.collect::<Vec<_>>()
        });
        let config: BTreeMap<_, _> = sections
            .iter()
            .zip(&plain)
            .filter(|(section, _)| !section.is_empty())
            .map(|(section, metrics)| {
                let metrics: BTreeMap<_, _> = metrics.iter().map(|metric| (&metric.name, metric.config())).collect();
                (section, json!(metrics))
            })
            .collect();
        let config = json!(config).to_string();
        let bytes = request_of(signal, seed, &Shape { items: 8, ..Shape::default() });
        let connector = build(signal, &config, 3).unwrap_or_else(|error| panic!("{config}\n{error}"));
        let counted = routed(&*connector, &batch(signal, bytes.clone()), 3).unwrap();
        let expected = model(signal, &bytes, [&plain[0], &plain[1]]);
        assert_eq!(counted.encode_to_vec(), expected.encode_to_vec(), "{config}\n{counted:#?}\n{expected:#?}");
    });
}
