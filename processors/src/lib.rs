//! Sluice processors.
