//! Sluice net.
