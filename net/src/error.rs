use std::io;

/// What can go wrong while setting a listener, a client or TLS up. Errors of single requests have types of their own
/// ([`crate::grpc::CallError`], [`crate::http::SendError`], [`crate::compression::DecompressError`]).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address could not be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address as configured.
        address: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The listening socket could not be inspected.
    #[error("cannot read the address of the listening socket: {0}")]
    LocalAddress(io::Error),
    /// A file named in the TLS settings could not be read.
    #[error("failed to load {what} {path}: {source}")]
    ReadFile {
        /// What the file holds, e.g. `CA`.
        what: &'static str,
        /// Its path.
        path: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// TLS settings that upstream refuses, in upstream's words, or that name material that cannot be used.
    #[error("{0}")]
    Tls(String),
    /// An endpoint that is neither `host:port` nor a URL of a known scheme.
    #[error("invalid endpoint {endpoint:?}: {reason}")]
    Endpoint {
        /// The endpoint as configured.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A header name or value that HTTP does not allow.
    #[error("invalid header {0:?}")]
    Header(String),
    /// A compression name that is not known here.
    #[error("unsupported compression type {0:?}")]
    Compression(String),
    /// A compressor failed, which only happens when memory is short.
    #[error("failed to compress: {0}")]
    Compress(io::Error),
}
