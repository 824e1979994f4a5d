//! All mechanisms of one job together: what they find, as the engine's set of targets.

use sluice_pipeline::Error;

use super::file::FileDiscovery;
use super::{TargetGroup, static_};
use crate::up::config::JobConfig;
use crate::up::engine::{Engine, JobId, Now, SyncOutcome};
use crate::up::target::TargetBuilder;

/// The discovery mechanisms of one job.
pub struct Discovery {
    job: JobId,
    name: String,
    builder: TargetBuilder,
    fixed: Vec<TargetGroup>,
    files: Vec<FileDiscovery>,
    /// Whether the engine has the present set: nothing is built again before it changes.
    applied: bool,
}

impl Discovery {
    /// The mechanisms of a job that the engine knows.
    ///
    /// # Errors
    /// A job that is unknown, or whose relabelling cannot be compiled.
    pub fn new(job: &JobConfig, engine: &Engine) -> Result<Self, Error> {
        let invalid = |text: String| Error::config(format!("job {:?}: {text}", job.job_name));
        Ok(Discovery {
            job: engine.job(&job.job_name).ok_or_else(|| invalid("unknown to the engine".to_owned()))?,
            name: job.job_name.clone(),
            builder: TargetBuilder::new(job).map_err(|error| invalid(error.to_string()))?,
            fixed: static_::groups(&job.static_configs),
            files: job.file_sd_configs.iter().cloned().map(FileDiscovery::new).collect(),
            applied: false,
        })
    }

    /// Looks for targets and tells the engine. Blocking file I/O of small files.
    pub fn poll(&mut self, engine: &mut Engine, now: Now) {
        let mut failed = false;
        let mut synced = true;
        for files in &mut self.files {
            let poll = files.poll(now.mono);
            synced &= poll.synced;
            self.applied &= !poll.changed;
            for error in &poll.errors {
                tracing::warn!(job = %self.name, %error, "discovery: the last good content stays in force");
                failed = true;
            }
        }
        if failed || !synced {
            engine.sync_failed(self.job, now);
        }
        if !synced {
            return;
        }
        if self.applied {
            if !failed {
                engine.sync_unchanged(self.job, now);
            }
            return;
        }
        let set = self.builder.build(self.fixed.iter().chain(self.files.iter().flat_map(FileDiscovery::groups)));
        for (labels, problem) in &set.invalid {
            tracing::warn!(job = %self.name, ?labels, %problem, "discovered target is not usable");
        }
        // A doubted set is handed in again at the next poll: that is its confirmation.
        self.applied = engine.sync(self.job, &set.targets, now) == SyncOutcome::Applied;
    }
}
