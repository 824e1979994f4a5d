//! Discovery updates: insertion, change, removal, and the guard against a sudden shrink.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::entry::{Entry, Kind, Leaving, Senders, Traffic};
use super::job::Origin;
use super::{Ended, Engine, JobId, Now};
use crate::up::grid::Grid;
use crate::up::interval::LearnedInterval;
use crate::up::labels::{Labels, LabelsBuilder};
use crate::up::ladder::{Rung, Slot};
use crate::up::series::SeriesSet;
use crate::up::snapshot::TargetSnapshot;
use crate::up::state::{Liveness, Mono, Restored};
use crate::up::target::Target;

/// A job with fewer targets may vanish at once.
const GUARDED_TARGETS: usize = 5;

/// What became of a discovery update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncOutcome {
    /// The expected set of the job is now the given one.
    Applied,
    /// It would remove too large a share of the job: it counts when it comes a second time.
    Doubted,
}

impl Engine {
    /// Discovery of a job succeeded with this set of targets.
    pub fn sync(&mut self, job: JobId, targets: &[Arc<Target>], now: Now) -> SyncOutcome {
        self.advance(now);
        let Some(state) = self.jobs.get_mut(job.0 as usize).filter(|job| job.origin == Origin::Configured) else {
            return SyncOutcome::Applied;
        };
        state.last_success = Some(now.unix);
        let wanted = expected_set(targets, state.by_service);
        let removed = state.targets.keys().filter(|labels| !wanted.contains_key(*labels)).count();
        if state.targets.len() >= GUARDED_TARGETS
            && removed as f64 > self.config.sd_max_shrink * state.targets.len() as f64
        {
            let hash = hash_of_set(&self.surroundings.seed, wanted.keys());
            if state.doubted != Some(hash) {
                state.doubted = Some(hash);
                self.counters.doubted_updates += 1;
                return SyncOutcome::Doubted;
            }
        }
        state.doubted = None;
        let first = state.first_sync.is_none();
        state.first_sync.get_or_insert(now.mono);

        let gone: Vec<Slot> =
            state.targets.iter().filter(|(labels, _)| !wanted.contains_key(*labels)).map(|(_, slot)| *slot).collect();
        for slot in gone {
            self.remove(slot, now);
        }
        for (target, kind) in wanted.into_values() {
            self.expect(job, target, kind, now);
        }
        if first {
            let name = self.jobs[job.0 as usize].name.clone();
            self.restored.retain(|(job, _), _| *job != name);
        }
        self.advance(now);
        SyncOutcome::Applied
    }

    /// Discovery of a job succeeded with the same set as the last time, which was [`SyncOutcome::Applied`].
    pub fn sync_unchanged(&mut self, job: JobId, now: Now) {
        self.advance(now);
        if let Some(job) = self.jobs.get_mut(job.0 as usize) {
            job.last_success = Some(now.unix);
        }
    }

    /// Discovery of a job failed: its last good set stays.
    pub fn sync_failed(&mut self, job: JobId, now: Now) {
        self.advance(now);
        if let Some(job) = self.jobs.get_mut(job.0 as usize) {
            job.failures += 1;
        }
    }

    fn expect(&mut self, job: JobId, target: Arc<Target>, kind: Kind, now: Now) {
        let state = &self.jobs[job.0 as usize];
        if let Some(&slot) = state.targets.get(&target.labels) {
            self.change(slot, target, now);
        } else if let Some(&slot) = state.leaving.get(&target.labels) {
            self.take_back(slot, now);
            self.change(slot, target, now);
        } else {
            self.insert(job, target, kind, now);
        }
    }

    /// The same series, perhaps of another sender: a pod that was replaced under the same name.
    fn change(&mut self, slot: Slot, target: Arc<Target>, now: Now) {
        let Some(entry) = self.entries[slot as usize].as_mut() else { return };
        if *entry.target == *target {
            return;
        }
        let job = entry.job;
        let before = std::mem::replace(&mut entry.target, target);
        let rungs = rungs_of(&self.jobs[job as usize].rungs, entry.kind);
        if before.relabelled != entry.target.relabelled {
            self.ladder.remove(job, slot, &rungs, &before.relabelled);
            self.ladder.insert(job, slot, &rungs, &entry.target.relabelled);
            // A new generation ends the bindings. The timers of the old one are void.
            self.generation += 1;
            entry.generation = self.generation;
            entry.armed = None;
            entry.senders.clear();
            entry.matched = None;
            self.rematch();
        }
        let Some(entry) = self.entries[slot as usize].as_mut() else { return };
        if before.grid != entry.target.grid {
            entry.grid = Grid::new(entry.target.grid, entry.target.labels.fnv64a());
            entry.next_ms = entry.grid.after(now.unix_ms().max(entry.last_written_ms.unwrap_or(0)));
        }
        self.watch(slot, now.mono);
        self.arm(slot, now);
    }

