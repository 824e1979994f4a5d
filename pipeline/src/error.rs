//! Why a component cannot be built or started.

/// The crate's error. What happens to *requests* is a [`crate::Refusal`], what happens to *payloads* a
/// [`crate::send::SendOutcome`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration decodes, but cannot work. Path within the component (`sending_queue::queue_size`, may be empty).
    #[error("{text}")]
    Config { path: String, text: String },
    /// The component does not do this signal.
    #[error("telemetry type is not supported")]
    Signal(sluice_pdata::Signal),
    /// An address cannot be listened on.
    #[error("listen {endpoint}: {source}")]
    Listen { endpoint: String, source: std::io::Error },
    /// An address, TLS material or a setting of the network that cannot be used.
    #[error("{0}")]
    Network(sluice_net::Error),
    /// A file cannot be used.
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    /// Anything else at start.
    #[error("{0}")]
    Start(String),
    /// Anything else, with its cause.
    #[error("{context}: {source}")]
    Caused { context: String, source: Box<dyn std::error::Error + Send + Sync> },
}

impl From<sluice_net::Error> for Error {
    fn from(error: sluice_net::Error) -> Self {
        Error::Network(error)
    }
}

impl Error {
    /// A configuration error about the whole component.
    pub fn config(text: impl Into<String>) -> Self {
        Error::Config { path: String::new(), text: text.into() }
    }
}
