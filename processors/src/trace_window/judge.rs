//! Who decides over traces. The window gathers facts and asks; policies and probability are the judge's.

use crate::sampling::{Decision, Leaves, LogItem, RuleIndex, Sampler, SpanItem, TraceFacts};

/// What the window asks. [`Sampler`] answers; tests have judges of their own.
pub trait Judge: Send {
    /// Which conditions hold for a span: added to `leaves`, of its trace.
    fn observe_span(&mut self, item: &SpanItem<'_>, leaves: &mut Leaves);
    /// Which conditions hold for a log record.
    fn observe_log(&mut self, item: &LogItem<'_>, leaves: &mut Leaves);
    /// The decision, if it is sure to be a keep whatever comes. `services` is not counted yet.
    fn early(&mut self, facts: &TraceFacts) -> Option<Decision>;
    /// Decides the traces of one tick. `now`: stage time, unix ns.
    fn decide(&mut self, facts: &[TraceFacts], now: u64) -> Vec<Decision>;
    /// The name of a rule or policy.
    fn rule_name(&self, rule: RuleIndex) -> &str;
    /// How often conditions failed since the last call.
    fn take_evaluation_errors(&mut self) -> Vec<(RuleIndex, u64)>;
}

impl Judge for Sampler {
    fn observe_span(&mut self, item: &SpanItem<'_>, leaves: &mut Leaves) {
        Sampler::observe_span(self, item, leaves);
    }

    fn observe_log(&mut self, item: &LogItem<'_>, leaves: &mut Leaves) {
        Sampler::observe_log(self, item, leaves);
    }

    fn early(&mut self, facts: &TraceFacts) -> Option<Decision> {
        Sampler::early(self, facts)
    }

    fn decide(&mut self, facts: &[TraceFacts], now: u64) -> Vec<Decision> {
        Sampler::decide(self, facts, now)
    }

    fn rule_name(&self, rule: RuleIndex) -> &str {
        Sampler::rule_name(self, rule)
    }

    fn take_evaluation_errors(&mut self) -> Vec<(RuleIndex, u64)> {
        Sampler::take_evaluation_errors(self).collect()
    }
}
