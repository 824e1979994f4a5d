//! Sluice processors.

pub mod redaction;
