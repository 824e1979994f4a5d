//! Receivers: where telemetry comes in.
//!
//! | module | component |
//! |---|---|
//! | [`otlp`] | OTLP over gRPC and HTTP |

pub mod otlp;
