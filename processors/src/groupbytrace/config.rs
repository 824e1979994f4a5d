//! Upstream's fields.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_config::{GoDuration, Problems};
use sluice_pipeline::factory::{Validate, field};

use crate::trace_window::{Attach, Deciding, Settings};

/// `processors: groupbytrace:`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// From the first span of a trace until its spans go on.
    pub wait_duration: GoDuration,
    /// Traces that are held. Beyond it the oldest go on before their time.
    pub num_traces: u64,
    /// Without effect.
    pub num_workers: u64,
    /// Upstream has the field, and refuses it, too.
    pub discard_orphans: bool,
    /// Upstream has the field, and refuses it, too.
    pub store_on_disk: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            wait_duration: GoDuration::from_secs(1),
            num_traces: 1_000_000,
            num_workers: 1,
            discard_orphans: false,
            store_on_disk: false,
        }
    }
}

impl Config {
    /// What the window is told. `memory`: bytes it may account.
    pub(super) fn settings(&self, memory: usize) -> Settings {
        Settings {
            // A dry run changes nothing in what it keeps, and it keeps everything.
            decide: Some(Deciding { wait: *self.wait_duration, wait_after_root: Duration::ZERO, dry_run: true }),
            memory_limit: memory,
            max_live_spans: usize::MAX,
            max_traces: usize::try_from(self.num_traces).unwrap_or(usize::MAX),
            // Later spans of a trace that has gone are held again.
            verdict_retention: Duration::ZERO,
            verdicts_kept: 1,
            verdicts_dropped: 1,
            hold_span: Duration::ZERO,
            trace_max_bytes: 64 << 20,
            trace_max_spans: usize::MAX,
            attach: Attach { log: Vec::new(), log_max_bytes: 0, span: Vec::new(), span_max_bytes: 0 },
            ..Settings::default()
        }
    }
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if self.num_workers > 1 {
            problems.add("N0602", &field(at, "num_workers"), "`num_workers` has no effect");
        }
        if self.num_traces == 0 {
            problems.error(&field(at, "num_traces"), "`num_traces` must be positive");
        }
        if self.discard_orphans {
            problems.error(&field(at, "discard_orphans"), "option 'discard orphans' not supported in this release");
        }
        if self.store_on_disk {
            problems.error(&field(at, "store_on_disk"), "option 'disk storage' not supported in this release");
        }
    }
}
