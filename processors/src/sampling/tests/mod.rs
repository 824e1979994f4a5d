//! Tests of sampling decisions.

mod composition;
mod config;
mod consistency;
mod early;
mod policy;
mod rate;
mod rules;
mod trace_states;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sluice_config::{Diagnostic, Problems};
use sluice_pdata::view::{LogRecordView, SpanView};

use super::*;

/// What `policies:` or `rules:` of a configuration makes, with its warnings.
fn compiled(yaml: &str, options: PolicyOptions) -> Result<(Sampler, Vec<Diagnostic>), Vec<Diagnostic>> {
    #[derive(Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sampling {
        policies: Vec<PolicyConfig>,
        rules: Option<Vec<RuleConfig>>,
    }
    let node = sluice_config::parse(yaml.as_bytes()).map_err(|found| vec![*found])?;
    let config: Sampling = sluice_config::decode(&node)?;
    let mut problems = Problems::new(&node);
    let sampler = match &config.rules {
        Some(rules) => Sampler::from_rules(rules, "rules", &mut problems),
        None => Sampler::from_policies(&config.policies, options, "policies", &mut problems),
    };
    problems.finish().map(|warnings| (sampler, warnings))
}

fn sampler(yaml: &str) -> Sampler {
    compiled(yaml, PolicyOptions::default()).unwrap_or_else(|found| panic!("{yaml}: {found:?}")).0
}

fn decoded<T: DeserializeOwned>(yaml: &str) -> T {
    sluice_config::decode(&sluice_config::parse(yaml.as_bytes()).unwrap()).unwrap()
}

/// The errors of a configuration: place and text.
fn errors(yaml: &str) -> Vec<String> {
    let found = compiled(yaml, PolicyOptions::default()).err().unwrap_or_default();
    found
        .iter()
        .map(|found| {
            let place = found.origin.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{place} {}", found.message)
        })
        .collect()
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.to_owned()))
}

/// A trace that is put together span by span.
struct Trace {
    facts: TraceFacts,
    resource: Vec<u8>,
}

impl Trace {
    fn new(id: u64) -> Self {
        let mut trace_id = [7; 16];
        trace_id[8..].copy_from_slice(&id.to_be_bytes());
        let randomness = threshold::randomness(None, &trace_id);
        Trace { facts: TraceFacts { trace_id, randomness, ..TraceFacts::default() }, resource: Vec::new() }
    }

    fn resource(mut self, attributes: Vec<KeyValue>) -> Self {
        self.resource = Resource { attributes, ..Default::default() }.encode_to_vec();
        self
    }

    fn span(mut self, sampler: &mut Sampler, span: &Span) -> Self {
        let bytes = span.encode_to_vec();
        let item = SpanItem {
            status: None,
            attributes: None,
            view: SpanView::parse(&bytes).unwrap(),
            resource: &self.resource,
            resource_envelope: &[],
            scope: &[],
            scope_envelope: &[],
            now: 0,
        };
        sampler.observe_span(&item, &mut self.facts.leaves);
        self.facts.spans += 1;
        self.facts.bytes += bytes.len() as u64;
        self.facts.errors += u32::from(span.status.as_ref().is_some_and(|status| status.code == 2));
        self.facts.root |= span.parent_span_id.is_empty();
        if span.end_time_unix_nano > 0 {
            let start = self.facts.start.unwrap_or(u64::MAX).min(span.start_time_unix_nano);
            let end = self.facts.end.unwrap_or(0).max(span.end_time_unix_nano);
            (self.facts.start, self.facts.end) = (Some(start), Some(end));
        }
        self
    }

    fn log(mut self, sampler: &mut Sampler, log: &opentelemetry_proto::tonic::logs::v1::LogRecord) -> Self {
        let bytes = log.encode_to_vec();
        let item = LogItem {
            view: LogRecordView::parse(&bytes).unwrap(),
            resource: &self.resource,
            resource_envelope: &[],
            scope: &[],
            scope_envelope: &[],
            now: 0,
        };
        sampler.observe_log(&item, &mut self.facts.leaves);
        self.facts.logs += 1;
        self
    }
}

/// A span with attributes.
fn with(attributes: Vec<KeyValue>) -> Span {
    Span { attributes, ..Span::default() }
}

fn status(code: i32) -> Span {
    Span { status: Some(Status { code, ..Status::default() }), ..Span::default() }
}

fn lasting(ms: u64) -> Span {
    let start = 1_700_000_000_000_000_000;
    Span { start_time_unix_nano: start, end_time_unix_nano: start + ms * 1_000_000, ..Span::default() }
}

/// Whether a policy alone keeps a trace of these spans.
fn keeps(policy: &str, resource: Vec<KeyValue>, spans: &[Span]) -> bool {
    let mut sampler = sampler(&format!("policies: [{{name: p, {policy}}}]"));
    let trace = spans.iter().fold(Trace::new(1).resource(resource), |trace, span| trace.span(&mut sampler, span));
    sampler.decide(&[trace.facts], 0)[0].kept
}
