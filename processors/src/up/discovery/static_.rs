//! `static_configs`: targets written in the configuration.

use super::{AddressGroup, TargetGroup};

/// The groups of a job's `static_configs`; each has its index as source.
pub fn groups(configs: &[AddressGroup]) -> Vec<TargetGroup> {
    configs.iter().enumerate().map(|(i, group)| group.clone().into_group(i.to_string())).collect()
}
