//! Sluice exporters.
