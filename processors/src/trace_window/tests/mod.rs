//! The window under virtual time.

mod annotate;
mod deciding;
mod kit;
mod laws;
mod memory;
mod oracle;
mod pressure;
mod restart;
