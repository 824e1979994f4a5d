//! Files with secrets, read again when they change.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sluice_config::Secret;
use sluice_pipeline::Error;
use sluice_pipeline::clock::Clock;
use tokio::task::JoinHandle;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);
/// Largest file.
const MOST: u64 = 4 << 20;

/// The contents of files, in the order of their paths.
pub type Contents = Vec<Secret>;

/// Reads files.
///
/// # Errors
/// The first that cannot be read, with its path.
pub fn read(paths: &[PathBuf]) -> Result<Contents, Error> {
    paths.iter().map(|path| read_one(path)).collect()
}

fn read_one(path: &Path) -> Result<Secret, Error> {
    let failed = |source| Error::File { path: path.display().to_string(), source };
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_string(&mut text));
    let text = Secret::new(text);
    if read.map_err(failed)? as u64 > MOST {
        return Err(failed(std::io::Error::other("larger than 4 MiB")));
    }
    Ok(text)
}

/// Names files with secrets that others may read (security §7).
pub fn warn_of_open_modes(paths: &[PathBuf]) {
    for path in paths {
        if std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0) {
            tracing::warn!(file = %path.display(), "a file with secrets can be read by others, use mode 0600");
        }
    }
}

/// The task that looks; it ends when this is dropped.
#[derive(Debug)]
pub struct Watch(JoinHandle<()>);

impl Watch {
    /// Calls `take` with the contents when they are others than `known`. What it refuses leaves things as they were.
    pub fn start(
        extension: String,
        paths: Vec<PathBuf>,
        known: Contents,
        clock: Arc<dyn Clock>,
        take: impl Fn(&Contents) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        let mut known = Some(known);
        Watch(tokio::spawn(async move {
            loop {
                clock.sleep(INTERVAL).await;
                let wanted = paths.clone();
                let Ok(read) = tokio::task::spawn_blocking(move || read(&wanted)).await else { continue };
                match read {
                    Ok(contents) if known.as_ref() == Some(&contents) => {}
                    Ok(contents) => {
                        match take(&contents) {
                            Ok(()) => tracing::info!(extension, "credentials were read again"),
                            Err(error) => tracing::error!(extension, %error, "new credentials cannot be used"),
                        }
                        known = Some(contents);
                    }
                    // Told once.
                    Err(_) if known.is_none() => {}
                    Err(error) => {
                        tracing::error!(extension, %error, "credentials cannot be read, those before stay");
                        known = None;
                    }
                }
            }
        }))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
