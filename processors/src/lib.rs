//! Sluice processors.

pub mod redaction;
pub mod up;
