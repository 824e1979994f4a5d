//! One seed's run: clients, writer, upkeep, readers, faults and crashes, in a seeded order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::SimClock;
use super::disk::{Faults, SimDisk};
use super::explore::{self, check, drain, judge, open, progress};
use super::model::{DERIVED, LOSSLESS, LOSSY, Ledger, Model, NAMES, STAGE};
use super::random::Random;
use crate::bugs::Bugs;
use crate::config::{Config, DestSpec, OnQuota, Quota};
use crate::journal::Journal;
use crate::record::{ReadLimit, Record};

/// What to play.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Things that happen.
    pub steps: u64,
    /// How many of a thousand calls to the disk are looked at as crash points.
    pub explore: u64,
    pub bugs: Bugs,
}

/// What was played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub crash_points: u64,
    pub crashes: u64,
    pub calls: u64,
    pub acked: u64,
    pub delivered: u64,
    pub reclaimed: u64,
    pub compactions: u64,
}

pub(super) fn specs() -> Vec<DestSpec> {
    let mut specs: Vec<DestSpec> = NAMES.iter().map(|name| DestSpec::new(*name)).collect();
    specs[3].quota = Quota { max_records: Some(6), on_quota: OnQuota::DropOldest, ..Quota::default() };
    specs[4].stage = true;
    specs
}

/// What a seed is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Theme {
    Power,
    Errors,
    Full,
    Damage,
}

struct World {
    random: Random,
    theme: Theme,
    config: Config,
    disk: SimDisk,
    watched: SimDisk,
    clock: Arc<SimClock>,
    journal: Journal,
    ledger: Arc<Ledger>,
    model: Arc<Mutex<Model>>,
    /// Read and not completed, by destination.
    held: BTreeMap<&'static str, Vec<(u64, u64)>>,
    /// Faults that may have destroyed something.
    damage: Arc<AtomicU64>,
    failure: Arc<Mutex<Option<String>>>,
    points: Arc<AtomicU64>,
    /// Of a thousand calls, how many are looked at.
    explore: Arc<AtomicU64>,
    outcome: Outcome,
    /// Most bytes of the usual payload.
    size: u64,
    /// Nobody reads for it for a while.
    dead: Option<&'static str>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays a seed.
///
/// # Errors
/// What went wrong, with the seed.
pub fn run(plan: Plan) -> Result<Outcome, String> {
    World::new(plan).and_then(|mut world| world.play(plan)).map_err(|error| format!("seed {}: {error}", plan.seed))
}

const SEGMENT: u64 = 32 << 10;
const DISK: u64 = 4 << 20;

impl World {
    fn new(plan: Plan) -> Result<Self, String> {
        let mut random = Random::seeded(plan.seed);
        let theme = [Theme::Power, Theme::Errors, Theme::Full, Theme::Damage][(plan.seed % 4) as usize];
        let size = [100, 700, 3000][random.below(3) as usize];
        let config = Config {
            max_size: SEGMENT * (16 + random.below(16)),
            segment_size: SEGMENT,
            ballast: SEGMENT,
            stages: true,
            compress: random.chance(300),
            queue_bytes: 1 << 20,
            tail_bytes: [0, 4 << 10, 1 << 20][random.below(3) as usize],
            detach_grace: Duration::from_secs(60),
            quarantine_bytes: 256 << 10,
            suspect_range: random.below(10),
            bugs: plan.bugs,
        };
        let disk = SimDisk::new(random.fork(), DISK);
        let model = Arc::new(Mutex::new(Model::default()));
        let (failure, points) = (Arc::new(Mutex::new(None)), Arc::new(AtomicU64::new(0)));
        let damage = Arc::new(AtomicU64::new(0));
        let clock = Arc::new(SimClock::new());
        let explore = Arc::new(AtomicU64::new(plan.explore));
        let watched = {
            let (model, failure, points, damage) =
                (Arc::clone(&model), Arc::clone(&failure), Arc::clone(&points), Arc::clone(&damage));
            let (config, draws, explore) = (config.clone(), Mutex::new(random.fork()), Arc::clone(&explore));
            disk.watched(move |copy| {
                let mut random = lock(&draws).fork();
                if lock(&failure).is_some() || !random.chance(explore.load(Ordering::Relaxed)) {
                    return;
                }
                points.fetch_add(1, Ordering::Relaxed);
                let damage = (theme == Theme::Damage).then(|| damage.load(Ordering::Relaxed));
                if let Err(error) = check(&copy, &lock(&model), &config, &mut random, damage) {
                    let at = copy.calls();
                    *lock(&failure) = Some(format!("crash around call {at}: {error}"));
                }
            })
        };
        let (journal, ledger) = open(&disk, &clock, &mut random, &config).map_err(|error| error.to_string())?;
        let outcome = Outcome::default();
        let held = BTreeMap::new();
        let mut world = World {
            random,
            theme,
            config,
            disk,
            watched,
            clock,
            journal,
            ledger,
            model,
            held,
            damage,
            failure,
            points,
            explore,
            outcome,
            size,
            dead: None,
        };
        world.reopen(false)?;
        Ok(world)
    }

