//! The wire form of telemetry: OTLP protobuf bytes that are read through views and changed by one pass.
//!
//! A batch of telemetry is the `Bytes` that arrived. Nothing here decodes it into an object tree, does I/O, reads a clock,
//! or keeps state between calls.
//!
//! | module | what it holds |
//! |---|---|
//! | [`wire`] | protobuf tags, varints and fields |
//! | [`schema`], [`tags`] | the OTLP messages as a table, and their field numbers |
//! | [`signal`] | traces, metrics, logs: their names, paths and root messages |
//! | [`framing`] | the check down to items that every request passes |
//! | [`canonical`] | every singular field once |
//! | [`json`] | OTLP/JSON, straight to and from wire form |
//! | [`split`] | cutting requests at item boundaries, and joining them |
//! | `testing` | random requests and oracles, behind the feature of that name |
//! | [`view`] | lazy, typed reading of messages |
//! | [`msg`] | one message being edited |
//! | [`leaves`] | a walk that rewrites the texts inside a message |
//! | [`pass`] | the fused pass of steps over a batch |

pub mod canonical;
pub mod error;
pub mod framing;
pub mod json;
pub mod leaves;
pub mod msg;
pub mod pass;
pub mod schema;
pub mod signal;
pub mod split;
pub mod tags;
#[cfg(feature = "testing")]
pub mod testing;
pub mod view;
pub mod wire;

pub use error::{Error, Fault};
pub use signal::Signal;
