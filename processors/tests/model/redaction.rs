//! `redaction`: what its settings do to a request, written plainly.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Metric};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use regex::bytes::Regex;
use sluice_pdata::Signal;
use sluice_pdata::testing::{Decoded, Meaning, Node};

pub use super::redaction_settings::Redaction;
use super::text::{Place, Verdict};
use super::tree::{Request, hide, message, nodes, real, retain};
use super::value::double;

/// Why the walk does not go on.
enum Stop {
    /// The attribute goes.
    Attribute,
    /// The item, scope, metric or resource goes.
    Item,
}

/// Keys that the processor writes itself.
const OWN_KEYS: [&str; 7] = [
    "redaction.redacted.keys",
    "redaction.redacted.count",
    "redaction.masked.keys",
    "redaction.masked.count",
    "redaction.allowed.keys",
    "redaction.allowed.count",
    "redaction.ignored.count",
];

impl Redaction {
    /// Redacts a request.
    pub fn apply(&self, request: &mut Request) {
        if self.dry_run {
            return;
        }
        let schema = match &mut request.decoded {
            Decoded::Traces(decoded) => {
                let kept = retain(&mut decoded.resource_spans, nodes(&mut request.tree, 1), |group, tree| {
                    Ok(self.resource(&mut group.resource, &mut group.schema_url, tree).is_ok()
                        && retain(&mut group.scope_spans, nodes(tree, 2), |group, tree| {
                            Ok(self.scope(&mut group.scope, &mut group.schema_url, tree).is_ok()
                                && retain(&mut group.spans, nodes(tree, 2), |span, tree| {
                                    Ok(self.span(span, tree).is_ok())
                                })?)
                        })?)
                });
                kept.unwrap();
                Signal::Traces.request()
            }
            Decoded::Logs(decoded) => {
                let kept = retain(&mut decoded.resource_logs, nodes(&mut request.tree, 1), |group, tree| {
                    Ok(self.resource(&mut group.resource, &mut group.schema_url, tree).is_ok()
                        && retain(&mut group.scope_logs, nodes(tree, 2), |group, tree| {
                            Ok(self.scope(&mut group.scope, &mut group.schema_url, tree).is_ok()
                                && retain(&mut group.log_records, nodes(tree, 2), |record, tree| {
                                    Ok(self.log(record, tree).is_ok())
                                })?)
                        })?)
                });
                kept.unwrap();
                Signal::Logs.request()
            }
            Decoded::Metrics(decoded) => {
                let kept = retain(&mut decoded.resource_metrics, nodes(&mut request.tree, 1), |group, tree| {
                    Ok(self.resource(&mut group.resource, &mut group.schema_url, tree).is_ok()
                        && retain(&mut group.scope_metrics, nodes(tree, 2), |group, tree| {
                            Ok(self.scope(&mut group.scope, &mut group.schema_url, tree).is_ok()
                                && retain(&mut group.metrics, nodes(tree, 2), |metric, tree| {
                                    Ok(self.metric(metric, tree).is_ok() && self.points(metric, tree))
                                })?)
                        })?)
                });
                kept.unwrap();
                Signal::Metrics.request()
            }
        };
        if !self.keeps_unknown {
            request.tree = std::mem::take(&mut request.tree).without_unknown(schema);
        }
    }

