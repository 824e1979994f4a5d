//! The processor as a stage.

use std::any::Any;

use sluice_pipeline::admission::Class;
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
}

/// The stage.
pub struct GroupByTrace {
    config: Config,
    environment: Environment,
    engine: SharedEngine,
}

impl GroupByTrace {
    /// A stage with nothing in it.
    pub fn new(config: &Config, environment: &Environment) -> Self {
        let settings = config.settings(memory(environment));
        let engine = SharedEngine::new(Engine::new(settings, Some(Box::new(KeepAll))));
        telemetry::show(&environment.telemetry, &environment.id, config, &engine);
        GroupByTrace { config: config.clone(), environment: environment.clone(), engine }
    }
}

/// What the window may account: what stages may hold together, at most.
fn memory(environment: &Environment) -> usize {
    usize::try_from(environment.memory.class_limit(Class::State)).unwrap_or(usize::MAX)
}

impl Stage for GroupByTrace {
    fn absorb(&mut self, port: Port, input: &Entry, now: WallTime, out: &mut StageOutput) {
        self.engine.lock().absorb(port, input, now, out);
    }

    fn tick(&mut self, now: WallTime, out: &mut StageOutput) {
        self.engine.lock().tick(now, out);
    }

    fn next_deadline(&self) -> Option<WallTime> {
        self.engine.lock().next_deadline()
    }

    fn low_watermark(&self) -> Option<Seq> {
        self.engine.lock().low_watermark()
    }

    fn held(&self) -> Held {
        self.engine.lock().held()
    }

    fn drain(&mut self, now: WallTime, out: &mut StageOutput) {
        self.engine.lock().drain(now, out);
    }

    fn recall(&mut self, note: &[u8], now: WallTime) {
        self.engine.lock().recall(note, now);
    }

    fn succeed(&mut self, predecessor: Box<dyn Stage>) -> Option<Box<dyn Stage>> {
        let Ok(old) = predecessor.into_any().downcast::<GroupByTrace>() else { return None };
        self.engine = old.engine;
        let settings = self.config.settings(memory(&self.environment));
        self.engine.lock().reconfigure(settings, Some(Box::new(KeepAll)));
        telemetry::show(&self.environment.telemetry, &self.environment.id, &self.config, &self.engine);
        None
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn relieve(&mut self, percent: u8, _now: WallTime, out: &mut StageOutput) {
        self.engine.lock().relieve(percent, out);
    }
}
