//! Extension `file_storage`: upstream's name for a place on disk. An exporter that names it in `sending_queue::storage` gets
//! the journal, in a directory of its own inside (delivery §1.1).

mod config;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sluice_pipeline::component::{Component, Environment, Stability};
use sluice_pipeline::extension::{Extension, JournalSettings};
use sluice_pipeline::factory::{Extensions, Factory, Meta};
use sluice_pipeline::{BoxFuture, Error};

pub use config::Config;

/// Makes `file_storage` extensions.
pub struct FileStorageFactory;

impl Factory<Extensions> for FileStorageFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta::new("file_storage", Stability::Alpha)
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<Arc<dyn Extension>, Error> {
        let id = environment.id.as_str().to_owned();
        Ok(Arc::new(FileStorage { id, directory: config.directory(), settings: config.settings() }))
    }
}

struct FileStorage {
    id: String,
    directory: PathBuf,
    settings: JournalSettings,
}

/// Files that are named in a log line.
const NAMED: usize = 8;

impl Component for FileStorage {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        let files = foreign(&self.directory);
        if !files.is_empty() {
            tracing::warn!(
                extension = %self.id,
                directory = %self.directory.display(),
                files = files.join(", "),
                "files of another collector are here; they are not read, and what they hold is not delivered"
            );
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Regular files in the directory: none of them is ours.
fn foreign(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let files = entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut names: Vec<String> = files.take(NAMED).map(|entry| entry.file_name().to_string_lossy().into()).collect();
    names.sort();
    names
}

impl Extension for FileStorage {
    fn storage(&self) -> Option<&Path> {
        Some(&self.directory)
    }

    fn journal(&self) -> Option<&JournalSettings> {
        Some(&self.settings)
    }
}