    fn play(&mut self, plan: Plan) -> Result<Outcome, String> {
        for _ in 0..plan.steps {
            self.step()?;
            if let Some(error) = lock(&self.failure).take() {
                return Err(error);
            }
            self.balance()?;
        }
        self.finish()?;
        self.outcome.crash_points = self.points.load(Ordering::Relaxed);
        self.outcome.calls = self.disk.calls();
        let model = lock(&self.model);
        self.outcome.acked = model.sent.values().filter(|sent| sent.acked).count() as u64;
        self.outcome.delivered = model.done.values().map(|done| done.len() as u64).sum();
        Ok(self.outcome)
    }

    fn step(&mut self) -> Result<(), String> {
        match self.random.below(100) {
            0..20 => self.append(),
            20..38 => {
                self.journal.step_writer();
            }
            38..62 => self.read()?,
            62..78 => self.complete(),
            78..84 => self.emit(),
            84..90 => {
                let by = [1, 20, 110, 600][self.random.below(4) as usize];
                self.clock.advance(Duration::from_millis(by));
            }
            90..95 => self.keep(),
            95 => self.rewind(),
            96 => self.disturb(),
            97 if self.random.chance(500) => self.crash()?,
            98 if self.random.chance(300) => self.close()?,
            98 if self.random.chance(200) => self.quiesce()?,
            99 => {
                self.dead = if self.random.chance(500) { self.random.pick(&LOSSLESS).copied() } else { None };
                self.clock.step([3600, -3600, 90, 1][self.random.below(4) as usize]);
            }
            _ => {}
        }
        Ok(())
    }

    fn records(
        &mut self,
        count: u64,
        routes: impl Fn(&mut Random) -> BTreeSet<&'static str>,
    ) -> (Vec<u64>, Vec<Record>) {
        let (mut ids, mut records) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let most = if self.random.chance(50) { 14 << 10 } else { self.size };
            let routes = routes(&mut self.random);
            let mut model = lock(&self.model);
            let id = model.new_id();
            let now = crate::clock::Clock::now(&*self.clock).wall_ms();
            let journal = &self.journal;
            records.push(model.send(id, routes, &mut self.random, most, |name| journal.destination(name), now));
            ids.push(id);
        }
        (ids, records)
    }

    fn append(&mut self) {
        let count = 1 + self.random.below(4);
        let (ids, records) = self.records(count, |random| {
            let mut routes: BTreeSet<&'static str> = NAMES.into_iter().filter(|_| random.chance(400)).collect();
            routes.insert(NAMES[random.below(3) as usize]);
            routes
        });
        let model = Arc::clone(&self.model);
        let answer = move |result: Result<Option<crate::SeqRange>, crate::Error>| {
            if let Ok(Some(range)) = result {
                lock(&model).ack(&ids, range.first);
            }
        };
        self.journal.append(records, Box::new(answer));
    }

    fn read(&mut self) -> Result<(), String> {
        let name = NAMES[self.random.below(5) as usize];
        if self.dead == Some(name) {
            return Ok(());
        }
        let limit = ReadLimit { records: 1 + self.random.below(30) as usize, ..explore::ALL };
        let Some(dest) = self.journal.destination(name) else { return Ok(()) };
        // Errors are tried again by the next read.
        let entries = self.journal.read(dest, limit).unwrap_or_default();
        let model = lock(&self.model);
        for entry in entries {
            model.check_entry(name, &entry)?;
            if !model.may_come(name, entry.request_id) && self.theme != Theme::Damage && name != LOSSY {
                return Err(format!("record {} came again at {name}", entry.request_id));
            }
            self.held.entry(name).or_default().push((entry.seq, entry.request_id));
        }
        Ok(())
    }

