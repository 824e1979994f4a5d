//! What the disk itself takes to make an append durable, in time and in CPU: what no journal on it can undercut.

use crate::Error;
use memmap2::{Advice, MmapMut};
use nix::fcntl::OFlag;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

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

/// Size of a huge page: of what is written from one, the system looks up one page.
const PAGE: usize = 2 << 20;
/// What files past the page cache are written in.
const BLOCK: usize = 4096;
/// Of the file that is written again and again, so that no block is new.
const FILE: usize = 32 * PAGE;
/// For each of pauses alone, and pauses with writes.
const PACED: Duration = Duration::from_millis(1500);

/// CPU time, in microseconds, of a write past the page cache and an `fdatasync` that come `every` so often, and nothing else: no
/// queue, no checksum, no copy, no other thread. What the pauses between them cost is not in it. `None` where files cannot
/// be written past the page cache.
///
/// # Errors
/// I/O.
pub(super) fn calls_us(folder: &Path, core: usize, bytes: usize, every: Duration) -> Result<Option<f64>, Error> {
    let path = folder.join("disk-calls");
    let measured = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut here = CpuSet::new();
            here.set(core)?;
            sched_setaffinity(Pid::from_raw(0), &here)?;
            paced(&path, bytes, every)
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    // It may never have been made.
    let _ = std::fs::remove_file(&path);
    measured.map_err(Error::io(path.display().to_string()))
}

fn paced(path: &Path, bytes: usize, every: Duration) -> std::io::Result<Option<f64>> {
    let mut map = MmapMut::map_anon(2 * PAGE)?;
    let start = map.as_ptr().align_offset(PAGE);
    // Only advice: without it there are more pages, and each call costs more.
    let _ = map.advise(Advice::HugePage);
    let page = map.get_mut(start..start + PAGE).unwrap_or_default();
    page.fill(0x5a);
    let mut file = File::create(path)?;
    for _ in 0..FILE / PAGE {
        file.write_all(page)?;
    }
    file.sync_all()?;
    let Ok(direct) = OpenOptions::new().write(true).custom_flags(OFlag::O_DIRECT.bits()).open(path) else {
        return Ok(None);
    };
    let bytes = bytes.next_multiple_of(BLOCK).clamp(BLOCK, PAGE);
    let count = (PACED.as_secs_f64() / every.as_secs_f64()).ceil().max(1.0) as usize;
    let run = |write: bool| -> std::io::Result<f64> {
        let begun = cpu_us()?;
        for index in 0..count {
            if write {
                direct.write_all_at(&page[..bytes], (index % (FILE / bytes) * bytes) as u64)?;
                direct.sync_data()?;
            }
            std::thread::sleep(every);
        }
        Ok(cpu_us()? - begun)
    };
    let pauses = run(false)?;
    Ok(Some((run(true)? - pauses) / count as f64))
}

/// Of this thread.
fn cpu_us() -> std::io::Result<f64> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() as f64 * 1e6 + time.tv_nsec() as f64 / 1e3)
}
