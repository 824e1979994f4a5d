//! Timeouts and retries of one payload (delivery §4.1).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_config::{GoDuration, Problems};

use crate::factory::{Validate, field};

/// `timeout` of one attempt, to be squashed into an exporter's config. Zero for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeout {
    /// Of one attempt; zero for none.
    pub timeout: GoDuration,
}

impl Default for Timeout {
    fn default() -> Self {
        Timeout { timeout: GoDuration::from_secs(5) }
    }
}

/// `retry_on_failure`. Off means one attempt, then the dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Upstream 5 s; here 500 ms unless written.
    pub initial_interval: Option<GoDuration>,
    /// Upstream 0.5; here full jitter unless written.
    pub randomization_factor: Option<f64>,
    /// Default 1.5.
    pub multiplier: Option<f64>,
    /// Default 30 s.
    pub max_interval: Option<GoDuration>,
    /// Upstream 5 min, then drop; here forever unless written. A written non-zero value sends to the dead letters.
    pub max_elapsed_time: Option<GoDuration>,
}

impl Retry {
    /// The first wait.
    pub fn initial_interval(&self) -> Duration {
        self.initial_interval.map_or(Duration::from_millis(500), |written| *written)
    }

    /// By what each wait is longer than the one before.
    pub fn multiplier(&self) -> f64 {
        self.multiplier.unwrap_or(1.5)
    }

    /// The longest wait.
    pub fn max_interval(&self) -> Duration {
        self.max_interval.map_or(Duration::from_secs(30), |written| *written)
    }

    /// When to give up; `None` for never.
    pub fn max_elapsed_time(&self) -> Option<Duration> {
        self.max_elapsed_time.map(|written| *written).filter(|limit| !limit.is_zero())
    }

    /// The wait before retry `number` (0 for the first), drawn by `unit` in `[0, 1)`: the whole range below the interval, or
    /// the interval give or take the written factor.
    pub fn wait(&self, number: u32, unit: f64) -> Duration {
        let initial = self.initial_interval().as_secs_f64();
        let interval = initial * self.multiplier().powi(i32::try_from(number).unwrap_or(i32::MAX));
        // `min` also catches infinity.
        let interval = interval.min(self.max_interval().as_secs_f64());
        let seconds = match self.randomization_factor {
            None => interval * unit,
            Some(factor) => interval * (1.0 - factor + 2.0 * factor * unit),
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max_interval())
    }
}

impl Validate for Retry {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        let factor = self.randomization_factor.unwrap_or(0.5);
        if !(0.0..=1.0).contains(&factor) {
            problems.error(&field(at, "randomization_factor"), "'randomization_factor' must be within [0, 1]");
        }
        if self.multiplier() < 0.0 || self.multiplier().is_nan() {
            problems.error(&field(at, "multiplier"), "'multiplier' must be non-negative");
        }
        if let Some(limit) = self.max_elapsed_time() {
            let path = field(at, "max_elapsed_time");
            if limit < self.initial_interval() {
                problems.error(&path, "'max_elapsed_time' must not be less than 'initial_interval'");
            }
            if limit < self.max_interval() {
                problems.error(&path, "'max_elapsed_time' must not be less than 'max_interval'");
            }
        }
    }
}
