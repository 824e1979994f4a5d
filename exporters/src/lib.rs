//! Exporters: where telemetry goes out.
//!
//! | module | what it holds |
//! |---|---|
//! | [`delivery`] | reading from the spine, merging, retrying: the same for every destination |
//! | [`otlp`] | OTLP over gRPC |
//! | [`nop`] | nothing |

pub mod delivery;
pub mod nop;
pub mod otlp;
