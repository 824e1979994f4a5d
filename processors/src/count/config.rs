//! Fields of the connector, as upstream's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sluice_config::Problems;
use sluice_config::tree::Node;
use sluice_pipeline::factory::Validate;

use super::definition::Definitions;

/// Metrics by name.
pub type Metrics = BTreeMap<String, Metric>;

/// `connectors: count:`. Of what a section is written for, only its metrics are made; of the rest the usual one is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Counts of spans, by metric name.
    pub spans: Metrics,
    /// Counts of span events, by metric name.
    pub spanevents: Metrics,
    /// Counts of metrics, by metric name.
    pub metrics: Metrics,
    /// Counts of data points, by metric name.
    pub datapoints: Metrics,
    /// Counts of log records, by metric name.
    pub logs: Metrics,
    /// Of a signal that this build does not have.
    pub profiles: Metrics,
}

/// What one metric counts.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metric {
    /// Of the metric.
    pub description: String,
    /// OTTL; one must hold. None: everything counts.
    pub conditions: Vec<String>,
    /// Each set of their values is counted for itself.
    pub attributes: Vec<Attribute>,
}

/// An attribute by whose value is counted.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attribute {
    /// Attribute that tells counts apart.
    pub key: String,
    /// A text, integer or floating-point number that stands in where there is no such attribute. Without one, what lacks the
    /// attribute is not counted.
    pub default_value: Option<Node>,
}

impl Default for Config {
    fn default() -> Self {
        let usual = |name: &str, what: &str| {
            let metric = Metric { description: format!("The number of {what} observed."), ..Metric::default() };
            Metrics::from([(name.to_owned(), metric)])
        };
        Config {
            spans: usual("trace.span.count", "spans"),
            spanevents: usual("trace.span.event.count", "span events"),
            metrics: usual("metric.count", "metrics"),
            datapoints: usual("metric.datapoint.count", "data points"),
            logs: usual("log.record.count", "log records"),
            profiles: Metrics::new(),
        }
    }
}

impl Validate for Config {
    fn validate(&self, _at: &str, problems: &mut Problems<'_>) {
        Definitions::compile(self, problems);
        if !self.profiles.is_empty() {
            problems.add("N0602", "profiles", "`profiles` has no effect: this build has no such signal");
        }
    }
}
