//! The processor as a stage.

use std::any::Any;
use std::time::Duration;

use sluice_pipeline::admission::{Class, MemBudget};
use sluice_pipeline::clock::WallTime;
use sluice_pipeline::component::Environment;
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Held, Port, Stage, StageOutput};

use super::config::Config;
use super::telemetry;
use crate::sampling::{Decision, Leaves, LogItem, RuleIndex, SpanItem, TraceFacts, Weight};
use crate::trace_window::{Engine, Judge, SharedEngine};

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

/// The stage.
pub struct GroupByTrace(SharedEngine, MemBudget);

impl GroupByTrace {
    /// A stage with nothing in it.
    pub fn new(config: &Config, environment: &Environment) -> Self {
        let settings = config.settings(memory(environment));
        let engine = SharedEngine::new(Engine::new(settings, Some(Box::new(KeepAll))));
        telemetry::show(&environment.telemetry, &environment.id, config, &engine);
        GroupByTrace(engine, environment.memory.clone())
    }
}

/// What the window may account: what stages may hold together, at most.
fn memory(environment: &Environment) -> usize {
    usize::try_from(environment.memory.class_limit(Class::State)).unwrap_or(usize::MAX)
}

impl Stage for GroupByTrace {
    fn absorb(&mut self, port: Port, input: &Entry, now: WallTime, out: &mut StageOutput) {
        self.0.lock_within(&self.1).absorb(port, input, now, out);
    }

    fn tick(&mut self, now: WallTime, out: &mut StageOutput) {
        self.0.lock_within(&self.1).tick(now, out);
    }

    fn next_deadline(&self) -> Option<WallTime> {
        self.0.lock().next_deadline()
    }

    fn low_watermark(&self) -> Option<Seq> {
        self.0.lock().low_watermark()
    }

    fn held(&self) -> Held {
        self.0.lock().held()
    }

    fn drain(&mut self, now: WallTime, out: &mut StageOutput) {
        self.0.lock().drain(now, out);
    }

    fn recall(&mut self, note: &[u8], now: WallTime) {
        self.0.lock().recall(note, now);
    }

    fn succeed(&mut self, predecessor: Box<dyn Stage>) -> Option<Box<dyn Stage>> {
        let Ok(before) = predecessor.into_any().downcast::<GroupByTrace>() else { return None };
        if self.0.succeed(&before.0) { None } else { Some(before) }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn is_full(&self) -> bool {
        self.0.lock().stops_reading()
    }

    fn lags(&mut self, by: Duration) {
        self.0.lock().lags(by);
    }

    fn relieve(&mut self, percent: u8, _now: WallTime, out: &mut StageOutput) {
        self.0.lock().relieve(percent, out);
    }
}
