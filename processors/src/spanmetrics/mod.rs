//! Connector `span_metrics` (alias `spanmetrics`): request, error and duration metrics from spans (correlation §13).
//!
//! Spans come in as requests in wire form and leave as totals at every flush. A span is read in one walk; the bytes of its
//! dimensions are the key of its series. Each span weighs what its sampling threshold says, and exemplars are attached only of
//! traces that are kept.
//!
//! | module | concept |
//! |---|---|
//! | [`config`], [`plan`] | the configuration: plain data, and compiled |
//! | [`dimension`], [`glob`] | which attributes tell series apart |
//! | [`span`], [`weight`] | what is read of a span, and how many it stands for |
//! | [`aggregate`] | from spans to totals |
//! | [`resource`], [`series`], [`slab`] | what is remembered, and its limits |
//! | [`total`], [`explicit`], [`exponential`] | totals and how they are rounded, histograms |
//! | [`exemplar`] | spans that stand for a point |
//! | [`flush`], [`emit`] | what is written, and what is forgotten behind it |
//! | [`stage`], [`instance`], [`telemetry`] | the connector, its name in its metrics, what it tells about itself |

pub mod aggregate;
pub mod config;
pub mod dimension;
pub mod emit;
pub mod exemplar;
pub mod explicit;
pub mod exponential;
pub mod flush;
pub mod glob;
pub mod instance;
pub mod plan;
pub mod resource;
pub mod series;
pub mod slab;
pub mod span;
pub mod stage;
pub mod telemetry;
pub mod total;
pub mod weight;

#[cfg(test)]
mod tests;

use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::connector::{Between, Connector};
use sluice_pipeline::factory::{Connectors, Factory, Instances, Meta};
use sluice_pipeline::{Error, Signal};

pub use config::Config;
pub use stage::SpanMetrics;

/// Makes `span_metrics` connectors.
pub struct SpanMetricsFactory;

impl Factory<Connectors> for SpanMetricsFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta {
            // It reads traces and makes metrics.
            stability: [Some(Stability::Alpha), Some(Stability::Alpha), None],
            reasons: &[stage::AGGREGATED, stage::NO_SERVICE_NAME],
            holds_back: true,
            stage: Some(Instances::PerPipeline),
            pairs: &[(Signal::Traces, Signal::Metrics)],
            ..Meta::new("span_metrics", Stability::Alpha)
        }
    }

    fn build(&self, config: &Config, (environment, between): (Environment, Between)) -> Result<Connector, Error> {
        if (between.from, between.to) != (Signal::Traces, Signal::Metrics) {
            let (from, to) = (between.from.name(), between.to.name());
            return Err(Error::config(format!("span_metrics makes metrics from traces, not {to} from {from}")));
        }
        let instance = instance::instance_id(&environment.id);
        let stage = SpanMetrics::new(config, &environment, &instance, between.targets.len());
        Ok(Connector::Stage(Box::new(stage)))
    }
}
