//! Fields of the exporter, under upstream's names (collector-compat §6.2).

use serde::{Deserialize, Serialize};
use sluice_config::{Problems, Toggle};
use sluice_pipeline::blocks::SendingQueue;
use sluice_pipeline::factory::{Validate, field};

/// `exporters: debug:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How much is shown of each batch.
    pub verbosity: Verbosity,
    /// Batches shown each second before sampling begins.
    pub sampling_initial: u64,
    /// Then every n-th; 0 for none.
    pub sampling_thereafter: u64,
    /// Write to the collector's own log instead of standard output.
    pub use_internal_logger: bool,
    /// `stdout` only.
    pub output_paths: Option<Vec<String>>,
    /// Accepted; an observer has no queue.
    pub sending_queue: Toggle<SendingQueue>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            verbosity: Verbosity::Basic,
            sampling_initial: 2,
            sampling_thereafter: 1,
            use_internal_logger: true,
            output_paths: None,
            sending_queue: Toggle::default(),
        }
    }
}

/// How much is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verbosity {
    /// Counts.
    #[default]
    Basic,
    /// One line an item.
    Normal,
    /// Every field.
    Detailed,
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        match (&self.output_paths, self.use_internal_logger) {
            (Some(_), true) => {
                let text = "output_paths is not supported when use_internal_logger is true";
                problems.error(&field(at, "output_paths"), text);
            }
            (Some(paths), false) if paths.is_empty() => {
                let text = "output_paths must not be empty when use_internal_logger is false";
                problems.error(&field(at, "output_paths"), text);
            }
            (Some(paths), false) if paths.iter().any(|path| path != "stdout") => {
                let text = "only \"stdout\" is available as output path";
                problems.error(&field(at, "output_paths"), text);
            }
            _ => {}
        }
    }
}
