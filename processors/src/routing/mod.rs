//! Connector `routing`: sends each item to the pipelines of the first rule that holds for it (collector-compat §5).
//!
//! | file | concept |
//! |---|---|
//! | `config` | upstream's fields |
//! | `table` | the rules, compiled |
//! | `classify` | the pass that finds the pipelines of every item |
//! | `select` | the pass that cuts out the items of one pipeline |

mod classify;
mod config;
mod select;
mod table;

#[cfg(test)]
mod tests;

pub use config::Config;

use std::sync::Arc;

use sluice_config::Problems;
use sluice_config::tree::Node;
use sluice_pdata::pass::Scratch;
use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::connector::{Between, Connector, InlineConnector, Routed};
use sluice_pipeline::factory::{Connectors, Factory, Meta, SAME_SIGNAL};
use sluice_pipeline::{Batch, Error, Refusal, Signal};

use classify::classify;
use select::select;
use table::Table;

/// Reason of items that no rule was for, where there are no `default_pipelines`.
pub const UNROUTED: &str = "unrouted";

/// Makes `routing` connectors.
pub struct RoutingFactory;

impl Factory<Connectors> for RoutingFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta { pairs: SAME_SIGNAL, reasons: &[UNROUTED], ..Meta::new("routing", Stability::Alpha) }
    }

    fn metadata_keys(&self, config: &Config) -> Vec<String> {
        config.metadata_keys()
    }

    fn build(&self, config: &Config, (_, between): (Environment, Between)) -> Result<Connector, Error> {
        let node = Node::default();
        let mut problems = Problems::new(&node);
        let table = Table::compile(config, &mut problems);
        if problems.has_errors() {
            return Err(Error::config("invalid routing table"));
        }
        let table = table.bind(&between)?;
        Ok(Connector::Inline(Arc::new(Routing { signal: between.from, table, pipelines: between.targets.len() })))
    }
}

struct Routing {
    signal: Signal,
    table: Arc<Table>,
    pipelines: usize,
}

impl InlineConnector for Routing {
    fn route(&self, batch: &Batch) -> Result<Routed, Refusal> {
        let mut scratch = Scratch::default();
        let places = classify(&self.table, self.signal, batch, &mut scratch)?;
        let mut routed = Routed::default();
        let unrouted = places.iter().filter(|places| places.is_empty()).count();
        if unrouted > 0 {
            routed.dropped.push((UNROUTED, unrouted));
        }
        for pipeline in 0..self.pipelines {
            let wanted = places.iter().filter(|places| places.contains(pipeline)).count();
            if wanted == 0 {
                continue;
            }
            let output = match wanted == places.len() {
                true => batch.clone(),
                false => select(self.signal, batch, places.clone(), pipeline, &mut scratch)?,
            };
            routed.outputs.push((pipeline, output));
        }
        let emitted: usize = routed.outputs.iter().map(|(_, output)| output.items()).sum();
        routed.created = emitted.saturating_sub(batch.items() - unrouted);
        Ok(routed)
    }
}
