//! The settings of a job and what is known of its discovery.

use std::collections::HashMap;
use std::time::Duration;

use crate::up::absence::Absences;
use crate::up::config::{Config, Expect, JobConfig, Signal};
use crate::up::duration::AutoDuration;
use crate::up::labels::Labels;
use crate::up::ladder::{Rung, Slot};
use crate::up::state::{Mono, Timing};

/// How the targets of a job came to be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Configured,
    Learned,
}

#[derive(Debug)]
pub(super) struct Job {
    pub name: String,
    pub origin: Origin,
    pub rungs: Vec<Rung>,
    pub ephemeral: bool,
    /// Whether instances of a service are matched as a whole.
    pub by_service: bool,
    pub liveness: [bool; 3],
    pub per_signal: Vec<Signal>,
    pub expected_interval: AutoDuration,
    pub min_instances: u32,
    pub tolerated_losses: u32,
    pub grace: Duration,
    pub startup_grace: AutoDuration,
    pub up_after: u32,
    pub max_data_age: AutoDuration,
    pub scrape_interval: Duration,

    /// The first successful update since start.
    pub first_sync: Option<Mono>,
    pub last_success: Option<Duration>,
    pub failures: u64,
    /// Whether it was looked at how many of its targets are matched.
    pub match_checked: bool,
    /// Hash of an update that would remove too much and waits for its confirmation.
    pub doubted: Option<u64>,
    /// Expected targets by their discovery labels; those that are leaving are not among them.
    pub targets: HashMap<Labels, Slot, ahash::RandomState>,
    /// Targets that left and whose marker is not written yet.
    pub leaving: HashMap<Labels, Slot, ahash::RandomState>,
    pub absences: Absences,
}

impl Job {
    pub fn new(config: &Config, job: &JobConfig) -> Self {
        Job {
            name: job.job_name.clone(),
            origin: Origin::Configured,
            rungs: job.r#match.clone(),
            ephemeral: job.expect == Expect::Ephemeral,
            by_service: job.r#match.contains(&Rung::Service),
            liveness: Signal::ALL.map(|signal| job.liveness_signals.contains(&signal)),
            per_signal: job.per_signal.clone(),
            expected_interval: job.expected_interval,
            min_instances: job.min_instances,
            tolerated_losses: job.tolerated_losses.unwrap_or(config.tolerated_losses),
            grace: job.grace.unwrap_or(config.grace),
            startup_grace: job.startup_grace.unwrap_or(config.startup_grace),
            up_after: job.up_after.unwrap_or(config.up_after),
            max_data_age: job.max_data_age.unwrap_or(config.max_data_age),
            scrape_interval: job.scrape_interval,
            first_sync: None,
            last_success: None,
            failures: 0,
            match_checked: false,
            doubted: None,
            targets: HashMap::default(),
            leaving: HashMap::default(),
            absences: Absences::default(),
        }
    }

    /// The job of learned targets: whoever pushed is expected, and silence is an end.
    pub fn learned(config: &Config) -> Self {
        let job = JobConfig {
            job_name: "learned".to_owned(),
            r#match: vec![Rung::JobInstance],
            expect: Expect::Ephemeral,
            liveness_signals: Signal::ALL.to_vec(),
            ..JobConfig::default()
        };
        Job { origin: Origin::Learned, ..Job::new(config, &job) }
    }

    /// The clocks of a target with this I (before `expected_interval`, which overrides it) and G.
    pub fn timing(&self, grid: Option<Duration>, interval: Duration) -> Timing {
        let interval = self.expected_interval.or_else(|| interval);
        Timing::new(interval, self.tolerated_losses, self.grace, grid.unwrap_or(self.scrape_interval))
    }
}
