//! The components of a graph. All of it is shared: a graph and its successor hold the same instance of what stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use sluice_pipeline::component::{Component, Environment};
use sluice_pipeline::exporter::{Delivery, Exporter, ExporterKind, Observer};
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::processor::{Batching, Emitter, MemoryLimit, Processor};
use sluice_pipeline::receiver::Receiver;
use sluice_pipeline::spine::{DestinationSpec, OnQuota};
use sluice_pipeline::{ComponentId, PipelineId, Signal, Step};

use super::Surroundings;
use crate::diff::{Diff, stays};
use crate::plan::{Plan, PlannedPipeline};

#[derive(Default)]
pub struct Parts {
    pub receivers: BTreeMap<ComponentId, Arc<dyn Receiver>>,
    pub processors: BTreeMap<(PipelineId, ComponentId), ProcessorPart>,
    pub exporters: BTreeMap<ComponentId, ExporterPart>,
}

#[derive(Clone)]
pub enum ProcessorPart {
    Step(Arc<Step>),
    Emitting(Arc<Step>, Arc<dyn Emitter>),
    Batching(Batching),
    Memory(MemoryLimit),
}

#[derive(Clone)]
pub enum ExporterPart {
    Destination(Arc<dyn Exporter>, Arc<Delivery>),
    Observer(Arc<dyn Observer>),
}

impl ExporterPart {
    pub fn component(&self) -> Arc<dyn Component> {
        match self {
            ExporterPart::Destination(exporter, _) => Arc::clone(exporter) as Arc<dyn Component>,
            ExporterPart::Observer(observer) => Arc::clone(observer) as Arc<dyn Component>,
        }
    }

    /// What the spine must know of it, if it has a queue.
    fn spec(&self, id: &ComponentId) -> Option<DestinationSpec> {
        let ExporterPart::Destination(_, delivery) = self else { return None };
        let queue = delivery.queue.as_ref()?;
        Some(DestinationSpec {
            name: id.as_str().into(),
            max_bytes: queue.max_bytes.map(|bytes| bytes.0),
            queue_size: queue.queue_quota(),
            on_quota: if queue.loss_tolerant { queue.on_quota } else { OnQuota::Reject },
        })
    }
}

impl Parts {
    /// Builds what the plan names; of what stays, takes the instance that is there. Starts nothing.
    pub fn build(plan: &Plan, diff: &Diff, old: &Parts, around: &Surroundings) -> anyhow::Result<Self> {
        let mut parts = Parts::default();
        for pipeline in &plan.pipelines {
            for id in &pipeline.processors {
                let key = (pipeline.id.clone(), id.clone());
                let part = match old.processors.get(&key).filter(|_| stays(&diff.processors, id)) {
                    Some(part) => Some(part.clone()),
                    None => build_processor(plan, pipeline, id, around)?,
                };
                parts.processors.extend(part.map(|part| (key, part)));
            }
        }
        for planned in &plan.exporters {
            let signals = signals(plan, |pipeline| &pipeline.exporters, &planned.id);
            if signals.is_empty() {
                continue;
            }
            let part = match old.exporters.get(&planned.id).filter(|_| stays(&diff.exporters, &planned.id)) {
                Some(part) => part.clone(),
                None => {
                    let built = planned.configured.build(environment(&planned.id, &signals, None, around));
                    match built.with_context(|| format!("failed to create {:?} exporter", planned.id.as_str()))? {
                        ExporterKind::Destination(exporter, delivery) => {
                            ExporterPart::Destination(exporter, Arc::from(delivery))
                        }
                        ExporterKind::Observer(observer) => ExporterPart::Observer(observer),
                    }
                }
            };
            parts.exporters.insert(planned.id.clone(), part);
        }
        for planned in &plan.receivers {
            let signals = signals(plan, |pipeline| &pipeline.receivers, &planned.id);
            if signals.is_empty() {
                continue;
            }
            let receiver = match old.receivers.get(&planned.id).filter(|_| stays(&diff.receivers, &planned.id)) {
                Some(receiver) => Arc::clone(receiver),
                None => {
                    let built = planned.configured.build(environment(&planned.id, &signals, None, around));
                    built.with_context(|| format!("failed to create {:?} receiver", planned.id.as_str()))?
                }
            };
            parts.receivers.insert(planned.id.clone(), receiver);
        }
        Ok(parts)
    }

