//! What a crash right now would leave: the disk is copied, crashed, opened, read out, and compared with the model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::disk::{Faults, SimDisk};
use super::model::{DERIVED, LOSSLESS, LOSSY, Ledger, Model, NAMES, STAGE};
use super::random::Random;
use super::world::specs;
use super::{SimClock, SimRng};
use crate::config::Config;
use crate::cursors::Survive;
use crate::error::Error;
use crate::journal::Journal;
use crate::record::{Entry, ReadLimit};
use crate::recovery::Parts;
use crate::route::RouteSet;
use crate::tally::Items;
use std::sync::Mutex;
use std::time::Duration;

pub(super) const ALL: ReadLimit = ReadLimit { records: 64, items: usize::MAX, bytes: usize::MAX };

/// A journal on a disk, and the ledger that watches it.
pub(super) fn open(
    disk: &SimDisk,
    clock: &Arc<SimClock>,
    random: &mut Random,
    config: &Config,
) -> Result<(Journal, Arc<Ledger>), Error> {
    let ledger = Arc::new(Ledger::default());
    let parts = Parts {
        vfs: Arc::new(disk.clone()),
        clock: Arc::clone(clock) as Arc<dyn crate::clock::Clock>,
        rng: Arc::new(SimRng(Mutex::new(random.fork()))),
        observer: Arc::clone(&ledger) as Arc<dyn crate::observer::Observer>,
        config: config.clone(),
    };
    let (journal, _) = Journal::open(parts, &specs())?;
    Ok((journal, ledger))
}

/// Appends one record for these destinations and waits for the answer.
pub(super) fn append(journal: &Journal, record: crate::record::Record) -> Result<(), Error> {
    let answer = Arc::new(Mutex::new(None));
    let told = Arc::clone(&answer);
    let tell = move |result| *told.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(result);
    journal.append(vec![record], Box::new(tell));
    journal.step_writer();
    let result = answer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    result.unwrap_or(Err(Error::Closed)).map(|_| ())
}

/// Reads everything a destination still gets, and completes it.
pub(super) fn drain(
    journal: &Journal,
    ledger: &Ledger,
    name: &'static str,
    mut each: impl FnMut(&Entry) -> Result<(), String>,
) -> Result<(), String> {
    let Some(dest) = journal.destination(name) else { return Err(format!("{name} is gone")) };
    journal.rewind(dest);
    loop {
        let entries = journal.read(dest, ALL).map_err(|error| format!("reading for {name}: {error}"))?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            each(&entry)?;
            journal.complete(dest, entry.seq, |moved, backlog| ledger.completed(dest, moved, backlog));
        }
    }
    let backlog = journal.backlog(dest);
    ledger.check(dest, &backlog.items)?;
    if backlog.records != 0 || journal.has_unread(dest) {
        return Err(format!("{name} is stuck with {backlog:?}"));
    }
    Ok(())
}

/// Checks one crash point. `damage` allows for loss that is counted.
pub(super) fn check(
    disk: &SimDisk,
    model: &Model,
    config: &Config,
    random: &mut Random,
    damage: Option<u64>,
) -> Result<(), String> {
    disk.set_faults(Faults::default());
    disk.set_neighbour(0);
    let clock = Arc::new(SimClock::new());
    let mut end = if random.chance(250) { Survive::Kill } else { Survive::PowerCut };
    match end {
        Survive::Kill => disk.kill(),
        Survive::PowerCut => disk.crash(random.fork()),
    }
    if random.chance(120) {
        // Recovery dies, too.
        disk.crash_after(random.below(40));
        drop(open(disk, &clock, random, config));
        disk.crash(random.fork());
        end = Survive::PowerCut;
    }
    let (journal, ledger) = open(disk, &clock, random, config).map_err(|error| format!("does not open: {error}"))?;
    let mut got: BTreeMap<&'static str, BTreeSet<u64>> = BTreeMap::new();
    for name in NAMES {
        let got = got.entry(name).or_default();
        let cursor = journal.0.cursor_for_tests(name);
        drain(&journal, &ledger, name, |entry| {
            model.check_entry(name, entry)?;
            got.insert(entry.request_id);
            if !model.may_come(name, entry.request_id, end) && damage.is_none() && name != LOSSY {
                return Err(format!("record {} came again at {name} after its cursor was saved", entry.request_id));
            }
            Ok(())
        })?;
        let wants = |seq| seq > cursor.committed && !cursor.done.contains(&seq);
        let deleted = if name == LOSSY || damage.is_some() { Vec::new() } else { model.deleted(name, wants, got) };
        if !deleted.is_empty() {
            return Err(format!("deleted before the cursor of {name} had passed: {deleted:?}"));
        }
    }
    let empty = BTreeSet::new();
    let mut lost: Vec<(u64, &str)> = Vec::new();
    for name in LOSSLESS {
        lost.extend(model.missing(name, got.get(name).unwrap_or(&empty)).into_iter().map(|id| (id, name)));
    }
    for id in model.missing(STAGE, got.get(STAGE).unwrap_or(&empty)) {
        // Passed by the stage: then what it made of it is there.
        let derived = id | DERIVED;
        let a = got.get("a").unwrap_or(&empty);
        if !a.contains(&derived) && !model.done.get("a").is_some_and(|done| done.contains_key(&derived)) {
            lost.push((id, STAGE));
        }
    }
    judge(&journal, &lost, damage)?;
    progress(&journal, &ledger, &clock, random)
}

/// Without damage, nothing may be lost; with it, no more than it can have covered.
pub(super) fn judge(journal: &Journal, lost: &[(u64, &str)], damage: Option<u64>) -> Result<(), String> {
    let records: BTreeSet<u64> = lost.iter().map(|(id, _)| *id).collect();
    let stats = journal.stats();
    match damage {
        None if !lost.is_empty() => Err(format!("acknowledged and lost: {lost:?}, {stats:?}")),
        None if stats.corrupt_items != Items::default() => Err(format!("counted as corrupt without damage: {stats:?}")),
        Some(most) if records.len() as u64 > most => Err(format!("{lost:?} lost to {most} faults, {stats:?}")),
        _ => Ok(()),
    }
}

/// A fresh record passes.
pub(super) fn progress(
    journal: &Journal,
    ledger: &Ledger,
    clock: &SimClock,
    random: &mut Random,
) -> Result<(), String> {
    let mut fresh = Model { next: DERIVED << 1, ..Model::default() };
    let id = fresh.new_id();
    let routes = BTreeSet::from(["a", "b"]);
    let record = fresh.send(id, routes, random, 300, |name| journal.destination(name), 0);
    if record.routes == RouteSet::EMPTY {
        return Err("no destination is attached".to_owned());
    }
    // Upkeep may have to make room first.
    for _ in 0..8 {
        match append(journal, record.clone()) {
            Ok(()) => {
                for name in ["a", "b"] {
                    let mut came = false;
                    drain(journal, ledger, name, |entry| {
                        fresh.check_entry(name, entry)?;
                        came = true;
                        Ok(())
                    })?;
                    if !came {
                        return Err(format!("a fresh record does not reach {name}"));
                    }
                }
                return Ok(());
            }
            Err(_) => {
                clock.advance(Duration::from_secs(1));
                journal.step_keeper();
            }
        }
    }
    Err("a fresh record is not taken".to_owned())
}
