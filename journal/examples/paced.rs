//! What the journal's own threads cost at a fixed rate, with one destination that keeps up: CPU time a request.
//!
//! `cargo run --profile quick -p sluice-journal --example paced -- [DIRECTORY] [REQUESTS_A_SECOND] [SECONDS] [RECORD_BYTES]`
//!
//! On one core (`taskset`), as the rig in `benches/` has it, and only against another build in the same minute.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use sluice_journal::clock::SystemClock;
use sluice_journal::observer::Observer;
use sluice_journal::rng::SystemRng;
use sluice_journal::threads::{Running, run};
use sluice_journal::vfs::disk::DiskVfs;
use sluice_journal::{Config, Dest, DestSpec, Error, Journal, Parts, ReadLimit, Record, RouteSet};

/// Wakes the reader.
struct Wake(Mutex<Sender<()>>);

impl Observer for Wake {
    fn readable(&self, _dest: Dest) {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).send(());
    }
}

/// Microseconds of a CPU clock.
fn micros(clock: ClockId) -> f64 {
    let now = clock_gettime(clock);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

/// Completes whatever comes, until the end. Gives its own CPU time.
fn read(running: &Running, readable: &Receiver<()>, end: Instant) -> f64 {
    let limit = ReadLimit { records: 1024, items: usize::MAX, bytes: 4 << 20 };
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        match readable.recv_timeout(left) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
        let entries = running.journal().read(Dest(0), limit).unwrap_or_default();
        entries.iter().for_each(|entry| running.journal().complete(Dest(0), entry.seq, |_, _| {}));
    }
    micros(ClockId::ThreadCPUTime)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = |index: usize| std::env::args().nth(index);
    let number = |index: usize, default: u64| argument(index).and_then(|text| text.parse().ok()).unwrap_or(default);
    let directory = argument(1).map_or_else(|| std::env::temp_dir().join("sluice-journal-paced"), PathBuf::from);
    let (rate, seconds, bytes) = (number(2, 50).max(1), number(3, 8), number(4, 420_000));
    let (wake, readable) = channel();
    let parts = Parts {
        vfs: Arc::new(DiskVfs::open(&directory, true)?),
        clock: Arc::new(SystemClock::new()),
        rng: Arc::new(SystemRng),
        observer: Arc::new(Wake(Mutex::new(wake))),
        config: Config::sized(1 << 30),
    };
    let (journal, _) = Journal::open(parts, &[DestSpec::new("reader")])?;
    let running = run(journal)?;
    let source = vec![7u8; bytes as usize];
    let (begun, end) = (Instant::now(), Instant::now() + Duration::from_secs(seconds));
    let (own, others) = std::thread::scope(|scope| {
        let running = &running;
        let reader = scope.spawn(move || read(running, &readable, end));
        for request in 0..rate * seconds {
            let due = begun + Duration::from_micros(1_000_000 * request / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // Memory of its own, as from a socket.
            let payload = bytes::Bytes::from(source.clone());
            let record = Record { routes: RouteSet::EMPTY.with(Dest(0)), items: 40, payload, ..Record::default() };
            running.journal().append(vec![record], Box::new(|_: Result<_, Error>| {}));
        }
        let reader = reader.join().unwrap_or_default();
        let own = micros(ClockId::ThreadCPUTime) + reader;
        (own, micros(ClockId::ProcessCPUTime) - own)
    });
    let requests = (rate * seconds).max(1) as f64;
    println!(
        "{rate}/s of {bytes} bytes: journal {:.1} us a request, the others {:.1}",
        others / requests,
        own / requests
    );
    running.stop()?;
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}
