//! The processor as a stage under virtual time: what comes out, with which threshold, and what is counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use sluice_config::{Diagnostic, Problems};
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::batch::{Batch, NoRedaction};
use sluice_pipeline::clock::{Clock, Monotonic, VirtualClock, WallTime};
use sluice_pipeline::component::Environment;
use sluice_pipeline::context::{Arrival, Context};
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::factory::Validate as _;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Port, Stage, StageOutput};
use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::verdict::{Verdict, VerdictBoard};
use sluice_pipeline::{ComponentId, PipelineId, Signal};

use super::*;

const START: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;

pub(crate) fn environment(kind: &str, name: &str) -> Environment {
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(WallTime(START)));
    let pipeline = PipelineId::new(Signal::Traces, "");
    Environment {
        id: ComponentId::new(kind, name),
        signals: [Signal::Traces].as_slice().into(),
        pipeline: Some(pipeline.clone()),
        pipelines: Arc::from([pipeline]),
        memory: MemBudget::new(1 << 30, Arc::clone(&clock)),
        clock,
        rng: Arc::new(SplitMix::seeded(1)),
        telemetry: Telemetry::new(),
        extensions: Extensions::default(),
        verdicts: VerdictBoard::default(),
        gates: Default::default(),
    }
}

/// A stage that is fed with requests, and what it has emitted.
pub(crate) struct Fed<S> {
    pub(crate) stage: S,
    seq: u64,
    pub(crate) now: u64,
    pub(crate) spans: Vec<Span>,
    pub(crate) dropped: usize,
    /// Attributes of the scope each span came out in, by the span's name.
    pub(crate) scopes: BTreeMap<String, String>,
}

impl<S: Stage> Fed<S> {
    pub(crate) fn new(stage: S) -> Self {
        Fed { stage, seq: 0, now: START, spans: Vec::new(), dropped: 0, scopes: BTreeMap::new() }
    }

    fn take(&mut self, out: StageOutput) {
        self.dropped += out.dropped.iter().map(|(.., items)| items).sum::<usize>();
        for (_, batch) in out.batches {
            let request = ExportTraceServiceRequest::decode(&**batch.bytes()).unwrap();
            let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            for scope in scopes {
                let attributes = scope.scope.map(|scope| scope.attributes).unwrap_or_default();
                let value = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
                    Some(Value::StringValue(text)) => format!("{}={text}", pair.key),
                    other => format!("{}={other:?}", pair.key),
                };
                let attributes = attributes.iter().map(value).collect::<Vec<_>>().join(" ");
                self.scopes.extend(scope.spans.iter().map(|span| (span.name.clone(), attributes.clone())));
                self.spans.extend(scope.spans);
            }
        }
    }

    pub(crate) fn send(&mut self, spans: Vec<Span>) {
        let items = spans.len();
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            }],
        };
        let arrival = Arrival { monotonic: Monotonic::default(), wall: WallTime(self.now) };
        let context = Arc::new(Context::internal(ComponentId::new("test", ""), arrival));
        let batch = Batch::new(Signal::Traces, Bytes::from(request.encode_to_vec()), items, context);
        self.seq += 1;
        let entry = Entry::new(Seq(self.seq), NoRedaction.waive(batch), arrival, Box::new(()));
        let mut out = StageOutput::default();
        self.stage.absorb(Port(0), &entry, WallTime(self.now), &mut out);
        self.take(out);
    }

    pub(crate) fn pass(&mut self, ns: u64) {
        self.now += ns;
        let mut out = StageOutput::default();
        self.stage.tick(WallTime(self.now), &mut out);
        self.take(out);
    }

    /// The names of what has come out.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.spans.iter().map(|span| span.name.as_str()).collect();
        names.sort_unstable();
        names
    }
}

pub(crate) fn span(trace: u8, id: u8, name: &str) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        name: name.to_owned(),
        parent_span_id: if id == 1 { Vec::new() } else { vec![1; 8] },
        ..Span::default()
    }
}

fn failed(span: Span) -> Span {
    Span { status: Some(Status { code: 2, ..Status::default() }), ..span }
}

