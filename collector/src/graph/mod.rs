//! The running graph: components built from a plan, connected, and at work; and how another plan takes its place.
//!
//! A start is a reload from nothing. [`Draft`] builds, binds and starts whatever can fail while the graph that runs knows
//! nothing of it; `swap` then cannot fail any more. Instances whose config is the same are in both.

mod draft;
mod driving;
mod exported;
mod generation;
mod parts;
mod swap;
mod wiring;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sluice_config::service::Ack;
use sluice_exporters::delivery::Pump;
use sluice_pipeline::ComponentId;
use sluice_pipeline::PipelineId;
use sluice_pipeline::Refusal;
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::clock::Clock;
use sluice_pipeline::delivery::AckMode;
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::gates::FeatureGates;
use sluice_pipeline::ledger::Ledger;
use sluice_pipeline::processor::Batching;
use sluice_pipeline::rng::Rng;
use sluice_pipeline::spine::DestinationSpec;
use sluice_pipeline::stage_driver::Driving;
use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::verdict::VerdictBoard;
use tokio::task::JoinHandle;

use crate::diff::Diff;
use crate::live::Running;
use crate::plan::Plan;
use crate::spine::Kept;
use draft::Draft;
use generation::Generation;
use parts::{Parts, StageId};

pub use generation::Patience;
pub(crate) use parts::environment;

/// What lives as long as the process: shared by every component.
#[derive(Clone)]
pub struct Surroundings {
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub memory: MemBudget,
    pub telemetry: Telemetry,
    pub ledger: Ledger,
    /// What deciding stages know of traces.
    pub verdicts: VerdictBoard,
    /// Feature gates that are on.
    pub gates: FeatureGates,
    /// The state directory that the command line names.
    pub data_dir: Option<Arc<Path>>,
}

/// As written and as resolved.
pub(crate) type Modes = BTreeMap<PipelineId, (Ack, AckMode)>;

/// A graph at work.
pub struct Graph {
    /// `None` before the first one.
    plan: Option<Plan>,
    extensions: Extensions,
    parts: Parts,
    modes: Modes,
    /// In memory until a plan has destinations and asks for more.
    spine: Kept,
    log: Log,
    pumps: BTreeMap<ComponentId, Pumping>,
    drivers: BTreeMap<StageId, Driving>,
    /// Compares resident memory with the limit.
    backstop: Option<JoinHandle<()>>,
    generation: Generation,
    /// Of the ways behind stages.
    behind_stages: Generation,
}

/// How the spine is set up.
#[derive(Clone, Default)]
pub(crate) struct Log {
    /// Bytes, if it is in memory.
    pub capacity: u64,
    pub destinations: Vec<DestinationSpec>,
}

/// A destination at work.
struct Pumping {
    pump: Pump,
    batching: Option<Batching>,
}

impl Graph {
    /// A graph without components.
    ///
    /// # Errors
    /// None in practice: a log without destinations has room.
    pub fn new(around: &Surroundings) -> anyhow::Result<Self> {
        let log = Log::default();
        let spine = Kept::in_memory(&log, around)?;
        Ok(Graph {
            plan: None,
            extensions: Extensions::default(),
            parts: Parts::default(),
            modes: BTreeMap::new(),
            spine,
            log,
            pumps: BTreeMap::new(),
            drivers: BTreeMap::new(),
            backstop: None,
            generation: Generation::new(),
            behind_stages: Generation::new(),
        })
    }

    /// Puts a plan into practice, in place of the one before. Returns when what that one began has ended, and what changed.
    ///
    /// # Errors
    /// Whatever prevents it; the graph then works as before.
    pub async fn load(&mut self, plan: Plan, around: &Surroundings, patience: &Patience) -> anyhow::Result<Diff> {
        let draft = Draft::build(plan, self, around).await?;
        let ready = draft.start(self, around).await?;
        Ok(self.swap(ready, around, patience).await)
    }

    /// What another plan would change, as far as it can be told without building anything.
    pub fn diff(&self, plan: &Plan) -> Diff {
        Diff::between(self.plan.as_ref(), plan)
    }

    /// What others may look at.
    pub fn shown(&self) -> Running {
        let receivers = self.parts.receivers.iter().map(|(id, receiver)| (id.clone(), Arc::downgrade(receiver)));
        Running {
            spine: self.spine.clone(),
            destinations: self.log.destinations.iter().map(|spec| Arc::clone(&spec.name)).collect(),
            receivers: receivers.collect(),
        }
    }

    /// Stops taking work, finishes what is in flight, and delivers what would be gone with the memory. What is on disk stays
    /// there.
    pub async fn stop(mut self, intake: Duration, drain: Duration) {
        crate::extensions::not_ready(&self.extensions);
        let receivers = self.parts.receivers.values().map(|receiver| receiver.stop(intake));
        let spine = self.spine.shared();
        // Who still waits for a destination is told to come back while there is somebody to tell it.
        let dismiss = async {
            tokio::time::sleep(intake * 3 / 4).await;
            spine.confirmations().refuse_all(&Refusal::ShuttingDown);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = futures_util::future::join_all(receivers) => {}
            () = dismiss => {}
        }
        for (_, emitter) in self.parts.emitters() {
            emitter.stop(intake).await;
        }
        let drain = self.stop_stages(drain).await;
        // Each destination has the whole time: a dead one takes none from the others.
        if self.spine.is_durable() {
            let pumps = self.pumps.into_values().map(|pumping| pumping.pump.hand_over(tokio::time::sleep(intake)));
            futures_util::future::join_all(pumps).await;
        } else {
            let pumps = self.pumps.into_values().map(|pumping| pumping.pump.stop(drain));
            futures_util::future::join_all(pumps).await;
        }
        for exporter in self.parts.exporters.values() {
            exporter.component().stop(intake).await;
        }
        self.spine.close().await;
        crate::extensions::stop(self.extensions, &Extensions::default(), Duration::ZERO).await;
        if let Some(backstop) = self.backstop {
            backstop.abort();
        }
    }
}

#[cfg(test)]
mod tests;
