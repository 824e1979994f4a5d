//! Pushes: who sent it, and which targets that concerns.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::entry::Kind;
use super::matching::Match;
use super::{Engine, JobId, Now, SharedIdentity};
use crate::up::config::{AlignLabels, Signal};
use crate::up::duration::AutoDuration;
use crate::up::identity::Identity;
use crate::up::interval::LearnedInterval;
use crate::up::labels::Labels;
use crate::up::ladder::{Rung, Slot};
use crate::up::series::RejectReason;
use crate::up::state::{Mono, Push};
use crate::up::target::Target;

/// Instances of one service that are told apart.
const MAX_INSTANCES: usize = 1_000;

/// What one push brought of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The signal it was pushed as.
    pub signal: Signal,
    /// Data points, log records or spans.
    pub items: u64,
    /// How many requests this stands for.
    pub requests: u32,
    /// Size of the resource's part of the request.
    pub bytes: u64,
    /// The newest timestamp in the data, since the Unix epoch; None if the data has none.
    pub newest_data: Option<Duration>,
    /// There is at least one data point, and each says `NoRecordedValue`.
    pub all_no_recorded_value: bool,
    /// The payload was refused as invalid.
    pub rejected: Option<RejectReason>,
    /// It holds a value of a metric `up`: somebody else writes that for the sender.
    pub brings_up: bool,
}

impl Arrival {
    /// A push of a signal with nothing in it.
    pub fn new(signal: Signal) -> Self {
        Arrival {
            signal,
            items: 0,
            requests: 1,
            bytes: 0,
            newest_data: None,
            all_no_recorded_value: false,
            rejected: None,
            brings_up: false,
        }
    }
}

/// An identity that has been seen.
#[derive(Debug)]
pub(super) struct KnownIdentity {
    pub identity: SharedIdentity,
    /// The engine's version when it was matched.
    version: u64,
    /// The peer's epoch when it was matched.
    peer_epoch: u64,
    /// Matched targets with their generations; at most one of each job.
    pub targets: SmallVec<[Match; 1]>,
    observations: u32,
    pub last_seen: Mono,
}

impl Engine {
    /// A push was accepted (or refused as invalid: `arrival.rejected`). To be called once for each resource in it.
    pub fn observe(&mut self, now: Now, identity: &SharedIdentity, arrival: &Arrival) {
        self.advance(now);
        let peer_epoch = self.note_peer(identity, now.mono);
        let key = identity.key();
        let version = self.version;
        let unchanged = |known: &&mut KnownIdentity| known.version == version && known.peer_epoch == peer_epoch;
        if let Some(known) = self.expected.touch(key).filter(unchanged) {
            known.last_seen = now.mono;
            let targets = known.targets.clone();
            return self.contact_all(&targets, identity, arrival, now);
        }
        let mut known = match self.expected.remove(key).or_else(|| self.unexpected.remove(key)) {
            Some(known) => known,
            None => KnownIdentity {
                identity: identity.clone(),
                version: u64::MAX,
                peer_epoch,
                targets: SmallVec::new(),
                observations: 0,
                last_seen: now.mono,
            },
        };
        known.last_seen = now.mono;
        if known.version != self.version || known.peer_epoch != peer_epoch {
            known.targets = self.match_identity(identity, now.mono);
            known.version = self.version;
            known.peer_epoch = peer_epoch;
        }
        if known.targets.is_empty() && self.config.learned.enabled && arrival.rejected.is_none() {
            known.observations = known.observations.saturating_add(arrival.requests);
            if known.observations >= self.config.learned.min_observations {
                known.targets.extend(self.learn(identity, now));
            }
        }
        self.contact_all(&known.targets, identity, arrival, now);
        if known.targets.is_empty() {
            let limit = self.config.max_unexpected_identities;
            self.counters.evicted_identities += u64::from(self.unexpected.insert(key, known, limit).is_some());
        } else {
            let limit = 4 * self.entries.len() + 1_000;
            self.expected.insert(key, known, limit);
        }
    }

