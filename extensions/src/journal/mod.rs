//! Extension `journal`: where and how acknowledged data is kept on disk (delivery §1.1, §3). It holds settings only; the
//! collector opens the journal once it knows the destinations.

mod config;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use sluice_pipeline::Error;
use sluice_pipeline::component::{Component, Environment, Stability};
use sluice_pipeline::extension::{Extension, JournalSettings};
use sluice_pipeline::factory::{Extensions, Factory, Meta};

pub use config::{Compression, Config};

/// Makes `journal` extensions.
pub struct JournalFactory;

impl Factory<Extensions> for JournalFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta::new("journal", Stability::Alpha)
    }

    fn build(&self, config: &Config, _environment: Environment) -> Result<Arc<dyn Extension>, Error> {
        Ok(Arc::new(Journal(config.settings())))
    }
}

struct Journal(JournalSettings);

impl Component for Journal {}

impl Extension for Journal {
    fn storage(&self) -> Option<&Path> {
        self.0.directory.as_deref()
    }

    fn journal(&self) -> Option<&JournalSettings> {
        Some(&self.0)
    }
}
