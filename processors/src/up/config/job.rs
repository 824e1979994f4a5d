//! One job: who is expected, and how its silence is judged.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_config::Node;

use super::{Expect, Report, Signal};
use crate::up::discovery::AddressGroup;
use crate::up::discovery::file::FileSdConfig;
use crate::up::duration::{self, AutoDuration, format_duration};
use crate::up::error::Error;
use crate::up::ladder::Rung;
use crate::up::relabel::{RelabelConfig, RelabelRule};

/// Prometheus answers a query from samples of the last five minutes; a slower grid would leave holes.
const LOOKBACK: Duration = Duration::from_secs(300);

/// One entry of `jobs`: keys of a scrape configuration, and what is particular to pushing.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
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
    /// Refused: not available yet.
    pub kubernetes_sd_configs: Vec<Node>,
    /// Refused: not available yet.
    pub http_sd_configs: Vec<Node>,
    /// Refused: not available yet.
    pub dns_sd_configs: Vec<Node>,
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
    #[serde(with = "duration::optional")]
    pub grace: Option<Duration>,
    /// Overrides the outer key.
    pub startup_grace: Option<AutoDuration>,
    /// Overrides the outer key.
    pub up_after: Option<u32>,
    /// Overrides the outer key.
    pub max_data_age: Option<AutoDuration>,
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

impl JobConfig {
    /// Tells all that is wrong and that the types cannot say.
    pub(super) fn report(&self, report: Report<'_>) {
        let mut require = |holds: bool, path: &str, problem: &str| {
            if !holds {
                report(path.to_owned(), problem.to_owned());
            }
        };
        require(!self.job_name.is_empty(), "job_name", "`job_name` is missing");
        let grid = self.scrape_interval.as_millis() > 0 && self.scrape_interval < LOOKBACK;
        let got = format_duration(self.scrape_interval);
        let text = format!("`scrape_interval` {got} must lie above 0 and below 5m, the lookback of queries");
        require(grid, "scrape_interval", &text);
        let interval = self.expected_interval != AutoDuration::Fixed(Duration::ZERO);
        require(interval, "expected_interval", "`expected_interval` must not be 0");
        let signals = !self.liveness_signals.is_empty();
        require(signals, "liveness_signals", "`liveness_signals` must name at least one signal");
        require(!self.r#match.is_empty(), "match", "`match` must name at least one key");
        require(self.up_after != Some(0), "up_after", "`up_after` must be at least 1");
        for (mechanism, used) in [
            ("kubernetes_sd_configs", !self.kubernetes_sd_configs.is_empty()),
            ("http_sd_configs", !self.http_sd_configs.is_empty()),
            ("dns_sd_configs", !self.dns_sd_configs.is_empty()),
        ] {
            let text = format!("job `{}` uses `{mechanism}`, which is not built in yet", self.job_name);
            require(!used, mechanism, &text);
        }
        for (i, file) in self.file_sd_configs.iter().enumerate() {
            if let Err(problem) = file.check() {
                report(format!("file_sd_configs::{i}"), problem);
            }
        }
        for (i, rule) in self.relabel_configs.iter().enumerate() {
            if let Err(problem) = RelabelRule::compile(rule) {
                report(format!("relabel_configs::{i}"), problem);
            }
        }
    }

    /// The compiled `relabel_configs`.
    pub fn relabel_rules(&self) -> Result<Vec<RelabelRule>, Error> {
        let compile = |(i, config): (usize, &RelabelConfig)| {
            let path = format!("{}::relabel_configs::{i}", self.job_name);
            RelabelRule::compile(config).map_err(|problem| Error::Config { path, problem })
        };
        self.relabel_configs.iter().enumerate().map(compile).collect()
    }
}