    /// Makes a target of a sender that was seen often enough.
    fn learn(&mut self, identity: &Identity, now: Now) -> Option<Match> {
        let job = identity.job()?;
        let labels: Labels =
            [("job", job.as_str()), ("instance", identity.instance().unwrap_or_default())].into_iter().collect();
        let learned = self.learned_job();
        let slot = match self.jobs[learned.0 as usize].targets.get(&labels) {
            Some(slot) => *slot,
            None => {
                let target = Target {
                    labels: labels.clone(),
                    relabelled: labels.clone(),
                    discovered: labels,
                    grid: self.jobs[learned.0 as usize].scrape_interval,
                    push_interval: None,
                };
                self.insert(learned, Arc::new(target), Kind::Learned, now)?
            }
        };
        let generation = self.entry(slot)?.generation;
        Some((slot, generation, Rung::JobInstance))
    }

    fn contact_all(&mut self, targets: &[Match], identity: &SharedIdentity, arrival: &Arrival, now: Now) {
        for &(slot, generation, rung) in targets {
            if self.entry(slot).is_some_and(|entry| entry.generation == generation) {
                self.contact(slot, rung, identity, arrival, now);
            }
        }
    }

    /// A push concerns a target.
    fn contact(&mut self, slot: Slot, rung: Rung, identity: &SharedIdentity, arrival: &Arrival, now: Now) {
        let Some(circumstances) = self.circumstances(slot, now.mono) else { return };
        let timing = circumstances.timing;
        let aligns = self.config.align_labels == AlignLabels::Otlp;
        let Some(entry) = self.entries[slot as usize].as_mut() else { return };
        let job = &self.jobs[entry.job as usize];
        entry.matched = Some(rung);
        entry.traffic.count(arrival, now);

        let max_age = match job.max_data_age {
            AutoDuration::Auto => timing.interval * 5,
            AutoDuration::Fixed(age) => age,
        };
        let stale = arrival.newest_data.is_some_and(|newest| now.unix.saturating_sub(newest) > max_age);
        if self.config.require_fresh_data && stale {
            self.counters.stale_data += 1;
            return;
        }
        // With several expected instances of a service, the target lives as long as the last but n−1 of them.
        let seen = match entry.kind {
            Kind::Service => entry.saw_instance(identity.key(), now.mono, timing.deadline, job.min_instances),
            Kind::Instance | Kind::Learned => Some(now.mono),
        };
        let Some(seen) = seen else { return };
        let push = Push {
            closing: arrival.all_no_recorded_value && arrival.signal == Signal::Metrics,
            bad: arrival.rejected.is_some() && self.config.strict,
        };
        let decides = job.liveness[arrival.signal.index()];
        if decides || self.config.any_signal_keeps_up {
            let before = entry.up.state_at(now.mono, &circumstances);
            let last = entry.up.last_seen();
            entry.up.push(seen, push, before, job.up_after);
            if decides && job.expected_interval == AutoDuration::Auto && entry.target.push_interval.is_none() {
                let learned = entry.learned.get_or_insert_with(|| Box::new(LearnedInterval::default()));
                if last.is_some_and(|last| self.faults.touch(last, now.mono, timing.interval)) {
                    learned.interrupt();
                }
                learned.arrival(now.mono);
            }
        }
        for (signal, liveness) in &mut entry.signals {
            if *signal == arrival.signal {
                let before = liveness.state_at(now.mono, &circumstances);
                liveness.push(seen, push, before, job.up_after);
            }
        }
        entry.ended &= arrival.signal != Signal::Metrics;
        if entry.leaving.is_some() {
            return;
        }
        if aligns && arrival.signal == Signal::Metrics && entry.kind == Kind::Instance && identity.job().is_some() {
            let before = entry.senders.many(now.mono);
            let changed = entry.senders.saw(identity, now.mono, timing.deadline);
            let many = entry.senders.many(now.mono);
            self.counters.multiple_identities += u64::from(many && !before);
            if changed || many != before {
                self.align(slot, now.mono);
            }
        }
        if arrival.brings_up {
            self.note_scraped(slot, identity, now.mono.saturating_add(timing.deadline));
        }
        self.end_absence(slot);
        self.watch(slot, now.mono);
        // Pushes move the LATE timer away; it is set again only when it fires, or when it was set too late.
        if self.entry(slot).is_some_and(|entry| entry.late_due.is_some() && entry.late_due < entry.armed) {
            self.arm(slot, now);
        }
    }

