//! What can be wrong with the configuration or the discovery of `up`.

use std::path::PathBuf;

/// Errors of this component. Each says what is wrong, with what, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A job breaks a rule of the configuration.
    #[error("job `{job}`: {problem}")]
    Job { job: String, problem: String },
    /// A key outside of `jobs` breaks a rule of the configuration.
    #[error("`{key}`: {problem}")]
    Key { key: &'static str, problem: String },
    /// A relabelling rule breaks a rule of Prometheus.
    #[error("relabel rule {index} of job `{job}`: {problem}")]
    Relabel { job: String, index: usize, problem: String },
    /// A job uses a discovery mechanism that is not built in.
    #[error("job `{job}` uses `{mechanism}`, which this build does not have")]
    UnsupportedDiscovery { job: String, mechanism: &'static str },
    /// A discovery file cannot be read. The last good content stays in force.
    #[error("cannot read the discovery file {path}: {source}", path = path.display())]
    FileUnreadable { path: PathBuf, source: std::io::Error },
    /// A discovery file is not what Prometheus accepts. The last good content stays in force.
    #[error("the discovery file {path} is not valid: {problem}", path = path.display())]
    FileInvalid { path: PathBuf, problem: String },
}
