//! Connector `count`: how many spans, span events, metrics, data points and log records there are, as metrics
//! (collector-compat §5).
//!
//! It keeps no state: each request that comes in makes one that goes out, in the same append, so that nothing is counted twice
//! or not at all.
//!
//! | file | concept |
//! |---|---|
//! | `config` | upstream's fields |
//! | `definition` | what each metric counts, compiled |
//! | `walk` | from a request to its counts, resource by resource |
//! | `counter` | the counts of one resource, and what is written of them |

mod config;
mod counter;
mod definition;
mod walk;

#[cfg(test)]
mod tests;

pub use config::{Attribute, Config, Metric, Metrics};

use std::sync::Arc;

use sluice_config::Problems;
use sluice_config::tree::Node;
use sluice_pdata::pass::Reason;
use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::connector::{Between, Connector, InlineConnector, Routed};
use sluice_pipeline::factory::{Connectors, Factory, Meta};
use sluice_pipeline::{Batch, Error, Refusal, Signal};

use definition::Definitions;

/// Items that were counted: they end here, and the counts are new items.
pub const AGGREGATED: Reason = "aggregated";

/// Makes `count` connectors.
pub struct CountFactory;

impl Factory<Connectors> for CountFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta {
            pairs: &[
                (Signal::Traces, Signal::Metrics),
                (Signal::Metrics, Signal::Metrics),
                (Signal::Logs, Signal::Metrics),
            ],
            reasons: &[AGGREGATED],
            ..Meta::new("count", Stability::Alpha)
        }
    }

    fn build(&self, config: &Config, (_, between): (Environment, Between)) -> Result<Connector, Error> {
        let node = Node::default();
        let mut problems = Problems::new(&node);
        let definitions = Definitions::compile(config, &mut problems);
        if problems.has_errors() {
            return Err(Error::config("invalid counts"));
        }
        Ok(Connector::Inline(Arc::new(Count { definitions, pipelines: between.targets.len() })))
    }
}

struct Count {
    definitions: Definitions,
    pipelines: usize,
}

impl InlineConnector for Count {
    fn route(&self, batch: &Batch) -> Result<Routed, Refusal> {
        let counted = walk::count(&self.definitions, batch)?;
        let mut routed = Routed { dropped: vec![(AGGREGATED, batch.items())], ..Routed::default() };
        if counted.points > 0 {
            let counts =
                Batch::new(Signal::Metrics, counted.request.into(), counted.points, Arc::clone(batch.context()));
            routed.outputs = (0..self.pipelines).map(|pipeline| (pipeline, counts.clone())).collect();
            routed.created = counted.points * self.pipelines;
        }
        Ok(routed)
    }
}
