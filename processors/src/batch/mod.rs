//! Processor `batch`: the merge policy of the exporters behind it. It holds no data in front of the spine
//! (collector-compat §4.2).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_config::{GoDuration, Problems};
use sluice_pipeline::Error;
use sluice_pipeline::component::{Environment, Stability};
use sluice_pipeline::factory::{Factory, Meta, Processors, Validate, field};
use sluice_pipeline::processor::{Batching, Processor, Sizer};

/// `processors: batch:`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Longest wait for `send_batch_size`; 0 sends at once.
    pub timeout: GoDuration,
    /// Items that end the wait; 0 sends at once.
    pub send_batch_size: i64,
    /// Most items in a payload; 0 for no limit.
    pub send_batch_max_size: i64,
    /// Request headers by which payloads are kept apart.
    pub metadata_keys: Vec<String>,
    /// Accepted; a partition costs nothing here.
    pub metadata_cardinality_limit: i64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            timeout: GoDuration::from_millis(200),
            send_batch_size: 8192,
            send_batch_max_size: 0,
            metadata_keys: Vec::new(),
            metadata_cardinality_limit: 1000,
        }
    }
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if self.send_batch_size < 0 {
            problems.error(&field(at, "send_batch_size"), "send_batch_size must be greater or equal to 0");
        }
        if self.send_batch_max_size > 0 && self.send_batch_max_size < self.send_batch_size {
            let text = "send_batch_max_size must be greater or equal to send_batch_size";
            problems.error(&field(at, "send_batch_max_size"), text);
        }
        let mut keys: Vec<String> = self.metadata_keys.iter().map(|key| key.to_ascii_lowercase()).collect();
        keys.sort();
        if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            let text = format!("duplicate entry in metadata_keys: {:?} (case-insensitive)", pair[0]);
            problems.error(&field(at, "metadata_keys"), text);
        }
    }
}

/// Makes `batch` processors.
pub struct BatchFactory;

impl Factory<Processors> for BatchFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta::new("batch", Stability::Beta)
    }

    fn metadata_keys(&self, config: &Config) -> Vec<String> {
        config.metadata_keys.clone()
    }

    fn build(&self, config: &Config, _environment: Environment) -> Result<Processor, Error> {
        let waits = !config.timeout.is_zero() && config.send_batch_size > 0;
        Ok(Processor::Batching(Batching {
            flush_timeout: if waits { *config.timeout } else { Duration::ZERO },
            min_size: if waits { u64::try_from(config.send_batch_size).unwrap_or(0) } else { 0 },
            max_size: u64::try_from(config.send_batch_max_size).unwrap_or(0),
            sizer: Sizer::Items,
            metadata_keys: config.metadata_keys.iter().map(|key| key.to_ascii_lowercase()).collect(),
        }))
    }
}