    /// Puts a target into the table. None if there are too many.
    pub(super) fn insert(&mut self, job: JobId, target: Arc<Target>, kind: Kind, now: Now) -> Option<Slot> {
        if self.entries.len() - self.free.len() >= self.config.max_targets {
            self.counters.refused_targets += 1;
            return None;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() as Slot - 1
        });
        self.generation += 1;
        let state = &mut self.jobs[job.0 as usize];
        let labels_hash = target.labels.fnv64a();
        let grid = Grid::new(target.grid, labels_hash);
        let labels = self.config.ha.label_series(&target.labels, &self.surroundings.collector);
        let mut entry = Entry {
            generation: self.generation,
            job: job.0,
            kind,
            grid,
            next_ms: grid.after(now.unix_ms()),
            late_due: None,
            armed: None,
            expected_since: now.mono,
            leaving: None,
            up: Liveness::default(),
            signals: state.per_signal.iter().map(|signal| (*signal, Liveness::default())).collect(),
            learned: None,
            absence: None,
            traffic: Traffic { start_ms: now.unix_ms(), ..Traffic::default() },
            matched: None,
            senders: Senders::default(),
            instances: Vec::new(),
            written_labels: labels.clone(),
            labels,
            written: SeriesSet::default(),
            last_written_ms: None,
            series: self.generation,
            ended: true,
            scraped_until: None,
            target,
        };
        if let Some(kept) = self.restored.remove(&(state.name.clone(), labels_hash)) {
            entry.restore(&kept);
        }
        state.targets.insert(entry.target.labels.clone(), slot);
        self.ladder.insert(job.0, slot, &rungs_of(&state.rungs, kind), &entry.target.relabelled);
        self.rematch();
        self.owners.entry(entry.labels.clone()).or_default().push(slot);
        self.entries[slot as usize] = Some(entry);
        self.watch(slot, now.mono);
        self.arm(slot, now);
        Some(slot)
    }

    /// A target is no longer expected: nothing more is written, and the marker waits (`up`, Removal).
    ///
    /// Its keys stay: pushes that find no better target are remembered, in case it returns.
    fn remove(&mut self, slot: Slot, now: Now) {
        let Some(entry) = self.entries[slot as usize].as_mut() else { return };
        let stale_ms = entry.grid.after(now.unix_ms().max(entry.last_written_ms.unwrap_or(0)));
        entry.leaving = Some(Leaving { stale_ms });
        entry.late_due = None;
        let labels = entry.labels.clone();
        let job = &mut self.jobs[entry.job as usize];
        job.targets.remove(&entry.target.labels);
        job.leaving.insert(entry.target.labels.clone(), slot);
        self.rematch();
        self.disown(&labels, slot);
        self.end_absence(slot);
        self.arm(slot, now);
    }

    /// A removed target is expected again before its marker was written: the state goes on.
    fn take_back(&mut self, slot: Slot, now: Now) {
        let Some(entry) = self.entries[slot as usize].as_mut() else { return };
        entry.leaving = None;
        entry.next_ms = entry.grid.after(now.unix_ms().max(entry.last_written_ms.unwrap_or(0)));
        let job = &mut self.jobs[entry.job as usize];
        job.leaving.remove(&entry.target.labels);
        job.targets.insert(entry.target.labels.clone(), slot);
        self.owners.entry(entry.labels.clone()).or_default().push(slot);
        self.rematch();
        self.watch(slot, now.mono);
        self.arm(slot, now);
    }

    /// Takes a target out of the table for good.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.end_absence(slot);
        let Some(entry) = self.entries[slot as usize].take() else { return };
        if self.config.stale_on_down {
            self.ended.push(Ended::Forgotten { series: entry.series });
        }
        self.disown(&entry.labels, slot);
        let job = &mut self.jobs[entry.job as usize];
        let known = if entry.leaving.is_some() { &mut job.leaving } else { &mut job.targets };
        known.remove(&entry.target.labels);
        self.ladder.remove(entry.job, slot, &rungs_of(&job.rungs, entry.kind), &entry.target.relabelled);
        self.rematch();
        self.free.push(slot);
    }

    pub(super) fn disown(&mut self, labels: &Labels, slot: Slot) {
        if let Some(slots) = self.owners.get_mut(labels) {
            slots.retain(|s| *s != slot);
            if slots.is_empty() {
                self.owners.remove(labels);
            }
        }
    }

    pub(super) fn target_snapshot(&mut self, slot: Slot, at: Mono) -> Option<TargetSnapshot> {
        let circumstances = self.circumstances(slot, at)?;
        let entry = self.entries[slot as usize].as_mut()?;
        let job = &self.jobs[entry.job as usize];
        let seen = entry.up.silent_since(&circumstances).is_some();
        if !seen || job.origin == Origin::Learned || entry.leaving.is_some() {
            return None;
        }
        let (gaps_ms, interval_ms) = entry.learned.as_ref().map(|learned| learned.to_parts()).unwrap_or_default();
        Some(TargetSnapshot {
            job: job.name.clone(),
            labels_hash: entry.target.labels.fnv64a(),
            last_seen_ms: entry.traffic.last_seen_ms,
            down: entry.up.is_down(),
            closing: entry.up.is_closing(),
            in_doubt: entry.up.is_in_doubt() || circumstances.suspected_partition,
            gaps_ms,
            interval_ms,
        })
    }
}

