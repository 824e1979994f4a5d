//! Config blocks that many components share, with upstream's fields, defaults and error texts (collector-compat §2).
//!
//! Plain data: what a field does is written where it is used. An optional field that upstream has a default for is one whose
//! default differs here, or where "written" and "default" are told apart (delivery §4.1).

mod auth;
mod connections;
mod grpc;
mod http;
mod memory;
mod protection;
mod queue;
mod retry;
mod tls;
mod words;

pub use auth::{Auth, Middleware};
pub use grpc::{EnforcementPolicy, GrpcClient, GrpcServer, KeepaliveClient, KeepaliveServer, ServerParameters};
pub use http::{CompressionParams, Cors, HttpClient, HttpServer};
pub use memory::MemoryLimiter;
pub use protection::{CircuitBreaker, Concurrency, DeadLetter, Poison, Protection, RetryBudget};
pub use queue::{Partition, QueueBatch, SendingQueue};
pub use retry::{Retry, Timeout};
pub use tls::{ClientAuth, TlsClient, TlsMaterial, TlsServer};
pub use words::{Balancer, ErrorMode, GrpcCompression, HttpCompression};

use sluice_config::Problems;

use crate::factory::field;

/// Names of compressions that a client block takes.
pub const COMPRESSIONS: [&str; 9] = ["", "none", "gzip", "zlib", "deflate", "snappy", "x-snappy-framed", "zstd", "lz4"];

/// Reports a compression nobody knows.
fn check_compression(at: &str, name: &str, problems: &mut Problems<'_>) {
    if !COMPRESSIONS.contains(&name) {
        problems.add("E0106", &field(at, "compression"), &format!("unsupported compression type {name:?}")).help =
            Some("write gzip, zstd or none".to_owned());
    }
}

/// Reports an endpoint of a listener that no address can be made of.
fn check_listen(at: &str, endpoint: &str, transport: &str, problems: &mut Problems<'_>) {
    let path = field(at, "endpoint");
    if transport == "unix" {
        if endpoint.is_empty() {
            problems.error(&path, "unix socket path cannot be empty");
        }
        return;
    }
    if !matches!(transport, "" | "tcp" | "tcp4" | "tcp6") {
        problems.add("E0106", &field(at, "transport"), &format!("invalid transport type {transport:?}")).help =
            Some("write tcp or unix".to_owned());
    }
    let port = endpoint.rsplit_once(':').map_or("", |(_, port)| port);
    if !endpoint.is_empty() && port.parse::<u16>().is_err() {
        problems.add("E0211", &path, &format!("invalid port {port:?}")).help =
            Some("write host:port, such as localhost:4317".to_owned());
    }
}

#[cfg(test)]
mod tests;
