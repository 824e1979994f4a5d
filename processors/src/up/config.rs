//! The configuration of `up`: plain data with defaults, and what makes it valid.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

use super::discovery::AddressGroup;
use super::discovery::file::FileSdConfig;
use super::duration::{self, AutoDuration, format_duration};
use super::error::Error;
use super::labels::Labels;
use super::ladder::Rung;
use super::relabel::{RelabelConfig, RelabelRule};

/// Prometheus answers a query from samples of the last five minutes; a slower grid would leave holes.
const LOOKBACK: Duration = Duration::from_secs(300);

/// The body of `processors: up:`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
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

/// One entry of `jobs`: keys of a scrape configuration, and what is particular to pushing.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobConfig {
    /// The default of the label `job`; unique.
    pub job_name: String,
    /// G: how often `up` is written.
    #[serde(with = "duration::text")]
    pub scrape_interval: Duration,
    /// Targets written here.
    pub static_configs: Vec<AddressGroup>,
    /// Targets in files.
    pub file_sd_configs: Vec<FileSdConfig>,
    /// Not built in yet; known so that the error can say so.
    pub kubernetes_sd_configs: Vec<serde::de::IgnoredAny>,
    /// See `kubernetes_sd_configs`.
    pub http_sd_configs: Vec<serde::de::IgnoredAny>,
    /// See `kubernetes_sd_configs`.
    pub dns_sd_configs: Vec<serde::de::IgnoredAny>,
    /// From discovered labels to target labels.
    pub relabel_configs: Vec<RelabelConfig>,
    /// I: how often a target pushes.
    pub expected_interval: AutoDuration,
    /// The match ladder, best first.
    pub r#match: Vec<Rung>,
    /// What silence means.
    pub expect: Expect,
    /// The signals that decide about `up`.
    pub liveness_signals: Vec<Signal>,
    /// Signals that get an `otlp_up` of their own.
    pub per_signal: Vec<Signal>,
    /// With the rung `service`: how many live instances make a 1.
    pub min_instances: u32,
    /// Overrides the outer key.
    pub tolerated_losses: Option<u32>,
    /// Overrides the outer key.
    #[serde(deserialize_with = "duration::optional::deserialize")]
    pub grace: Option<Duration>,
    /// Overrides the outer key.
    pub startup_grace: Option<AutoDuration>,
    /// Overrides the outer key.
    pub up_after: Option<u32>,
    /// Overrides the outer key.
    pub max_data_age: Option<AutoDuration>,
}

/// Entity events as a source of targets.
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LearnedConfig {
    /// Off by default: it cannot tell *gone* from *down*.
    pub enabled: bool,
    /// A resource seen this often becomes a target.
    pub min_observations: u32,
}

/// State kept over a restart.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StateConfig {
    /// Empty: the directory `up` under the data directory.
    pub directory: String,
    /// How often it is written.
    #[serde(with = "duration::text")]
    pub interval: Duration,
}

/// Several collectors.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HaConfig {
    /// Who writes what.
    pub mode: HaMode,
    /// The label that tells the collectors apart.
    pub collector_label: String,
}

/// Limits of the memory for `stale_on_down`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StaleTrackerConfig {
    /// Compressed bytes of one target.
    pub max_bytes_per_target: usize,
    /// Compressed bytes in all.
    pub max_bytes: usize,
}

/// What the silence of a target means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// An outage: 0.
    #[default]
    LongRunning,
    /// Its end: a stale marker.
    Ephemeral,
}

/// An OTLP signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
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

