//! The configuration of `up`: plain data with defaults, and what makes it valid.

mod choices;
mod job;

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_config::Problems;
use sluice_pipeline::factory::{Validate, field};

pub use self::choices::{AlignLabels, Expect, HaMode, IngestMetrics, Signal};
pub use self::job::JobConfig;
use super::duration::{self, AutoDuration};
use super::error::Error;
use super::labels::Labels;
use super::relabel::RelabelConfig;

/// The body of `processors: up:`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who is expected to push, by discovery.
    pub jobs: Vec<JobConfig>,
    /// Who is expected to push, by entity events.
    pub entity_events: EntityEventsConfig,
    /// Who is expected to push because it has pushed before.
    pub learned: LearnedConfig,
    /// m: how many pushes may be lost before a target is DOWN.
    pub tolerated_losses: u32,
    /// Least slack on top of the intervals.
    #[serde(with = "duration::text")]
    pub grace: Duration,
    /// How long a new target may take for its first push; `auto` is max(2·I, 2 min).
    pub startup_grace: AutoDuration,
    /// How many pushes bring a DOWN target UP again.
    pub up_after: u32,
    /// Whether a signal outside of `liveness_signals` can keep a target UP.
    pub any_signal_keeps_up: bool,
    /// Whether data older than `max_data_age` is no sign of life.
    pub require_fresh_data: bool,
    /// `auto` is 5·I.
    pub max_data_age: AutoDuration,
    /// Whether an invalid payload is a 0, like a failed scrape.
    pub strict: bool,
    /// Above this share of a job overdue within one I, DOWN waits one more D.
    pub mass_absence_ratio: f64,
    /// A discovery update that removes a larger share of a job must come twice.
    pub sd_max_shrink: f64,
    /// Whether a target that was DOWN stays so while a restarted collector warms up.
    pub keep_down_over_restart: bool,
    /// Where the state is kept over a restart.
    pub state: StateConfig,
    /// Several collectors for the same targets.
    pub ha: HaConfig,
    /// Which `job` and `instance` a series gets.
    pub align_labels: AlignLabels,
    /// How much is written beside `up`.
    pub ingest_metrics: IngestMetrics,
    /// Whether `k8s.*` resource attributes are written too.
    pub resource_attributes: bool,
    /// Whether the target's own series get stale markers when it goes DOWN or GONE.
    pub stale_on_down: bool,
    /// Limits of what `stale_on_down` remembers.
    pub stale_tracker: StaleTrackerConfig,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Further targets are refused and counted.
    pub max_targets: usize,
    /// How many senders without a target are remembered.
    pub max_unexpected_identities: usize,
    /// Metrics pipelines that get the series; empty: the first one that lists this processor.
    pub emit_to: Vec<String>,
}

/// Entity events as a source of targets.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct EntityEventsConfig {
    /// Off by default: the event format is in development upstream.
    pub enabled: bool,
    /// Entity types that become targets.
    pub types: Vec<String>,
    /// How long an entity without a report interval lives.
    #[serde(with = "duration::text")]
    pub entity_ttl: Duration,
    /// From `__meta_entity_*` labels to target labels.
    pub relabel_configs: Vec<RelabelConfig>,
}

/// Senders as a source of targets.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LearnedConfig {
    /// Off by default: it cannot tell *gone* from *down*.
    pub enabled: bool,
    /// A resource seen this often becomes a target.
    pub min_observations: u32,
}

/// State kept over a restart.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StateConfig {
    /// Empty: the directory `up` under the data directory.
    pub directory: String,
    /// How often it is written.
    #[serde(with = "duration::text")]
    pub interval: Duration,
}

/// Several collectors.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HaConfig {
    /// Who writes what.
    pub mode: HaMode,
    /// The label that tells the collectors apart.
    pub collector_label: String,
}

/// Limits of the memory for `stale_on_down`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StaleTrackerConfig {
    /// Compressed bytes of one target.
    pub max_bytes_per_target: usize,
    /// Compressed bytes in all.
    pub max_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            jobs: Vec::new(),
            entity_events: EntityEventsConfig::default(),
            learned: LearnedConfig::default(),
            tolerated_losses: 1,
            grace: Duration::from_secs(10),
            startup_grace: AutoDuration::Auto,
            up_after: 1,
            any_signal_keeps_up: true,
            require_fresh_data: false,
            max_data_age: AutoDuration::Auto,
            strict: false,
            mass_absence_ratio: 0.5,
            sd_max_shrink: 0.8,
            keep_down_over_restart: true,
            state: StateConfig::default(),
            ha: HaConfig::default(),
            align_labels: AlignLabels::default(),
            ingest_metrics: IngestMetrics::default(),
            resource_attributes: false,
            stale_on_down: true,
            stale_tracker: StaleTrackerConfig::default(),
            trusted_proxies: Vec::new(),
            max_targets: 200_000,
            max_unexpected_identities: 10_000,
            emit_to: Vec::new(),
        }
    }
}

