//! Sluice ottl.
