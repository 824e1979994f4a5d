//! What can be wrong with a configuration.

use std::time::Duration;

use sluice_config::Problems;
use sluice_pipeline::factory::{Validate, field};

use super::config::{Config, Mode, severity};

/// Longest hold of a log.
const MAX_HOLD: Duration = Duration::from_secs(60);

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |name: &str| field(at, name);
        let positive = [("memory_limit_mib", self.memory_limit_mib), ("max_live_spans", self.max_live_spans)]
            .into_iter()
            .chain([("trace::max_bytes", self.trace.max_bytes), ("trace::max_spans", self.trace.max_spans)]);
        for (name, value) in positive {
            if value == 0 {
                problems.error(&path(name), format!("`{name}` must be positive"));
            }
        }
        if self.verdict_retention.is_zero() {
            problems.error(&path("verdict_retention"), "`verdict_retention` must be positive");
        }
        if let Err((place, text)) = self.attach() {
            problems.error(&path(place), text);
        }
        if !self.exemplars.kept_topic.is_empty() {
            problems
                .error(&path("exemplars::kept_topic"), "`kept_topic` is not supported yet: it needs Kafka receivers");
        }
        if self.taint.enabled && !(1..=64).contains(&self.taint.max_literals) {
            problems.error(&path("taint::max_literals"), "`max_literals` must be between 1 and 64");
        }
        if let Some(hold) = &self.hold {
            if self.mode == Mode::Decide {
                problems.error(&path("hold"), "`hold` is for mode `annotate`: in `decide` items wait for the verdict");
            }
            if *hold.log.max > MAX_HOLD {
                problems.error(&path("hold::log::max"), "`hold::log::max` must not exceed 60s");
            }
            if *hold.span > MAX_HOLD {
                problems.error(&path("hold::span"), "`hold::span` must not exceed 60s");
            }
            for (name, own) in &hold.log.severity {
                if severity(name).is_none() {
                    let text = format!("unknown severity {name:?}: TRACE, DEBUG, INFO, WARN, ERROR or FATAL");
                    problems.error(&path("hold::log::severity"), text);
                }
                if **own > MAX_HOLD {
                    problems.error(&path("hold::log::severity"), "a hold must not exceed 60s");
                }
            }
        }
        self.validate_sampling(at, problems);
    }
}

impl Config {
    fn validate_sampling(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |name: &str| field(at, name);
        let Some(sampling) = &self.sampling else {
            if self.mode == Mode::Decide {
                problems.error(&path("mode"), "mode `decide` needs `sampling`");
            }
            return;
        };
        if self.mode == Mode::Annotate {
            problems.error(&path("sampling"), "`sampling` needs mode `decide`");
        }
        if sampling.policies.is_empty() == sampling.rules.is_empty() {
            problems.error(&path("sampling"), "exactly one of `policies` and `rules` must be given");
        }
        if sampling.decision_wait.is_zero() {
            problems.error(&path("sampling::decision_wait"), "`decision_wait` must be positive");
        }
        if *sampling.decision_wait > Duration::from_secs(3600) {
            problems.error(&path("sampling::decision_wait"), "`decision_wait` must not exceed 1h");
        }
        self.sampler(problems);
    }
}
