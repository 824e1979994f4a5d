//! Connector `forward`: passes everything on to every pipeline behind it, of the same signal. It joins pipelines, or splits one
//! up, without another receiver between.

use std::sync::Arc;

use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::connector::{Between, Connector, InlineConnector, Routed};
use sluice_pipeline::factory::{Connectors, Factory, Meta, NoConfig, SAME_SIGNAL};
use sluice_pipeline::{Batch, Error, Refusal};

/// Makes `forward` connectors.
pub struct ForwardFactory;

impl Factory<Connectors> for ForwardFactory {
    type Config = NoConfig;

    fn meta(&self) -> Meta {
        Meta { pairs: SAME_SIGNAL, ..Meta::new("forward", Stability::Beta) }
    }

    fn build(&self, _config: &NoConfig, (_, between): (Environment, Between)) -> Result<Connector, Error> {
        Ok(Connector::Inline(Arc::new(Forward { pipelines: between.targets.len() })))
    }
}

struct Forward {
    pipelines: usize,
}

impl InlineConnector for Forward {
    fn route(&self, batch: &Batch) -> Result<Routed, Refusal> {
        // Shared, not copied.
        let outputs = (0..self.pipelines).map(|pipeline| (pipeline, batch.clone())).collect();
        Ok(Routed { outputs, dropped: Vec::new(), created: batch.items() * self.pipelines.saturating_sub(1) })
    }
}

#[cfg(test)]
mod tests;