fn checked(yaml: &str) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
    let node = sluice_config::parse(yaml.as_bytes()).unwrap();
    let config: Config = sluice_config::decode(&node)?;
    let mut problems = Problems::new(&node);
    config.validate("", &mut problems);
    problems.finish().map(|warnings| (config, warnings))
}

fn fed(yaml: &str, environment: &Environment) -> Fed<crate::trace_window::WindowStage> {
    let (config, _) = checked(yaml).unwrap_or_else(|found| panic!("{found:?}"));
    Fed::new(TailSampling::stage(&config, environment).unwrap())
}

const ERRORS_AND_HALF: &str = r"
decision_wait: 10s
policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}
";

#[test]
fn the_policy_is_recorded_where_the_gate_asks_for_it() {
    use sluice_pipeline::gates::{FeatureGates, RECORD_POLICY};
    for on in [false, true] {
        let gates = if on { FeatureGates::new([RECORD_POLICY]) } else { FeatureGates::default() };
        let environment = Environment { gates, ..environment("tail_sampling", "") };
        let mut fed = fed(
            r"
decision_wait: 10s
policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - name: shared
    type: composite
    composite:
      max_total_spans_per_second: 100
      policy_order: [all]
      composite_sub_policy: [{name: all, type: always_sample}]
      rate_allocation: [{policy: all, percent: 100}]
",
            &environment,
        );
        fed.send(vec![failed(span(1, 1, "error")), span(1, 2, "with it"), span(2, 1, "other")]);
        fed.send(vec![span(1, 3, "streams")]);
        fed.pass(11 * SECOND);
        fed.send(vec![span(1, 4, "late"), span(2, 2, "late, too")]);
        let said = |name: &str| fed.scopes[name].as_str();
        if !on {
            assert!(fed.scopes.values().all(String::is_empty) && fed.scopes.len() == 6);
            continue;
        }
        for name in ["error", "with it", "streams"] {
            assert_eq!(said(name), "tailsampling.policy=errors");
        }
        assert_eq!(said("other"), "tailsampling.policy=shared tailsampling.composite_policy=all");
        let cached = "tailsampling.cached_decision=Some(BoolValue(true))";
        assert_eq!(said("late"), format!("tailsampling.policy=errors {cached}"));
        assert_eq!(said("late, too"), format!("tailsampling.policy=shared {cached}"));
    }
}

#[test]
fn inverted_policies_make_plain_decisions_where_the_gate_asks_for_it() {
    use sluice_pipeline::gates::{FeatureGates, PLAIN_INVERSION};
    let policies = r"
decision_wait: 1s
policies:
  - {name: all, type: always_sample}
  - {name: not a, type: string_attribute, string_attribute: {key: k, values: [a], invert_match: true}}
";
    for (on, kept) in [(false, 1), (true, 2)] {
        let gates = if on { FeatureGates::new([PLAIN_INVERSION]) } else { FeatureGates::default() };
        let environment = Environment { gates, ..environment("tail_sampling", "") };
        let mut fed = fed(policies, &environment);
        let value =
            opentelemetry_proto::tonic::common::v1::AnyValue { value: Some(Value::StringValue("a".to_owned())) };
        let attributes = vec![KeyValue { key: "k".to_owned(), value: Some(value), ..KeyValue::default() }];
        fed.send(vec![Span { attributes, ..span(1, 1, "a") }, span(2, 1, "b")]);
        fed.pass(2 * SECOND);
        // An inverted policy that matches rules a trace out, unless it only abstains.
        assert_eq!(fed.spans.len(), kept, "{on}");
    }
}

