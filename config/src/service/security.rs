//! `service::security`: what may run, and what is only said (security §4.1).

use serde::{Deserialize, Serialize};

/// What happens to a listener that others can reach and that asks nobody who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Exposure {
    /// It is named at the start, with its remedy, and counted in `sluice_insecure_listeners`.
    #[default]
    Warn,
    /// The configuration is refused.
    Enforce,
}

/// `service::security`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// Of listeners that are neither on loopback nor unix sockets, and have neither TLS nor authentication.
    pub exposure: Exposure,
}
