//! Ids of components and pipelines, as the configuration writes them.

use std::fmt;
use std::sync::Arc;

use sluice_pdata::Signal;

/// `type` or `type/name` of a component, with the canonical type. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentId(Arc<str>);

impl ComponentId {
    /// An id from its parts. The configuration has checked their syntax; an empty name means none.
    pub fn new(kind: &str, name: &str) -> Self {
        if name.is_empty() { Self(kind.into()) } else { Self(format!("{kind}/{name}").into()) }
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the slash.
    pub fn kind(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(kind, _)| kind)
    }

    /// The part behind the slash, or nothing.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

impl From<&sluice_config::ComponentId> for ComponentId {
    /// The configured id, its type as written. Use [`ComponentId::new`] with the canonical type where both are known.
    fn from(id: &sluice_config::ComponentId) -> Self {
        Self::new(id.kind(), id.name())
    }
}

impl From<&str> for ComponentId {
    /// Takes a checked id as written.
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `signal` or `signal/name` of a pipeline. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PipelineId {
    signal: Signal,
    text: Arc<str>,
}

impl PipelineId {
    /// An id from its parts; an empty name means none.
    pub fn new(signal: Signal, name: &str) -> Self {
        let text = if name.is_empty() { signal.name().into() } else { format!("{}/{name}", signal.name()).into() };
        Self { signal, text }
    }

    /// The signal that runs through the pipeline.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
