//! Service discovery: where the expected targets come from.
//!
//! A mechanism yields [`TargetGroup`]s, keyed by their source; what a job makes of them is in [`super::target`].
//! Mechanisms do not decide about life and death: on an error the last good groups stay.

pub mod file;
pub mod job;
pub mod static_;

use std::collections::BTreeMap;

/// Targets that one source of a mechanism names together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetGroup {
    /// Which file, object or list the group comes from; a group replaces the earlier one of the same source.
    pub source: String,
    /// Labels of each target, at least `__address__`.
    pub targets: Vec<BTreeMap<String, String>>,
    /// Labels of all targets of the group; a target's own label wins.
    pub labels: BTreeMap<String, String>,
}

/// A list of addresses with common labels: the form of `static_configs` and of discovery files.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AddressGroup {
    /// `host:port`, or a host alone.
    pub targets: Vec<String>,
    /// Labels of all of them.
    pub labels: BTreeMap<String, String>,
}

impl AddressGroup {
    /// The group as discovery passes it on.
    pub fn into_group(self, source: String) -> TargetGroup {
        let targets = self.targets.into_iter().map(|a| BTreeMap::from([("__address__".to_owned(), a)])).collect();
        TargetGroup { source, targets, labels: self.labels }
    }
}
