//! Sluice receivers.
