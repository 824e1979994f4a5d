//! Extensions: what the collector needs and no telemetry passes through.
//!
//! | module | what it holds |
//! |---|---|
//! | [`journal`] | where acknowledged data is kept |
//! | [`file_storage`] | the same, under upstream's name and settings |

pub mod file_storage;
pub mod journal;
mod size;

use sluice_pipeline::factory::{Extensions, Registry};

/// Adds every extension to a registry.
pub fn register(registry: &mut Registry<Extensions>) {
    registry.register(journal::JournalFactory);
    registry.register(file_storage::FileStorageFactory);
}
