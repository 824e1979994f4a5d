//! Rules of `correlate` (correlation §2).

use serde::{Deserialize, Serialize};
use sluice_config::tree::Node;

/// One rule; the first that matches decides.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// Its name, in metrics and explanations.
    pub name: String,
    /// Empty: always.
    pub when: WhenConfig,
    /// `keep`, `drop`, `{probability: p}` or `{rate: {…}}`: see [`ActionConfig::read`].
    pub action: Option<Node>,
}

/// A list is true if one of its conditions holds for one item; the lists that are given must all be true.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct WhenConfig {
    /// Conditions of spans.
    pub span: Vec<String>,
    /// Conditions of span events.
    pub spanevent: Vec<String>,
    /// Conditions of log records.
    pub log: Vec<String>,
    /// Over the whole trace: `span_count`, `error_count`, `duration_ms`, `log_count`, `log_error_count`, `service_count`,
    /// `has_root`.
    pub trace: Vec<String>,
}

/// What a rule does with a trace.
#[derive(Clone, Debug, PartialEq)]
pub enum ActionConfig {
    Keep,
    Drop,
    Probability(f64),
    Rate(RateConfig),
}

/// A number of spans per second.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateConfig {
    /// The rate.
    pub spans_per_second: i64,
    /// 0: twice the rate.
    pub burst_capacity: i64,
}

impl ActionConfig {
    /// Reads the action as it is written.
    ///
    /// # Errors
    /// What is wrong, and the path of it below the action.
    pub fn read(node: &Node) -> Result<Self, (String, String)> {
        let expected = "an action is `keep`, `drop`, `{probability: p}` or `{rate: {spans_per_second: n}}`";
        let Some(map) = node.as_map() else {
            return match node.text() {
                Some("keep") => Ok(ActionConfig::Keep),
                Some("drop") => Ok(ActionConfig::Drop),
                Some(other) => Err((String::new(), format!("unknown action {other:?}: {expected}"))),
                None => Err((String::new(), expected.to_owned())),
            };
        };
        let mut entries = map.iter();
        let (Some((key, entry)), None) = (entries.next(), entries.next()) else {
            return Err((String::new(), expected.to_owned()));
        };
        let failed = |found: Vec<sluice_config::Diagnostic>| {
            let text = found.first().map_or_else(|| expected.to_owned(), |found| found.message.clone());
            (key.clone(), text)
        };
        match key.as_str() {
            "probability" => sluice_config::decode(&entry.value).map(ActionConfig::Probability).map_err(failed),
            "rate" => sluice_config::decode(&entry.value).map(ActionConfig::Rate).map_err(failed),
            other => Err((key.clone(), format!("unknown action {other:?}: {expected}"))),
        }
    }
}
