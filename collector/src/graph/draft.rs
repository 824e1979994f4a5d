//! The graph that is to run: everything that can fail, done while the present one works.

use std::sync::Arc;

use anyhow::anyhow;
use sluice_net::listen::Sockets;
use sluice_pipeline::admission::{Limits, SystemFiles};
use sluice_pipeline::component::Component;
use sluice_pipeline::delivery::{Asked, resolve};
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::{ComponentId, Error, PipelineId};

use super::parts::{Parts, ProcessorPart};
use super::wiring::Wiring;
use super::{Graph, Log, Modes, Surroundings};
use crate::diff::{Change, Diff, ends, stays};
use crate::failed_start::FailedStart;
use crate::plan::Plan;
use crate::spine::{Choice, Kept, choose};

/// A graph that is built and touches nothing outside of itself.
pub struct Draft {
    pub plan: Plan,
    pub diff: Diff,
    pub extensions: Extensions,
    pub parts: Parts,
    pub place: Choice,
    /// Why data is not on disk, if it is not.
    pub no_journal: Option<String>,
    pub modes: Modes,
    pub limits: Limits,
    pub log: Log,
}

/// A graph of which everything works but the receivers, which are bound.
pub struct Ready {
    pub draft: Draft,
    pub spine: Kept,
    pub wiring: Wiring,
}

impl Draft {
    /// Builds what the plan needs and the running graph does not have.
    ///
    /// # Errors
    /// What the components say, and what would need a restart; nothing is left behind.
    pub async fn build(mut plan: Plan, running: &Graph, around: &Surroundings) -> anyhow::Result<Self> {
        let mut diff = Diff::between(running.plan.as_ref(), &plan);
        replace_the_displaced(&mut diff, &plan, &running.parts);
        if let Some(old) = &running.plan {
            diff.adopt(old, &mut plan);
        }
        let extensions = crate::extensions::start(&plan, &diff, &running.extensions, around).await?;
        let in_use = !running.log.destinations.is_empty();
        let place = choose(&plan, &extensions, around.data_dir.as_deref(), &running.spine, in_use)?;
        let no_journal = place.no_journal().map(str::to_owned);
        let modes = modes(&plan, no_journal.as_deref())?;
        let parts = Parts::build(&plan, &diff, &running.parts, &extensions, around)?;
        let of_extensions = extensions.iter().filter_map(|(_, extension)| extension.memory_limit());
        let configured: Vec<_> = parts.memory_limits().into_iter().chain(of_extensions).collect();
        let limits = Limits::resolve(&configured, &SystemFiles);
        let durable = matches!(place, Choice::Open(_)) || running.spine.is_durable();
        let destinations = parts.destinations(durable);
        // A quarter of the budget unless quotas are written (delivery §3.11). Stages have a part of the log, and no written
        // quota: then there is room beyond what is written.
        let written: u64 = destinations.iter().filter_map(|spec| spec.max_bytes).sum();
        let written = if parts.stages.is_empty() { written } else { written.saturating_mul(2) };
        let log = Log { capacity: (limits.budget / 4).max(written), destinations };
        Ok(Draft { plan, diff, extensions, parts, place, no_journal, modes, limits, log })
    }

    /// Opens the spine if it is another one, binds what is to listen, makes room in the spine, and starts what is new but the
    /// receivers.
    ///
    /// # Errors
    /// What the components and the journal say; all of it is undone.
    pub async fn start(mut self, running: &Graph, around: &Surroundings) -> anyhow::Result<Ready> {
        let spine = match std::mem::take(&mut self.place) {
            Choice::Open(disk) => {
                if running.plan.is_none() {
                    // It takes its share of the memory that there will be.
                    around.memory.set_limits(self.limits.budget, self.limits.soft);
                }
                Kept::open(*disk, &self.log, around).await?
            }
            Choice::Keep { .. } => running.spine.clone(),
        };
        let mut started = Vec::new();
        match self.start_on(&spine, running, around, &mut started).await {
            Ok(wiring) => Ok(Ready { draft: self, spine, wiring }),
            Err(error) => {
                for component in started.into_iter().rev() {
                    component.stop(super::swap::GRACE).await;
                }
                if !spine.is(&running.spine) {
                    spine.close().await;
                // What was attached goes again, and with it nothing: nobody has written to it.
                } else if let Err(error) = spine.configure(&running.log, &around.ledger).await {
                    tracing::error!(%error, "the log could not be set back");
                }
                Err(error)
            }
        }
    }

