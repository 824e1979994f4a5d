//! Counters and the targets view.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Engine, Now, SharedIdentity};
use crate::up::labels::Labels;
use crate::up::ladder::{Rung, Slot};
use crate::up::state::{Mono, State, Timing};
use crate::up::target::Target;

/// What happened since start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Identities matched, by rung (`otlp_liveness_match_total`).
    pub matches: [u64; Rung::ALL.len()],
    /// Keys with several candidates, by rung (`otlp_liveness_ambiguous_matches_total`).
    pub ambiguous: [u64; Rung::ALL.len()],
    /// How often several instances began to send for one target.
    pub multiple_identities: u64,
    /// Targets beyond `max_targets`.
    pub refused_targets: u64,
    /// Identities without a target that were forgotten because there were too many.
    pub evicted_identities: u64,
    /// Updates held back because they would remove too much.
    pub doubted_updates: u64,
    /// Samples withheld because another target writes the same series.
    pub withheld_duplicates: u64,
    /// Values of `up` withheld because somebody else's passed through for the same labels.
    pub withheld_scraped: u64,
    /// Pushes that were no sign of life because their data was too old.
    pub stale_data: u64,
}

/// The engine as self-telemetry shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// The jobs that can have targets.
    pub jobs: BTreeSet<String>,
    /// Expected targets by job and state (`otlp_liveness_targets`).
    pub targets: BTreeMap<(String, &'static str), usize>,
    /// Senders without a target (`otlp_liveness_unexpected_identities`).
    pub unexpected_identities: usize,
    /// Targets for which several instances send (`otlp_liveness_multiple_identities`).
    pub multiple_identities: usize,
    /// Whether any job warms up (`otlp_liveness_warming_up`).
    pub warming_up: bool,
    /// Whether a partition is suspected (`otlp_liveness_suspected_partition`).
    pub suspected_partition: bool,
    /// Wall clock of the last good update, by job (`otlp_liveness_sd_last_success_timestamp_seconds`).
    pub last_success: BTreeMap<String, Duration>,
    /// Failed updates, by job.
    pub failures: BTreeMap<String, u64>,
    /// What happened since start.
    pub counters: Counters,
}

/// A job whose targets are mostly not found among the senders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoorlyMatched {
    pub job: String,
    pub matched: usize,
    pub targets: usize,
}

/// One target as the view shows it.
#[derive(Clone, Debug)]
pub struct TargetStatus {
    /// `job_name`.
    pub job: String,
    /// The expected sender.
    pub target: Arc<Target>,
    /// The labels that its series have now.
    pub labels: Labels,
    /// Its state.
    pub state: State,
    /// I, D and G.
    pub timing: Timing,
    /// The last arrival of any signal that counts.
    pub last_seen: Option<Mono>,
    /// By which key it was matched last.
    pub matched: Option<Rung>,
}

impl Engine {
    /// What happened since start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Counts everything; scans all targets.
    pub fn statistics(&self, now: Now) -> Statistics {
        let mut statistics = Statistics {
            unexpected_identities: self.unexpected.len(),
            suspected_partition: self.absences.suspected(now.mono)
                || self.jobs.iter().any(|job| job.absences.suspected(now.mono)),
            multiple_identities: self.entries.iter().flatten().filter(|entry| entry.senders.many(now.mono)).count(),
            counters: self.counters.clone(),
            ..Statistics::default()
        };
        let learned = self.jobs.last().filter(|_| self.config.learned.enabled);
        statistics.jobs = self.configured_jobs().chain(learned).map(|job| job.name.clone()).collect();
        for job in self.configured_jobs() {
            let warm_from = self.ready.zip(job.first_sync).map(|(ready, synced)| ready.max(synced));
            statistics.warming_up |= warm_from.is_none_or(|from| now.mono <= from.saturating_add(self.warm_up));
            statistics.failures.insert(job.name.clone(), job.failures);
            if let Some(success) = job.last_success {
                statistics.last_success.insert(job.name.clone(), success);
            }
        }
        for target in self.targets(now) {
            *statistics.targets.entry((target.job, target.state.name())).or_default() += 1;
        }
        statistics
    }

    /// The jobs of which, two warm-ups after the start, less than half of the targets have been matched. Each job is looked at
    /// once.
    pub fn poorly_matched(&mut self, now: Now) -> Vec<PoorlyMatched> {
        let warm_up = self.warm_up.saturating_mul(2);
        let Some(ready) = self.ready else { return Vec::new() };
        let due = |job: &super::job::Job| {
            let from = job.first_sync.map(|synced| synced.max(ready));
            let over = from.is_some_and(|from| now.mono > from.saturating_add(warm_up));
            over && !job.match_checked && !job.targets.is_empty()
        };
        let configured = self.jobs.len() - 1;
        let mut found = Vec::new();
        for job in self.jobs.iter_mut().take(configured).filter(|job| due(job)) {
            job.match_checked = true;
            let entries = job.targets.values().filter_map(|slot| self.entries.get(*slot as usize)?.as_ref());
            let matched = entries.filter(|entry| entry.matched.is_some()).count();
            if matched * 2 < job.targets.len() {
                found.push(PoorlyMatched { job: job.name.clone(), matched, targets: job.targets.len() });
            }
        }
        found
    }

    /// All targets.
    pub fn targets(&self, now: Now) -> impl Iterator<Item = TargetStatus> + '_ {
        (0..self.entries.len() as Slot).filter_map(move |slot| {
            let entry = self.entry(slot)?;
            let circumstances = self.circumstances(slot, now.mono)?;
            // A copy: looking must not change what is looked at.
            let state = match entry.leaving {
                Some(_) => State::Leaving,
                None => entry.up.clone().state_at(now.mono, &circumstances),
            };
            Some(TargetStatus {
                job: self.jobs[entry.job as usize].name.clone(),
                target: entry.target.clone(),
                labels: entry.labels.clone(),
                state,
                timing: circumstances.timing,
                last_seen: entry.up.last_seen(),
                matched: entry.matched,
            })
        })
    }

    /// Senders without a target.
    pub fn unexpected(&self) -> impl Iterator<Item = (&SharedIdentity, Mono)> {
        self.unexpected.values().map(|known| (&known.identity, known.last_seen))
    }
}
