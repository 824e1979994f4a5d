//! What every component has.

use std::sync::Arc;
use std::time::Duration;

use crate::admission::MemBudget;
use crate::clock::Clock;
use crate::error::Error;
use crate::extension::Extensions;
use crate::gates::FeatureGates;
use crate::id::{ComponentId, PipelineId};
use crate::rng::Rng;
use crate::telemetry::Telemetry;
use crate::verdict::VerdictBoard;
use crate::{BoxFuture, Signal};

/// Start and stop. Extensions start first, receivers last; stopping runs the other way.
pub trait Component: Send + Sync {
    /// Binds, connects, spawns. Returns once the component works, or why it cannot.
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Stops taking work, finishes what is in flight within `grace`, ends its tasks. Called at most once.
    fn stop(&self, _grace: Duration) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What a component is built with. Clones share everything.
#[derive(Clone)]
pub struct Environment {
    /// Id of the component that is being built.
    pub id: ComponentId,
    /// The signals it is used for: those of the pipelines that name it. Never empty but for extensions.
    pub signals: Arc<[Signal]>,
    /// The pipeline, for components of which there is one per pipeline (processors).
    pub pipeline: Option<PipelineId>,
    /// The pipelines that name it, in the order of the configuration: the ports of a stage ([`crate::stage::Port`]).
    pub pipelines: Arc<[PipelineId]>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub memory: MemBudget,
    /// Where metrics are registered, once, when the component is built.
    pub telemetry: Telemetry,
    /// Extensions that were built before.
    pub extensions: Extensions,
    /// Where deciding stages make their verdicts known, and others look them up.
    pub verdicts: VerdictBoard,
    /// Feature gates that are on.
    pub gates: FeatureGates,
}

/// How far a component can be relied on, per signal, as upstream's `components` command shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stability {
    Development,
    Alpha,
    Beta,
    Stable,
}

impl Stability {
    pub const fn name(self) -> &'static str {
        match self {
            Stability::Development => "Development",
            Stability::Alpha => "Alpha",
            Stability::Beta => "Beta",
            Stability::Stable => "Stable",
        }
    }
}
