//! The choices that the configuration offers, by name.

use serde::{Deserialize, Serialize};

/// What the silence of a target means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// An outage: 0.
    #[default]
    LongRunning,
    /// Its end: a stale marker.
    Ephemeral,
}

/// An OTLP signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Metrics.
    Metrics,
    /// Logs.
    Logs,
    /// Spans.
    Traces,
}

impl Signal {
    /// All signals, in the order of their indices.
    pub const ALL: [Signal; 3] = [Signal::Metrics, Signal::Logs, Signal::Traces];

    /// Position in [`Signal::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The name in configuration and labels.
    pub fn name(self) -> &'static str {
        ["metrics", "logs", "traces"][self.index()]
    }
}

/// How several collectors share the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HaMode {
    /// One collector writes all.
    #[default]
    Single,
    /// Each collector expects the targets of its node. Needs Kubernetes discovery.
    Node,
    /// Each collector writes all, told apart by a label.
    Replicate,
    /// Each collector writes only when it saw whom; a recording rule makes `up`.
    Evidence,
    /// One owner for each target. Not built yet.
    Owner,
}

/// Which `job` and `instance` the series of a matched target carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlignLabels {
    /// Those of the pushed metrics.
    #[default]
    Otlp,
    /// Those of discovery; the pushed metrics are rewritten to them.
    Sd,
    /// Those of discovery; the pushed metrics stay as they are.
    None,
}

/// How much is written beside `up`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IngestMetrics {
    /// All series.
    #[default]
    Full,
    /// `up`, samples and last seen.
    Basic,
    /// `up` alone.
    Off,
}
