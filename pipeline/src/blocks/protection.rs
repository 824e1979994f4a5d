//! What protects a destination from us, and us from it: blocks of every exporter that has a queue (delivery §4.1).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_config::{ByteSize, GoDuration, Problems};

use crate::factory::{Validate, field};

/// The blocks beside `sending_queue` and `retry_on_failure`, to be squashed into an exporter's config.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protection {
    pub concurrency: Concurrency,
    /// When a destination that fails is left alone for a while.
    pub circuit_breaker: CircuitBreaker,
    pub retry_budget: RetryBudget,
    /// How the item that spoils a payload is found.
    pub poison: Poison,
    /// What becomes of payloads that are refused for good.
    pub dead_letter: DeadLetter,
    /// One payload after the other.
    pub strict_order: bool,
}

impl Validate for Protection {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        self.concurrency.validate(&field(at, "concurrency"), problems);
        self.circuit_breaker.validate(&field(at, "circuit_breaker"), problems);
        self.retry_budget.validate(&field(at, "retry_budget"), problems);
        self.poison.validate(&field(at, "poison"), problems);
    }
}

/// `concurrency`: how many payloads are in flight, found by trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Concurrency {
    /// Least.
    pub min: u32,
    /// 32 unless written.
    pub max: Option<u32>,
}

/// Payloads in flight where neither `concurrency::max` nor `num_consumers` is written.
const MAX_CONCURRENCY: u32 = 32;

impl Default for Concurrency {
    fn default() -> Self {
        Concurrency { min: 1, max: None }
    }
}

impl Concurrency {
    /// Least and most payloads in flight: the smaller bound of those that are written.
    pub fn bounds(&self, num_consumers: Option<i64>) -> (usize, usize) {
        let consumers = num_consumers.map(|number| u32::try_from(number).unwrap_or(1));
        let max = match (self.max, consumers) {
            (Some(max), Some(consumers)) => max.min(consumers),
            (max, consumers) => max.or(consumers).unwrap_or(MAX_CONCURRENCY),
        };
        let max = max.max(1) as usize;
        ((self.min as usize).clamp(1, max), max)
    }
}

impl Validate for Concurrency {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if self.min == 0 || self.min > self.max.unwrap_or(MAX_CONCURRENCY) {
            problems.error(&field(at, "min"), "`min` must be positive and not more than `max`");
        }
    }
}

/// `circuit_breaker`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CircuitBreaker {
    /// Failures in a row that open it.
    pub consecutive_failures: u32,
    /// Share of failures within `window` that opens it, once there were `min_requests`.
    pub error_ratio: f64,
    /// Requests within `window` from which on the share counts.
    pub min_requests: u32,
    /// Over which the share is taken.
    pub window: GoDuration,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        CircuitBreaker {
            consecutive_failures: 5,
            error_ratio: 0.5,
            min_requests: 20,
            window: GoDuration::from_secs(10),
        }
    }
}

impl Validate for CircuitBreaker {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if self.consecutive_failures == 0 {
            problems.error(&field(at, "consecutive_failures"), "`consecutive_failures` must be positive");
        }
        if !(self.error_ratio > 0.0 && self.error_ratio <= 1.0) {
            problems.error(&field(at, "error_ratio"), "`error_ratio` must be within (0, 1]");
        }
        if *self.window < Duration::from_millis(100) {
            problems.error(&field(at, "window"), "`window` must be at least 100ms");
        }
    }
}

/// `retry_budget`: retries per success, and per second on top.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryBudget {
    /// Retries per success.
    pub ratio: f64,
    /// Retries per second that are always allowed.
    pub min_per_second: f64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        RetryBudget { ratio: 0.1, min_per_second: 1.0 }
    }
}

impl Validate for RetryBudget {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if !(self.ratio >= 0.0 && self.ratio.is_finite()) {
            problems.error(&field(at, "ratio"), "`ratio` must be non-negative");
        }
        // With nothing but successes to retry on, a destination without any would never be tried again.
        if !(self.min_per_second >= 0.01 && self.min_per_second.is_finite()) {
            problems.error(&field(at, "min_per_second"), "`min_per_second` must be at least 0.01");
        }
    }
}

/// `poison`: how the item that spoils a payload is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Poison {
    /// Off: a payload that is refused goes to the dead letters whole.
    pub bisect: bool,
    /// Requests that the search may cost beyond the first one.
    pub max_sends: u32,
}

impl Default for Poison {
    fn default() -> Self {
        Poison { bisect: true, max_sends: 64 }
    }
}

impl Validate for Poison {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if self.bisect && self.max_sends == 0 {
            problems.error(&field(at, "max_sends"), "`max_sends` must be positive; `bisect: false` searches nothing");
        }
    }
}

/// `dead_letter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetter {
    /// Most bytes kept; beyond them the oldest go.
    pub max_bytes: ByteSize,
    /// 0 for no limit.
    pub max_age: GoDuration,
}

impl Default for DeadLetter {
    fn default() -> Self {
        DeadLetter { max_bytes: ByteSize(256 << 20), max_age: GoDuration::from_secs(168 * 3600) }
    }
}