#[test]
fn ages_of_late_spans_and_of_traces_are_counted() {
    let environment = environment("tail_sampling", "");
    let mut fed = fed(ERRORS_AND_HALF, &environment);
    fed.send(vec![span(0xf0, 1, "kept"), span(0x10, 1, "dropped")]);
    fed.pass(11 * SECOND);
    fed.pass(30 * SECOND);
    fed.send(vec![span(0xf0, 2, "late")]);
    let shown = environment.telemetry.render(&sluice_pipeline::telemetry::Naming::default());
    for line in [
        "sampling_late_span_age_count{processor=\"tail_sampling\"} 1",
        "sampling_late_span_age_bucket{processor=\"tail_sampling\",le=\"25\"} 0",
        "sampling_late_span_age_bucket{processor=\"tail_sampling\",le=\"50\"} 1",
        "sampling_trace_removal_age_count{processor=\"tail_sampling\"} 2",
        "sampling_trace_removal_age_bucket{processor=\"tail_sampling\",le=\"5\"} 0",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
}

#[test]
fn a_trace_goes_as_a_whole_when_its_time_is_over() {
    let environment = environment("tail_sampling", "");
    let mut fed = fed(ERRORS_AND_HALF, &environment);
    // The randomness of the first is high, that of the second low, and the third has an error late.
    fed.send(vec![span(0xf0, 1, "high"), span(0x10, 1, "low"), span(0x11, 1, "late error")]);
    fed.pass(9 * SECOND);
    assert!(fed.spans.is_empty());
    fed.send(vec![span(0xf0, 2, "high, too"), failed(span(0x11, 2, "error"))]);
    assert_eq!(fed.names(), ["error", "late error"], "that is certain");
    fed.pass(SECOND + SECOND / 5);
    assert_eq!(fed.names(), ["error", "high", "high, too", "late error"]);
    assert_eq!(fed.dropped, 1);
    let states: BTreeMap<&str, &str> =
        fed.spans.iter().map(|span| (span.name.as_str(), span.trace_state.as_str())).collect();
    assert_eq!(states["high"], "ot=th:8");
    assert_eq!(states["high, too"], "ot=th:8");
    assert_eq!(states["error"], "", "kept in any case");
    // What comes late follows the verdict.
    fed.send(vec![span(0xf0, 3, "later"), span(0x10, 3, "later, dropped")]);
    assert_eq!(fed.dropped, 2);
    let later = fed.spans.iter().find(|span| span.name == "later").unwrap();
    assert_eq!(later.trace_state, "ot=th:8");
    let verdicts = environment.verdicts.find(Some(&environment.id)).unwrap();
    let verdict = |id: u8| verdicts.verdict(&Default::default(), &[id; 16]);
    assert_eq!(verdict(0xf0), Verdict::Kept { threshold: Some(1 << 55) });
    assert_eq!((verdict(0x10), verdict(0x77)), (Verdict::Dropped, Verdict::Unknown));
    assert!(fed.stage.low_watermark().is_none());

    let telemetry = &environment.telemetry;
    telemetry.refresh();
    let value = |name: &str, labels: &[(&str, &str)]| {
        let labels: Vec<_> = std::iter::once(("processor", "tail_sampling")).chain(labels.iter().copied()).collect();
        telemetry.value(&format!("otelcol_processor_tail_sampling_{name}"), &labels)
    };
    let sampled = [("sampled", "true"), ("decision", "sampled")];
    let not = [("sampled", "false"), ("decision", "not_sampled")];
    assert_eq!(value("global_count_traces_sampled", &sampled), Some(2.0));
    assert_eq!(value("global_count_traces_sampled", &not), Some(1.0));
    let of = |policy, [sampled, decision]: [(&'static str, &'static str); 2]| [("policy", policy), sampled, decision];
    assert_eq!(value("count_traces_sampled", &of("errors", sampled)), Some(1.0));
    assert_eq!(value("count_traces_sampled", &of("half", sampled)), Some(1.0));
    assert_eq!(value("count_spans_sampled", &of("half", sampled)), Some(2.0));
    assert_eq!(value("count_traces_sampled", &of("half", not)), Some(1.0));
    assert_eq!(value("new_trace_id_received", &[]), Some(3.0));
    assert_eq!(value("early_releases_from_cache_decision", &[("sampled", "true")]), Some(1.0));
    assert_eq!(value("early_releases_from_cache_decision", &[("sampled", "false")]), Some(1.0));
    assert_eq!(value("sampling_policy_evaluation_error", &[]), Some(0.0));
    assert_eq!(value("sampling_traces_on_memory", &[]), Some(0.0));
}

#[test]
fn the_root_can_shorten_the_wait() {
    let environment = environment("tail_sampling", "two");
    let yaml = "{decision_wait: 30s, decision_wait_after_root_received: 1s, policies: [{name: some, type: span_count, span_count: {max_spans: 9}}]}";
    let mut fed = fed(yaml, &environment);
    fed.send(vec![span(1, 1, "root"), span(2, 2, "child")]);
    fed.pass(SECOND + SECOND / 5);
    assert_eq!(fed.names(), ["root"]);
    // With a name of its own, the component is named in front of the policy, as upstream does.
    let labels =
        [("processor", "tail_sampling/two"), ("policy", "two.some"), ("sampled", "true"), ("decision", "sampled")];
    let name = "otelcol_processor_tail_sampling_count_traces_sampled";
    assert_eq!(environment.telemetry.value(name, &labels), Some(1.0));
    fed.pass(30 * SECOND);
    assert_eq!(fed.names(), ["child", "root"]);
}

#[test]
fn a_reload_keeps_the_window_and_what_was_seen() {
    let environment = environment("tail_sampling", "");
    let policy = |name: &str| {
        format!("{{name: {name}, type: ottl_condition, ottl_condition: {{span: ['name == \"{name}\"']}}}}")
    };
    let never = "{name: never, type: drop, drop: {drop_sub_policy: [{name: x, type: trace_flags}]}}";
    let yaml = |names: &[&str]| {
        let policies: Vec<String> = names.iter().map(|name| policy(name)).collect();
        format!("{{decision_wait: 10s, policies: [{never}, {}]}}", policies.join(", "))
    };
    let mut old = fed(&yaml(&["a", "b"]), &environment);
    old.send(vec![span(1, 1, "a"), span(2, 1, "b"), span(3, 1, "c")]);
    let (config, _) = checked(&yaml(&["c", "b"])).unwrap();
    let mut new = TailSampling::stage(&config, &environment).unwrap();
    assert!(new.succeed(Box::new(old.stage)).is_none());
    let mut fed = Fed { stage: new, seq: 1, now: old.now, spans: Vec::new(), dropped: 0, scopes: BTreeMap::new() };
    fed.send(vec![span(4, 1, "c")]);
    fed.pass(11 * SECOND);
    // `a` is no longer asked for, `b` was seen before, the first `c` came before anybody asked for it.
    assert_eq!(fed.names(), ["b", "c"]);
    assert_eq!(fed.dropped, 2);
    let verdicts = environment.verdicts.find(Some(&environment.id)).unwrap();
    assert_eq!(verdicts.verdict(&Default::default(), &[2; 16]), Verdict::Kept { threshold: Some(0) });
}

#[test]
fn upstreams_fields_load_and_what_has_no_effect_is_noted() {
    let policies = "policies: [{name: all, type: always_sample}]";
    let (config, notes) = checked(&format!("{{{policies}}}")).unwrap();
    assert!(notes.is_empty());
    assert_eq!((*config.decision_wait).as_secs(), 30);
    assert_eq!((config.num_traces, config.num_shards), (50_000, 1));
    let (_, notes) = checked(&format!(
        "{{decision_wait: 10s, num_traces: 100, expected_new_traces_per_sec: 10, decision_cache: {{sampled_cache_size: 100_000, non_sampled_cache_size: 100_000}}, block_on_overflow: true, num_shards: 4, tail_storage: file_storage, sampling_strategy: trace-complete, sample_on_first_match: true, drop_pending_traces_on_shutdown: true, maximum_trace_size_bytes: 1000, {policies}}}"
    ))
    .unwrap();
    assert_eq!(notes.iter().map(|note| note.code).collect::<Vec<_>>(), ["N0602"; 4]);
    for (field, expected) in [
        ("sampling_strategy: span-ingest", "not supported yet"),
        ("sampling_strategy: other", "invalid sampling_strategy \"other\""),
        ("num_shards: 257", "must not exceed 256"),
        ("num_traces: 0", "must be positive"),
        ("decision_wiat: 1s", "invalid keys: decision_wiat"),
    ] {
        let found = checked(&format!("{{{field}, {policies}}}")).unwrap_err();
        assert!(found.iter().any(|found| found.message.contains(expected)), "{field}: {found:?}");
    }
    let found = checked("{decision_wait: 1s}").unwrap_err();
    assert!(found[0].message.contains("at least one policy"), "{found:?}");
}
