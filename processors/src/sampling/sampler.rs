//! Policies or rules, compiled, and the decisions over the traces of a tick.

use sluice_config::Problems;

use super::aggregate::Aggregate;
use super::compile::Compiler;
use super::composite::Composite;
use super::config::{PolicyConfig, RuleConfig};
use super::count::{Outcome, PolicyCounts};
use super::decision::{Decision, RuleIndex};
use super::early::{self, EarlySigns};
use super::facts::{LogItem, SpanItem, TraceFacts};
use super::leaves::Leaves;
use super::limiter::Limiter;
use super::node::{Cost, Match, Tick};
use super::observe::Observer;
use super::plan::{Action, Policy, Rule};
use super::{policies, rules};

/// How policies are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyOptions {
    /// The first policy that samples ends evaluation.
    pub sample_on_first_match: bool,
    /// `invert_match` at the top makes plain decisions, as with upstream's gate `disableinvertdecisions`.
    pub plain_inversion: bool,
}

/// Decides over traces.
#[derive(Debug, Default)]
pub struct Sampler {
    pub(super) plan: Plan,
    pub(super) observer: Observer,
    pub(super) limiters: Vec<Limiter>,
    pub(super) costs: Vec<Cost>,
    pub(super) composites: Vec<Composite>,
    names: Vec<String>,
    counts: Vec<PolicyCounts>,
}

/// What decides.
#[derive(Debug)]
pub(super) enum Plan {
    /// In the order of evaluation: those that drop come first.
    Policies {
        policies: Vec<Policy>,
        first_match: bool,
    },
    Rules(Vec<Rule>),
}

impl Default for Plan {
    fn default() -> Self {
        Plan::Rules(Vec::new())
    }
}

/// Is told what each policy or rule says of each trace.
pub(super) type Witness<'w> = &'w mut dyn FnMut(RuleIndex, usize, Match);

impl Sampler {
    /// Compiles policies; `at` is the path of their list. What is wrong goes to `problems`.
    pub fn from_policies(
        policies: &[PolicyConfig],
        options: PolicyOptions,
        at: &str,
        problems: &mut Problems<'_>,
    ) -> Self {
        let names = policies.iter().map(|policy| policy.name.clone()).collect();
        let mut compiler = Compiler::new(names, problems);
        let mut policies = compiler.policies(policies, options.plain_inversion, at);
        policies.sort_by_key(|policy| !policy.drops());
        Self::new(Plan::Policies { policies, first_match: options.sample_on_first_match }, compiler)
    }

    /// Compiles rules, of which the first that matches decides.
    pub fn from_rules(rules: &[RuleConfig], at: &str, problems: &mut Problems<'_>) -> Self {
        let names = rules.iter().map(|rule| rule.name.clone()).collect();
        let mut compiler = Compiler::new(names, problems);
        let rules = compiler.rules(rules, at);
        Self::new(Plan::Rules(rules), compiler)
    }

    fn new(plan: Plan, compiler: Compiler<'_, '_>) -> Self {
        let Compiler { observer, limiters, costs, composites, names, .. } = compiler;
        let counts = vec![PolicyCounts::default(); names.len()];
        Sampler { plan, observer, limiters, costs, composites, names, counts }
    }

    /// Which conditions hold for a span: added to `leaves`, of its trace.
    pub fn observe_span(&mut self, item: &SpanItem<'_>, leaves: &mut Leaves) {
        self.observer.span(item, leaves);
    }

    /// Which conditions hold for a log record.
    pub fn observe_log(&mut self, item: &LogItem<'_>, leaves: &mut Leaves) {
        self.observer.log(item, leaves);
    }

    /// The decision, if it is sure to be a keep with weight 1 whatever comes.
    pub fn early(&mut self, facts: &TraceFacts) -> Option<Decision> {
        let decision = early::decide(&self.plan, facts)?;
        if let Some(rule) = decision.rule {
            self.count(rule, Outcome::Sampled, facts);
        }
        Some(decision)
    }

    /// What must have been seen before that can be.
    pub fn early_signs(&self) -> EarlySigns {
        EarlySigns::of(&self.plan)
    }

    /// Whether a decision can depend on how many services a trace has. Only conditions over traces ask, which rules have.
    pub fn counts_services(&self) -> bool {
        let Plan::Rules(rules) = &self.plan else { return false };
        let mut asked = Vec::new();
        rules.iter().for_each(|rule| rule.when.aggregates(&mut asked));
        asked.contains(&Aggregate::Services)
    }

