//! The running graph: components built from a plan, connected, started and stopped in order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use sluice_exporters::delivery::{Parts, Pump};
use sluice_pipeline::admission::{Backstop, Limits, MemBudget, SystemFiles};
use sluice_pipeline::batch::NoRedaction;
use sluice_pipeline::clock::Clock;
use sluice_pipeline::component::{Component, Environment};
use sluice_pipeline::content::{ContentLimits, LimitStep};
use sluice_pipeline::context::MetadataKeys;
use sluice_pipeline::exporter::{Exporter, ExporterKind};
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::intake::{Branch, InlineDestination, Intake, Outputs};
use sluice_pipeline::ledger::Ledger;
use sluice_pipeline::processor::{Batching, Emitter, MemoryLimit, Processor};
use sluice_pipeline::receiver::{Consumer, Ingress, Pushback, Receiver, RequestLimits};
use sluice_pipeline::rng::Rng;
use sluice_pipeline::segment::{Redaction, Segment, SegmentStep};
use sluice_pipeline::spine::{DestinationSpec, OnQuota, RouteSet};
use sluice_pipeline::telemetry::{ProcFs, Telemetry};
use sluice_pipeline::{ComponentId, PipelineId, Signal, Step};
use tokio::task::JoinHandle;

use crate::plan::{Plan, PlannedPipeline};
use crate::spine::{Kept, Place};

/// What lives as long as the process: shared by every component.
#[derive(Clone)]
pub struct Surroundings {
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub memory: MemBudget,
    pub telemetry: Telemetry,
    pub ledger: Ledger,
}

/// A graph at work.
pub struct Graph {
    receivers: Vec<(ComponentId, Arc<dyn Receiver>)>,
    emitters: Vec<(ComponentId, Arc<dyn Emitter>)>,
    exporters: Vec<(ComponentId, Arc<dyn Component>)>,
    pumps: Vec<(ComponentId, Pump)>,
    /// Compares resident memory with the limit.
    backstop: Option<JoinHandle<()>>,
    spine: Kept,
}

struct BuiltExporter {
    kind: ExporterKind,
    batching: Option<Batching>,
}

/// The processors of one pipeline, in order.
struct BuiltPipeline<'p> {
    plan: &'p PlannedPipeline,
    steps: Vec<(ComponentId, Arc<Step>)>,
    emitters: Vec<(usize, ComponentId, Arc<dyn Emitter>)>,
    batching: Option<Batching>,
    memory: Option<MemoryLimit>,
}

impl Graph {
    /// Builds everything, connects it, and starts it: exporters first, receivers last.
    pub async fn start(plan: &Plan, around: &Surroundings) -> anyhow::Result<Self> {
        let extensions = crate::extensions::start(plan, around).await?;
        let pipelines = plan.pipelines.iter().map(|pipeline| build_pipeline(plan, pipeline, around));
        let pipelines = pipelines.collect::<anyhow::Result<Vec<_>>>()?;
        let place = crate::spine::find(plan, &extensions)?;
        for pipeline in &pipelines {
            resolve_ack(plan, pipeline.plan, &place, around)?;
        }
        let backstop = limit_memory(&pipelines, around);
        let exporters = build_exporters(plan, &pipelines, around)?;
        let spine = Kept::open(place, specs(&exporters), around).await?;
        let mut graph = connect(plan, &pipelines, &exporters, &spine, around).await?;
        graph.backstop = Some(backstop);
        graph.start_receivers().await?;
        Ok(graph)
    }

    async fn start_receivers(&self) -> anyhow::Result<()> {
        for (id, emitter) in &self.emitters {
            emitter.start().await.map_err(|error| anyhow!("failed to start {:?} processor: {error}", id.as_str()))?;
        }
        for (id, receiver) in &self.receivers {
            receiver.start().await.map_err(|error| anyhow!("failed to start {:?} receiver: {error}", id.as_str()))?;
        }
        Ok(())
    }

