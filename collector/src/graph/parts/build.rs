//! Builds the components of a plan; of what stays, takes the instance that is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use sluice_pipeline::component::Environment;
use sluice_pipeline::connector::{Between, Connector};
use sluice_pipeline::exporter::ExporterKind;
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::factory::{ComponentKind, Instances};
use sluice_pipeline::processor::Processor;
use sluice_pipeline::{ComponentId, PipelineId, Signal};

use super::stages::{StageId, StagePart};
use super::{ConnectorPart, ExporterPart, Parts, ProcessorPart};
use crate::diff::{Changes, Diff, stays};
use crate::graph::Surroundings;
use crate::plan::{Link, Plan, Planned, PlannedPipeline};

impl Parts {
    /// Builds what the plan names; of what stays, takes the instance that is there. Starts nothing.
    pub fn build(
        plan: &Plan,
        diff: &Diff,
        old: &Parts,
        extensions: &Extensions,
        around: &Surroundings,
    ) -> anyhow::Result<Self> {
        let builder = Builder { plan, diff, old, extensions, around };
        let mut parts = Parts::default();
        for pipeline in &plan.pipelines {
            for id in &pipeline.processors {
                builder.processor(pipeline, id, &mut parts)?;
            }
        }
        builder.exporters(&mut parts)?;
        for link in &plan.links {
            builder.connector(link, &mut parts)?;
        }
        builder.receivers(&mut parts)?;
        Ok(parts)
    }
}

struct Builder<'g> {
    plan: &'g Plan,
    diff: &'g Diff,
    old: &'g Parts,
    extensions: &'g Extensions,
    around: &'g Surroundings,
}

impl Builder<'_> {
    fn processor(&self, pipeline: &PlannedPipeline, id: &ComponentId, parts: &mut Parts) -> anyhow::Result<()> {
        let Some(planned) = self.plan.processors.iter().find(|planned| planned.id == *id) else { return Ok(()) };
        let key = (pipeline.id.clone(), id.clone());
        let shared = planned.meta.stage == Some(Instances::Shared);
        let pipelines = match shared {
            true => using(self.plan, |pipeline| &pipeline.processors, id),
            false => vec![pipeline.id.clone()],
        };
        let stage = if shared { StageId::shared(id) } else { StageId::in_pipeline(id, &pipeline.id) };
        if parts.stages.contains_key(&stage) {
            parts.processors.insert(key, ProcessorPart::Stage(stage));
            return Ok(());
        }
        if stays(&self.diff.processors, id) {
            let before = self.old.stages.get(&stage);
            match (self.old.processors.get(&key), before) {
                (Some(ProcessorPart::Stage(_)) | None, Some(before)) if before.is_between(&pipelines, &pipelines) => {
                    parts.stages.insert(stage.clone(), StagePart::staying(before));
                    parts.processors.insert(key, ProcessorPart::Stage(stage));
                    return Ok(());
                }
                (Some(ProcessorPart::Stage(_)) | None, _) => {}
                (Some(part), _) => {
                    parts.processors.insert(key, part.clone());
                    return Ok(());
                }
            }
        }
        let signals = signals_of(&pipelines);
        let of = (!shared).then_some(&pipeline.id);
        let environment = environment(id, &signals, of, &pipelines, self.extensions, self.around);
        let processor = planned.configured.build(environment).with_context(|| {
            format!("failed to create {:?} processor, in pipeline {:?}", id.as_str(), pipeline.id.as_str())
        })?;
        let part = match processor {
            Processor::Step(step) => ProcessorPart::Step(step),
            Processor::Emitting(step, emitter) => ProcessorPart::Emitting(step, emitter),
            Processor::Batching(batching) => ProcessorPart::Batching(batching),
            Processor::Memory(limit) => ProcessorPart::Memory(limit),
            Processor::Stage(built) => {
                let before = self.old.stages.get(&stage);
                let part = StagePart::built(built, pipelines.clone(), pipelines, before);
                parts.stages.insert(stage.clone(), part);
                ProcessorPart::Stage(stage)
            }
        };
        parts.processors.insert(key, part);
        Ok(())
    }

    fn connector(&self, link: &Link, parts: &mut Parts) -> anyhow::Result<()> {
        let id = &link.connector;
        let Some(planned) = self.plan.connectors.iter().find(|planned| planned.id == *id) else { return Ok(()) };
        let key = (id.clone(), link.from, link.to);
        let stage = StageId::of_link(link);
        if stays(&self.diff.connectors, id) {
            match (self.old.connectors.get(&key), self.old.stages.get(&stage)) {
                (Some(ConnectorPart::Stage(_)), Some(before)) if before.is_between(&link.inputs, &link.outputs) => {
                    parts.stages.insert(stage.clone(), StagePart::staying(before));
                    parts.connectors.insert(key, ConnectorPart::Stage(stage));
                    return Ok(());
                }
                (Some(part @ ConnectorPart::Inline(_, outputs)), _) if *outputs == link.outputs => {
                    parts.connectors.insert(key, part.clone());
                    return Ok(());
                }
                _ => {}
            }
        }
        let environment = environment(id, &[link.from], None, &link.inputs, self.extensions, self.around);
        let between = Between { from: link.from, to: link.to, targets: link.outputs.clone() };
        let built = planned.configured.build((environment, between)).with_context(|| {
            format!("failed to create {:?} connector, from {} to {}", id.as_str(), link.from, link.to)
        })?;
        let part = match built {
            Connector::Inline(connector) => ConnectorPart::Inline(connector, link.outputs.clone()),
            Connector::Stage(built) => {
                let before = self.old.stages.get(&stage);
                let part = StagePart::built(built, link.inputs.clone(), link.outputs.clone(), before);
                parts.stages.insert(stage.clone(), part);
                ConnectorPart::Stage(stage)
            }
        };
        parts.connectors.insert(key, part);
        Ok(())
    }

    fn exporters(&self, parts: &mut Parts) -> anyhow::Result<()> {
        let of = Named { planned: &self.plan.exporters, names: |pipeline| &pipeline.exporters, what: "exporter" };
        let (old, changes) = (&self.old.exporters, &self.diff.exporters);
        parts.exporters = self.one_each(of, old, changes, |built| match built {
            ExporterKind::Destination(exporter, delivery) => ExporterPart::Destination(exporter, Arc::from(delivery)),
            ExporterKind::Observer(observer) => ExporterPart::Observer(observer),
        })?;
        Ok(())
    }

    fn receivers(&self, parts: &mut Parts) -> anyhow::Result<()> {
        let of = Named { planned: &self.plan.receivers, names: |pipeline| &pipeline.receivers, what: "receiver" };
        parts.receivers = self.one_each(of, &self.old.receivers, &self.diff.receivers, |built| built)?;
        Ok(())
    }

    /// One instance of each component that some pipeline names.
    fn one_each<K: ComponentKind<Environment = Environment>, Part: Clone>(
        &self,
        of: Named<'_, K>,
        old: &BTreeMap<ComponentId, Part>,
        changes: &Changes,
        part_of: impl Fn(K::Built) -> Part,
    ) -> anyhow::Result<BTreeMap<ComponentId, Part>> {
        let mut parts = BTreeMap::new();
        for planned in of.planned {
            let id = &planned.id;
            let pipelines = using(self.plan, of.names, id);
            if pipelines.is_empty() {
                continue;
            }
            let part = match old.get(id).filter(|_| stays(changes, id)) {
                Some(part) => part.clone(),
                None => {
                    let signals = signals_of(&pipelines);
                    let environment = environment(id, &signals, None, &pipelines, self.extensions, self.around);
                    let built = planned.configured.build(environment);
                    part_of(built.with_context(|| format!("failed to create {:?} {}", id.as_str(), of.what))?)
                }
            };
            parts.insert(id.clone(), part);
        }
        Ok(parts)
    }
}