    /// The processors of a pipeline, in order.
    pub fn of_pipeline<'a>(
        &'a self,
        pipeline: &'a PlannedPipeline,
    ) -> impl Iterator<Item = (&'a ComponentId, &'a ProcessorPart)> {
        let keys = pipeline.processors.iter().map(|id| (pipeline.id.clone(), id.clone()));
        keys.filter_map(|key| self.processors.get_key_value(&key)).map(|((_, id), part)| (id, part))
    }

    /// The emitting processors, each once.
    pub fn emitters(&self) -> Vec<(&ComponentId, &Arc<dyn Emitter>)> {
        let mut emitters: Vec<(&ComponentId, &Arc<dyn Emitter>)> = Vec::new();
        for ((_, id), part) in &self.processors {
            if let ProcessorPart::Emitting(_, emitter) = part
                && !emitters.iter().any(|(_, known)| Arc::ptr_eq(known, emitter))
            {
                emitters.push((id, emitter));
            }
        }
        emitters
    }

    /// Whether this instance is among them.
    pub fn has_emitter(&self, emitter: &Arc<dyn Emitter>) -> bool {
        self.emitters().iter().any(|(_, known)| Arc::ptr_eq(known, emitter))
    }

    pub fn memory_limits(&self) -> Vec<MemoryLimit> {
        let limits = self.processors.values().filter_map(|part| match part {
            ProcessorPart::Memory(limit) => Some(*limit),
            _ => None,
        });
        limits.collect()
    }

    /// How payloads for an exporter are merged: the first `batch` of a pipeline that names it.
    pub fn batching(&self, plan: &Plan, exporter: &ComponentId) -> Option<Batching> {
        let users = plan.pipelines.iter().filter(|pipeline| pipeline.exporters.contains(exporter));
        let batching = users.filter_map(|pipeline| {
            let parts = self.of_pipeline(pipeline).filter_map(|(_, part)| match part {
                ProcessorPart::Batching(batching) => Some(batching.clone()),
                _ => None,
            });
            parts.last()
        });
        batching.into_iter().next()
    }

    /// The destinations of the spine: exporters that have a queue.
    pub fn destinations(&self) -> Vec<DestinationSpec> {
        self.exporters.iter().filter_map(|(id, exporter)| exporter.spec(id)).collect()
    }
}

fn build_processor(
    plan: &Plan,
    pipeline: &PlannedPipeline,
    id: &ComponentId,
    around: &Surroundings,
) -> anyhow::Result<Option<ProcessorPart>> {
    let Some(planned) = plan.processors.iter().find(|planned| planned.id == *id) else { return Ok(None) };
    let environment = environment(id, &[pipeline.id.signal()], Some(&pipeline.id), around);
    let processor = planned.configured.build(environment).with_context(|| {
        format!("failed to create {:?} processor, in pipeline {:?}", id.as_str(), pipeline.id.as_str())
    })?;
    Ok(Some(match processor {
        Processor::Step(step) => ProcessorPart::Step(step),
        Processor::Emitting(step, emitter) => ProcessorPart::Emitting(step, emitter),
        Processor::Batching(batching) => ProcessorPart::Batching(batching),
        Processor::Memory(limit) => ProcessorPart::Memory(limit),
        Processor::Stage(_) => {
            return Err(anyhow!("{:?}: processors that hold data back are not available yet", id.as_str()));
        }
    }))
}

/// The signals of the pipelines that name a component, each once.
pub fn signals(plan: &Plan, named: impl Fn(&PlannedPipeline) -> &Vec<ComponentId>, id: &ComponentId) -> Vec<Signal> {
    let users = plan.pipelines.iter().filter(|pipeline| named(pipeline).contains(id));
    let mut signals: Vec<Signal> = users.map(|pipeline| pipeline.id.signal()).collect();
    signals.sort_unstable();
    signals.dedup();
    signals
}

pub(crate) fn environment(
    id: &ComponentId,
    signals: &[Signal],
    pipeline: Option<&PipelineId>,
    around: &Surroundings,
) -> Environment {
    Environment {
        id: id.clone(),
        signals: signals.into(),
        pipeline: pipeline.cloned(),
        pipelines: Arc::from([]),
        clock: Arc::clone(&around.clock),
        rng: Arc::clone(&around.rng),
        memory: around.memory.clone(),
        telemetry: around.telemetry.clone(),
        extensions: Extensions::default(),
        verdicts: around.verdicts.clone(),
    }
}