    /// Stops taking work, finishes what is in flight, and delivers what would be gone with the memory. What is on disk stays
    /// there.
    pub async fn stop(self, intake: Duration, drain: Duration) {
        let receivers = self.receivers.iter().map(|(_, receiver)| receiver.stop(intake));
        futures_util::future::join_all(receivers).await;
        for (_, emitter) in &self.emitters {
            emitter.stop(intake).await;
        }
        // Each destination has the whole time: a dead one takes none from the others.
        if self.spine.is_durable() {
            let pumps = self.pumps.into_iter().map(|(_, pump)| pump.pause(intake));
            futures_util::future::join_all(pumps).await;
        } else {
            let pumps = self.pumps.into_iter().map(|(_, pump)| pump.stop(drain));
            futures_util::future::join_all(pumps).await;
        }
        for (_, exporter) in &self.exporters {
            exporter.stop(intake).await;
        }
        self.spine.close().await;
        if let Some(backstop) = self.backstop {
            backstop.abort();
        }
    }
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
        clock: Arc::clone(&around.clock),
        rng: Arc::clone(&around.rng),
        memory: around.memory.clone(),
        telemetry: around.telemetry.clone(),
        extensions: Extensions::default(),
    }
}

fn build_pipeline<'p>(
    plan: &Plan,
    pipeline: &'p PlannedPipeline,
    around: &Surroundings,
) -> anyhow::Result<BuiltPipeline<'p>> {
    let mut built =
        BuiltPipeline { plan: pipeline, steps: Vec::new(), emitters: Vec::new(), batching: None, memory: None };
    for id in &pipeline.processors {
        let Some((_, configured, _)) = plan.processors.iter().find(|(known, ..)| known == id) else { continue };
        let environment = environment(id, &[pipeline.id.signal()], Some(&pipeline.id), around);
        let processor = configured.build(environment).with_context(|| {
            format!("failed to create {:?} processor, in pipeline {:?}", id.as_str(), pipeline.id.as_str())
        })?;
        match processor {
            Processor::Step(step) => built.steps.push((id.clone(), step)),
            Processor::Emitting(step, emitter) => {
                built.steps.push((id.clone(), step));
                built.emitters.push((built.steps.len(), id.clone(), emitter));
            }
            Processor::Batching(batching) => built.batching = Some(batching),
            Processor::Memory(limit) => built.memory = Some(limit),
            Processor::Stage(_) => {
                return Err(anyhow!("{:?}: processors that hold data back are not available yet", id.as_str()));
            }
        }
    }
    Ok(built)
}

