//! What was acknowledged survives: killed at random under load, with one destination up and one down. `SLUICE_KILLS` sets how
//! often (20), `SLUICE_SEED` when.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::durable::{Folder, balances, config, exporter, metrics, waiting, whole};
use crate::durable_load::{Load, Log};
use crate::durable_sink::{Sink, items, name};
use crate::sluice::{NO_STATE, READY, Sluice, free_port};
use crate::wire::{PROTOBUF, http, trace};

/// Completions are saved every 100 ms; the rest is for a machine that is busy with other tests.
const UNSAVED: Duration = Duration::from_secs(2);

/// From the process to where the sink looks at its clock.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

/// Numbers from a seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Items that were put aside because the process died twice with them: they are kept, and not delivered.
fn parked(folder: &Path) -> BTreeSet<u64> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeSet::new() };
    let of = |path: &Path| {
        if path.is_dir() { parked(path) } else { items(&std::fs::read(path).unwrap()).into_iter().collect() }
    };
    entries.flat_map(|entry| of(&entry.unwrap().path())).collect()
}

#[test]
fn killed_at_random_it_loses_nothing_that_it_acknowledged() {
    let kills = number("SLUICE_KILLS").unwrap_or(20);
    let seed = number("SLUICE_SEED").unwrap_or(u64::from(std::process::id()));
    let mut random = Random(seed);
    let folder = Folder::new("kills");
    let (up, down) = (free_port(), free_port());
    let config = config(&folder, &[up, down]);
    let arguments = ["-c", config.as_str()];
    let sink = Sink::start(up);
    let log = Arc::new(Log::default());
    let mut killed = Vec::new();
    for _ in 0..kills {
        let mut sluice = Sluice::spawn(&arguments, NO_STATE);
        if random.below(5) == 0 {
            // During its start.
            sluice.wait_for("Starting sluice");
        } else {
            sluice.wait_for(READY);
            let before = log.acked().len();
            let load = Load::start(sluice.http, &log);
            log.wait_for(before + 1 + random.below(2000) as usize);
            sluice.signal("KILL");
            killed.push(Instant::now());
            load.end();
            sluice.end();
            continue;
        }
        sluice.signal("KILL");
        killed.push(Instant::now());
        sluice.end();
    }
    let acked = log.acked();
    let late = Sink::start(down);
    let sluice = Sluice::start(&arguments);
    balances(sluice.metrics);
    for (number, (name, sink)) in [("up", &sink), ("down", &late)].into_iter().enumerate() {
        let settled = || waiting(sluice.metrics, number) == 0;
        let missing: BTreeSet<u64> = sink.missing_when(&acked, settled).into_iter().collect();
        // What is put aside is found by a start only when it is read: so not before everything has settled.
        let parked = parked(&folder.path().join("journal/dlq"));
        let missing: Vec<u64> = missing.difference(&parked).copied().collect();
        if let Some(first) = missing.first() {
            let metrics = metrics(sluice.metrics);
            let of_journal =
                |line: &&str| line.starts_with("sluice_journal_") || line.starts_with("sluice_destination_");
            metrics.lines().filter(of_journal).for_each(|line| eprintln!("{line}"));
            sluice.signal("TERM");
            let (missing, all, told) = (missing.len(), acked.len(), sluice.end().1);
            panic!("seed {seed}: {missing} of {all} are not at {name}, from {first}:\n{told}");
        }
        let phantoms = sink.arrivals().into_keys().filter(|&item| item >= log.end()).count();
        assert_eq!(phantoms, 0, "seed {seed}: {name} has what nobody sent");
    }
    let (mut twice, mut oldest) = (0, Duration::ZERO);
    for (item, times) in sink.arrivals() {
        for pair in times.windows(2) {
            // What was on its way when the process died is taken a little later.
            let crash = killed.iter().find(|&&kill| kill + ON_ITS_WAY >= pair[0] && kill <= pair[1]);
            let crash = crash.unwrap_or_else(|| panic!("seed {seed}: {item} came twice in one life"));
            let age = crash.duration_since(pair[0]);
            assert!(age <= UNSAVED, "seed {seed}: {item} was delivered {age:?} before the crash, and came again");
            (twice, oldest) = (twice + 1, oldest.max(age));
        }
    }
    let often = late.arrivals().into_iter().filter(|(_, times)| times.len() > 1).count();
    assert_eq!(often, 0, "seed {seed}: nothing was in flight to the one that was down");
    balances(sluice.metrics);
    sluice.signal("TERM");
    let (status, log_text, _) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log_text}");
    let parked = parked(&folder.path().join("journal/dlq"));
    println!(
        "{kills} kills, seed {seed}: {} acknowledged, {} parked; {twice} came again, delivered up to {oldest:?} before the kill",
        acked.len(),
        parked.len(),
    );
}

/// What the test above would see if the journal kept nothing.
#[test]
fn killed_in_memory_mode_it_loses_what_waited() {
    let port = free_port();
    let config = whole("", &exporter(0, port, ""), "ack: memory, ", "", "otlp_grpc/0");
    let sluice = Sluice::start(&["-c", &config]);
    let log = Arc::new(Log::default());
    let load = Load::start(sluice.http, &log);
    log.wait_for(100);
    sluice.signal("KILL");
    load.end();
    sluice.end();
    let sink = Sink::start(port);
    let sluice = Sluice::start(&["-c", &config]);
    let first = log.end();
    assert_eq!(http(sluice.http, "POST", "/v1/traces", &[PROTOBUF], &trace(&name(first))).status, 200);
    assert!(sink.missing(&[first].into()).is_empty());
    let acked = log.acked();
    assert_eq!(sink.missing_when(&acked, || true).len(), acked.len());
}
