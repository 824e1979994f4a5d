//! One open file that is only ever appended to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::backup;
use super::config::Rotation;

/// A file that is written.
pub(super) struct Output {
    pub(super) path: PathBuf,
    file: Arc<File>,
    /// A terminal or a pipe can neither be cut nor synced.
    regular: bool,
    /// Something was written since the last sync.
    unsynced: bool,
    /// A record that failed half-way could not be taken out: the file ends here, and must be cut before anything else.
    torn_at: Option<u64>,
}

/// Takes what was written back out.
pub(super) struct Undo {
    file: Arc<File>,
    len: u64,
    regular: bool,
}

impl Undo {
    pub(super) fn undo(self) -> io::Result<()> {
        if self.regular { self.file.set_len(self.len) } else { Ok(()) }
    }
}

impl Output {
    /// Opens a file, or makes it. What is in it stays only if `append`.
    pub(super) fn open(path: &Path, append: bool) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let regular = file.metadata()?.is_file();
        if regular && !append {
            file.set_len(0)?;
        }
        Ok(Output { path: path.to_owned(), file: Arc::new(file), regular, unsynced: false, torn_at: None })
    }

    /// Appends a record whole or not at all. Fails if that cannot be.
    pub(super) fn append(&mut self, record: &[u8]) -> io::Result<Undo> {
        if let Some(end) = self.torn_at {
            self.file.set_len(end)?;
            self.torn_at = None;
        }
        let len = if self.regular { self.file.metadata()?.len() } else { 0 };
        let undo = Undo { file: Arc::clone(&self.file), len, regular: self.regular };
        self.unsynced = true;
        match (&*self.file).write_all(record) {
            Ok(()) => Ok(undo),
            Err(error) => {
                if undo.undo().is_err() {
                    self.torn_at = Some(len);
                }
                Err(error)
            }
        }
    }

    /// A file that takes nothing, and that cannot be cut.
    #[cfg(test)]
    pub(super) fn read_only(path: &Path) -> Self {
        let file = Arc::new(File::open(path).unwrap());
        Output { path: path.to_owned(), file, regular: true, unsynced: false, torn_at: None }
    }

    /// Brings what was written to the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.unsynced || !self.regular {
            return Ok(());
        }
        self.file.sync_data()?;
        self.unsynced = false;
        Ok(())
    }

    /// Whether this record belongs into a new file.
    pub(super) fn is_full_for(&self, record: &[u8], rotation: &Rotation) -> io::Result<bool> {
        if !self.regular {
            return Ok(false);
        }
        let megabytes = if rotation.max_megabytes == 0 { 100 } else { rotation.max_megabytes };
        let len = self.file.metadata()?.len();
        Ok(len > 0 && len.saturating_add(record.len() as u64) > u64::from(megabytes) << 20)
    }

    /// Puts the file aside under the name of a backup, and begins a new one.
    pub(super) fn rotate(&mut self, now_ms: u64, zone: &TimeZone) -> io::Result<()> {
        self.sync()?;
        // Two in one millisecond must not replace each other.
        let mut at = now_ms;
        let mut backup = backup::name(&self.path, at, zone);
        while backup.try_exists()? {
            at += 1;
            backup = backup::name(&self.path, at, zone);
        }
        std::fs::rename(&self.path, backup)?;
        *self = Output::open(&self.path, true)?;
        Ok(())
    }
}
