//! Damage to a stopped journal: whatever byte changes, whatever file is cut, lost or swapped, the journal opens, delivers what
//! is intact, and counts exactly what is not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::SimClock;
use super::disk::SimDisk;
use super::explore::{drain, open};
use super::model::{Model, NAMES, STAGE};
use super::random::Random;
use crate::bugs::Bugs;
use crate::config::Config;
use crate::journal::Journal;
use crate::record::{ReadLimit, SeqRange};
use crate::tally::{Items, SIGNALS};

/// What was done to the journal.
#[derive(Clone, Debug)]
enum Mutation {
    Bytes(Vec<(String, u64, u8)>),
    Cut(String, u64),
    Missing(String),
    Swapped(String, String),
}

/// How many of each kind were survived, and how many items they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survived {
    pub bytes: u64,
    pub cut: u64,
    pub missing: u64,
    pub swapped: u64,
    pub items: u64,
}

struct Stopped {
    disk: SimDisk,
    model: Model,
    config: Config,
    clock: Arc<SimClock>,
}

/// Mutates a journal this many times, each time from the beginning.
///
/// # Errors
/// What went wrong, with the seed and the mutation.
pub fn mutations(seed: u64, rounds: u64) -> Result<Survived, String> {
    let mut random = Random::seeded(seed);
    let stopped = stop(&mut random).map_err(|error| format!("seed {seed}: {error}"))?;
    let mut survived = Survived::default();
    for round in 0..rounds {
        let mutation = draw(&stopped.disk, &mut random);
        let lost = survive(&stopped, &mutation, &mut random)
            .map_err(|error| format!("seed {seed}, round {round}, {mutation:?}: {error}"))?;
        survived.items += lost;
        match mutation {
            Mutation::Bytes(_) => survived.bytes += 1,
            Mutation::Cut(..) => survived.cut += 1,
            Mutation::Missing(_) => survived.missing += 1,
            Mutation::Swapped(..) => survived.swapped += 1,
        }
    }
    Ok(survived)
}

/// A journal with several segments in both chains, cursors in various places, stopped cleanly. `a` needs every record, and
/// has completed none.
fn stop(random: &mut Random) -> Result<Stopped, String> {
    let config = Config {
        max_size: 64 * (32 << 10),
        segment_size: 32 << 10,
        ballast: 32 << 10,
        stages: true,
        compress: random.chance(500),
        queue_bytes: 1 << 20,
        tail_bytes: 4 << 10,
        detach_grace: Duration::from_secs(60),
        quarantine_bytes: 1 << 20,
        suspect_range: 10,
        page_from: 1000,
        bugs: Bugs::default(),
    };
    let disk = SimDisk::new(random.fork(), 32 << 20);
    let clock = Arc::new(SimClock::new());
    let mut model = Model::default();
    let (journal, ledger) = open(&disk, &clock, random, &config).map_err(|error| error.to_string())?;
    for turn in 0..120 {
        let mut ids = Vec::new();
        let mut records = Vec::new();
        for _ in 0..1 + random.below(3) {
            let mut routes: BTreeSet<&'static str> = NAMES.into_iter().filter(|_| random.chance(300)).collect();
            routes.insert("a");
            let id = model.new_id();
            let most = if random.chance(50) { 12 << 10 } else { 900 };
            records.push(model.send(id, routes, random, most, |name| journal.destination(name), 0));
            ids.push(id);
        }
        let derived = turn % 4 == 0;
        let (tell, told) = std::sync::mpsc::channel::<Option<SeqRange>>();
        let answer = Box::new(move |result: Result<Option<SeqRange>, crate::Error>| {
            let _ = tell.send(result.ok().flatten());
        });
        match journal.destination(STAGE).filter(|_| derived) {
            Some(stage) => journal.commit(vec![(stage, Vec::new())], records, answer),
            None => journal.append(records, answer),
        }
        journal.step_writer();
        let range = told.try_recv().ok().flatten().ok_or("an append was refused")?;
        model.ack(&ids, range.first);
        if turn % 5 == 0 {
            let Some(b) = journal.destination("b") else { continue };
            let limit = ReadLimit { records: 3, items: usize::MAX, bytes: usize::MAX };
            for entry in journal.read(b, limit).map_err(|error| error.to_string())? {
                journal.complete(b, entry.seq, |moved, backlog| ledger.completed(b, moved, backlog));
                model.complete("b", entry.request_id);
            }
        }
        clock.advance(Duration::from_millis(110));
        journal.step_keeper();
    }
    journal.close().map_err(|error| error.to_string())?;
    drop(journal);
    disk.kill();
    Ok(Stopped { disk, model, config, clock })
}

