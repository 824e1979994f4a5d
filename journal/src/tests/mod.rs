//! The journal as a whole, rule by rule, on a simulated disk and on a real one.

mod carried;
mod disk;
mod letters;
mod quotas;
mod restart;
mod reuse;
mod trouble;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use crate::observer::{DropReason, Event, Moved, Observer};
use crate::recovery::Parts;
use crate::sim::{Random, SimClock, SimDisk, SimRng};
use crate::tally::Items;
use crate::*;

const SEGMENT: u64 = 32 << 10;
const ALL: ReadLimit = ReadLimit { records: usize::MAX, items: usize::MAX, bytes: usize::MAX };

/// Notes what it is told.
#[derive(Default)]
struct Notes {
    dropped: Mutex<Vec<(u8, DropReason, u64)>>,
    events: Mutex<Vec<Event>>,
}

impl Observer for Notes {
    fn dropped(&self, dest: Dest, moved: Moved, reason: DropReason, _backlog: &Items) {
        self.dropped.lock().unwrap().push((dest.0, reason, moved.items));
    }

    fn event(&self, event: &Event) {
        self.events.lock().unwrap().push(event.clone());
    }
}

struct Rig {
    disk: SimDisk,
    clock: Arc<SimClock>,
    notes: Arc<Notes>,
    config: Config,
    specs: Vec<DestSpec>,
    journal: Journal,
}

fn config() -> Config {
    Config { segment_size: SEGMENT, ballast: 0, tail_bytes: 2000, ..Config::sized(16 * SEGMENT) }
}

impl Rig {
    fn new(specs: Vec<DestSpec>) -> Self {
        Self::with(config(), specs)
    }

    fn with(config: Config, specs: Vec<DestSpec>) -> Self {
        let disk = SimDisk::new(Random::seeded(1), 8 << 20);
        let clock = Arc::new(SimClock::new());
        let notes = Arc::new(Notes::default());
        let journal = open(&disk, &clock, &notes, &config, &specs).unwrap();
        Rig { disk, clock, notes, config, specs, journal }
    }

    /// The process dies, and another one starts.
    fn restart(&mut self) {
        self.disk.kill();
        self.journal = open(&self.disk, &self.clock, &self.notes, &self.config, &self.specs).unwrap();
    }

    fn dest(&self, name: &str) -> Dest {
        self.journal.destination(name).unwrap()
    }

    /// Appends a record of one item and this many bytes.
    fn append(&self, to: &[&str], bytes: usize) -> Result<u64, Error> {
        let routes = to.iter().map(|name| self.dest(name)).collect();
        let payload = Bytes::from(vec![7; bytes]);
        let ingest_ms = clock::Clock::now(&*self.clock).wall_ms();
        let record = Record { routes, items: 1, payload, ingest_ms, ..Record::default() };
        let (tell, told) = std::sync::mpsc::channel();
        self.journal.append(vec![record], Box::new(move |result| tell.send(result).unwrap()));
        self.journal.step_writer();
        told.try_recv().unwrap().map(|range| range.unwrap().first)
    }

    fn read(&self, name: &str) -> Vec<u64> {
        self.journal.read(self.dest(name), ALL).unwrap().iter().map(|entry| entry.seq).collect()
    }

    fn complete(&self, name: &str, sequences: &[u64]) {
        sequences.iter().for_each(|&seq| self.journal.complete(self.dest(name), seq, |_, _| {}));
    }

    fn keep(&self, after: Duration) {
        self.clock.advance(after);
        self.journal.step_keeper();
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        let dropped = self.notes.dropped.lock().unwrap();
        dropped.iter().filter(|(_, why, _)| *why == reason).map(|(_, _, items)| items).sum()
    }

    fn saw(&self, is: impl Fn(&Event) -> bool) -> bool {
        self.notes.events.lock().unwrap().iter().any(is)
    }
}

fn open(
    disk: &SimDisk,
    clock: &Arc<SimClock>,
    notes: &Arc<Notes>,
    config: &Config,
    specs: &[DestSpec],
) -> Result<Journal, Error> {
    let parts = Parts {
        vfs: Arc::new(disk.clone()),
        clock: Arc::clone(clock) as Arc<dyn clock::Clock>,
        rng: Arc::new(SimRng(Mutex::new(Random::seeded(3)))),
        observer: Arc::clone(notes) as Arc<dyn Observer>,
        config: config.clone(),
    };
    Journal::open(parts, specs).map(|(journal, _)| journal)
}

fn specs(names: &[&str]) -> Vec<DestSpec> {
    names.iter().map(|name| DestSpec::new(*name)).collect()
}
