//! Policies or rules, compiled.

use sluice_config::Problems;

use super::config::{PolicyConfig, RuleConfig};
use super::decision::{Decision, RuleIndex};
use super::facts::{LogItem, SpanItem, TraceFacts};
use super::leaves::Leaves;

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
    names: Vec<String>,
}

impl Sampler {
    /// Compiles policies; `at` is the path of their list. What is wrong goes to `problems`.
    pub fn from_policies(
        policies: &[PolicyConfig],
        _options: PolicyOptions,
        _at: &str,
        _problems: &mut Problems<'_>,
    ) -> Self {
        Sampler { names: policies.iter().map(|policy| policy.name.clone()).collect() }
    }

    /// Compiles rules, of which the first that matches decides.
    pub fn from_rules(rules: &[RuleConfig], _at: &str, _problems: &mut Problems<'_>) -> Self {
        Sampler { names: rules.iter().map(|rule| rule.name.clone()).collect() }
    }

    /// Which conditions hold for a span: added to `leaves`, of its trace.
    pub fn observe_span(&mut self, _item: &SpanItem<'_>, _leaves: &mut Leaves) {}

    /// Which conditions hold for a log record.
    pub fn observe_log(&mut self, _item: &LogItem<'_>, _leaves: &mut Leaves) {}

    /// The decision, if it is sure to be a keep whatever comes.
    pub fn early(&self, _facts: &TraceFacts) -> Option<Decision> {
        None
    }

    /// Decides the traces of one tick: one decision each, in their order. `now` is the stage's time, unix ns.
    pub fn decide(&mut self, facts: &[TraceFacts], _now: u64) -> Vec<Decision> {
        vec![Decision::UNMATCHED; facts.len()]
    }

    /// The name of a rule or policy.
    pub fn rule_name(&self, rule: RuleIndex) -> &str {
        self.names.get(usize::from(rule.0)).map_or("", String::as_str)
    }

    /// How often conditions failed since the last call, by policy or rule.
    pub fn take_evaluation_errors(&mut self) -> impl Iterator<Item = (RuleIndex, u64)> + '_ {
        std::iter::empty()
    }
}
