//! The pieces of a policy, and what they look at.

use super::Recorded;
use crate::sampling::decision::RuleIndex;
use crate::sampling::leaf::LeafSource;
use crate::sampling::node::{Cond, Node};
use crate::sampling::plan::{Action, Kind};
use crate::sampling::sampler::{Plan, Sampler};

/// A piece of a policy, in the order in which it counts.
pub(super) enum Part<'a> {
    Condition(&'a Cond),
    Probability(u64),
    Hash,
    Limit(usize),
    /// The opposite of what follows.
    Inverse,
    Shares(usize),
}

pub(super) fn kind(sampler: &Sampler, rule: RuleIndex) -> String {
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

pub(super) fn parts(sampler: &Sampler, rule: RuleIndex) -> Vec<Part<'_>> {
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
    pub(super) fn needs(&self, sampler: &Sampler, into: &mut Vec<String>) {
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
    pub(super) fn values(&self, sampler: &Sampler, trace: &Recorded, into: &mut Vec<String>) {
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
                None if source.has_values() => format!("{}: not there", source.name()),
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
    /// Whether it looks at a value that can be shown.
    fn has_values(&self) -> bool {
        !matches!(self, LeafSource::Spans { .. } | LeafSource::Logs(_))
    }

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