    fn complete(&mut self) {
        let name = NAMES[self.random.below(4) as usize];
        let held = self.held.entry(name).or_default();
        let count = self.random.below(held.len() as u64 + 1);
        for _ in 0..count {
            let index = if self.random.chance(700) { 0 } else { self.random.below(held.len() as u64) as usize };
            let (seq, id) = held.remove(index);
            settle(&self.journal, &self.ledger, &self.model, name, seq, id);
        }
    }

    /// The stage makes one record of each that it has absorbed, and commits.
    fn emit(&mut self) {
        let held = std::mem::take(self.held.entry(STAGE).or_default());
        let take = self.random.below(held.len() as u64 + 1) as usize;
        let (now, later) = held.split_at(take);
        self.held.insert(STAGE, later.to_vec());
        if now.is_empty() {
            return;
        }
        let Some(stage) = self.journal.destination(STAGE) else { return };
        let mut records = Vec::new();
        for &(_, id) in now {
            let mut model = lock(&self.model);
            let journal = &self.journal;
            let routes = BTreeSet::from(["a"]);
            let known = model.sent.get(&(id | DERIVED)).cloned();
            let mut record =
                model.send(id | DERIVED, routes, &mut self.random, 300, |name| journal.destination(name), 0);
            if let Some(known) = known {
                // Made again: the same bytes under the same id.
                (record.signal, record.items) = (known.signal, known.items);
                record.payload = super::model::payload(id | DERIVED, known.len);
                model.sent.insert(id | DERIVED, super::model::Sent { again: true, ..known });
            }
            records.push(record);
        }
        let (journal, ledger, model) = (self.journal.clone(), Arc::clone(&self.ledger), Arc::clone(&self.model));
        let (done, now) = (now.iter().map(|(seq, _)| *seq).collect(), now.to_vec());
        let answer = move |result: Result<Option<crate::SeqRange>, crate::Error>| {
            if let Ok(Some(range)) = result {
                let ids: Vec<u64> = now.iter().map(|(_, id)| id | DERIVED).collect();
                lock(&model).ack(&ids, range.first);
                for (seq, id) in now {
                    settle(&journal, &ledger, &model, STAGE, seq, id);
                }
            } else if let Some(stage) = journal.destination(STAGE) {
                // It starts over from its cursor, as a driver would.
                journal.rewind(stage);
            }
        };
        self.journal.commit(stage, done, records, Box::new(answer));
    }

    fn keep(&mut self) {
        self.journal.step_keeper();
        let mut model = lock(&self.model);
        for name in NAMES {
            if self.journal.0.is_saved(name) {
                model.saved(name);
            }
        }
    }

    fn rewind(&mut self) {
        let name = NAMES[self.random.below(5) as usize];
        if let Some(dest) = self.journal.destination(name) {
            self.journal.rewind(dest);
            self.held.remove(name);
        }
    }