/// Sets the memory budget: the smallest `memory_limiter`, else a share of what this process may use.
fn limit_memory(pipelines: &[BuiltPipeline<'_>], around: &Surroundings) -> JoinHandle<()> {
    let configured: Vec<MemoryLimit> = pipelines.iter().filter_map(|pipeline| pipeline.memory).collect();
    let limits = Limits::resolve(&configured, &SystemFiles);
    let backstop = Backstop::new(Arc::new(ProcFs::default()), around.memory.clone(), limits);
    tokio::spawn(backstop.run(Arc::clone(&around.clock)))
}

fn resolve_ack(plan: &Plan, pipeline: &PlannedPipeline, place: &Place, around: &Surroundings) -> anyhow::Result<()> {
    let (strict, no_journal) = (plan.service.delivery.strict, place.no_journal());
    let mode =
        sluice_pipeline::delivery::resolve(pipeline.ack, strict, pipeline.only_observes(), no_journal, &pipeline.id)
            .map_err(|error| anyhow!("service::delivery: {error}"))?;
    mode.announce(pipeline.ack, no_journal, &pipeline.id, &around.telemetry);
    Ok(())
}

fn build_exporters(
    plan: &Plan,
    pipelines: &[BuiltPipeline<'_>],
    around: &Surroundings,
) -> anyhow::Result<BTreeMap<ComponentId, BuiltExporter>> {
    let mut built = BTreeMap::new();
    for (id, configured) in &plan.exporters {
        let users: Vec<_> = pipelines.iter().filter(|pipeline| pipeline.plan.exporters.contains(id)).collect();
        if users.is_empty() {
            continue;
        }
        let mut signals: Vec<Signal> = users.iter().map(|pipeline| pipeline.plan.id.signal()).collect();
        signals.sort_unstable();
        signals.dedup();
        let kind = configured
            .build(environment(id, &signals, None, around))
            .with_context(|| format!("failed to create {:?} exporter", id.as_str()))?;
        let batching = users.iter().find_map(|pipeline| pipeline.batching.clone());
        built.insert(id.clone(), BuiltExporter { kind, batching });
    }
    Ok(built)
}

/// A cursor per exporter that has a queue.
fn specs(exporters: &BTreeMap<ComponentId, BuiltExporter>) -> Vec<DestinationSpec> {
    let specs = exporters.iter().filter_map(|(id, exporter)| match &exporter.kind {
        ExporterKind::Destination(_, delivery) => delivery.queue.as_ref().map(|queue| DestinationSpec {
            name: id.as_str().into(),
            max_bytes: queue.max_bytes.map(|bytes| bytes.0),
            queue_size: queue.queue_quota(),
            on_quota: if queue.loss_tolerant { queue.on_quota } else { OnQuota::Reject },
        }),
        ExporterKind::Observer(_) => None,
    });
    specs.collect()
}

async fn connect(
    plan: &Plan,
    pipelines: &[BuiltPipeline<'_>],
    exporters: &BTreeMap<ComponentId, BuiltExporter>,
    spine: &Kept,
    around: &Surroundings,
) -> anyhow::Result<Graph> {
    let shared = spine.shared();
    let mut graph = Graph {
        receivers: Vec::new(),
        emitters: Vec::new(),
        exporters: Vec::new(),
        pumps: Vec::new(),
        backstop: None,
        spine: spine.clone(),
    };
    for (id, built) in exporters {
        let started: Arc<dyn Component> = match &built.kind {
            ExporterKind::Destination(exporter, delivery) => {
                exporter
                    .start()
                    .await
                    .map_err(|error| anyhow!("failed to start {:?} exporter: {error}", id.as_str()))?;
                if delivery.queue.is_some()
                    && let Some(destination) = spine.destination(id.as_str())
                {
                    let pump = Pump::start(Parts {
                        id: id.clone(),
                        exporter: Arc::clone(exporter),
                        delivery: (**delivery).clone(),
                        batching: built.batching.clone(),
                        spine: Arc::clone(&shared),
                        destination,
                        clock: Arc::clone(&around.clock),
                        rng: Arc::clone(&around.rng),
                        telemetry: around.telemetry.clone(),
                    });
                    graph.pumps.push((id.clone(), pump));
                }
                as_component(exporter)
            }
            ExporterKind::Observer(observer) => {
                observer
                    .start()
                    .await
                    .map_err(|error| anyhow!("failed to start {:?} exporter: {error}", id.as_str()))?;
                Arc::clone(observer) as Arc<dyn Component>
            }
        };
        graph.exporters.push((id.clone(), started));
    }
    let intake =
        |branches| Intake::new(branches, Arc::clone(&shared), Arc::clone(&around.clock), blocking(exporters, spine));
    // Where limits are written they are all checked, before any processor sees an item (security §6).
    let limits = plan.service.limits_at.as_ref().map(|_| ContentLimits::from(&plan.service.limits));
    let mut branches: HashMap<PipelineId, Arc<Branch>> = HashMap::new();
    for pipeline in pipelines {
        branches.insert(pipeline.plan.id.clone(), Arc::new(branch(pipeline, 0, limits, exporters, spine, around)));
        for (behind, id, emitter) in &pipeline.emitters {
            let from_here = Arc::new(branch(pipeline, *behind, None, exporters, spine, around));
            emitter.connect(&pipeline.plan.id, Arc::new(intake(vec![from_here])));
            if !graph.emitters.iter().any(|(_, known)| Arc::ptr_eq(known, emitter)) {
                graph.emitters.push((id.clone(), Arc::clone(emitter)));
            }
        }
    }
    let keys = plan.receivers.iter().flat_map(|(_, configured)| &configured.metadata_keys);
    let keys = keys.chain(plan.processors.iter().flat_map(|(_, configured, _)| &configured.metadata_keys));
    let keys = keys.chain(plan.exporters.iter().flat_map(|(_, configured)| &configured.metadata_keys));
    let metadata_keys = MetadataKeys::new(keys.map(String::as_str));
    for (id, configured) in &plan.receivers {
        let users: Vec<_> = pipelines.iter().filter(|pipeline| pipeline.plan.receivers.contains(id)).collect();
        if users.is_empty() {
            continue;
        }
        let mut signals: Vec<Signal> = users.iter().map(|pipeline| pipeline.plan.id.signal()).collect();
        signals.sort_unstable();
        signals.dedup();
        let receiver = configured
            .build(environment(id, &signals, None, around))
            .with_context(|| format!("failed to create {:?} receiver", id.as_str()))?;
        let mut ingress = Ingress::new(
            around.memory.clone(),
            Arc::clone(&around.clock),
            Arc::clone(&around.rng),
            metadata_keys.clone(),
        );
        ingress.limits = RequestLimits::from(&plan.service.limits);
        for signal in signals {
            let of_signal = users.iter().filter(|pipeline| pipeline.plan.id.signal() == signal);
            for (.., emitter) in of_signal.clone().flat_map(|pipeline| &pipeline.emitters) {
                ingress = ingress.with_pushback(signal, Arc::clone(emitter) as Arc<dyn Pushback>);
            }
            let behind = of_signal.filter_map(|pipeline| branches.get(&pipeline.plan.id).cloned()).collect();
            let consumer = intake(behind);
            ingress = ingress.with_consumer(signal, Arc::new(consumer) as Arc<dyn Consumer>);
        }
        receiver.connect(ingress).map_err(|error| anyhow!("failed to start {:?} receiver: {error}", id.as_str()))?;
        graph.receivers.push((id.clone(), receiver));
    }
    Ok(graph)
}

fn as_component(exporter: &Arc<dyn Exporter>) -> Arc<dyn Component> {
    Arc::clone(exporter) as Arc<dyn Component>
}

/// The destinations for whose room requests wait.
fn blocking(exporters: &BTreeMap<ComponentId, BuiltExporter>, spine: &Kept) -> RouteSet {
    let blocks = exporters.iter().filter(|(_, exporter)| match &exporter.kind {
        ExporterKind::Destination(_, delivery) => delivery.queue.as_ref().is_some_and(|queue| queue.block_on_overflow),
        ExporterKind::Observer(_) => false,
    });
    blocks.filter_map(|(id, _)| spine.destination(id.as_str())).collect()
}

/// A pipeline from its step `from` on.
fn branch(
    pipeline: &BuiltPipeline<'_>,
    from: usize,
    limits: Option<ContentLimits>,
    exporters: &BTreeMap<ComponentId, BuiltExporter>,
    spine: &Kept,
    around: &Surroundings,
) -> Branch {
    let id = &pipeline.plan.id;
    let steps = pipeline.steps.iter().skip(from);
    let steps = steps.map(|(processor, step)| SegmentStep { processor: processor.clone(), step: Arc::clone(step) });
    let limits = limits.map(|limits| SegmentStep {
        processor: ComponentId::new("limits", ""),
        step: Arc::new(LimitStep::new(limits, &around.telemetry)),
    });
    let steps = limits.into_iter().chain(steps);
    let redaction = if pipeline.plan.redacts { Redaction::Done } else { Redaction::Waived(NoRedaction) };
    let mut outputs = Outputs::default();
    for exporter_id in &pipeline.plan.exporters {
        let Some(built) = exporters.get(exporter_id) else { continue };
        match &built.kind {
            ExporterKind::Observer(observer) => outputs.observers.push(Arc::clone(observer)),
            ExporterKind::Destination(exporter, delivery) if delivery.queue.is_none() => {
                outputs.inline.push(Arc::new(InlineDestination {
                    exporter: Arc::clone(exporter),
                    account: around.ledger.destination(exporter_id.as_str()),
                    timeout: Some(delivery.timeout).filter(|timeout| !timeout.is_zero()),
                }));
            }
            ExporterKind::Destination(..) => {
                if let Some(destination) = spine.destination(exporter_id.as_str()) {
                    outputs.routes = outputs.routes.with(destination);
                }
            }
        }
    }
    Branch {
        pipeline: id.clone(),
        segment: Segment::new(id.signal(), steps.collect(), redaction, &around.telemetry),
        account: around.ledger.pipeline(id.as_str()),
        outputs,
    }
}
