//! Why a trace is kept or not: what each policy or rule makes of it, and from which values.
//!
//! For people and their recordings, not for the hot path: everything is kept, and all traces are decided together.

mod part;
mod summary;

pub use summary::PolicySummary;

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use sluice_pdata::view::{AnyValueView, LogsView, ResourceView, TracesView};
use sluice_pdata::{Error, Signal};

use crate::sampling::decision::{Decision, RuleIndex, Weight};
use crate::sampling::facts::{LogItem, SpanItem, TraceFacts};
use crate::sampling::node::Match;
use crate::sampling::sampler::{Plan, Sampler};
use crate::sampling::threshold::{self, ONE, Randomness, Threshold};
use part::{kind, parts};

/// Values of one condition that are shown.
const MAX_VALUES: usize = 4;
const SEVERITY_ERROR: i32 = 17;

/// What is read from a recording.
#[derive(Debug)]
pub struct Explainer {
    sampler: Sampler,
    traces: Vec<Recorded>,
    by_id: HashMap<[u8; 16], usize, ahash::RandomState>,
}

#[derive(Debug, Default)]
struct Recorded {
    facts: TraceFacts,
    stated: bool,
    services: BTreeSet<Vec<u8>>,
    /// By leaf: the values that were there.
    values: Vec<BTreeSet<String>>,
}

/// One trace, explained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceExplanation {
    pub trace_id: String,
    pub spans: u32,
    pub errors: u32,
    pub logs: u32,
    pub has_root: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// R, as `rv` is written.
    pub randomness: String,
    pub policies: Vec<PolicyExplanation>,
    pub kept: bool,
    /// The policy or rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// T, as `th` is written; absent where it is not known or nothing is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<String>,
    /// How many traces it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjusted_count: Option<f64>,
}

/// What one policy or rule makes of a trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyExplanation {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether its conditions hold.
    pub matched: bool,
    /// `sampled`, `not_sampled`, `dropped`, or `not_asked`.
    pub said: &'static str,
    /// From which R it samples, where that is known and not zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<String>,
    /// What it looked at.
    pub values: Vec<String>,
}

impl Explainer {
    pub fn new(sampler: Sampler) -> Self {
        Explainer { sampler, traces: Vec::new(), by_id: HashMap::default() }
    }

