//! How the components of a graph are connected: what lies behind each receiver, and behind each emitting processor.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sluice_pipeline::batch::NoRedaction;
use sluice_pipeline::content::{ContentLimits, LimitStep};
use sluice_pipeline::context::MetadataKeys;
use sluice_pipeline::intake::{Branch, InlineDestination, Intake, Outputs};
use sluice_pipeline::processor::Emitter;
use sluice_pipeline::receiver::{Consumer, Ingress, Pushback, RequestLimits};
use sluice_pipeline::segment::{Redaction, Segment, SegmentStep};
use sluice_pipeline::spine::RouteSet;
use sluice_pipeline::{ComponentId, PipelineId};

use super::exported::is_awaited;
use super::generation::Generation;
use super::parts::{ExporterPart, Parts, ProcessorPart, signals};
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
}

struct Wires<'g> {
    plan: &'g Plan,
    parts: &'g Parts,
    modes: &'g Modes,
    spine: &'g Kept,
    around: &'g Surroundings,
    generation: Generation,
}

impl Wiring {
    /// Connects the parts of a plan. The spine knows all destinations.
    pub fn new(plan: &Plan, parts: &Parts, modes: &Modes, spine: &Kept, around: &Surroundings) -> Self {
        let wires = Wires { plan, parts, modes, spine, around, generation: Generation::new() };
        let (ingresses, emitters) = (wires.ingresses(), wires.emitters());
        Wiring { ingresses, emitters, generation: wires.generation }
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
        for signal in signals(self.plan, |pipeline| &pipeline.receivers, id) {
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
                let from = self.step_behind(pipeline, emitter)?;
                let branch = Arc::new(self.branch(pipeline, from, None));
                Some((pipeline.id.clone(), self.member(self.intake(vec![branch]))))
            });
            (id.clone(), Arc::clone(emitter), behind.collect())
        });
        wired.collect()
    }

    /// The number of the step that follows an emitter's own.
    fn step_behind(&self, pipeline: &PlannedPipeline, emitter: &Arc<dyn Emitter>) -> Option<usize> {
        let steps = self.parts.of_pipeline(pipeline).filter(|(_, part)| step(part).is_some());
        let own =
            |part: &ProcessorPart| matches!(part, ProcessorPart::Emitting(_, known) if Arc::ptr_eq(known, emitter));
        steps.enumerate().find(|(_, (_, part))| own(part)).map(|(index, _)| index + 1)
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

    /// A pipeline from its step `from` on.
    fn branch(&self, pipeline: &PlannedPipeline, from: usize, limits: Option<ContentLimits>) -> Branch {
        let (id, around) = (&pipeline.id, self.around);
        let steps = self.parts.of_pipeline(pipeline).filter_map(|(processor, part)| {
            step(part).map(|step| SegmentStep { processor: processor.clone(), step: Arc::clone(step) })
        });
        let limits = limits.map(|limits| SegmentStep {
            processor: ComponentId::new("limits", ""),
            step: Arc::new(LimitStep::new(limits, &around.telemetry)),
        });
        let steps = limits.into_iter().chain(steps.skip(from));
        let redaction = if pipeline.redacts { Redaction::Done } else { Redaction::Waived(NoRedaction) };
        Branch {
            pipeline: id.clone(),
            segment: Segment::new(id.signal(), steps.collect(), redaction, &around.telemetry),
            account: around.ledger.pipeline(id.as_str()),
            outputs: self.outputs(pipeline),
        }
    }

    fn outputs(&self, pipeline: &PlannedPipeline) -> Outputs {
        let mut outputs = Outputs::default();
        for id in &pipeline.exporters {
            match self.parts.exporters.get(id) {
                None => {}
                Some(ExporterPart::Observer(observer)) => outputs.observers.push(Arc::clone(observer)),
                Some(ExporterPart::Destination(exporter, delivery)) if delivery.queue.is_none() => {
                    outputs.inline.push(Arc::new(InlineDestination {
                        exporter: Arc::clone(exporter),
                        account: self.around.ledger.destination(id.as_str()),
                        timeout: Some(delivery.timeout).filter(|timeout| !timeout.is_zero()),
                    }));
                }
                Some(ExporterPart::Destination(_, delivery)) => {
                    if let Some(destination) = self.spine.destination(id.as_str()) {
                        outputs.routes = outputs.routes.with(destination);
                        if is_awaited(delivery, self.modes, &pipeline.id) {
                            outputs.awaited = outputs.awaited.with(destination);
                        }
                    }
                }
            }
        }
        outputs
    }
}

fn step(part: &ProcessorPart) -> Option<&Arc<sluice_pipeline::Step>> {
    match part {
        ProcessorPart::Step(step) | ProcessorPart::Emitting(step, _) => Some(step),
        ProcessorPart::Batching(_) | ProcessorPart::Memory(_) => None,
    }
}
