//! Sluice processors.

pub mod up;
