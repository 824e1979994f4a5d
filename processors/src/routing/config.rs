//! Fields of the connector, as upstream's.

use serde::{Deserialize, Serialize};
use sluice_config::Problems;
use sluice_pipeline::blocks::ErrorMode;
use sluice_pipeline::factory::Validate;

use super::table::{RequestCondition, Table};

/// `connectors: routing:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where goes what no rule is for; dropped unless written.
    pub default_pipelines: Vec<String>,
    /// `propagate` (default), `ignore` or `silent`.
    pub error_mode: Option<ErrorMode>,
    /// Rows, of which the first that matches counts.
    pub table: Vec<Rule>,
    /// Upstream ignores it, too.
    pub match_once: Option<bool>,
}

/// An entry of the table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// `resource` (default), `span`, `metric`, `datapoint`, `log` or `request`.
    pub context: Option<String>,
    /// `route() where …`, or `condition` without that.
    pub statement: Option<String>,
    /// OTTL condition.
    pub condition: Option<String>,
    /// Where what matches goes.
    pub pipelines: Vec<String>,
    /// `move` (default): no later rule sees the item. `copy`: they do.
    pub action: Option<String>,
}

impl Config {
    /// The request headers that rules read.
    pub(super) fn metadata_keys(&self) -> Vec<String> {
        let conditions = self.table.iter().filter(|rule| rule.context.as_deref() == Some("request"));
        let parsed = conditions.filter_map(|rule| RequestCondition::parse(rule.condition.as_deref()?));
        parsed.map(|condition| condition.key).collect()
    }
}

impl Validate for Config {
    fn validate(&self, _at: &str, problems: &mut Problems<'_>) {
        Table::compile(self, problems);
        if self.match_once.is_some() {
            let text = "`match_once` has no effect: the first rule that moves an item ends the search";
            problems.add("N0602", "match_once", text);
        }
    }
}
