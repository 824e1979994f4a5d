//! Fields of the processor, in upstream's three styles (collector-compat §4.4).

use serde::Deserialize;
use sluice_config::Problems;
use sluice_config::tree::Node;
use sluice_pipeline::factory::Validate;

use super::step::FilterStep;

/// `processors: filter:`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `ignore` (default), `silent` or `propagate`.
    pub error_mode: Option<String>,
    /// Conditions, or groups of `{context, error_mode, conditions}`; each finds its context by its paths.
    pub trace_conditions: Vec<Node>,
    pub metric_conditions: Vec<Node>,
    pub log_conditions: Vec<Node>,
    /// The older style: conditions by context; paths need not name it.
    pub traces: TraceFilters,
    pub metrics: MetricFilters,
    pub logs: LogFilters,
    /// The oldest style, recognised to be refused by name.
    pub spans: Option<Node>,
}

/// `traces:`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceFilters {
    pub resource: Vec<String>,
    pub span: Vec<String>,
    pub spanevent: Vec<String>,
}

/// `metrics:`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricFilters {
    pub resource: Vec<String>,
    pub metric: Vec<String>,
    pub datapoint: Vec<String>,
    pub include: Option<Node>,
    pub exclude: Option<Node>,
}

/// `logs:`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogFilters {
    pub resource: Vec<String>,
    pub log_record: Vec<String>,
    pub include: Option<Node>,
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
