//! The sampler as the judge of the window, with upstream's metrics of its decisions.

use std::any::Any;
use std::sync::Arc;

use sluice_pipeline::clock::Clock;

use super::telemetry::DecisionMetrics;
use crate::sampling::{
    Decision, EarlySigns, LeafTranslation, Leaves, LogItem, RuleIndex, Sampler, SpanItem, TraceFacts,
};
use crate::trace_window::Judge;

/// Decides, and counts.
pub(super) struct CountingJudge {
    sampler: Sampler,
    metrics: DecisionMetrics,
    clock: Arc<dyn Clock>,
}

impl CountingJudge {
    pub(super) fn new(sampler: Sampler, metrics: DecisionMetrics, clock: Arc<dyn Clock>) -> Self {
        CountingJudge { sampler, metrics, clock }
    }

    fn count(&mut self, decisions: &[Decision]) {
        for decision in decisions {
            let drops = decision.rule.is_some_and(|rule| self.sampler.drops(rule));
            self.metrics.decided(decision.kept, drops);
        }
        for (rule, counts) in self.sampler.take_counts() {
            self.metrics.policy(rule, &counts);
        }
    }
}

impl Judge for CountingJudge {
    fn observe_span(&mut self, item: &SpanItem<'_>, leaves: &mut Leaves) {
        self.sampler.observe_span(item, leaves);
    }

    fn observe_log(&mut self, item: &LogItem<'_>, leaves: &mut Leaves) {
        self.sampler.observe_log(item, leaves);
    }

    fn early(&mut self, facts: &TraceFacts) -> Option<Decision> {
        let decision = self.sampler.early(facts)?;
        self.count(&[decision]);
        Some(decision)
    }

    fn early_signs(&self) -> EarlySigns {
        self.sampler.early_signs()
    }

    fn counts_services(&self) -> bool {
        self.sampler.counts_services()
    }

    fn decide(&mut self, facts: &[TraceFacts], now: u64) -> Vec<Decision> {
        let start = self.clock.now();
        let decisions = self.sampler.decide(facts, now);
        self.metrics.took(self.clock.now() - start, facts.len());
        self.count(&decisions);
        let errors = self.sampler.take_evaluation_errors().map(|(_, errors)| errors).sum();
        self.metrics.failed(errors);
        decisions
    }

    fn rule_name(&self, rule: RuleIndex) -> &str {
        self.sampler.rule_name(rule)
    }

    fn take_evaluation_errors(&mut self) -> Vec<(RuleIndex, u64)> {
        self.sampler.take_evaluation_errors().collect()
    }

    fn came_late(&mut self, seconds: f64) {
        self.metrics.came_late(seconds);
    }

    fn removed(&mut self, seconds: f64) {
        self.metrics.removed(seconds);
    }

    fn succeed(&mut self, before: Box<dyn Judge>) -> LeafTranslation {
        match before.into_any().downcast::<CountingJudge>() {
            Ok(before) => self.sampler.succeed(&before.sampler),
            Err(_) => LeafTranslation::default(),
        }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
