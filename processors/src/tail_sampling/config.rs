//! Upstream's fields.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_config::{GoDuration, Problems, text_of_words};
use sluice_pipeline::factory::{Validate, field};
use sluice_pipeline::gates::{FeatureGates, PLAIN_INVERSION};

use crate::sampling::{PolicyConfig, PolicyOptions, Sampler};
use crate::trace_window::{Attach, Deciding, Settings};

text_of_words!(
    /// When a trace is decided.
    Strategy, "trace-complete", "span-ingest"
);

/// `processors: tail_sampling:`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// From the first span of a trace to its decision.
    pub decision_wait: GoDuration,
    /// From its root span; 0: that of the first span counts alone.
    pub decision_wait_after_root_received: GoDuration,
    /// Traces in the window. Beyond it the oldest are decided on what is known.
    pub num_traces: u64,
    /// Without effect: what is beyond `num_traces` is decided, so nothing has to wait.
    pub block_on_overflow: bool,
    /// Without effect: tables grow as needed.
    pub expected_new_traces_per_sec: u64,
    /// Which traces are kept. At least one.
    pub policies: Vec<PolicyConfig>,
    /// How many verdicts are remembered, beyond what always is.
    pub decision_cache: DecisionCacheConfig,
    /// Without effect: the journal keeps what is held.
    pub tail_storage: Option<String>,
    /// The first policy that samples ends evaluation.
    pub sample_on_first_match: bool,
    /// When a trace is decided. Only `trace-complete` is available.
    pub sampling_strategy: Strategy,
    /// At the end, drop what is not decided.
    pub drop_pending_traces_on_shutdown: bool,
    /// Larger traces are dropped; 0: no bound.
    pub maximum_trace_size_bytes: u64,
    /// Without effect.
    pub num_shards: u32,
}

/// How many verdicts are remembered, beyond what always is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecisionCacheConfig {
    /// Of kept traces.
    pub sampled_cache_size: u64,
    /// Of dropped traces.
    pub non_sampled_cache_size: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            decision_wait: GoDuration::from_secs(30),
            decision_wait_after_root_received: GoDuration::default(),
            num_traces: 50_000,
            block_on_overflow: false,
            expected_new_traces_per_sec: 0,
            policies: Vec::new(),
            decision_cache: DecisionCacheConfig::default(),
            tail_storage: None,
            sample_on_first_match: false,
            sampling_strategy: "trace-complete".into(),
            drop_pending_traces_on_shutdown: false,
            maximum_trace_size_bytes: 0,
            num_shards: 1,
        }
    }
}

/// Upstream's bound.
const MAX_SHARDS: u32 = 256;
/// A trace that grows beyond this is decided on what is known, so that none takes the whole window.
const TRACE_BYTES: usize = 64 << 20;

impl Config {
    /// The policies, compiled. What is wrong goes to `problems`.
    pub fn sampler(&self, at: &str, problems: &mut Problems<'_>) -> Sampler {
        self.sampler_with(at, problems, &FeatureGates::default())
    }

    /// As [`Config::sampler`], with feature gates.
    pub(super) fn sampler_with(&self, at: &str, problems: &mut Problems<'_>, gates: &FeatureGates) -> Sampler {
        let options = PolicyOptions {
            sample_on_first_match: self.sample_on_first_match,
            plain_inversion: gates.is_enabled(PLAIN_INVERSION),
        };
        Sampler::from_policies(&self.policies, options, &field(at, "policies"), problems)
    }

    /// What the window is told. `memory`: bytes it may account.
    pub(super) fn settings(&self, memory: usize) -> Settings {
        let size = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let defaults = Settings::default();
        Settings {
            decide: Some(Deciding {
                wait: *self.decision_wait,
                wait_after_root: *self.decision_wait_after_root_received,
                dry_run: false,
            }),
            memory_limit: memory,
            max_live_spans: usize::MAX,
            max_traces: size(self.num_traces),
            verdicts_kept: defaults.verdicts_kept.max(size(self.decision_cache.sampled_cache_size)),
            verdicts_dropped: defaults.verdicts_dropped.max(size(self.decision_cache.non_sampled_cache_size)),
            hold_span: Duration::ZERO,
            trace_max_bytes: match size(self.maximum_trace_size_bytes) {
                0 => TRACE_BYTES,
                bytes => bytes,
            },
            trace_max_spans: usize::MAX,
            drop_oversize: self.maximum_trace_size_bytes > 0,
            attach: Attach { log: Vec::new(), log_max_bytes: 0, span: Vec::new(), span_max_bytes: 0 },
            drop_pending_on_drain: self.drop_pending_traces_on_shutdown,
            ..defaults
        }
    }
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        let mut without_effect = |name: &str, text: &str| {
            problems.add("N0602", &field(at, name), text);
        };
        if self.expected_new_traces_per_sec > 0 {
            without_effect(
                "expected_new_traces_per_sec",
                "`expected_new_traces_per_sec` has no effect: tables grow as needed",
            );
        }
        if self.num_shards > 1 {
            without_effect("num_shards", "`num_shards` has no effect");
        }
        if self.block_on_overflow {
            let text =
                "`block_on_overflow` has no effect: above `num_traces` the oldest traces are decided on what is known";
            without_effect("block_on_overflow", text);
        }
        if self.tail_storage.is_some() {
            without_effect("tail_storage", "`tail_storage` has no effect: the journal keeps what is held");
        }
        match self.sampling_strategy.as_str() {
            "trace-complete" | "" => {}
            "span-ingest" => {
                let text =
                    "`sampling_strategy: span-ingest` is not supported yet: remove it to decide over whole traces";
                problems.error(&field(at, "sampling_strategy"), text);
            }
            other => {
                let text = format!(
                    "invalid sampling_strategy {other:?}, expected one of \"trace-complete\" or \"span-ingest\""
                );
                problems.error(&field(at, "sampling_strategy"), text);
            }
        }
        if self.num_shards > MAX_SHARDS {
            let text = format!("num_shards ({}) must not exceed {MAX_SHARDS}", self.num_shards);
            problems.error(&field(at, "num_shards"), text);
        }
        if self.num_traces == 0 {
            problems.error(&field(at, "num_traces"), "`num_traces` must be positive");
        }
        self.sampler(at, problems);
    }
}
