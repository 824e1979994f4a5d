//! How long the disk itself takes to make an append durable: what no journal on it can undercut.

use crate::Error;
use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// Bytes of one append.
const APPEND: usize = 64 << 10;
const APPENDS: usize = 300;

/// Times of `fdatasync` after an append of 64 KiB.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct SyncTimes {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

/// Measures in a file of this folder, which is removed again.
///
/// # Errors
/// I/O.
pub(super) fn sync_times(folder: &Path) -> Result<SyncTimes, Error> {
    let path = folder.join("sync-times");
    let named = || Error::io(path.display().to_string());
    let mut file = File::create(&path).map_err(named())?;
    let bytes = vec![0x5a; APPEND];
    let mut times = Vec::with_capacity(APPENDS);
    for _ in 0..APPENDS {
        file.write_all(&bytes).map_err(named())?;
        let begun = Instant::now();
        file.sync_data().map_err(named())?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(&path).map_err(named())?;
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
    Ok(SyncTimes { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: times.last().copied().unwrap_or_default() })
}