impl Default for EntityEventsConfig {
    fn default() -> Self {
        EntityEventsConfig {
            enabled: false,
            types: ["service", "service.instance", "k8s.pod", "host", "container"].map(str::to_owned).to_vec(),
            entity_ttl: Duration::from_secs(24 * 3600),
            relabel_configs: Vec::new(),
        }
    }
}

impl Default for LearnedConfig {
    fn default() -> Self {
        LearnedConfig { enabled: false, min_observations: 3 }
    }
}

impl Default for StateConfig {
    fn default() -> Self {
        StateConfig { directory: String::new(), interval: Duration::from_secs(10) }
    }
}

impl Default for HaConfig {
    fn default() -> Self {
        HaConfig { mode: HaMode::Single, collector_label: "collector".to_owned() }
    }
}

impl Default for StaleTrackerConfig {
    fn default() -> Self {
        StaleTrackerConfig { max_bytes_per_target: 64 << 10, max_bytes: 256 << 20 }
    }
}

impl HaConfig {
    /// The labels of a series of this collector: with several collectors, one label tells them apart.
    pub fn label_series(&self, labels: &Labels, collector: &str) -> Labels {
        match self.mode {
            HaMode::Single | HaMode::Node | HaMode::Owner => labels.clone(),
            HaMode::Replicate | HaMode::Evidence => {
                let mut labels = labels.to_builder();
                labels.set(self.collector_label.as_str(), collector);
                labels.build()
            }
        }
    }
}

/// Takes a problem: the path of the field it is about, and what is wrong.
type Report<'a> = &'a mut dyn FnMut(String, String);

impl Config {
    /// The first thing that is wrong and that the types cannot say.
    pub fn check(&self) -> Result<(), Error> {
        let mut first = None;
        self.report(&mut |path, problem| {
            first.get_or_insert(Error::Config { path, problem });
        });
        first.map_or(Ok(()), Err)
    }

    fn report(&self, report: Report<'_>) {
        let mut require = |holds: bool, path: &str, problem: &str| {
            if !holds {
                report(path.to_owned(), problem.to_owned());
            }
        };
        require(self.up_after > 0, "up_after", "`up_after` must be at least 1");
        let share = |value: f64| (0.0..=1.0).contains(&value);
        require(share(self.mass_absence_ratio), "mass_absence_ratio", "`mass_absence_ratio` must lie between 0 and 1");
        require(share(self.sd_max_shrink), "sd_max_shrink", "`sd_max_shrink` must lie between 0 and 1");
        let observations = self.learned.min_observations;
        require(observations > 0, "learned::min_observations", "`min_observations` must be at least 1");
        require(!self.entity_events.enabled, "entity_events::enabled", "entity events are not built in yet");
        let mode = self.ha.mode;
        require(mode != HaMode::Owner, "ha::mode", "the mode `owner` is not built in yet");
        let node = "the mode `node` needs Kubernetes discovery, which is not built in yet";
        require(mode != HaMode::Node, "ha::mode", node);
        let label = matches!(self.ha.collector_label.as_str(), "" | "job" | "instance");
        let text = "`collector_label` must be a label name other than `job` and `instance`";
        require(!label, "ha::collector_label", text);
        let targets = (1..=u32::MAX as usize / 2).contains(&self.max_targets);
        require(targets, "max_targets", "`max_targets` must lie between 1 and 2147483647");
        let mut names = HashSet::new();
        for (i, job) in self.jobs.iter().enumerate() {
            let path = format!("jobs::{i}");
            if !job.job_name.is_empty() && !names.insert(job.job_name.as_str()) {
                report(format!("{path}::job_name"), format!("the job name `{}` is used twice", job.job_name));
            }
            job.report(&mut |name, problem| report(format!("{path}::{name}"), problem));
        }
    }
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        self.report(&mut |path, problem| {
            problems.error(&field(at, &path), problem);
        });
    }
}
