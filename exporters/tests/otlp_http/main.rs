//! The OTLP/HTTP exporter against an endpoint that answers as it is told, and one that means harm.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod answers;
mod configuring;
#[path = "../common/endpoint.rs"]
mod endpoint;
mod hostile;
mod rig;
mod sending;
