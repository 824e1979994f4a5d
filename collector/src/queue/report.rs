//! What is told of queues and dead letters: the JSON of the admin API and of the commands.

use serde::{Deserialize, Serialize};
use sluice_pipeline::Signal;

/// Every destination. `GET /admin/v1/queues`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queues {
    pub schema: String,
    pub total: usize,
    pub queues: Vec<Queue>,
}

impl Queues {
    pub fn new(queues: Vec<Queue>) -> Self {
        Queues { schema: "sluice.queue_list/1".to_owned(), total: queues.len(), queues }
    }
}

/// What waits for a destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// The exporter's id; of a stage's input, the pipeline and the processor's or connector's id.
    pub id: String,
    /// Whether an exporter or a stage of this id reads it. Else it waits for one until its time of grace is over.
    pub configured: bool,
    pub kept: Kept,
    /// Requests, or parts of large ones.
    pub records: u64,
    pub items: BySignal,
    pub bytes: u64,
    pub oldest_age_seconds: Option<f64>,
    /// Most bytes that may wait. `None` where nobody knows the configuration.
    pub quota_bytes: Option<u64>,
    pub breaker: Option<Breaker>,
    /// Whether the destination takes nothing from us as configured.
    pub config_error: bool,
    /// `None` in memory, where there are none.
    pub dead_letters: Option<DeadTotals>,
}

/// Where it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    Disk,
    Memory,
}

/// Whether sends are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breaker {
    Closed,
    HalfOpen,
    Open,
}

/// Items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BySignal {
    pub traces: u64,
    pub metrics: u64,
    pub logs: u64,
}

impl From<[u64; 3]> for BySignal {
    fn from(items: [u64; 3]) -> Self {
        let of = |signal: Signal| items[signal as usize];
        BySignal { traces: of(Signal::Traces), metrics: of(Signal::Metrics), logs: of(Signal::Logs) }
    }
}

impl BySignal {
    pub fn sum(&self) -> u64 {
        self.traces + self.metrics + self.logs
    }
}

/// What a destination will never take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadTotals {
    pub count: u64,
    pub items: u64,
    pub bytes: u64,
}

/// A page of dead letters, oldest first. `GET /admin/v1/queues/{id}/dead`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Letters {
    pub schema: String,
    pub queue: String,
    /// All that there are.
    pub total: u64,
    pub letters: Vec<Letter>,
    /// Where the next page begins, if there is one.
    pub cursor: Option<u64>,
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// Names it within its destination.
    pub id: u64,
    pub reason: String,
    /// What the destination answered.
    pub status: String,
    /// The record that it was, or was part of.
    pub origin_seq: u64,
    pub signal: String,
    pub items: u64,
    pub tenant: String,
    pub received: String,
    pub parked: String,
    /// Since it was parked.
    pub age_seconds: f64,
    /// On disk.
    pub bytes: u64,
    /// Whether it may be evicted for newer ones.
    pub evictable: bool,
    /// The request in OTLP protobuf, as base64; only if bodies were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// What to do with which dead letters. `POST /admin/v1/queues/{id}/{replay,drop}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// This one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// All of them.
    #[serde(default)]
    pub all: bool,
    /// Of all, only up to this one: what is parked meanwhile stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<u64>,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    pub schema: String,
    pub queue: String,
    pub action: Action,
    pub letters: u64,
    pub items: u64,
    /// Letters that were asked for and are still there.
    pub left: u64,
    /// To be asked for to go on with those.
    pub up_to: u64,
    /// Why some of those could not be done; else it was for lack of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// What to do with dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Replay,
    Drop,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Action::Replay => "replay",
            Action::Drop => "drop",
        }
    }
}

/// An error of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub error: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub code: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
}
