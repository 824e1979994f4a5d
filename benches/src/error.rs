//! Everything that can go wrong in the rig.

use std::io;

/// What happened, to what. The bins print it and exit non-zero.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or socket, named, could not be used.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// A scenario file, a flag or an answer of another process does not say what it must.
    #[error("{0}")]
    Invalid(String),
    /// A process of the rig did not start, or died while it was needed.
    #[error("{process}: {problem}")]
    Process { process: String, problem: String },
    /// The peer could not be reached or broke the connection.
    #[error("{peer}: {problem}")]
    Peer { peer: String, problem: String },
}

impl Error {
    /// Wraps an I/O error with what was being used.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Names the peer in any error of talking to it.
pub trait OfPeer<T> {
    fn of_peer(self, peer: &str) -> Result<T, Error>;
}

impl<T, E: std::fmt::Display> OfPeer<T> for Result<T, E> {
    fn of_peer(self, peer: &str) -> Result<T, Error> {
        self.map_err(|problem| Error::Peer { peer: peer.to_owned(), problem: problem.to_string() })
    }
}
