//! The state that is worth keeping over a restart (`up`, Restart).

use serde::{Deserialize, Serialize};

/// The state of all targets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// One for each target that has pushed.
    pub targets: Vec<TargetSnapshot>,
}

/// The state of a target that has pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSnapshot {
    /// `job_name`.
    pub job: String,
    /// FNV-1a hash of its discovery labels.
    pub labels_hash: u64,
    /// Wall clock of the last arrival of metrics, logs and traces, in ms since the Unix epoch; 0: never.
    pub last_seen_ms: [u64; 3],
    /// Whether it was DOWN.
    pub down: bool,
    /// Whether its last push was that of an orderly shutdown.
    pub closing: bool,
    /// Whether a partition was suspected.
    pub in_doubt: bool,
    /// The last times between arrivals, in ms.
    pub gaps_ms: Vec<u32>,
    /// The learned I in ms; 0: none.
    pub interval_ms: u32,
}
