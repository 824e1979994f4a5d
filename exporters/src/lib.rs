//! Sluice exporters.

pub mod prometheus_remote_write;