    /// Faults begin or end.
    fn disturb(&mut self) {
        let some = |random: &mut Random| random.below(2) * random.below(120);
        let random = &mut self.random;
        match self.theme {
            Theme::Power => {}
            Theme::Errors => {
                let faults = Faults {
                    read_error: some(random) / 4,
                    write_error: some(random),
                    short_write: some(random),
                    sync_error: some(random),
                    name_error: some(random),
                    misdirected: 0,
                    read_only: random.chance(100),
                };
                self.disk.set_faults(if random.chance(500) { faults } else { Faults::default() });
            }
            Theme::Full => {
                let bytes = if random.chance(600) { DISK - random.below(64) * SEGMENT / 4 } else { 0 };
                self.disk.set_neighbour(bytes);
            }
            Theme::Damage => {
                let files = self.disk.files();
                let segments: Vec<_> = files.iter().filter(|(path, _)| path.ends_with(".log")).collect();
                if let Some((path, len)) = random.pick(&segments).copied().cloned() {
                    let mask = 1 << random.below(8);
                    self.disk.flip(&path, random.below(len), mask);
                    self.damage.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn crash(&mut self) -> Result<(), String> {
        self.outcome.crashes += 1;
        if self.random.chance(250) {
            self.disk.kill();
        } else {
            self.disk.crash(self.random.fork());
            self.clock.reboot();
        }
        self.reopen(true)
    }

    fn close(&mut self) -> Result<(), String> {
        if self.journal.close().is_ok() {
            let mut model = lock(&self.model);
            NAMES.iter().for_each(|name| model.saved(name));
        }
        self.disk.kill();
        self.reopen(true)
    }

    /// Everybody catches up, all segments go, and the process starts again.
    fn quiesce(&mut self) -> Result<(), String> {
        for name in NAMES {
            let (model, damaged) = (Arc::clone(&self.model), self.theme == Theme::Damage);
            let drained = drain(&self.journal, &self.ledger, name, |entry| {
                let mut model = lock(&model);
                if !model.may_come(name, entry.request_id) && !damaged && name != LOSSY {
                    return Err(format!("record {} came again at {name}", entry.request_id));
                }
                model.complete(name, entry.request_id);
                model.check_entry(name, entry)
            });
            // With faults, not everything can be read now.
            if self.theme == Theme::Power {
                drained?;
            }
        }
        self.close()?;
        self.clock.advance(Duration::from_secs(1));
        self.keep();
        self.crash()
    }

    /// The process starts again.
    fn reopen(&mut self, faults: bool) -> Result<(), String> {
        let stats = self.journal.stats();
        self.outcome.reclaimed += stats.reclaimed;
        self.outcome.compactions += stats.compactions;
        self.held.clear();
        lock(&self.model).died();
        for attempt in 0..50 {
            if attempt > 10 || !faults {
                self.disk.set_faults(Faults::default());
                self.disk.set_neighbour(0);
            }
            match open(&self.watched, &self.clock, &mut self.random, &self.config) {
                Ok((journal, ledger)) => {
                    (self.journal, self.ledger) = (journal, ledger);
                    return Ok(());
                }
                // The machine's errors may keep it from opening; damage may not.
                Err(error) if attempt > 20 => return Err(format!("does not open: {error}")),
                Err(_) => self.disk.kill(),
            }
        }
        Ok(())
    }

    /// The ledger holds at every moment.
    fn balance(&self) -> Result<(), String> {
        for name in NAMES {
            if let Some(dest) = self.journal.destination(name) {
                self.ledger.check(dest, &self.journal.backlog(dest).items)?;
            }
        }
        Ok(())
    }

    /// Faults end; everything must come out.
    fn finish(&mut self) -> Result<(), String> {
        self.disk.set_faults(Faults::default());
        self.disk.set_neighbour(0);
        for _ in 0..4 {
            self.clock.advance(Duration::from_secs(1));
            self.journal.step_keeper();
            while self.journal.step_writer() {}
        }
        if let Some(error) = lock(&self.failure).take() {
            return Err(error);
        }
        let damage = (self.theme == Theme::Damage).then(|| self.damage.load(Ordering::Relaxed));
        let mut lost = Vec::new();
        for name in NAMES {
            let (model, mut got) = (Arc::clone(&self.model), BTreeSet::new());
            drain(&self.journal, &self.ledger, name, |entry| {
                got.insert(entry.request_id);
                let mut model = lock(&model);
                model.complete(name, entry.request_id);
                model.check_entry(name, entry)
            })?;
            let model = lock(&self.model);
            if LOSSLESS.contains(&name) {
                lost.extend(model.missing(name, &got).into_iter().map(|id| (id, name)));
            }
        }
        let stats = self.journal.stats();
        self.outcome.reclaimed += stats.reclaimed;
        self.outcome.compactions += stats.compactions;
        judge(&self.journal, &lost, damage)?;
        // What it sends is none of the model's.
        self.explore.store(0, Ordering::Relaxed);
        progress(&self.journal, &self.ledger, &self.clock, &mut self.random)?;
        // Everybody is done: all but what is being written goes.
        self.clock.advance(Duration::from_secs(1));
        self.journal.step_keeper();
        let needed: u64 = self.journal.stats().segments;
        if needed > 2 {
            return Err(format!("{needed} segments are kept for nobody"));
        }
        if let Some(error) = lock(&self.failure).take() {
            return Err(error);
        }
        Ok(())
    }
}

fn settle(journal: &Journal, ledger: &Ledger, model: &Mutex<Model>, name: &'static str, seq: u64, id: u64) {
    let Some(dest) = journal.destination(name) else { return };
    let mut settled = false;
    journal.complete(dest, seq, |moved, backlog| {
        ledger.completed(dest, moved, backlog);
        settled = true;
    });
    if settled {
        lock(model).complete(name, id);
    }
}