fn draw(disk: &SimDisk, random: &mut Random) -> Mutation {
    let files: Vec<(String, u64)> = disk.files().into_iter().filter(|(path, _)| path != "BALLAST").collect();
    let segments: Vec<String> =
        files.iter().map(|(path, _)| path.clone()).filter(|path| path.ends_with(".log")).collect();
    let (path, len) = random.pick(&files).cloned().unwrap_or_default();
    let segment = |random: &mut Random| random.pick(&segments).cloned().unwrap_or_default();
    match random.below(100) {
        0..80 => {
            let path = if random.chance(800) { segment(random) } else { path };
            let len = files.iter().find(|(other, _)| *other == path).map_or(len, |(_, len)| *len);
            let mask = 1 << random.below(8);
            Mutation::Bytes(vec![(path, random.below(len), mask)])
        }
        80..88 => Mutation::Cut(path, random.below(len)),
        88..95 => Mutation::Missing(path),
        _ => Mutation::Swapped(segment(random), segment(random)),
    }
}

/// Opens the mutated journal and reads it out. Gives the items that were lost.
fn survive(stopped: &Stopped, mutation: &Mutation, random: &mut Random) -> Result<u64, String> {
    let Stopped { model, config, clock, .. } = stopped;
    let disk = stopped.disk.copy();
    match mutation {
        Mutation::Bytes(bytes) => bytes.iter().for_each(|(path, offset, mask)| disk.flip(path, *offset, *mask)),
        Mutation::Cut(path, len) => disk.cut(path, *len),
        Mutation::Missing(path) => disk.remove(path),
        Mutation::Swapped(one, other) => disk.swap(one, other),
    }
    let (journal, ledger) = open(&disk, clock, random, config).map_err(|error| format!("does not open: {error}"))?;
    journal.scrub().map_err(|error| format!("scrub: {error}"))?;
    let lost = read_out(&journal, &ledger, model)?;
    let counted = journal.stats().corrupt_items;
    if counted != lost {
        return Err(format!("{lost:?} items were lost, {counted:?} counted"));
    }
    // Another start finds a journal that is as good as new.
    journal.close().map_err(|error| format!("close: {error}"))?;
    drop(journal);
    disk.kill();
    let (journal, _) = open(&disk, clock, random, config).map_err(|error| format!("does not open again: {error}"))?;
    let again = journal.backlog(journal.destination("a").ok_or("a is gone")?);
    if again.records != 0 {
        return Err(format!("{again:?} came back"));
    }
    Ok(lost.iter().sum())
}

/// Everything that `a` gets is what was sent; the items of what it does not get.
fn read_out(journal: &Journal, ledger: &super::model::Ledger, model: &Model) -> Result<Items, String> {
    let mut got = BTreeSet::new();
    for name in NAMES {
        drain(journal, ledger, name, |entry| {
            model.check_entry(name, entry)?;
            if name == "a" {
                got.insert(entry.request_id);
            }
            Ok(())
        })?;
    }
    let mut lost = [0; SIGNALS];
    for (_, sent) in model.sent.iter().filter(|(id, _)| !got.contains(id)) {
        lost[usize::from(sent.signal)] += u64::from(sent.items);
    }
    Ok(lost)
}
