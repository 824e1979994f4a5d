//! The remote-write exporter, held against an independent decoder and a plain model.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod configuring;
mod crafted;
mod endpoint;
mod laws;
mod messages;
mod model;
mod prometheus;
mod read;
mod sending;
