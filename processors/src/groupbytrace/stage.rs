//! The processor as a stage.

use std::any::Any;
use std::sync::Arc;

use sluice_pipeline::admission::Class;
use sluice_pipeline::component::Environment;

use super::config::Config;
use super::telemetry;
use crate::sampling::{Decision, Leaves, LogItem, RuleIndex, SpanItem, TraceFacts, Weight};
use crate::trace_window::{Engine, Judge, SharedEngine, WindowStage};

/// Keeps everything, when its time has come.
struct KeepAll;

impl Judge for KeepAll {
    fn observe_span(&mut self, _item: &SpanItem<'_>, _leaves: &mut Leaves) {}

    fn observe_log(&mut self, _item: &LogItem<'_>, _leaves: &mut Leaves) {}

    fn early(&mut self, _facts: &TraceFacts) -> Option<Decision> {
        None
    }

    fn decide(&mut self, facts: &[TraceFacts], _now: u64) -> Vec<Decision> {
        let kept = Decision { kept: true, weight: Weight::Threshold(0), rule: None, sub_rule: None };
        vec![kept; facts.len()]
    }

    fn rule_name(&self, _rule: RuleIndex) -> &str {
        ""
    }

    fn take_evaluation_errors(&mut self) -> Vec<(RuleIndex, u64)> {
        Vec::new()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// Makes its stages.
pub enum GroupByTrace {}

impl GroupByTrace {
    /// A stage with nothing in it.
    pub fn stage(config: &Config, environment: &Environment) -> WindowStage {
        let settings = config.settings(memory(environment));
        let engine = SharedEngine::new(Engine::new(settings, Some(Box::new(KeepAll))));
        telemetry::show(&environment.telemetry, &environment.id, config, &engine);
        let timing = telemetry::timing(&environment.telemetry, &environment.id, Arc::clone(&environment.clock));
        WindowStage::within_budget(engine, environment.memory.clone()).timed(timing)
    }
}

/// What the window may account: what stages may hold together, at most.
fn memory(environment: &Environment) -> usize {
    usize::try_from(environment.memory.class_limit(Class::State)).unwrap_or(usize::MAX)
}
