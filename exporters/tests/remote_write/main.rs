//! The remote-write exporter, held against an independent decoder and a plain model.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod configuring;
mod crafted;
mod endpoint;
#[path = "../common/endpoint.rs"]
mod http;
mod laws;
mod messages;
mod model;
mod prometheus;
mod read;
mod rules;
mod sending;