    fn resource(&self, resource: &mut Option<Resource>, url: &mut String, tree: &mut Meaning) -> Result<(), Stop> {
        if let Some(resource) = resource {
            let tree = message(tree, 1);
            self.attributes(Place::Attribute("resource"), &mut resource.attributes, nodes(tree, 1))?;
            for (entity, node) in resource.entity_refs.iter_mut().zip(nodes(tree, 3)) {
                let Node::Message(tree) = node else { panic!("{node:?}") };
                self.field(Place::SchemaUrl("resource"), &mut entity.schema_url, tree, 1)?;
                self.field(Place::Text("resource"), &mut entity.r#type, tree, 2)?;
                self.list(&mut entity.id_keys, nodes(tree, 3))?;
                self.list(&mut entity.description_keys, nodes(tree, 4))?;
            }
        }
        self.field(Place::SchemaUrl("resource"), url, tree, 3)
    }

    fn scope(
        &self,
        scope: &mut Option<InstrumentationScope>,
        url: &mut String,
        tree: &mut Meaning,
    ) -> Result<(), Stop> {
        if let Some(scope) = scope {
            let tree = message(tree, 1);
            self.field(Place::Identity("scope"), &mut scope.name, tree, 1)?;
            self.field(Place::Identity("scope"), &mut scope.version, tree, 2)?;
            self.attributes(Place::Attribute("scope"), &mut scope.attributes, nodes(tree, 3))?;
        }
        self.field(Place::SchemaUrl("scope"), url, tree, 3)
    }

    fn span(&self, span: &mut Span, tree: &mut Meaning) -> Result<(), Stop> {
        ids(&span.trace_id, &[&span.span_id, &span.parent_span_id])?;
        self.field(Place::TraceState("span"), &mut span.trace_state, tree, 3)?;
        self.field(Place::Text("span"), &mut span.name, tree, 5)?;
        self.attributes(Place::Attribute("span"), &mut span.attributes, nodes(tree, 9))?;
        for (event, node) in span.events.iter_mut().zip(nodes(tree, 11)) {
            let Node::Message(tree) = node else { panic!("{node:?}") };
            self.field(Place::Text("span.event"), &mut event.name, tree, 2)?;
            self.attributes(Place::Attribute("span.event"), &mut event.attributes, nodes(tree, 3))?;
        }
        for (link, node) in span.links.iter_mut().zip(nodes(tree, 13)) {
            let Node::Message(tree) = node else { panic!("{node:?}") };
            ids(&link.trace_id, &[&link.span_id])?;
            self.field(Place::TraceState("span.link"), &mut link.trace_state, tree, 3)?;
            self.attributes(Place::Attribute("span.link"), &mut link.attributes, nodes(tree, 4))?;
        }
        match &mut span.status {
            Some(status) => self.field(Place::Text("span"), &mut status.message, message(tree, 15), 2),
            None => Ok(()),
        }
    }

    fn log(
        &self,
        record: &mut opentelemetry_proto::tonic::logs::v1::LogRecord,
        tree: &mut Meaning,
    ) -> Result<(), Stop> {
        ids(&record.trace_id, &[&record.span_id])?;
        let mut masked = Vec::new();
        self.field(Place::Text("log"), &mut record.severity_text, tree, 3)?;
        if let Some(body) = &mut record.body {
            self.value(Place::Text("log"), true, 0, body, message(tree, 5), &mut masked)?;
        }
        self.pairs(Place::Attribute("log"), false, 0, &mut record.attributes, nodes(tree, 6), &mut masked)?;
        self.field(Place::Text("log"), &mut record.event_name, tree, 12)
    }

    fn metric(&self, metric: &mut Metric, tree: &mut Meaning) -> Result<(), Stop> {
        self.field(Place::Identity("metric"), &mut metric.name, tree, 1)?;
        self.field(Place::Text("metric"), &mut metric.description, tree, 2)?;
        self.field(Place::Identity("metric"), &mut metric.unit, tree, 3)?;
        self.attributes(Place::Attribute("metric"), &mut metric.metadata, nodes(tree, 12))
    }

    /// False if there were points and none is left.
    fn points(&self, metric: &mut Metric, tree: &mut Meaning) -> bool {
        macro_rules! points {
            ($data:expr, $number:expr, $attributes:expr, $exemplars:expr) => {
                retain(&mut $data.data_points, nodes(message(tree, $number), 1), |point, tree| {
                    let place = Place::Attribute("datapoint");
                    Ok(self.attributes(place, &mut point.attributes, nodes(tree, $attributes)).is_ok()
                        && self.exemplars(&mut point.exemplars, nodes(tree, $exemplars)).is_ok())
                })
            };
        }
        let kept = match &mut metric.data {
            None => Ok(true),
            Some(Data::Gauge(data)) => points!(data, 5, 7, 5),
            Some(Data::Sum(data)) => points!(data, 7, 7, 5),
            Some(Data::Histogram(data)) => points!(data, 9, 9, 8),
            Some(Data::ExponentialHistogram(data)) => points!(data, 10, 1, 11),
            Some(Data::Summary(data)) => retain(&mut data.data_points, nodes(message(tree, 11), 1), |point, tree| {
                Ok(self.attributes(Place::Attribute("datapoint"), &mut point.attributes, nodes(tree, 7)).is_ok())
            }),
        };
        kept.unwrap()
    }

    fn exemplars(&self, exemplars: &mut [Exemplar], nodes_of: &mut [Node]) -> Result<(), Stop> {
        for (exemplar, node) in exemplars.iter_mut().zip(nodes_of) {
            let Node::Message(tree) = node else { panic!("{node:?}") };
            ids(&exemplar.trace_id, &[&exemplar.span_id])?;
            self.attributes(Place::Attribute("exemplar"), &mut exemplar.filtered_attributes, nodes(tree, 7))?;
        }
        Ok(())
    }

    /// A string field of a message.
    fn field(&self, place: Place, text: &mut String, tree: &mut Meaning, number: u32) -> Result<(), Stop> {
        match self.texts.judge(place, &real(text)) {
            Verdict::Keep => return Ok(()),
            Verdict::Replace(new) => {
                *text = hide(&new);
                *nodes(tree, number) = vec![Node::Bytes(new)];
            }
            Verdict::Empty | Verdict::RemoveAttribute => {
                text.clear();
                nodes(tree, number).clear();
            }
            Verdict::DropItem => return Err(Stop::Item),
        }
        Ok(())
    }

    /// Names of keys, which are masked as the keys are.
    fn list(&self, texts: &mut [String], nodes: &mut [Node]) -> Result<(), Stop> {
        for (text, node) in texts.iter_mut().zip(nodes) {
            let new = match self.texts.judge(Place::Key, &real(text)) {
                Verdict::Keep => continue,
                Verdict::Replace(new) => new,
                Verdict::Empty | Verdict::RemoveAttribute => Vec::new(),
                Verdict::DropItem => return Err(Stop::Item),
            };
            *text = hide(&new);
            *node = Node::Bytes(new);
        }
        Ok(())
    }

    fn attributes(&self, place: Place, list: &mut Vec<KeyValue>, nodes: &mut Vec<Node>) -> Result<(), Stop> {
        self.pairs(place, false, 0, list, nodes, &mut Vec::new())
    }

    /// `masked` are the keys that were masked so far in the message around: of two alike the second gets a number.
    fn pairs(
        &self,
        place: Place,
        body: bool,
        depth: usize,
        list: &mut Vec<KeyValue>,
        nodes: &mut Vec<Node>,
        masked: &mut Vec<Vec<u8>>,
    ) -> Result<(), Stop> {
        let mut drops = false;
        let kept = retain(list, nodes, |pair, tree| {
            Ok(match self.pair(place, body, depth, pair, tree, masked) {
                Ok(()) => true,
                Err(Stop::Attribute) => false,
                Err(Stop::Item) => {
                    drops = true;
                    true
                }
            })
        });
        kept.unwrap();
        if drops { Err(Stop::Item) } else { Ok(()) }
    }

    fn pair(
        &self,
        place: Place,
        body: bool,
        depth: usize,
        pair: &mut KeyValue,
        tree: &mut Meaning,
        masked: &mut Vec<Vec<u8>>,
    ) -> Result<(), Stop> {
        let key = real(&pair.key);
        let any = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(&key));
        if self.ignored.contains(&pair.key.as_str()) || any(&self.ignored_patterns) {
            return Ok(());
        }
        let allowed = self
            .allowed
            .as_ref()
            .is_none_or(|allowed| allowed.contains(&pair.key.as_str()) || OWN_KEYS.contains(&pair.key.as_str()));
        if !allowed && (depth == 0 || body) {
            return Err(Stop::Attribute);
        }
        // An attribute without a value has nothing to mask, but goes if its key says so.
        let form = pair.value.as_ref().map(string_form).unwrap_or_default();
        let whole = match self.texts.by_key(place, &key, any(&self.blocked_keys), &form) {
            Verdict::Keep => None,
            Verdict::Replace(text) => Some(text),
            Verdict::Empty => Some(Vec::new()),
            Verdict::RemoveAttribute => return Err(Stop::Attribute),
            Verdict::DropItem => return Err(Stop::Item),
        };
        match self.texts.judge(Place::Key, &key) {
            Verdict::Keep => {}
            Verdict::Replace(new) => {
                let mut key = new.clone();
                for number in 2.. {
                    if !masked.contains(&key) {
                        break;
                    }
                    key = [&new[..], format!("_{number}").as_bytes()].concat();
                }
                masked.push(key.clone());
                pair.key = hide(&key);
                *nodes(tree, 1) = vec![Node::Bytes(key)];
            }
            Verdict::Empty => panic!("a key is never emptied"),
            Verdict::RemoveAttribute => return Err(Stop::Attribute),
            Verdict::DropItem => return Err(Stop::Item),
        }
        match (&mut pair.value, whole) {
            (None, _) => Ok(()),
            (Some(value), Some(text)) => {
                *value = AnyValue { value: Some(Value::StringValue(hide(&text))) };
                *message(tree, 2) = Meaning([(1, vec![Node::Bytes(text)])].into());
                Ok(())
            }
            (Some(value), None) => self.value(place, body, depth, value, message(tree, 2), masked),
        }
    }

