//! The engine: expected targets joined with observed pushes.
//!
//! It is a pure state machine. Time comes in with every call, in order; what is to be written comes out of
//! [`Engine::tick`]. Every call first does what was due before it, at the instant it was due, so that the result does
//! not depend on how often the engine is called.
//!
//! | file | concept |
//! |---|---|
//! | `job` | the settings of a job and what is known of its discovery |
//! | `entry` | what is known of one target |
//! | `sync` | discovery updates: insertion, removal, the guard against a sudden shrink |
//! | `observe` | pushes, and what they change |
//! | `matching` | which targets an identity has |
//! | `ended` | targets whose own series end |
//! | `peers` | whether a peer sends for itself alone |
//! | `write` | grid points and stale markers |
//! | `status` | counters and the targets view |

mod ended;
mod entry;
mod job;
mod matching;
mod observe;
mod peers;
mod status;
mod sync;
mod write;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use smallvec::SmallVec;

pub use self::ended::Ended;
use self::entry::Entry;
use self::job::Job;
pub use self::observe::Arrival;
use self::observe::KnownIdentity;
use self::peers::Peer;
pub use self::status::{Counters, PoorlyMatched, Statistics, TargetStatus};
pub use self::sync::SyncOutcome;
use super::absence::Absences;
use super::config::Config;
use super::error::Error;
use super::fault::{FaultKind, Faults};
use super::interval::DEFAULT_INTERVAL;
use super::labels::Labels;
use super::ladder::{LadderIndex, Slot};
use super::lru::Lru;
use super::series::Emission;
use super::snapshot::{Snapshot, TargetSnapshot};
use super::state::Mono;

/// A job of the configuration, by its position there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobId(pub u32);

/// An instant on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time since some start. Decides about silence.
    pub mono: Mono,
    /// Wall clock since the Unix epoch. Gives timestamps.
    pub unix: Duration,
}

impl Now {
    fn unix_ms(self) -> u64 {
        self.unix.as_millis() as u64
    }

    /// The instant at which the monotonic clock showed `mono`, not later than this one.
    fn back_to(self, mono: Mono) -> Now {
        Now { mono, unix: self.unix.saturating_sub(self.mono.saturating_sub(mono)) }
    }
}

/// What the engine needs beside the configuration.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Tells this collector from others (host name); the value of `ha.collector_label`.
    pub collector: String,
    /// Seed of all hashes of what peers send.
    pub seed: ahash::RandomState,
}

/// The join of expected targets and observed pushes.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    surroundings: Surroundings,
    /// The jobs of the configuration, then the one of learned targets.
    jobs: Vec<Job>,
    entries: Vec<Option<Entry>>,
    free: Vec<Slot>,
    /// Tells a slot's present target from earlier ones.
    generation: u32,
    ladder: LadderIndex,
    /// Bumped when targets changed, so that a match may have, too.
    version: u64,
    /// Bumped with `version`, and when a peer turned out to forward for others.
    revision: Arc<AtomicU64>,
    /// Who writes a series: the first of those with equal labels.
    owners: HashMap<Labels, SmallVec<[Slot; 1]>, ahash::RandomState>,
    expected: Lru<KnownIdentity>,
    unexpected: Lru<KnownIdentity>,
    peers: Lru<(IpAddr, Peer)>,
    /// Strong matches by job and the sender's `service.*` attributes.
    bindings: Lru<(Slot, u32)>,
    faults: Faults,
    absences: Absences,
    ready: Option<Mono>,
    warm_up: Duration,
    longest_deadline: Duration,
    least_interval: Duration,
    timers: BinaryHeap<Reverse<(Mono, Slot, u32)>>,
    now: Option<Now>,
    planned: Mono,
    pending: Vec<Emission>,
    ended: Vec<Ended>,
    restored: HashMap<(String, u64), TargetSnapshot>,
    counters: Counters,
}

impl Engine {
    /// An engine that knows no target yet.
    pub fn new(config: Config, surroundings: Surroundings) -> Result<Self, Error> {
        config.check()?;
        let mut jobs: Vec<Job> = config.jobs.iter().map(|job| Job::new(&config, job)).collect();
        jobs.push(Job::learned(&config));
        let warm_up = jobs.iter().map(|job| job.timing(None, DEFAULT_INTERVAL).deadline).max().unwrap_or_default();
        let ladder = LadderIndex::new(surroundings.seed.clone());
        Ok(Engine {
            config,
            surroundings,
            jobs,
            entries: Vec::new(),
            free: Vec::new(),
            generation: 0,
            ladder,
            version: 0,
            revision: Arc::new(AtomicU64::new(0)),
            owners: HashMap::default(),
            expected: Lru::default(),
            unexpected: Lru::default(),
            peers: Lru::default(),
            bindings: Lru::default(),
            faults: Faults::default(),
            absences: Absences::default(),
            ready: None,
            warm_up,
            longest_deadline: warm_up,
            least_interval: DEFAULT_INTERVAL,
            timers: BinaryHeap::new(),
            now: None,
            planned: Mono::ZERO,
            pending: Vec::new(),
            ended: Vec::new(),
            restored: HashMap::new(),
            counters: Counters::default(),
        })
    }