impl Default for JobConfig {
    fn default() -> Self {
        JobConfig {
            job_name: String::new(),
            scrape_interval: Duration::from_secs(60),
            static_configs: Vec::new(),
            file_sd_configs: Vec::new(),
            kubernetes_sd_configs: Vec::new(),
            http_sd_configs: Vec::new(),
            dns_sd_configs: Vec::new(),
            relabel_configs: Vec::new(),
            expected_interval: AutoDuration::Auto,
            r#match: Rung::DEFAULT.to_vec(),
            expect: Expect::LongRunning,
            liveness_signals: vec![Signal::Metrics],
            per_signal: Vec::new(),
            min_instances: 0,
            tolerated_losses: None,
            grace: None,
            startup_grace: None,
            up_after: None,
            max_data_age: None,
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

impl Default for StaleTrackerConfig {
    fn default() -> Self {
        StaleTrackerConfig { max_bytes_per_target: 64 << 10, max_bytes: 256 << 20 }
    }
}

impl Config {
    /// Checks what the types cannot say.
    pub fn validate(&self) -> Result<(), Error> {
        let key = |key, problem: &str| Err(Error::Key { key, problem: problem.to_owned() });
        if self.up_after == 0 {
            return key("up_after", "must be at least 1");
        }
        if !(0.0..=1.0).contains(&self.mass_absence_ratio) {
            return key("mass_absence_ratio", "must lie between 0 and 1");
        }
        if !(0.0..=1.0).contains(&self.sd_max_shrink) {
            return key("sd_max_shrink", "must lie between 0 and 1");
        }
        if self.learned.min_observations == 0 {
            return key("learned.min_observations", "must be at least 1");
        }
        if self.entity_events.enabled {
            return key("entity_events.enabled", "entity events are not built in yet");
        }
        match self.ha.mode {
            HaMode::Owner => return key("ha.mode", "`owner` is not built in yet"),
            HaMode::Node => return key("ha.mode", "`node` needs Kubernetes discovery, which is not built in yet"),
            HaMode::Single | HaMode::Replicate | HaMode::Evidence => {}
        }
        if matches!(self.ha.collector_label.as_str(), "" | "job" | "instance") {
            return key("ha.collector_label", "must be a label name other than `job` and `instance`");
        }
        if self.max_targets == 0 || self.max_targets > u32::MAX as usize / 2 {
            return key("max_targets", "must lie between 1 and 2147483647");
        }
        let mut names = HashSet::new();
        for job in &self.jobs {
            job.validate()?;
            if !names.insert(job.job_name.as_str()) {
                return Err(job.error("the job name is used twice"));
            }
        }
        Ok(())
    }
}

impl JobConfig {
    fn error(&self, problem: impl Into<String>) -> Error {
        Error::Job { job: self.job_name.clone(), problem: problem.into() }
    }

    fn validate(&self) -> Result<(), Error> {
        if self.job_name.is_empty() {
            return Err(self.error("`job_name` is missing"));
        }
        if self.scrape_interval.as_millis() == 0 || self.scrape_interval >= LOOKBACK {
            let got = format_duration(self.scrape_interval);
            return Err(
                self.error(format!("`scrape_interval` {got} must lie above 0 and below 5m, the lookback of queries"))
            );
        }
        if self.expected_interval == AutoDuration::Fixed(Duration::ZERO) {
            return Err(self.error("`expected_interval` must not be 0"));
        }
        if self.liveness_signals.is_empty() {
            return Err(self.error("`liveness_signals` must name at least one signal"));
        }
        if self.r#match.is_empty() {
            return Err(self.error("`match` must name at least one key"));
        }
        if self.up_after == Some(0) {
            return Err(self.error("`up_after` must be at least 1"));
        }
        for file in &self.file_sd_configs {
            file.validate().map_err(|problem| self.error(problem))?;
        }
        for (mechanism, used) in [
            ("kubernetes_sd_configs", !self.kubernetes_sd_configs.is_empty()),
            ("http_sd_configs", !self.http_sd_configs.is_empty()),
            ("dns_sd_configs", !self.dns_sd_configs.is_empty()),
        ] {
            if used {
                return Err(Error::UnsupportedDiscovery { job: self.job_name.clone(), mechanism });
            }
        }
        self.relabel_rules().map(|_| ())
    }

    /// The compiled `relabel_configs`.
    pub fn relabel_rules(&self) -> Result<Vec<RelabelRule>, Error> {
        let compile = |(index, config)| {
            RelabelRule::compile(config).map_err(|problem| Error::Relabel {
                job: self.job_name.clone(),
                index,
                problem,
            })
        };
        self.relabel_configs.iter().enumerate().map(compile).collect()
    }
}