    /// Decides the traces of one tick: one decision each, in their order. `now` is the stage's time, unix ns.
    pub fn decide(&mut self, facts: &[TraceFacts], now: u64) -> Vec<Decision> {
        self.decide_before(facts, now, &mut |_, _, _| {})
    }

    pub(super) fn decide_before(&mut self, facts: &[TraceFacts], now: u64, witness: Witness<'_>) -> Vec<Decision> {
        let mut tick = Tick { facts, now, limiters: &mut self.limiters, costs: &self.costs };
        let counts = &mut self.counts;
        let mut count = |rule: RuleIndex, outcome: Outcome, facts: &TraceFacts| {
            if let Some(counts) = counts.get_mut(usize::from(rule.0)) {
                counts.add(outcome, facts);
            }
        };
        match &self.plan {
            Plan::Policies { policies, first_match } => {
                policies::decide(policies, *first_match, &mut self.composites, &mut tick, &mut count, witness)
            }
            Plan::Rules(rules) => rules::decide(rules, &mut tick, &mut count, witness),
        }
    }

    fn count(&mut self, rule: RuleIndex, outcome: Outcome, facts: &TraceFacts) {
        if let Some(counts) = self.counts.get_mut(usize::from(rule.0)) {
            counts.add(outcome, facts);
        }
    }

    /// The name of a rule or policy.
    pub fn rule_name(&self, rule: RuleIndex) -> &str {
        self.names.get(usize::from(rule.0)).map_or("", String::as_str)
    }

    /// How many policies or rules there are: their indexes count from zero.
    pub fn rule_count(&self) -> usize {
        match &self.plan {
            Plan::Policies { policies, .. } => policies.len(),
            Plan::Rules(rules) => rules.len(),
        }
    }

    /// How many different conditions over items there are.
    pub fn leaf_count(&self) -> usize {
        self.observer.len()
    }

    /// How often conditions failed since the last call, by policy or rule.
    pub fn take_evaluation_errors(&mut self) -> impl Iterator<Item = (RuleIndex, u64)> + use<> {
        let errors = self.observer.take_errors().into_iter().enumerate().filter(|(_, errors)| *errors > 0);
        errors.map(|(rule, errors)| (RuleIndex(rule as u16), errors))
    }

    /// What policies or rules have said of traces since the last call.
    pub fn take_counts(&mut self) -> impl Iterator<Item = (RuleIndex, PolicyCounts)> + '_ {
        let counts = self.counts.iter_mut().enumerate().map(|(rule, counts)| (rule, std::mem::take(counts)));
        counts
            .filter(|(_, counts)| *counts != PolicyCounts::default())
            .map(|(rule, counts)| (RuleIndex(rule as u16), counts))
    }

    /// Traces that were larger than the burst of a limiter, since the last call.
    pub fn take_too_large(&mut self) -> u64 {
        self.limiters.iter_mut().map(Limiter::take_too_large).sum()
    }

    /// Whether a policy is one that drops.
    pub fn drops(&self, rule: RuleIndex) -> bool {
        match &self.plan {
            Plan::Policies { policies, .. } => policies.iter().any(|policy| policy.index == rule.0 && policy.drops()),
            Plan::Rules(rules) => rules.get(usize::from(rule.0)).is_some_and(|rule| rule.action == Action::Drop),
        }
    }

    /// Takes over from a sampler of another configuration: limiters at the same places go on with their tokens. Leaves that
    /// were gathered for the old one are to be translated.
    pub fn succeed(&mut self, old: &Sampler) -> LeafTranslation {
        for (own, old) in self.limiters.iter_mut().zip(&old.limiters) {
            own.succeed(old);
        }
        let numbers = (0..old.observer.len()).map(|leaf| {
            let source = old.observer.source(leaf as u8)?;
            self.observer.find(source)
        });
        LeafTranslation(numbers.collect())
    }
}

/// From the leaf numbers of one sampler to those of its successor. What is new there has not been looked for yet.
#[derive(Clone, Debug, Default)]
pub struct LeafTranslation(Vec<Option<u8>>);

impl LeafTranslation {
    /// The same conditions, as the successor numbers them.
    pub fn translate(&self, leaves: Leaves) -> Leaves {
        let mut translated = Leaves::default();
        for (old, new) in self.0.iter().enumerate() {
            if let Some(new) = new.filter(|_| leaves.contains(old as u8)) {
                translated.insert(new);
            }
        }
        translated
    }
}
