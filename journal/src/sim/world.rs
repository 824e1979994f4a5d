//! One seed's run: clients, writer, upkeep, readers, faults and crashes, in a seeded order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::SimClock;
use super::disk::{Faults, SimDisk};
use super::explore::{check, drain, judge, open, progress};
use super::model::{LOSSLESS, LOSSY, Ledger, Model, NAMES};
use super::random::Random;
use crate::bugs::Bugs;
use crate::config::{Config, DestSpec, OnQuota, Quota};
use crate::cursors::Survive;
use crate::journal::Journal;
use crate::keeper::SAVE_EVERY;

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
pub(super) enum Theme {
    Power,
    Errors,
    Full,
    Damage,
}

pub(super) struct World {
    pub(super) random: Random,
    pub(super) theme: Theme,
    pub(super) config: Config,
    pub(super) disk: SimDisk,
    pub(super) watched: SimDisk,
    pub(super) clock: Arc<SimClock>,
    pub(super) journal: Journal,
    pub(super) ledger: Arc<Ledger>,
    pub(super) model: Arc<Mutex<Model>>,
    /// Read and not completed, by destination.
    pub(super) held: BTreeMap<&'static str, Vec<(u64, u64)>>,
    /// Faults that may have destroyed something.
    pub(super) damage: Arc<AtomicU64>,
    pub(super) failure: Arc<Mutex<Option<String>>>,
    pub(super) points: Arc<AtomicU64>,
    /// Of a thousand calls, how many are looked at.
    pub(super) explore: Arc<AtomicU64>,
    pub(super) outcome: Outcome,
    /// Most bytes of the usual payload.
    pub(super) size: u64,
    /// Nobody reads for it for a while.
    pub(super) dead: Option<&'static str>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays a seed.
///
/// # Errors
/// What went wrong, with the seed.
pub fn run(plan: Plan) -> Result<Outcome, String> {
    World::new(plan).and_then(|mut world| world.play(plan)).map_err(|error| format!("seed {}: {error}", plan.seed))
}

pub(super) const SEGMENT: u64 = 32 << 10;
pub(super) const DISK: u64 = 4 << 20;

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
            page_from: [usize::MAX, 500, 3000][random.below(3) as usize],
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
        world.reopen(false, Survive::Kill)?;
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
            20..38 => self.write(),
            38..62 => self.read()?,
            62..78 => self.complete(),
            78..84 => self.emit(),
            84..90 => {
                let by = [1, 20, 110, 600][self.random.below(4) as usize];
                self.clock.advance(Duration::from_millis(by));
            }
            90..95 => {
                self.keep();
                // Sometimes several turns in a row have something to save.
                for _ in 0..self.random.below(3) {
                    self.complete();
                    self.clock.advance(SAVE_EVERY);
                    self.keep();
                }
            }
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

    fn crash(&mut self) -> Result<(), String> {
        self.outcome.crashes += 1;
        if self.random.chance(250) {
            self.disk.kill();
            return self.reopen(true, Survive::Kill);
        }
        self.disk.crash(self.random.fork());
        self.clock.reboot();
        self.reopen(true, Survive::PowerCut)
    }

    fn close(&mut self) -> Result<(), String> {
        if self.journal.close().is_ok() {
            let mut model = lock(&self.model);
            NAMES.iter().for_each(|name| model.saved(name, Survive::PowerCut));
        }
        self.disk.kill();
        self.reopen(true, Survive::Kill)
    }

    /// Everybody catches up, all segments go, and the process starts again.
    fn quiesce(&mut self) -> Result<(), String> {
        for name in NAMES {
            let (model, damaged) = (Arc::clone(&self.model), self.theme == Theme::Damage);
            let drained = drain(&self.journal, &self.ledger, name, |entry| {
                let mut model = lock(&model);
                if !model.may_come(name, entry.request_id, Survive::Kill) && !damaged && name != LOSSY {
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

    /// The process starts again, after this end of the one before.
    fn reopen(&mut self, faults: bool, end: Survive) -> Result<(), String> {
        let stats = self.journal.stats();
        self.outcome.reclaimed += stats.reclaimed;
        self.outcome.compactions += stats.compactions;
        self.held.clear();
        lock(&self.model).died(end);
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
