//! The components of a graph. All of it is shared: a graph and its successor hold the same instance of what stays.

mod build;
mod order;
mod stages;

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_pipeline::component::Component;
use sluice_pipeline::connector::InlineConnector;
use sluice_pipeline::exporter::{Delivery, Exporter, Observer};
use sluice_pipeline::processor::{Batching, Emitter, MemoryLimit};
use sluice_pipeline::receiver::Receiver;
use sluice_pipeline::spine::{DestinationSpec, OnQuota, Role};
use sluice_pipeline::{ComponentId, PipelineId, Signal, Step};

use crate::plan::{Plan, PlannedPipeline};

pub(crate) use build::environment;
pub use build::{signals_of, using};
pub use stages::{Fate, StageId, StagePart};

#[derive(Default)]
pub struct Parts {
    pub receivers: BTreeMap<ComponentId, Arc<dyn Receiver>>,
    pub processors: BTreeMap<(PipelineId, ComponentId), ProcessorPart>,
    pub exporters: BTreeMap<ComponentId, ExporterPart>,
    /// By connector and signals.
    pub connectors: BTreeMap<(ComponentId, Signal, Signal), ConnectorPart>,
    pub stages: BTreeMap<StageId, StagePart>,
}

#[derive(Clone)]
pub enum ProcessorPart {
    Step(Arc<Step>),
    Emitting(Arc<Step>, Arc<dyn Emitter>),
    Batching(Batching),
    Memory(MemoryLimit),
    Stage(StageId),
}

#[derive(Clone)]
pub enum ConnectorPart {
    /// With the pipelines it was built for.
    Inline(Arc<dyn InlineConnector>, Vec<PipelineId>),
    Stage(StageId),
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
            role: Role::Exporter,
            max_bytes: queue.max_bytes.map(|bytes| bytes.0),
            queue_size: queue.queue_quota(),
            on_quota: if queue.loss_tolerant { queue.on_quota } else { OnQuota::Reject },
        })
    }
}

impl Parts {
    /// The processors of a pipeline, in order.
    pub fn of_pipeline<'a>(
        &'a self,
        pipeline: &'a PlannedPipeline,
    ) -> impl Iterator<Item = (&'a ComponentId, &'a ProcessorPart)> {
        let keys = pipeline.processors.iter().map(|id| (pipeline.id.clone(), id.clone()));
        keys.filter_map(|key| self.processors.get_key_value(&key)).map(|((_, id), part)| (id, part))
    }

    /// Whether some pipeline names this processor.
    pub fn has_processor(&self, id: &ComponentId) -> bool {
        self.processors.keys().any(|(_, known)| known == id)
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

    /// The destinations of the spine: exporters that have a queue, and what stages read.
    pub fn destinations(&self, durable: bool) -> Vec<DestinationSpec> {
        let exporters = self.exporters.iter().filter_map(|(id, exporter)| exporter.spec(id));
        exporters.chain(stages::destinations(&self.stages, durable)).collect()
    }
}
