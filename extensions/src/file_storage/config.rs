//! Upstream's fields, and what of them has an effect here.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sluice_config::{ByteSize, GoDuration, Node, Problems};
use sluice_pipeline::extension::JournalSettings;
use sluice_pipeline::factory::{Validate, field};

/// Upstream's default.
const DIRECTORY: &str = "/var/lib/otelcol/file_storage";

/// `extensions: file_storage:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The journal is in `sluice.journal` inside.
    pub directory: Option<PathBuf>,
    /// Make the directory if it is missing.
    pub create_directory: bool,
    /// Our own: most bytes on disk, as the `journal` extension has it.
    pub max_size: Option<ByteSize>,
    /// Without effect.
    pub directory_permissions: Option<Node>,
    /// Without effect.
    pub timeout: Option<GoDuration>,
    /// Without effect.
    pub compaction: Option<Node>,
    /// Without effect: what is acknowledged is on disk.
    pub fsync: Option<bool>,
    /// Without effect.
    pub recreate: bool,
}

impl Config {
    /// The directory as written, or upstream's.
    pub fn directory(&self) -> PathBuf {
        self.directory.clone().unwrap_or_else(|| DIRECTORY.into())
    }

    /// What the collector opens the journal with.
    pub fn settings(&self) -> JournalSettings {
        let directory = self.directory();
        JournalSettings {
            directory: Some(directory.join("sluice.journal")),
            must_exist: Some(directory).filter(|_| !self.create_directory),
            max_size: self.max_size.map(|size| size.0),
            ..JournalSettings::default()
        }
    }
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if self.directory.as_deref().is_some_and(|directory: &Path| !directory.is_absolute()) {
            problems.error(&field(at, "directory"), "`directory` must be an absolute path");
        }
        crate::size::check(self.max_size, at, problems);
        if self.fsync == Some(false) {
            let text = "`fsync: false` has no effect: what is acknowledged is on disk";
            problems.add("N0602", &field(at, "fsync"), text);
        }
    }
}