    async fn start_on(
        &self,
        spine: &Kept,
        running: &Graph,
        around: &Surroundings,
        started: &mut Vec<Arc<dyn Component>>,
    ) -> anyhow::Result<Wiring> {
        self.bind(running).await?;
        if spine.is(&running.spine) {
            spine.attach(&running.log, &self.log, &around.ledger).await?;
        }
        let wiring = Wiring::new(&self.plan, &self.parts, &self.modes, spine, around);
        self.start_components(&wiring, started).await?;
        Ok(wiring)
    }

    /// New receivers listen, and nobody accepts.
    async fn bind(&self, running: &Graph) -> anyhow::Result<()> {
        let mut sockets = Sockets::default();
        for (id, receiver) in &running.parts.receivers {
            if ends(&self.diff.receivers, id) {
                receiver.offer(&mut sockets);
            }
        }
        for (id, receiver) in &self.parts.receivers {
            if !stays(&self.diff.receivers, id) {
                let bound = receiver.bind(&mut sockets).await;
                bound.map_err(|error| {
                    FailedStart::of(format!("failed to start {:?} receiver: {error}", id.as_str()), &error)
                })?;
            }
        }
        Ok(())
    }

    async fn start_components(&self, wiring: &Wiring, started: &mut Vec<Arc<dyn Component>>) -> anyhow::Result<()> {
        let failed = |kind: &str, id: &ComponentId, error: Error| {
            FailedStart::of(format!("failed to start {:?} {kind}: {error}", id.as_str()), &error)
        };
        for (id, exporter) in &self.parts.exporters {
            if !stays(&self.diff.exporters, id) {
                let component = exporter.component();
                component.start().await.map_err(|error| failed("exporter", id, error))?;
                started.push(component);
            }
        }
        for (id, emitter, behind) in &wiring.emitters {
            match self.diff.processors.get(id) {
                Some(Change::Add) => {
                    emitter.connect(behind.clone());
                    started.push(Arc::clone(emitter) as Arc<dyn Component>);
                    emitter.start().await.map_err(|error| failed("processor", id, error))?;
                }
                // Its predecessor may hold what only one can have: it is started when that one has ended.
                Some(Change::Replace) => {
                    let pipelines: Vec<PipelineId> = behind.iter().map(|(pipeline, _)| pipeline.clone()).collect();
                    emitter.check(&pipelines).map_err(|error| failed("processor", id, error))?;
                }
                _ => {}
            }
        }
        for (id, receiver) in &self.parts.receivers {
            if !stays(&self.diff.receivers, id)
                && let Some(ingress) = wiring.ingresses.get(id)
            {
                receiver.connect(ingress.clone()).map_err(|error| failed("receiver", id, error))?;
            }
        }
        Ok(())
    }
}

/// An emitter with the same config cannot stay if it could not go on in its new pipelines.
fn replace_the_displaced(diff: &mut Diff, plan: &Plan, running: &Parts) {
    for ((_, id), part) in &running.processors {
        let ProcessorPart::Emitting(_, emitter) = part else { continue };
        let named = plan.pipelines.iter().filter(|pipeline| pipeline.processors.contains(id));
        let pipelines: Vec<PipelineId> = named.map(|pipeline| pipeline.id.clone()).collect();
        if stays(&diff.processors, id) && !emitter.survives(&pipelines) {
            tracing::warn!(processor = id.as_str(), "its pipelines are others: the processor starts anew");
            diff.processors.insert(id.clone(), Change::Replace);
        }
    }
}

fn modes(plan: &Plan, no_journal: Option<&str>) -> anyhow::Result<Modes> {
    let modes = plan.pipelines.iter().map(|pipeline| {
        let asked = Asked {
            ack: pipeline.ack,
            strict: plan.service.delivery.strict,
            only_observers: pipeline.only_observes,
            holds_back: pipeline.holds_back,
            no_journal,
        };
        let mode = resolve(asked, &pipeline.id).map_err(|error| anyhow!("service::delivery: {error}"))?;
        Ok((pipeline.id.clone(), (pipeline.ack, mode)))
    });
    modes.collect()
}
