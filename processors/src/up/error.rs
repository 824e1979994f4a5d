//! What can be wrong with the configuration or the discovery of `up`.

use std::path::PathBuf;

/// Errors of this component. Each says what is wrong, with what, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration breaks a rule that its types cannot express.
    #[error("{path}: {problem}")]
    Config { path: String, problem: String },
    /// The state cannot be kept.
    #[error("cannot keep the state of `up` in {path}: {source}", path = path.display())]
    State { path: PathBuf, source: std::io::Error },
    /// A discovery file cannot be read. The last good content stays in force.
    #[error("cannot read the discovery file {path}: {source}", path = path.display())]
    FileUnreadable { path: PathBuf, source: std::io::Error },
    /// A discovery file is not what Prometheus accepts. The last good content stays in force.
    #[error("the discovery file {path} is not valid: {problem}", path = path.display())]
    FileInvalid { path: PathBuf, problem: String },
}
