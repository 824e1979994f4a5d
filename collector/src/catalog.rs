//! Every component of this build.

use sluice_config::service::Catalog;
use sluice_pipeline::factory::Registries;

/// The component types, by kind.
pub fn registries() -> Registries {
    let mut all = Registries::default();
    all.receivers.register(sluice_receivers::otlp::OtlpFactory);
    sluice_processors::register(&mut all.processors);
    sluice_processors::register_connectors(&mut all.connectors);
    sluice_exporters::register(&mut all.exporters);
    sluice_extensions::register(&mut all.extensions);
    all
}

/// Their names, for checking references against.
pub struct Names {
    receivers: Vec<&'static str>,
    processors: Vec<&'static str>,
    exporters: Vec<&'static str>,
    connectors: Vec<&'static str>,
    extensions: Vec<&'static str>,
}

impl Names {
    /// The names of all types in `registries`.
    pub fn of(registries: &Registries) -> Self {
        Names {
            receivers: registries.receivers.names(),
            processors: registries.processors.names(),
            exporters: registries.exporters.names(),
            connectors: registries.connectors.names(),
            extensions: registries.extensions.names(),
        }
    }

    /// The form in which configuration takes them.
    pub fn catalog(&self) -> Catalog<'_> {
        Catalog {
            receivers: &self.receivers,
            processors: &self.processors,
            exporters: &self.exporters,
            connectors: &self.connectors,
            extensions: &self.extensions,
        }
    }
}
