//! Receivers: where telemetry comes in.
//!
//! | module | component |
//! |---|---|
//! | [`otlp`] | OTLP over gRPC and HTTP |

mod cors;
mod gate;
mod listener_metrics;
pub mod otlp;
