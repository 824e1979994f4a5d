//! Who decides over traces. The window gathers facts and asks; policies and probability are the judge's.

use std::any::Any;

use crate::sampling::count::PolicyCounts;
use crate::sampling::sampler::LeafTranslation;
use crate::sampling::{Decision, EarlySigns, Leaves, LogItem, RuleIndex, Sampler, SpanItem, TraceFacts};

/// What the window asks. [`Sampler`] answers; tests have judges of their own.
pub trait Judge: Send {
    /// Which conditions hold for a span: added to `leaves`, of its trace.
    fn observe_span(&mut self, item: &SpanItem<'_>, leaves: &mut Leaves);
    /// Which conditions hold for a log record.
    fn observe_log(&mut self, item: &LogItem<'_>, leaves: &mut Leaves);
    /// The decision, if it is sure to be a keep whatever comes. `services` is not counted yet.
    fn early(&mut self, facts: &TraceFacts) -> Option<Decision>;
    /// What must have been seen of a trace before [`Judge::early`] is asked. Default: nothing.
    fn early_signs(&self) -> EarlySigns {
        EarlySigns::any()
    }
    /// Whether decisions can depend on [`TraceFacts::services`]: else they are not counted. Default: yes.
    fn counts_services(&self) -> bool {
        true
    }
    /// Decides the traces of one tick. `now`: stage time, unix ns.
    fn decide(&mut self, facts: &[TraceFacts], now: u64) -> Vec<Decision>;
    /// The name of a rule or policy.
    fn rule_name(&self, rule: RuleIndex) -> &str;
    /// How often conditions failed since the last call.
    fn take_evaluation_errors(&mut self) -> Vec<(RuleIndex, u64)>;

    /// What policies or rules have said of traces since the last call. Default: nothing.
    fn take_counts(&mut self) -> Vec<(RuleIndex, PolicyCounts)> {
        Vec::new()
    }

    /// Traces larger than the burst of a limiter, since the last call. Default: none.
    fn take_too_large(&mut self) -> u64 {
        0
    }

    /// A span came so many seconds after its trace was decided. Told of traces that are kept; when one was dropped is not
    /// remembered. Default: no matter.
    fn came_late(&mut self, _seconds: f64) {}

    /// A trace left the window so many seconds after its first item. Default: no matter.
    fn removed(&mut self, _seconds: f64) {}

    /// Takes over from a judge of another configuration, and says what its leaves are called now. Default: none is known.
    fn succeed(&mut self, _before: Box<dyn Judge>) -> LeafTranslation {
        LeafTranslation::default()
    }

    /// Itself, for a successor that knows its type.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
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

    fn early_signs(&self) -> EarlySigns {
        Sampler::early_signs(self)
    }

    fn counts_services(&self) -> bool {
        Sampler::counts_services(self)
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

    fn take_counts(&mut self) -> Vec<(RuleIndex, PolicyCounts)> {
        Sampler::take_counts(self).collect()
    }

    fn take_too_large(&mut self) -> u64 {
        Sampler::take_too_large(self)
    }

    fn succeed(&mut self, before: Box<dyn Judge>) -> LeafTranslation {
        before.into_any().downcast().map_or_else(|_| LeafTranslation::default(), |old| Sampler::succeed(self, &old))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
