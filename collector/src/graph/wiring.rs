//! How the components of a graph are connected: what lies behind each receiver, each stage, and each emitting processor.

mod branch;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sluice_pipeline::content::ContentLimits;
use sluice_pipeline::context::MetadataKeys;
use sluice_pipeline::intake::{Branch, Intake};
use sluice_pipeline::processor::Emitter;
use sluice_pipeline::receiver::{Consumer, Ingress, Pushback, RequestLimits};
use sluice_pipeline::spine::RouteSet;
use sluice_pipeline::stage_driver::Behind as Branches;
use sluice_pipeline::{ComponentId, PipelineId};

use super::generation::Generation;
use super::parts::{ExporterPart, Parts, ProcessorPart, StageId, StagePart, signals_of, using};
use super::{Modes, Surroundings};
use crate::plan::{Plan, PlannedPipeline};
use crate::spine::Kept;

/// Where an emitting processor's telemetry goes.
pub type Behind = Vec<(PipelineId, Arc<dyn Consumer>)>;

/// Everything connected, and nothing yet that uses it.
pub struct Wiring {
    pub ingresses: BTreeMap<ComponentId, Ingress>,
    pub emitters: Vec<(ComponentId, Arc<dyn Emitter>, Behind)>,
    pub generation: Generation,
    /// Where what each stage emits goes.
    pub stages: BTreeMap<StageId, Branches>,
    /// Of those ways.
    pub behind_stages: Generation,
}

struct Wires<'g> {
    plan: &'g Plan,
    parts: &'g Parts,
    modes: &'g Modes,
    spine: &'g Kept,
    around: &'g Surroundings,
    generation: Generation,
    behind_stages: Generation,
    /// Pipelines from their first processor on, as connectors feed them.
    fed: RefCell<HashMap<PipelineId, Arc<Branch>>>,
}

impl Wiring {
    /// Connects the parts of a plan. The spine knows all destinations.
    pub fn new(plan: &Plan, parts: &Parts, modes: &Modes, spine: &Kept, around: &Surroundings) -> Self {
        let (generation, behind_stages) = (Generation::new(), Generation::new());
        let wires = Wires { plan, parts, modes, spine, around, generation, behind_stages, fed: RefCell::default() };
        let (ingresses, emitters, stages) = (wires.ingresses(), wires.emitters(), wires.stages());
        let Wires { generation, behind_stages, .. } = wires;
        Wiring { ingresses, emitters, generation, stages, behind_stages }
    }
}

