//! Upstream's fields. They are checked for being known, and have no effect.

use serde::{Deserialize, Serialize};
use sluice_config::Problems;
use sluice_pipeline::blocks::HttpServer;
use sluice_pipeline::factory::Validate;

/// `extensions: zpages:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Zpages {
    #[serde(rename = "..server")]
    pub server: HttpServer,
    /// Without effect.
    pub expvar: Expvar,
}

/// `expvar`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expvar {
    /// Without effect.
    pub enabled: bool,
}

/// `extensions: pprof:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pprof {
    /// Without effect.
    pub endpoint: String,
    /// Without effect.
    pub block_profile_fraction: i64,
    /// Without effect.
    pub mutex_profile_fraction: i64,
    /// Without effect.
    pub save_to_file: String,
    /// Without effect.
    pub dialer: Dialer,
}

/// `dialer`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dialer {
    /// Without effect.
    pub timeout: sluice_config::GoDuration,
}

/// `extensions: cgroupruntime:`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CgroupRuntime {
    /// Without effect.
    pub gomaxprocs: Switch,
    /// Without effect.
    pub gomemlimit: MemoryShare,
}

/// `gomaxprocs`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switch {
    /// Without effect.
    pub enabled: bool,
}

/// `gomemlimit`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryShare {
    /// Without effect.
    pub enabled: bool,
    /// Without effect.
    pub ratio: f64,
}

fn note(what: &str, instead: &str, problems: &mut Problems<'_>) {
    let text = format!("`{what}` has no effect and listens nowhere: {instead}");
    problems.add("N0602", "", &text).help = Some("remove it".to_owned());
}

impl Validate for Zpages {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        self.server.validate(at, problems);
        note("zpages", "the admin API tells of pipelines, queues and the ledger (docs/queue.md)", problems);
    }
}

impl Validate for Pprof {
    fn validate(&self, _at: &str, problems: &mut Problems<'_>) {
        note("pprof", "there is no Go runtime to profile; use perf on the process", problems);
    }
}

impl Validate for CgroupRuntime {
    fn validate(&self, _at: &str, problems: &mut Problems<'_>) {
        note("cgroupruntime", "there is no Go runtime; limits of the control group are found without it", problems);
    }
}
