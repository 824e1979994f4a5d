//! The end-to-end load rig of Sluice: a generator, a counting sink, a bare relay as yardstick, and the rig that runs
//! them against a collector and prints ratios. Plain tokio, hyper and tonic: nothing here imports a room of Sluice, so
//! that the yardstick cannot bend with what it measures.
//!
//! - [`payload`], [`ring`]: request bodies built once, patched in place with current times
//! - [`client`], [`load`]: sending them at a fixed rate or as fast as they are answered
//! - [`scan`], [`sink`]: counting what arrives without decoding it
//! - [`tracked`]: which tracked items were acknowledged, and which arrived
//! - [`rig`]: the orchestrator
//! - [`control`]: the small HTTP port through which the rig reads and steers the others

pub mod client;
pub mod control;
pub mod encoding;
pub mod error;
pub mod load;
pub mod payload;
pub mod rig;
pub mod ring;
pub mod scan;
pub mod signal;
pub mod sink;
pub mod tracked;
pub mod wire;

pub use error::Error;

/// Resolves at SIGINT or SIGTERM.
pub async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        }
        _ => std::future::pending().await,
    }
}
