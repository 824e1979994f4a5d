//! How fast appends become durable, and how soon a journal with a backlog is ready. To be read as ratios on one machine.
//!
//! `cargo run --profile quick -p sluice-journal --example throughput -- [DIRECTORY] [CLIENTS] [SECONDS] [RECORD_BYTES]`

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use sluice_journal::clock::SystemClock;
use sluice_journal::observer::Unobserved;
use sluice_journal::rng::SystemRng;
use sluice_journal::threads::run;
use sluice_journal::vfs::disk::DiskVfs;
use sluice_journal::{Config, Dest, DestSpec, Error, Journal, Parts, ReadLimit, Record, RouteSet};

fn open(directory: &Path) -> Result<Journal, Error> {
    let io = |source| Error::Io { what: "directory".to_owned(), source };
    let parts = Parts {
        vfs: Arc::new(DiskVfs::open(directory, true).map_err(io)?),
        clock: Arc::new(SystemClock::new()),
        rng: Arc::new(SystemRng),
        observer: Arc::new(Unobserved),
        config: Config::sized(10 << 30),
    };
    Journal::open(parts, &[DestSpec::new("reader"), DestSpec::new("dead")]).map(|(journal, _)| journal)
}

/// CPU time of the process so far, user and system.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    Duration::from_millis(ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = |index: usize| std::env::args().nth(index);
    let number = |index: usize, default: u64| argument(index).and_then(|text| text.parse().ok()).unwrap_or(default);
    let directory = argument(1).map_or_else(|| std::env::temp_dir().join("sluice-journal-throughput"), PathBuf::from);
    let (clients, seconds, bytes) = (number(2, 16), number(3, 5), number(4, 16 << 10));
    let running = run(open(&directory)?)?;
    let (appended, slowest) = (AtomicU64::new(0), AtomicU64::new(0));
    let end = Instant::now() + Duration::from_secs(seconds);
    let routes = RouteSet::EMPTY.with(Dest(0)).with(Dest(1));
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let payload = bytes::Bytes::from(vec![7; bytes as usize]);
                while Instant::now() < end {
                    let record = Record { routes, items: 40, payload: payload.clone(), ..Record::default() };
                    let (tell, told) = mpsc::channel();
                    let began = Instant::now();
                    let answer = move |result: Result<_, Error>| tell.send(result.is_ok()).unwrap_or(());
                    running.journal().append(vec![record], Box::new(answer));
                    if told.recv() == Ok(true) {
                        appended.fetch_add(1, Ordering::Relaxed);
                    }
                    slowest.fetch_max(began.elapsed().as_micros() as u64, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            let limit = ReadLimit { records: 1024, items: usize::MAX, bytes: 4 << 20 };
            while Instant::now() < end {
                let entries = running.journal().read(Dest(0), limit).unwrap_or_default();
                if entries.is_empty() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                entries.iter().for_each(|entry| running.journal().complete(Dest(0), entry.seq, |_, _| {}));
            }
        });
    });
    let records = appended.load(Ordering::Relaxed);
    let rate = records as f64 / seconds as f64;
    println!("{clients} clients: {rate:.0} records/s, {:.1} MB/s", rate * bytes as f64 / 1e6);
    println!("CPU time: {:.1} us a record", cpu().as_secs_f64() * 1e6 / records.max(1) as f64);
    println!("slowest acknowledgement: {} us", slowest.load(Ordering::Relaxed));
    println!("backlog of the dead destination: {:?}", running.journal().backlog(Dest(1)));
    running.stop()?;
    drop(running);
    let began = Instant::now();
    let journal = open(&directory)?;
    println!("ready again after {:?} with {:?}", began.elapsed(), journal.stats());
    let began = Instant::now();
    let limit = ReadLimit { records: 4096, items: usize::MAX, bytes: 8 << 20 };
    let mut caught_up = 0u64;
    while began.elapsed() < Duration::from_secs(seconds) {
        let entries = journal.read(Dest(1), limit)?;
        if entries.is_empty() {
            break;
        }
        caught_up += entries.iter().map(|entry| entry.payload.len() as u64).sum::<u64>();
        entries.iter().for_each(|entry| journal.complete(Dest(1), entry.seq, |_, _| {}));
    }
    println!("catch-up: {:.1} MB/s", caught_up as f64 / 1e6 / began.elapsed().as_secs_f64());
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}
