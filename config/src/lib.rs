//! Sluice config.
