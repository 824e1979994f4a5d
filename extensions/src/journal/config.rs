//! The settings, with their bounds.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sluice_config::{ByteSize, GoDuration, Problems};
use sluice_pipeline::extension::JournalSettings;
use sluice_pipeline::factory::{Validate, field};

use crate::size;

/// `extensions: journal:`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The journal's own directory, mode 0700. `$STATE_DIRECTORY/journal` or `/var/lib/sluice/journal` unless written.
    pub directory: Option<PathBuf>,
    /// Most bytes on disk: 10 GiB, or half of the free space if that is less.
    pub max_size: Option<ByteSize>,
    /// A sixteenth of `max_size`, between 8 MiB and 64 MiB, unless written.
    pub segment_size: Option<ByteSize>,
    /// Of what is on disk.
    pub compression: Compression,
    /// How long the backlog of an exporter that is not configured any more is kept; 24 h unless written.
    pub detach_grace: Option<GoDuration>,
}

/// How records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    #[default]
    None,
    /// Each record for itself, level 1.
    Zstd,
}

impl Config {
    /// What the collector opens the journal with.
    pub fn settings(&self) -> JournalSettings {
        JournalSettings {
            directory: self.directory.clone(),
            must_exist: None,
            max_size: self.max_size.map(|size| size.0),
            segment_size: self.segment_size.map(|size| size.0),
            compress: self.compression == Compression::Zstd,
            detach_grace: self.detach_grace.map(|grace| *grace),
        }
    }
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if self.directory.as_ref().is_some_and(|directory| !directory.is_absolute()) {
            problems.error(&field(at, "directory"), "`directory` must be an absolute path");
        }
        size::check(self.max_size, at, problems);
        if let Some(segment_size) = self.segment_size {
            // Without a size of its own, the journal has room for the largest segments there are.
            let max_size = self.max_size.map_or(u64::MAX, |written| written.0.max(size::LEAST));
            let mut config = sluice_journal::Config::sized(max_size);
            config.segment_size = segment_size.0;
            if let Err(error) = config.validate() {
                problems.error(&field(at, "segment_size"), error.to_string());
            }
        }
    }
}
