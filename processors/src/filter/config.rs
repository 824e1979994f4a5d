//! Fields of the processor, in upstream's three styles (collector-compat §4.4).

use serde::{Deserialize, Serialize};
use sluice_config::Problems;
use sluice_config::tree::Node;
use sluice_pipeline::blocks::ErrorMode;
use sluice_pipeline::factory::Validate;

use super::step::FilterStep;

/// `processors: filter:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `ignore` (default), `silent` or `propagate`.
    pub error_mode: Option<ErrorMode>,
    /// Conditions, or groups of `{context, error_mode, conditions}`; each finds its context by its paths.
    pub trace_conditions: Vec<Node>,
    /// As `trace_conditions`, for metrics.
    pub metric_conditions: Vec<Node>,
    /// As `trace_conditions`, for logs.
    pub log_conditions: Vec<Node>,
    /// The older style: conditions by context; paths need not name it.
    pub traces: TraceFilters,
    /// Conditions of metrics, by level.
    pub metrics: MetricFilters,
    /// Conditions of logs, by level.
    pub logs: LogFilters,
    /// The oldest style, recognised to be refused by name.
    pub spans: Option<Node>,
}

/// `traces:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceFilters {
    /// Conditions of resources.
    pub resource: Vec<String>,
    /// Conditions of spans.
    pub span: Vec<String>,
    /// Conditions of span events.
    pub spanevent: Vec<String>,
}

/// `metrics:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricFilters {
    /// Conditions of resources.
    pub resource: Vec<String>,
    /// Conditions of metrics.
    pub metric: Vec<String>,
    /// Conditions of data points.
    pub datapoint: Vec<String>,
    /// The oldest style: metrics to keep.
    pub include: Option<Node>,
    /// The oldest style: metrics to drop.
    pub exclude: Option<Node>,
}

/// `logs:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogFilters {
    /// Conditions of resources.
    pub resource: Vec<String>,
    /// Conditions of log records.
    pub log_record: Vec<String>,
    /// The oldest style: records to keep.
    pub include: Option<Node>,
    /// The oldest style: records to drop.
    pub exclude: Option<Node>,
}

impl Validate for Config {
    fn validate(&self, _at: &str, problems: &mut Problems<'_>) {
        let oldest = [
            ("spans", self.spans.is_some()),
            ("metrics::include", self.metrics.include.is_some()),
            ("metrics::exclude", self.metrics.exclude.is_some()),
            ("logs::include", self.logs.include.is_some()),
            ("logs::exclude", self.logs.exclude.is_some()),
        ];
        for (path, given) in oldest {
            if given {
                let text = format!("`{path}` (include/exclude) is not supported yet: write OTTL conditions");
                problems.error(path, text);
            }
        }
        FilterStep::new(self, problems, None);
    }
}