    /// The job with this name.
    pub fn job(&self, name: &str) -> Option<JobId> {
        self.configured_jobs().position(|job| job.name == name).map(|i| JobId(i as u32))
    }

    /// Takes the state that an earlier process kept. To be called before the first sync.
    pub fn restore(&mut self, snapshot: Snapshot) {
        for target in snapshot.targets {
            self.restored.insert((target.job.clone(), target.labels_hash), target);
        }
    }

    /// What is worth keeping over a restart.
    pub fn snapshot(&mut self, now: Now) -> Snapshot {
        self.advance(now);
        let mut targets = Vec::new();
        for slot in 0..self.entries.len() as Slot {
            targets.extend(self.target_snapshot(slot, now.mono));
        }
        Snapshot { targets }
    }

    /// The receiver accepts pushes from now on. Warm-up begins.
    pub fn receiver_ready(&mut self, now: Now) {
        self.advance(now);
        if self.ready.is_none() {
            self.ready = Some(now.mono);
            let learned = self.learned_job();
            self.jobs[learned.0 as usize].first_sync = Some(now.mono);
            for slot in 0..self.entries.len() as Slot {
                self.watch(slot, now.mono);
                self.arm(slot, now);
            }
        }
    }

    /// A fault of the collector begins (`up`, Own faults).
    pub fn fault_begins(&mut self, kind: FaultKind, now: Now) {
        self.advance(now);
        self.faults.begin(kind, now.mono);
    }

    /// A fault of the collector ends.
    pub fn fault_ends(&mut self, kind: FaultKind, now: Now) {
        self.advance(now);
        self.faults.end(kind, now.mono);
    }

    /// Arrivals were lost between two instants, so that silence says nothing for a while.
    pub fn arrivals_lost(&mut self, from: Mono, now: Now) {
        // What is due since then is judged afterwards, by this and by the arrivals that are handed in next.
        self.faults.passed(from, now.mono, Duration::MAX);
    }

    /// Does what is due and hands over what is to be written, in order of its targets' grid points.
    pub fn tick(&mut self, now: Now) -> Vec<Emission> {
        self.advance(now);
        std::mem::take(&mut self.pending)
    }

    /// When to call [`Engine::tick`] next, on the monotonic clock.
    ///
    /// Calls must also come when nothing is due: their absence is how the engine sees that the process stood still.
    pub fn next_wakeup(&self) -> Mono {
        self.planned
    }

    /// Changes whenever a sender's target may have changed: what was concluded before is to be asked again.
    pub fn revision(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.revision)
    }

    fn rematch(&mut self) {
        self.version += 1;
        self.revision.fetch_add(1, Ordering::Relaxed);
    }

    fn learned_job(&self) -> JobId {
        JobId(self.jobs.len() as u32 - 1)
    }

    fn configured_jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().take(self.jobs.len() - 1)
    }

    fn entry(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot as usize)?.as_ref()
    }

    fn entry_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot as usize)?.as_mut()
    }

    /// Does everything that was due up to now.
    fn advance(&mut self, now: Now) {
        self.check_clocks(now);
        let now = match self.now {
            // Arrivals of several receivers may come a little out of order.
            Some(before) if before.mono > now.mono => before,
            _ => now,
        };
        self.now = Some(now);
        while let Some(&Reverse((due, slot, generation))) = self.timers.peek()
            && due <= now.mono
        {
            self.timers.pop();
            let armed = |entry: &Entry| entry.generation == generation && entry.armed == Some(due);
            if self.entry(slot).is_some_and(armed) {
                self.serve(slot, now.back_to(due), now);
            }
        }
        self.faults.forget(now.mono, self.longest_deadline);
        let heartbeat = (self.least_interval / 2).max(Duration::from_millis(500));
        let due = self.timers.peek().map(|Reverse((due, ..))| *due);
        self.planned = now.mono.saturating_add(heartbeat).min(due.unwrap_or(Mono::MAX));
    }

    /// A process that stood still, or a wall clock that jumped, makes silence meaningless (`up`, Own faults).
    fn check_clocks(&mut self, now: Now) {
        let Some(before) = self.now else { return };
        let Some(passed) = now.mono.checked_sub(before.mono) else { return };
        // Calls come at least every half of the least I.
        if passed > self.least_interval {
            self.faults.passed(before.mono, now.mono, passed);
        }
        let jump = (before.unix + passed).abs_diff(now.unix);
        if jump * 2 > self.least_interval {
            self.faults.passed(before.mono, now.mono, jump * 2);
        }
    }

    fn arm(&mut self, slot: Slot, now: Now) {
        let Some(entry) = self.entries.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let wall = Duration::from_millis(entry.wall_due_ms());
        let mut due = now.mono.saturating_add(wall.saturating_sub(now.unix));
        if let Some(late) = entry.late_due {
            due = due.min(late.max(now.mono));
        }
        if entry.armed != Some(due) {
            entry.armed = Some(due);
            let generation = entry.generation;
            self.timers.push(Reverse((due, slot, generation)));
        }
    }
}

/// A shared identity, as observers hand it in.
pub type SharedIdentity = Arc<super::identity::Identity>;
