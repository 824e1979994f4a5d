//! Processors: what stands between receivers and exporters.
//!
//! | module | component |
//! |---|---|
//! | [`up`] | synthetic liveness for pushed telemetry |

pub mod redaction;
pub mod up;