impl Wires<'_> {
    fn ingresses(&self) -> BTreeMap<ComponentId, Ingress> {
        // Where limits are written they are all checked, before any processor sees an item (security §6).
        let limits = self.plan.service.limits_at.as_ref().map(|_| ContentLimits::from(&self.plan.service.limits));
        let pipelines = self.plan.pipelines.iter();
        let branches = pipelines.map(|pipeline| (pipeline.id.clone(), Arc::new(self.branch(pipeline, 0, limits))));
        let branches: HashMap<PipelineId, Arc<Branch>> = branches.collect();
        let keys = self.metadata_keys();
        let ids = self.parts.receivers.keys();
        ids.map(|id| (id.clone(), self.ingress(id, &branches, keys.clone()))).collect()
    }

    fn ingress(&self, id: &ComponentId, branches: &HashMap<PipelineId, Arc<Branch>>, keys: MetadataKeys) -> Ingress {
        let around = self.around;
        let mut ingress = Ingress::new(around.memory.clone(), Arc::clone(&around.clock), Arc::clone(&around.rng), keys);
        ingress.limits = RequestLimits::from(&self.plan.service.limits);
        ingress.pages = self.spine.shared().pages();
        for signal in signals_of(&using(self.plan, |pipeline| &pipeline.receivers, id)) {
            let users = self.plan.pipelines.iter().filter(|pipeline| pipeline.receivers.contains(id));
            let users: Vec<_> = users.filter(|pipeline| pipeline.id.signal() == signal).collect();
            for (_, part) in users.iter().flat_map(|pipeline| self.parts.of_pipeline(pipeline)) {
                if let ProcessorPart::Emitting(_, emitter) = part {
                    ingress = ingress.with_pushback(signal, Arc::clone(emitter) as Arc<dyn Pushback>);
                }
            }
            let behind = users.iter().filter_map(|pipeline| branches.get(&pipeline.id).cloned()).collect();
            let hold = *self.plan.service.delivery.exported_timeout;
            ingress = ingress.with_consumer(signal, self.member(self.intake(behind).holding(hold)));
        }
        ingress
    }

    fn emitters(&self) -> Vec<(ComponentId, Arc<dyn Emitter>, Behind)> {
        let emitters = self.parts.emitters().into_iter();
        let wired = emitters.map(|(id, emitter)| {
            let behind = self.plan.pipelines.iter().filter_map(|pipeline| {
                let from = self.behind(pipeline, emitter)?;
                let branch = Arc::new(self.branch(pipeline, from, None));
                Some((pipeline.id.clone(), self.member(self.intake(vec![branch]))))
            });
            (id.clone(), Arc::clone(emitter), behind.collect())
        });
        wired.collect()
    }

    /// Where each stage's output goes, by its ports.
    fn stages(&self) -> BTreeMap<StageId, Branches> {
        let stages = self.parts.stages.iter();
        let wired = stages.map(|(id, part)| {
            let branches = part.outputs.iter().filter_map(|pipeline| self.behind_stage(id, part, pipeline)).collect();
            let lease = Some(Box::new(self.behind_stages.lease()) as _);
            (id.clone(), Branches { branches, lease })
        });
        wired.collect()
    }

    /// What lies behind a stage in a pipeline: what follows the processor, or all of it behind a connector.
    fn behind_stage(&self, id: &StageId, part: &StagePart, pipeline: &PipelineId) -> Option<Arc<Branch>> {
        let planned = self.plan.pipelines.iter().find(|planned| planned.id == *pipeline)?;
        let own = |part: &ProcessorPart| matches!(part, ProcessorPart::Stage(known) if known == id);
        let at = self.parts.of_pipeline(planned).position(|(_, part)| own(part));
        match at {
            Some(at) if part.inputs.contains(pipeline) => Some(Arc::new(self.branch(planned, at + 1, None))),
            _ => self.fed(pipeline),
        }
    }

    /// A pipeline as connectors feed it: what comes was checked when it came in.
    fn fed(&self, id: &PipelineId) -> Option<Arc<Branch>> {
        if let Some(known) = self.fed.borrow().get(id) {
            return Some(Arc::clone(known));
        }
        let pipeline = self.plan.pipelines.iter().find(|pipeline| pipeline.id == *id)?;
        // Pipelines that feed each other in a circle are refused when the configuration is loaded.
        let branch = Arc::new(self.branch(pipeline, 0, None));
        self.fed.borrow_mut().insert(id.clone(), Arc::clone(&branch));
        Some(branch)
    }

    /// The place behind an emitter in a pipeline.
    fn behind(&self, pipeline: &PlannedPipeline, emitter: &Arc<dyn Emitter>) -> Option<usize> {
        let own =
            |part: &ProcessorPart| matches!(part, ProcessorPart::Emitting(_, known) if Arc::ptr_eq(known, emitter));
        self.parts.of_pipeline(pipeline).position(|(_, part)| own(part)).map(|index| index + 1)
    }

    fn intake(&self, branches: Vec<Arc<Branch>>) -> Intake {
        Intake::new(branches, self.spine.shared(), Arc::clone(&self.around.clock), self.blocking())
    }

    fn member(&self, intake: Intake) -> Arc<dyn Consumer> {
        Arc::new(self.generation.member(intake))
    }

    /// Request headers that some configured component reads.
    fn metadata_keys(&self) -> MetadataKeys {
        let plan = self.plan;
        let keys = plan.receivers.iter().flat_map(|planned| &planned.configured.metadata_keys);
        let keys = keys.chain(plan.processors.iter().flat_map(|planned| &planned.configured.metadata_keys));
        let keys = keys.chain(plan.exporters.iter().flat_map(|planned| &planned.configured.metadata_keys));
        let keys = keys.chain(plan.connectors.iter().flat_map(|planned| &planned.configured.metadata_keys));
        let extensions = plan.extensions.iter().filter(|planned| plan.uses_extension(&planned.id));
        let keys = keys.chain(extensions.flat_map(|planned| &planned.configured.metadata_keys));
        MetadataKeys::new(keys.map(String::as_str))
    }

    /// The destinations for whose room requests wait.
    fn blocking(&self) -> RouteSet {
        let blocks = self.parts.exporters.iter().filter(|(_, exporter)| match exporter {
            ExporterPart::Destination(_, delivery) => {
                delivery.queue.as_ref().is_some_and(|queue| queue.block_on_overflow)
            }
            ExporterPart::Observer(_) => false,
        });
        blocks.filter_map(|(id, _)| self.spine.destination(id.as_str())).collect()
    }
}
