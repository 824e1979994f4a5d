//! The stages of a graph: which instances there are, whom they serve, and what becomes of them at a reload.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use sluice_pipeline::spine::{DestinationSpec, NOTES, Role};
use sluice_pipeline::stage::Stage;
use sluice_pipeline::{ComponentId, PipelineId, Signal};

use crate::plan::Link;

/// Names an instance of a stage: as long as it is the same, it is the same cursors.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StageId {
    pub component: ComponentId,
    of: Of,
}

/// Whom an instance serves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    /// Every pipeline that names the processor.
    All,
    Pipeline(PipelineId),
    /// A connector between two signals.
    Link(Signal, Signal),
}

impl StageId {
    /// The one instance of a processor.
    pub fn shared(component: &ComponentId) -> Self {
        StageId { component: component.clone(), of: Of::All }
    }

    /// A processor's instance in one pipeline.
    pub fn in_pipeline(component: &ComponentId, pipeline: &PipelineId) -> Self {
        StageId { component: component.clone(), of: Of::Pipeline(pipeline.clone()) }
    }

    /// A connector's instance.
    pub fn of_link(link: &Link) -> Self {
        StageId { component: link.connector.clone(), of: Of::Link(link.from, link.to) }
    }

    /// The name of its cursor at one of its pipelines.
    pub fn port(&self, pipeline: &PipelineId) -> String {
        match self.of {
            Of::Link(_, to) => format!("{pipeline}/{}@{to}", self.component),
            _ => format!("{pipeline}/{}", self.component),
        }
    }

    /// The name of the destination that keeps its notes.
    pub fn notes(&self) -> String {
        format!("{self}{NOTES}")
    }
}

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Of::All => self.component.fmt(f),
            Of::Pipeline(pipeline) => write!(f, "{pipeline}/{}", self.component),
            Of::Link(from, to) => write!(f, "{}@{from}-{to}", self.component),
        }
    }
}

/// What becomes of an instance when a graph takes the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Stays,
    /// It takes over the state of the one before.
    Succeeds,
    /// It begins when the one before has decided what it holds: its ports are others.
    Follows,
    /// There was none.
    Comes,
}

/// An instance, and the pipelines around it.
pub struct StagePart {
    /// The pipelines it reads, in the order of its ports.
    pub inputs: Vec<PipelineId>,
    /// The pipelines it feeds, in the order of its ports.
    pub outputs: Vec<PipelineId>,
    pub fate: Fate,
    /// If it does not stay, until it is started.
    built: Mutex<Option<Box<dyn Stage>>>,
}

impl StagePart {
    /// One that stays.
    pub fn staying(before: &StagePart) -> Self {
        let (inputs, outputs) = (before.inputs.clone(), before.outputs.clone());
        StagePart { inputs, outputs, fate: Fate::Stays, built: Mutex::default() }
    }

    /// A new instance, in place of the one before, if there was one.
    pub fn built(
        stage: Box<dyn Stage>,
        inputs: Vec<PipelineId>,
        outputs: Vec<PipelineId>,
        before: Option<&StagePart>,
    ) -> Self {
        let fate = match before {
            None => Fate::Comes,
            Some(before) if before.is_between(&inputs, &outputs) => Fate::Succeeds,
            Some(_) => Fate::Follows,
        };
        StagePart { inputs, outputs, fate, built: Mutex::new(Some(stage)) }
    }

    /// Whether these are its ports.
    pub fn is_between(&self, inputs: &[PipelineId], outputs: &[PipelineId]) -> bool {
        self.inputs == inputs && self.outputs == outputs
    }

    /// The new instance, once.
    pub fn take(&self) -> Option<Box<dyn Stage>> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What the spine must know of the stages: a cursor for each port, and with a journal a place for notes.
pub fn destinations(stages: &BTreeMap<StageId, StagePart>, durable: bool) -> Vec<DestinationSpec> {
    let mut specs = Vec::new();
    for (id, part) in stages {
        let ports = part.inputs.iter().map(|pipeline| Arc::from(id.port(pipeline)));
        specs.extend(ports.map(|name| DestinationSpec::of_stage(name, Role::Stage)));
        if durable {
            specs.push(DestinationSpec::of_stage(id.notes().into(), Role::Notes));
        }
    }
    specs
}
