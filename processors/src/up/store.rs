//! The state on disk (`up`, Restart): an append log of what changed, each record with its checksum.
//!
//! A record is its length, the CRC-32 of its payload (both four bytes, little-endian) and the payload: the targets that
//! changed since the record before, as JSON. Later records win. What follows a broken record is not read: after a crash the
//! last one may be half written. The log is rewritten when it is opened and when it has grown, into a new file that takes the
//! old one's place whole.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::Error;
use super::snapshot::{Snapshot, TargetSnapshot};

/// The first bytes of the file: what it is, and the version of its format.
const MAGIC: &[u8; 8] = b"sluup\0\0\x01";
/// A larger file was not written by us.
const MAX_BYTES: u64 = 1 << 30;
/// The log is rewritten beyond this, and beyond four times what it had then.
const LEAST_LOG_BYTES: u64 = 1 << 20;

/// The log of one processor. One process at a time has it.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    _lock: File,
    log: File,
    /// Bytes of the log after it was rewritten, and now.
    base: u64,
    len: u64,
    written: HashMap<(String, u64), TargetSnapshot>,
}

impl Store {
    /// Opens the log in a directory, which is made if it is not there, and reads what an earlier process kept.
    ///
    /// # Errors
    /// The directory cannot be used, or belongs to somebody else, or another process has it.
    pub fn open(directory: &Path) -> Result<(Store, Snapshot), Error> {
        let failed = |source| Error::State { path: directory.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        check_owner(directory).map_err(failed)?;
        let lock = open(&directory.join("lock"), OpenOptions::new().write(true).create(true)).map_err(failed)?;
        lock.try_lock().map_err(|_| failed(io::Error::other("another process uses it")))?;
        let written = match read(&directory.join("state")) {
            Ok(targets) => targets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => HashMap::new(),
            Err(error) => {
                tracing::warn!(directory = %directory.display(), %error, "the state of `up` cannot be read: a first start");
                HashMap::new()
            }
        };
        let (log, len) = rewrite(directory, &written).map_err(failed)?;
        let snapshot = Snapshot { targets: written.values().cloned().collect() };
        Ok((Store { directory: directory.to_owned(), _lock: lock, log, base: len, len, written }, snapshot))
    }

    /// Keeps what changed since the last time. Blocking.
    ///
    /// # Errors
    /// What the file system said; the next call tries again.
    pub fn append(&mut self, snapshot: Snapshot) -> io::Result<()> {
        let key = |target: &TargetSnapshot| (target.job.clone(), target.labels_hash);
        let now: HashMap<_, _> = snapshot.targets.into_iter().map(|target| (key(&target), target)).collect();
        if now.len() < self.written.len() || self.len > LEAST_LOG_BYTES.max(4 * self.base) {
            // Targets that are gone leave the log when it is rewritten.
            (self.log, self.len) = rewrite(&self.directory, &now)?;
            (self.base, self.written) = (self.len, now);
            return Ok(());
        }
        let changed: Vec<&TargetSnapshot> = now
            .iter()
            .filter(|(key, target)| self.written.get(*key) != Some(*target))
            .map(|(_, target)| target)
            .collect();
        if !changed.is_empty() {
            let record = record(&changed)?;
            self.log.write_all(&record)?;
            self.log.sync_data()?;
            self.len += record.len() as u64;
        }
        self.written = now;
        Ok(())
    }
}

fn record(targets: &[&TargetSnapshot]) -> io::Result<Vec<u8>> {
    let payload = serde_json::to_vec(targets)?;
    let len = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut record = Vec::with_capacity(payload.len() + 8);
    record.extend_from_slice(&len.to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
    record.extend_from_slice(&payload);
    Ok(record)
}

fn read(path: &Path) -> io::Result<HashMap<(String, u64), TargetSnapshot>> {
    let file = open(path, OpenOptions::new().read(true))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    let mut rest = bytes.strip_prefix(MAGIC).ok_or_else(|| io::Error::other("it is not a log of this version"))?;
    let mut targets = HashMap::new();
    while let Some((payload, behind)) = next(rest) {
        let Ok(changed) = serde_json::from_slice::<Vec<TargetSnapshot>>(payload) else { break };
        targets.extend(changed.into_iter().map(|target| ((target.job.clone(), target.labels_hash), target)));
        rest = behind;
    }
    if !rest.is_empty() {
        tracing::warn!(file = %path.display(), bytes = rest.len(), "the end of the state of `up` is broken and left out");
    }
    Ok(targets)
}

/// The payload of the first record, and what follows it. None if it is not whole.
fn next(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let (payload, behind) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    (crc32fast::hash(payload) == u32::from_le_bytes(*crc)).then_some((payload, behind))
}

/// Writes a new log with these targets, which takes the place of the old one.
fn rewrite(directory: &Path, targets: &HashMap<(String, u64), TargetSnapshot>) -> io::Result<(File, u64)> {
    let (path, new) = (directory.join("state"), directory.join("state.new"));
    let mut log = open(&new, OpenOptions::new().write(true).create(true).truncate(true))?;
    let record = record(&targets.values().collect::<Vec<_>>())?;
    log.write_all(MAGIC)?;
    log.write_all(&record)?;
    log.sync_all()?;
    std::fs::rename(&new, &path)?;
    File::open(directory)?.sync_all()?;
    Ok((log, (MAGIC.len() + record.len()) as u64))
}

/// For the owner alone, and never through a symbolic link.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    /// `O_NOFOLLOW` of Linux.
    const NO_FOLLOW: i32 = 0o400_000;
    options.mode(0o600).custom_flags(NO_FOLLOW).open(path)
}

/// Refuses a directory that somebody else owns or may write to (security A17).
fn check_owner(directory: &Path) -> io::Result<()> {
    let metadata = std::fs::metadata(directory)?;
    let own = std::fs::metadata("/proc/self").map(|process| process.uid());
    if own.is_ok_and(|own| own != metadata.uid()) {
        return Err(io::Error::other("it belongs to another user"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other("others may write to it"));
    }
    Ok(())
}