    fn value(
        &self,
        place: Place,
        body: bool,
        depth: usize,
        value: &mut AnyValue,
        tree: &mut Meaning,
        masked: &mut Vec<Vec<u8>>,
    ) -> Result<(), Stop> {
        let all = self.texts.all_types;
        let judged = |text: &str| self.texts.judge(place, text.as_bytes());
        let verdict = match &mut value.value {
            Some(Value::StringValue(text)) => self.texts.judge(place, &real(text)),
            Some(Value::BytesValue(bytes)) => {
                match self.texts.judge(place, bytes) {
                    Verdict::Replace(new) => *bytes = new,
                    Verdict::Empty => bytes.clear(),
                    Verdict::Keep => return Ok(()),
                    Verdict::RemoveAttribute => return Err(Stop::Attribute),
                    Verdict::DropItem => return Err(Stop::Item),
                }
                *nodes(tree, 7) = vec![Node::Bytes(bytes.clone())];
                return Ok(());
            }
            Some(Value::IntValue(number)) if all => judged(&number.to_string()),
            Some(Value::IntValue(number)) => self.texts.number(place, *number),
            Some(Value::DoubleValue(number)) if all => judged(&double(*number)),
            Some(Value::DoubleValue(number)) if (1e11..9.2e18).contains(number) && number.fract() == 0.0 => {
                self.texts.number(place, *number as i64)
            }
            Some(Value::BoolValue(flag)) if all => judged(&flag.to_string()),
            Some(Value::ArrayValue(_) | Value::KvlistValue(_)) if depth >= self.max_depth => {
                if self.texts.drops_on_limit { Verdict::DropItem } else { Verdict::Replace(b"****".to_vec()) }
            }
            Some(Value::ArrayValue(list)) => {
                let list_nodes = nodes(message(tree, 5), 1);
                for (value, node) in list.values.iter_mut().zip(list_nodes) {
                    let Node::Message(tree) = node else { panic!("{node:?}") };
                    self.value(place, body, depth + 1, value, tree, masked)?;
                }
                Verdict::Keep
            }
            Some(Value::KvlistValue(list)) => {
                self.pairs(place, body, depth + 1, &mut list.values, nodes(message(tree, 6), 1), masked)?;
                Verdict::Keep
            }
            _ => Verdict::Keep,
        };
        let text = match verdict {
            Verdict::Keep => return Ok(()),
            Verdict::Replace(text) => text,
            Verdict::Empty => Vec::new(),
            Verdict::RemoveAttribute => return Err(Stop::Attribute),
            Verdict::DropItem => return Err(Stop::Item),
        };
        value.value = Some(Value::StringValue(hide(&text)));
        (1..=8).for_each(|number| drop(tree.0.remove(&number)));
        nodes(tree, 1).push(Node::Bytes(text));
        Ok(())
    }
}

/// The text that a rule on keys masks. Containers have none.
fn string_form(value: &AnyValue) -> Vec<u8> {
    match &value.value {
        Some(Value::StringValue(text)) => real(text),
        Some(Value::BytesValue(bytes)) => bytes.clone(),
        Some(Value::IntValue(number)) => number.to_string().into_bytes(),
        Some(Value::DoubleValue(number)) => double(*number).into_bytes(),
        Some(Value::BoolValue(flag)) => flag.to_string().into_bytes(),
        _ => Vec::new(),
    }
}

/// An item with an id that is neither empty nor as long as ids are goes whole: nobody looks into ids.
fn ids(trace: &[u8], spans: &[&[u8]]) -> Result<(), Stop> {
    let odd = !matches!(trace.len(), 0 | 16) || spans.iter().any(|span| !matches!(span.len(), 0 | 8));
    if odd { Err(Stop::Item) } else { Ok(()) }
}
