//! Why a trace is kept or not: what each policy or rule makes of it, and from which values.
//!
//! For people and their recordings, not for the hot path: everything is kept, and all traces are decided together.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use sluice_pdata::view::{AnyValueView, LogsView, ResourceView, TracesView};
use sluice_pdata::{Error, Signal};

use super::decision::{Decision, RuleIndex, Weight};
use super::facts::{LogItem, SpanItem, TraceFacts};
use super::leaf::LeafSource;
use super::node::{Cond, Match, Node};
use super::plan::{Action, Kind};
use super::sampler::{Plan, Sampler};
use super::threshold::{self, ONE, Randomness, Threshold};

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

/// A line of the table of policies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicySummary {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// What it looks at.
    pub needs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<String>,
    /// The share of the traces that match it which it keeps; absent where it depends on the load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keeps: Option<f64>,
    /// Spans or bytes per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
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

impl Sampler {
    /// The table of its policies or rules, in the order of the configuration.
    pub fn summaries(&self) -> Vec<PolicySummary> {
        (0..self.rule_count()).map(|rule| self.summary(RuleIndex(rule as u16))).collect()
    }

    fn summary(&self, rule: RuleIndex) -> PolicySummary {
        let parts = parts(self, rule);
        let (mut needs, mut limits) = (Vec::new(), Vec::new());
        let mut t = Some(0_u64);
        for part in &parts {
            part.needs(self, &mut needs);
            match part {
                Part::Probability(own) => t = t.map(|t| t.max(*own)),
                Part::Limit(limiter) => {
                    if let (Some(limiter), Some(cost)) = (self.limiters.get(*limiter), self.costs.get(*limiter)) {
                        limits.push(format!("{} {}/s, burst {}", limiter.rate(), cost.unit(), limiter.burst()));
                    }
                    t = None;
                }
                Part::Inverse | Part::Hash | Part::Shares(_) => t = None,
                Part::Condition(_) => {}
            }
        }
        for part in &parts {
            if let Part::Shares(composite) = part
                && let Some(composite) = self.composites.get(*composite)
            {
                for sub in &composite.subs {
                    limits.push(format!("{}: {} spans/s", self.rule_name(RuleIndex(sub.index)), sub.allocated));
                }
            }
        }
        let drops = self.drops(rule);
        let keeps = t.map(|t| {
            let share = (ONE - t.min(ONE)) as f64 / ONE as f64;
            if drops { 1.0 - share } else { share }
        });
        PolicySummary {
            name: self.rule_name(rule).to_owned(),
            kind: kind(self, rule),
            needs,
            threshold: t.filter(|_| !drops).and_then(Threshold::new).map(|t| t.encode().as_str().to_owned()),
            keeps,
            limit: (!limits.is_empty()).then(|| limits.join(", ")),
        }
    }
}

/// A piece of a policy, in the order in which it counts.
enum Part<'a> {
    Condition(&'a Cond),
    Probability(u64),
    Hash,
    Limit(usize),
    /// The opposite of what follows.
    Inverse,
    Shares(usize),
}

fn kind(sampler: &Sampler, rule: RuleIndex) -> String {
    match &sampler.plan {
        Plan::Policies { policies, .. } => {
            policies.iter().find(|policy| policy.index == rule.0).map_or("", |policy| policy.type_name).to_owned()
        }
        Plan::Rules(rules) => match rules.get(usize::from(rule.0)).map(|rule| rule.action) {
            Some(Action::Keep) => "keep".to_owned(),
            Some(Action::Drop) => "drop".to_owned(),
            Some(Action::Probability(_)) => "probability".to_owned(),
            Some(Action::Rate(_)) => "rate".to_owned(),
            None => String::new(),
        },
    }
}

