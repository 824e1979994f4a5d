//! Extensions that configurations of the OpenTelemetry Collector name and that have no counterpart here (collector-compat §1.13):
//! they are accepted, and a warning says what to look at instead. They listen nowhere.

mod config;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sluice_pipeline::Error;
use sluice_pipeline::component::{Component, Environment, Stability};
use sluice_pipeline::extension::Extension;
use sluice_pipeline::factory::{Extensions, Factory, Meta};

pub use config::{CgroupRuntime, Pprof, Zpages};

/// Does nothing.
struct Idle;

impl Component for Idle {}
impl Extension for Idle {}

macro_rules! idle {
    ($(#[$doc:meta])* $factory:ident, $config:ty, $name:literal) => {
        $(#[$doc])*
        pub struct $factory;

        impl Factory<Extensions> for $factory {
            type Config = $config;

            fn meta(&self) -> Meta {
                Meta::new($name, Stability::Development)
            }

            fn build(&self, _config: &$config, _environment: Environment) -> Result<Arc<dyn Extension>, Error> {
                Ok(Arc::new(Idle))
            }
        }
    };
}

idle!(
    /// Makes `zpages` extensions.
    ZpagesFactory, Zpages, "zpages"
);
idle!(
    /// Makes `pprof` extensions.
    PprofFactory, Pprof, "pprof"
);
idle!(
    /// Makes `cgroupruntime` extensions.
    CgroupRuntimeFactory, CgroupRuntime, "cgroupruntime"
);
