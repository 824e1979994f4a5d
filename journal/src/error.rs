//! Why the journal cannot be opened, or did not take something.

use std::io;

/// Everything that can go wrong. What a receiver has to tell its client apart is a variant of its own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system failed.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// Another process has it open.
    #[error("the journal is in use{}: stop that process, or choose another directory", pid(.0))]
    Locked(Option<u32>),
    /// Written by a newer version. Nothing was touched.
    #[error("the journal has format {0}, newer than this version reads")]
    Newer(u32),
    /// A setting that cannot work.
    #[error("{0}")]
    Config(String),
    /// A destination has used up its quota, and the journal has no room beyond.
    #[error("quota of {0} is used up")]
    QuotaFull(String),
    /// The segments of this chain have used up their share of the disk budget.
    #[error("the journal is full")]
    Full,
    /// Too little space on the disk, or writing fails: nothing is taken until that ends.
    #[error("the journal is draining")]
    DrainOnly,
    /// One record is larger than a record may be.
    #[error("a record of {size} bytes is over the limit of {limit}")]
    TooLarge { size: u64, limit: u64 },
    /// More waits to be written than may wait.
    #[error("the commit queue is full")]
    QueueFull,
    /// The records did not reach stable storage.
    #[error("the append did not reach the disk")]
    AppendFailed,
    /// The journal is closing.
    #[error("the journal is closed")]
    Closed,
    /// No such destination, or it is not attached.
    #[error("unknown destination")]
    UnknownDestination,
    /// The dead letters of this destination have no room, and none may be evicted.
    #[error("the dead letters of {0} are full")]
    DeadLettersFull(String),
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { what: what.into(), source }
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Error::TooLarge { .. } | Error::Config(_) | Error::Newer(_))
    }
}

fn pid(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
}