impl Entry {
    fn restore(&mut self, kept: &TargetSnapshot) {
        let restored = match (kept.down, kept.closing) {
            (true, _) => Restored::Down,
            (false, true) => Restored::Closing,
            (false, false) => Restored::Seen,
        };
        self.up = Liveness::restored(restored, kept.in_doubt);
        self.traffic.last_seen_ms = kept.last_seen_ms;
        for (signal, liveness) in &mut self.signals {
            if kept.last_seen_ms[signal.index()] > 0 {
                *liveness = Liveness::restored(restored, kept.in_doubt);
            }
        }
        if !kept.gaps_ms.is_empty() {
            self.learned = Some(Box::new(LearnedInterval::from_parts(&kept.gaps_ms, kept.interval_ms)));
        }
    }
}

/// The rungs by which a target of a job is found: a service only as a whole, its instances by the others.
fn rungs_of(rungs: &[Rung], kind: Kind) -> SmallVec<[Rung; 10]> {
    let service = kind == Kind::Service;
    rungs.iter().copied().filter(|rung| (*rung == Rung::Service) == service).collect()
}

/// The targets by their labels; with the rung `service`, one more for each value of `job`.
fn expected_set(targets: &[Arc<Target>], by_service: bool) -> HashMap<Labels, (Arc<Target>, Kind), ahash::RandomState> {
    let mut set: HashMap<_, _, ahash::RandomState> = HashMap::default();
    let mut services: HashMap<&str, (LabelsBuilder, &Arc<Target>)> = HashMap::new();
    for target in targets {
        set.entry(target.labels.clone()).or_insert_with(|| (target.clone(), Kind::Instance));
        let job = target.labels.get("job");
        if by_service && !job.is_empty() {
            let (common, _) = services.entry(job).or_insert_with(|| (target.labels.to_builder(), target));
            common.retain_equal(&target.labels);
        }
    }
    for (job, (mut common, first)) in services {
        common.set("instance", "");
        let labels = common.build();
        let relabelled: Labels = [("job", job)].into_iter().collect();
        let target = Target {
            labels: labels.clone(),
            discovered: relabelled.clone(),
            relabelled,
            grid: first.grid,
            push_interval: first.push_interval,
        };
        set.entry(labels).or_insert_with(|| (Arc::new(target), Kind::Service));
    }
    set
}

/// Equal for equal sets, whatever their order.
fn hash_of_set<'a>(seed: &ahash::RandomState, labels: impl Iterator<Item = &'a Labels>) -> u64 {
    labels.map(|labels| seed.hash_one(labels)).fold(0, u64::wrapping_add)
}
