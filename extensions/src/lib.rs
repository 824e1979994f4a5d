//! Extensions: what the collector needs and no telemetry passes through.
//!
//! | module | what it holds |
//! |---|---|
//! | [`journal`] | where acknowledged data is kept |
//! | [`file_storage`] | the same, under upstream's name and settings |
//! | [`bearertokenauth`] | tokens that senders show, and that exporters show |
//! | [`basicauth`] | the same with names and passwords |
//! | [`headers_setter`] | headers of outgoing requests, fixed or from the request that brought the data |
//! | [`memory_limiter`] | the memory budget |
//! | [`idle`] | what is accepted for the sake of configurations that name it: `zpages`, `pprof`, `cgroupruntime` |
//! | [`health_check`] | whether the collector takes data, over HTTP |

pub mod basicauth;
pub mod bearertokenauth;
mod credential;
pub mod file_storage;
mod grant;
pub mod headers_setter;
pub mod health_check;
pub mod idle;
pub mod journal;
pub mod memory_limiter;
mod size;
mod watch;

use sluice_pipeline::factory::{Extensions, Registry};

/// Adds every extension to a registry.
pub fn register(registry: &mut Registry<Extensions>) {
    registry.register(journal::JournalFactory);
    registry.register(file_storage::FileStorageFactory);
    registry.register(bearertokenauth::BearerTokenAuthFactory);
    registry.register(basicauth::BasicAuthFactory);
    registry.register(headers_setter::HeadersSetterFactory);
    registry.register(health_check::HealthCheckFactory);
    registry.register(memory_limiter::MemoryLimiterFactory);
    registry.register(idle::ZpagesFactory);
    registry.register(idle::PprofFactory);
    registry.register(idle::CgroupRuntimeFactory);
}