    /// Reads a request. Metrics are passed over.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn read(&mut self, signal: Signal, request: &[u8]) -> Result<(), Error> {
        match signal {
            Signal::Traces => self.spans(request),
            Signal::Logs => self.logs(request),
            Signal::Metrics => Ok(()),
        }
    }

    fn spans(&mut self, request: &[u8]) -> Result<(), Error> {
        for resource_spans in TracesView(request).resource_spans() {
            let resource_spans = resource_spans?;
            let resource = resource_spans.resource()?.0;
            for scope_spans in resource_spans.scope_spans() {
                let scope_spans = scope_spans?;
                let scope = scope_spans.scope()?.0;
                for view in scope_spans.spans() {
                    let item = SpanItem {
                        status: None,
                        attributes: None,
                        view: view?,
                        resource,
                        resource_envelope: resource_spans.0,
                        scope,
                        scope_envelope: scope_spans.0,
                        now: 0,
                    };
                    self.span(&item)?;
                }
            }
        }
        Ok(())
    }

    fn span(&mut self, item: &SpanItem<'_>) -> Result<(), Error> {
        let view = &item.view;
        let Some(at) = self.trace(view.trace_id) else { return Ok(()) };
        let (sampler, trace) = (&mut self.sampler, &mut self.traces[at]);
        sampler.observe_span(item, &mut trace.facts.leaves);
        sampler.observer.evidence_of_span(item, &mut trace.values);
        trace.values.iter_mut().for_each(limit);
        if let (Randomness::Valid(r), false) = (threshold::random_value(view.trace_state), trace.stated) {
            (trace.facts.randomness, trace.stated) = (r, true);
        }
        if let Some(AnyValueView::Str(name)) = ResourceView(item.resource).attributes().get(b"service.name")? {
            trace.services.insert(name.to_vec());
        }
        let facts = &mut trace.facts;
        facts.services = u32::try_from(trace.services.len()).unwrap_or(u32::MAX);
        facts.spans += 1;
        facts.bytes += view.bytes.len() as u64;
        facts.errors += u32::from(view.status()?.is_some_and(|status| status.code == 2));
        facts.root |= view.parent_span_id.is_empty();
        let (start, end) = (view.start_time_unix_nano, view.end_time_unix_nano);
        if end >= start && end > 0 {
            facts.start = Some(facts.start.map_or(start, |known| known.min(start)));
            facts.end = Some(facts.end.map_or(end, |known| known.max(end)));
        }
        Ok(())
    }

    fn logs(&mut self, request: &[u8]) -> Result<(), Error> {
        for resource_logs in LogsView(request).resource_logs() {
            let resource_logs = resource_logs?;
            let resource = resource_logs.resource()?.0;
            for scope_logs in resource_logs.scope_logs() {
                let scope_logs = scope_logs?;
                let scope = scope_logs.scope()?.0;
                for view in scope_logs.log_records() {
                    let view = view?;
                    let Some(at) = self.trace(view.trace_id) else { continue };
                    let item = LogItem {
                        view,
                        resource,
                        resource_envelope: resource_logs.0,
                        scope,
                        scope_envelope: scope_logs.0,
                        now: 0,
                    };
                    let trace = &mut self.traces[at];
                    self.sampler.observe_log(&item, &mut trace.facts.leaves);
                    trace.facts.logs += 1;
                    trace.facts.log_errors += u32::from(view.severity_number >= SEVERITY_ERROR);
                }
            }
        }
        Ok(())
    }

    /// The place of a trace, in the order in which they came.
    fn trace(&mut self, id: &[u8]) -> Option<usize> {
        let trace_id: [u8; 16] = id.try_into().ok().filter(|id| *id != [0; 16])?;
        if let Some(known) = self.by_id.get(&trace_id) {
            return Some(*known);
        }
        self.by_id.insert(trace_id, self.traces.len());
        let randomness = threshold::randomness(None, &trace_id);
        let values = vec![BTreeSet::new(); self.sampler.observer.sources().len()];
        let facts = TraceFacts { trace_id, randomness, ..TraceFacts::default() };
        self.traces.push(Recorded { facts, values, ..Recorded::default() });
        Some(self.traces.len() - 1)
    }

    /// Decides all traces together, as if their time had come in one tick, and tells why.
    pub fn explain(mut self) -> Vec<TraceExplanation> {
        let facts: Vec<TraceFacts> = self.traces.iter().map(|trace| trace.facts.clone()).collect();
        let mut said: Vec<Vec<(RuleIndex, Match)>> = vec![Vec::new(); facts.len()];
        let decisions =
            self.sampler.decide_before(&facts, 0, &mut |rule, trace, found| said[trace].push((rule, found)));
        let all = self.traces.iter().zip(decisions).zip(&said);
        all.map(|((trace, decision), said)| self.trace_explanation(trace, decision, said)).collect()
    }

    fn trace_explanation(&self, trace: &Recorded, decision: Decision, said: &[(RuleIndex, Match)]) -> TraceExplanation {
        let facts = &trace.facts;
        let rules = (0..self.sampler.rule_count()).map(|rule| {
            let rule = RuleIndex(rule as u16);
            let found = said.iter().find(|(known, _)| *known == rule).map(|(_, found)| *found);
            self.policy_explanation(rule, found, trace)
        });
        let known = match decision.weight {
            Weight::Threshold(t) if decision.kept => Threshold::new(t),
            _ => None,
        };
        let name = |rule: RuleIndex| self.sampler.rule_name(rule).to_owned();
        let decided_by = decision.rule.map(|rule| match decision.sub_rule {
            Some(sub) => format!("{} ({})", name(rule), name(sub)),
            None => name(rule),
        });
        TraceExplanation {
            trace_id: hex(&facts.trace_id),
            spans: facts.spans,
            errors: facts.errors,
            logs: facts.logs,
            has_root: facts.root,
            duration_ms: facts.duration_ms(),
            randomness: threshold::encode_randomness(facts.randomness),
            policies: rules.collect(),
            kept: decision.kept,
            decided_by,
            threshold: known.map(|t| t.encode().as_str().to_owned()),
            adjusted_count: known.map(Threshold::adjusted_count),
        }
    }

    fn policy_explanation(&self, rule: RuleIndex, found: Option<Match>, trace: &Recorded) -> PolicyExplanation {
        let facts = &trace.facts;
        let parts = parts(&self.sampler, rule);
        let mut values = Vec::new();
        for part in &parts {
            part.values(&self.sampler, trace, &mut values);
        }
        let drops = self.sampler.drops(rule);
        let said = match found {
            None => "not_asked",
            Some(Match::No) => "not_sampled",
            Some(found) if drops && !matches!(self.sampler.plan, Plan::Rules(_)) => match found {
                Match::Unknown | Match::At(0) => "dropped",
                Match::At(t) if facts.randomness < ONE.saturating_sub(t) => "dropped",
                _ => "not_sampled",
            },
            Some(_) if drops => "dropped",
            Some(found) if found.samples(facts.randomness) => "sampled",
            Some(_) => "not_sampled",
        };
        let threshold = match found {
            Some(Match::At(t)) if t > 0 => Threshold::new(t).map(|t| t.encode().as_str().to_owned()),
            _ => None,
        };
        PolicyExplanation {
            name: self.sampler.rule_name(rule).to_owned(),
            kind: kind(&self.sampler, rule),
            matched: found.is_some_and(|found| found != Match::No),
            said,
            threshold,
            values,
        }
    }
}

fn limit(values: &mut BTreeSet<String>) {
    while values.len() > MAX_VALUES {
        values.pop_last();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