/// The components of a kind of which each id has one instance.
struct Named<'p, K: ComponentKind> {
    planned: &'p [Planned<K>],
    /// Where a pipeline names them.
    names: fn(&PlannedPipeline) -> &Vec<ComponentId>,
    /// For errors.
    what: &'static str,
}

/// The pipelines that name a component, in order.
pub fn using(plan: &Plan, named: impl Fn(&PlannedPipeline) -> &Vec<ComponentId>, id: &ComponentId) -> Vec<PipelineId> {
    let users = plan.pipelines.iter().filter(|pipeline| named(pipeline).contains(id));
    users.map(|pipeline| pipeline.id.clone()).collect()
}

/// The signals of pipelines, each once.
pub fn signals_of(pipelines: &[PipelineId]) -> Vec<Signal> {
    let mut signals: Vec<Signal> = pipelines.iter().map(PipelineId::signal).collect();
    signals.sort_unstable();
    signals.dedup();
    signals
}

pub(crate) fn environment(
    id: &ComponentId,
    signals: &[Signal],
    pipeline: Option<&PipelineId>,
    pipelines: &[PipelineId],
    extensions: &Extensions,
    around: &Surroundings,
) -> Environment {
    Environment {
        id: id.clone(),
        signals: signals.into(),
        pipeline: pipeline.cloned(),
        pipelines: pipelines.into(),
        clock: Arc::clone(&around.clock),
        rng: Arc::clone(&around.rng),
        memory: around.memory.clone(),
        telemetry: around.telemetry.clone(),
        extensions: extensions.clone(),
        verdicts: around.verdicts.clone(),
        gates: around.gates.clone(),
    }
}
