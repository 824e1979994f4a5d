//! Sluice pipeline.