    /// Somebody else writes `up` for a sender: if under the same labels, the synthetic one is withheld (`up`, Expected set).
    fn note_scraped(&mut self, slot: Slot, identity: &Identity, until: Mono) {
        let aligned = self.config.align_labels == AlignLabels::Sd;
        let Some(entry) = self.entry_mut(slot) else { return };
        let job = identity.job().unwrap_or_default();
        let same =
            entry.labels.get("job") == job && entry.labels.get("instance") == identity.instance().unwrap_or_default();
        if aligned || same {
            entry.scraped_until = Some(until);
        }
    }

    /// Gives a target's series the labels that its pushed metrics have (`up`, Label alignment).
    pub(super) fn align(&mut self, slot: Slot, at: Mono) {
        let Some(entry) = self.entries[slot as usize].as_mut() else { return };
        let mut labels = entry.target.labels.clone();
        if let Some(current) = entry.senders.current.as_ref().filter(|_| !entry.senders.many(at)) {
            let mut aligned = labels.to_builder();
            // What was not pushed stays as discovered: several targets must not fall into one series.
            if let Some(job) = current.job() {
                aligned.set("job", job);
            }
            if let Some(instance) = current.instance() {
                aligned.set("instance", instance);
            }
            labels = aligned.build();
        }
        let labels = self.config.ha.label_series(&labels, &self.surroundings.collector);
        if labels != entry.labels {
            let before = std::mem::replace(&mut entry.labels, labels.clone());
            self.disown(&before, slot);
            self.owners.entry(labels).or_default().push(slot);
        }
    }

    /// The expected set of the job of a target that ended by itself.
    pub(super) fn is_learned(&self, job: JobId) -> bool {
        job == self.learned_job()
    }
}

impl super::entry::Traffic {
    fn count(&mut self, arrival: &Arrival, now: Now) {
        self.items = self.items.saturating_add(arrival.items);
        self.requests = self.requests.saturating_add(u64::from(arrival.requests));
        self.bytes = self.bytes.saturating_add(arrival.bytes);
        let seen = &mut self.last_seen_ms[arrival.signal.index()];
        *seen = now.unix_ms().max(*seen);
        if let Some(newest) = arrival.newest_data {
            self.delay = Some(now.unix.as_secs_f64() - newest.as_secs_f64());
        }
        if let Some(reason) = arrival.rejected {
            let count = &mut self.rejected[reason as usize];
            *count = count.saturating_add(arrival.requests);
        }
    }
}

impl super::entry::Entry {
    /// An instance of the service was seen. The last arrival of the n-th latest instance, if there are n.
    fn saw_instance(&mut self, key: u64, at: Mono, deadline: Duration, least: u32) -> Option<Mono> {
        match self.instances.iter_mut().find(|(k, _)| *k == key) {
            Some((_, seen)) => *seen = at.max(*seen),
            None => {
                self.instances.retain(|(_, seen)| seen.saturating_add(deadline) >= at);
                if self.instances.len() < MAX_INSTANCES {
                    self.instances.push((key, at));
                }
            }
        }
        let n = (least.max(1) as usize).min(MAX_INSTANCES);
        let mut seen: SmallVec<[Mono; 16]> = self.instances.iter().map(|(_, seen)| *seen).collect();
        seen.sort_unstable_by(|a, b| b.cmp(a));
        seen.get(n - 1).copied()
    }
}