fn parts(sampler: &Sampler, rule: RuleIndex) -> Vec<Part<'_>> {
    let mut all = Vec::new();
    match &sampler.plan {
        Plan::Policies { policies, .. } => {
            match policies.iter().find(|policy| policy.index == rule.0).map(|it| &it.kind) {
                Some(Kind::Keep(node) | Kind::Drop(node)) => of_node(node, &mut all),
                Some(Kind::Invert(condition)) => all.push(Part::Condition(condition)),
                Some(Kind::Composite(composite)) => {
                    let subs = sampler.composites.get(*composite).map(|composite| &composite.subs);
                    subs.into_iter().flatten().for_each(|sub| of_node(&sub.node, &mut all));
                    all.push(Part::Shares(*composite));
                }
                None => {}
            }
        }
        Plan::Rules(rules) => {
            if let Some(rule) = rules.get(usize::from(rule.0)) {
                all.push(Part::Condition(&rule.when));
                match rule.action {
                    Action::Probability(t) => all.push(Part::Probability(t)),
                    Action::Rate(limiter) => all.push(Part::Limit(limiter)),
                    Action::Keep | Action::Drop => {}
                }
            }
        }
    }
    all
}

fn of_node<'a>(node: &'a Node, all: &mut Vec<Part<'a>>) {
    match node {
        Node::If(condition) => all.push(Part::Condition(condition)),
        Node::Probability(t) => all.push(Part::Probability(*t)),
        Node::Hash(_) => all.push(Part::Hash),
        Node::Limit(limiter) => all.push(Part::Limit(*limiter)),
        Node::Not(inner) => {
            all.push(Part::Inverse);
            of_node(inner, all);
        }
        Node::All(parts) => parts.iter().for_each(|part| of_node(part, all)),
    }
}

impl Part<'_> {
    /// What it looks at, as one would name it.
    fn needs(&self, sampler: &Sampler, into: &mut Vec<String>) {
        let mut add = |text: String| {
            if !into.contains(&text) {
                into.push(text);
            }
        };
        match self {
            Part::Condition(condition) => {
                let (mut leaves, mut aggregates) = (Vec::new(), Vec::new());
                condition.leaves(&mut leaves);
                condition.aggregates(&mut aggregates);
                leaves.iter().filter_map(|leaf| sampler.observer.source(*leaf)).for_each(|leaf| add(leaf.name()));
                aggregates.iter().for_each(|aggregate| add(aggregate.name().to_owned()));
            }
            Part::Probability(_) => add("randomness".to_owned()),
            Part::Hash => add("trace id".to_owned()),
            Part::Limit(_) | Part::Inverse | Part::Shares(_) => {}
        }
    }

    /// What it has seen of a trace.
    fn values(&self, sampler: &Sampler, trace: &Recorded, into: &mut Vec<String>) {
        let Part::Condition(condition) = self else { return };
        let (mut leaves, mut aggregates) = (Vec::new(), Vec::new());
        condition.leaves(&mut leaves);
        condition.aggregates(&mut aggregates);
        for leaf in leaves {
            let Some(source) = sampler.observer.source(leaf) else { continue };
            let seen = trace.values.get(usize::from(leaf)).filter(|seen| !seen.is_empty());
            let held = trace.facts.leaves.contains(leaf);
            into.push(match seen {
                Some(seen) => format!("{} = {}", source.name(), seen.iter().cloned().collect::<Vec<_>>().join(", ")),
                None => format!("{}: {}", source.name(), if held { "yes" } else { "no" }),
            });
        }
        for aggregate in aggregates {
            let value = aggregate.value(&trace.facts).map_or("unknown".to_owned(), |value| value.to_string());
            into.push(format!("{} = {value}", aggregate.name()));
        }
    }
}

impl LeafSource {
    /// What it looks at.
    fn name(&self) -> String {
        match self {
            LeafSource::Text { key, .. } | LeafSource::Number { key, .. } | LeafSource::Flag { key, .. } => {
                format!("attribute {key}")
            }
            LeafSource::Status(_) => "status code".to_owned(),
            LeafSource::TraceState { key, .. } => format!("trace state {key}"),
            LeafSource::Sampled => "sampled flag".to_owned(),
            LeafSource::Spans { span, event, .. } => span.iter().chain(event).cloned().collect::<Vec<_>>().join(" or "),
            LeafSource::Logs(conditions) => conditions.join(" or "),
        }
    }
}
