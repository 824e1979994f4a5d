//! Grid points and stale markers.

use super::entry::{Entry, Kind, Leaving};
use super::job::Origin;
use super::{Engine, JobId, Now};
use crate::up::absence::Limit;
use crate::up::config::{HaMode, IngestMetrics, Signal};
use crate::up::duration::AutoDuration;
use crate::up::labels::Labels;
use crate::up::ladder::Slot;
use crate::up::series::{Emission, RejectReason, Sample, Series, SeriesSet};
use crate::up::state::{Circumstances, Mono, State, Timing};

use std::time::Duration;

/// Least startup grace that is derived.
const LEAST_STARTUP_GRACE: Duration = Duration::from_secs(120);

impl Engine {
    /// What the state of a target at an instant depends on beside its own history.
    pub(super) fn circumstances(&self, slot: Slot, at: Mono) -> Option<Circumstances> {
        let entry = self.entry(slot)?;
        let job = self.jobs.get(entry.job as usize)?;
        let timing = entry.timing(job);
        let warm_from = self.ready.zip(job.first_sync).map(|(ready, synced)| ready.max(synced));
        let warm_until = match job.origin {
            Origin::Configured => warm_from.map(|from| from.saturating_add(self.warm_up)),
            Origin::Learned => warm_from,
        };
        let startup_grace = match job.startup_grace {
            AutoDuration::Auto => (timing.interval * 2).max(LEAST_STARTUP_GRACE),
            AutoDuration::Fixed(grace) => grace,
        };
        let grace_from = entry.expected_since.max(warm_until.unwrap_or_default());
        let frozen =
            warm_from.is_none() || (!self.faults.is_empty() && self.faults.cover(at, entry.up.last_seen(), &timing));
        Some(Circumstances {
            timing,
            ephemeral: job.ephemeral || (entry.kind == Kind::Service && job.min_instances == 0),
            never_absent: job.by_service && entry.kind == Kind::Instance,
            warm_from: warm_from.unwrap_or_default(),
            warm_until: warm_until.unwrap_or(Mono::MAX),
            grace_until: grace_from.saturating_add(startup_grace),
            frozen,
            suspected_partition: job.absences.suspected(at) || self.absences.suspected(at),
            keep_down: self.config.keep_down_over_restart,
        })
    }

    /// Does what a target's timer was armed for. `now` is when it was due, `present` how late it really is.
    pub(super) fn serve(&mut self, slot: Slot, now: Now, present: Now) {
        self.note_late(slot, now.mono);
        loop {
            let Some(entry) = self.entries[slot as usize].as_mut() else { return };
            if let Some(leaving) = entry.leaving {
                if now.unix_ms() < entry.marker_due_ms(leaving) {
                    break;
                }
                self.write_departure(slot, leaving);
                self.forget(slot);
                return;
            }
            let point = entry.next_ms;
            let Some(late) = now.unix.checked_sub(Duration::from_millis(point)) else { break };
            entry.next_ms = entry.grid.after(point);
            let behind = present.unix.saturating_sub(Duration::from_millis(point));
            if behind > entry.timing(&self.jobs[entry.job as usize]).interval.max(Duration::from_secs(1)) {
                // The process stood still or the wall clock jumped: what was missed is a gap.
                entry.next_ms = entry.grid.after(present.unix_ms());
                entry.traffic.begin_interval();
                continue;
            }
            if self.write_point(slot, point, now.mono.saturating_sub(late)) == State::Gone {
                let Some(entry) = self.entry(slot) else { return };
                if self.is_learned(JobId(entry.job)) {
                    self.forget(slot);
                    return;
                }
            }
        }
        if let Some(entry) = self.entries[slot as usize].as_mut() {
            entry.armed = None;
        }
        self.arm(slot, now);
    }

    /// Sets when a target would become LATE.
    pub(super) fn watch(&mut self, slot: Slot, at: Mono) {
        let Some(circumstances) = self.circumstances(slot, at) else { return };
        let timing = circumstances.timing;
        self.longest_deadline = self.longest_deadline.max(timing.deadline);
        self.least_interval = self.least_interval.min(timing.interval);
        let Some(entry) = self.entries[slot as usize].as_mut() else { return };
        entry.late_due = None;
        if entry.leaving.is_none() && entry.absence.is_none() && !entry.up.is_down() {
            let since = entry.up.silent_since(&circumstances);
            entry.late_due =
                since.map(|since| since.saturating_add(timing.late).saturating_add(Duration::from_nanos(1)));
        }
    }

    /// Takes a target into account for mass absence once it is LATE.
    fn note_late(&mut self, slot: Slot, at: Mono) {
        if self.entry(slot).is_none_or(|entry| entry.late_due.is_none_or(|due| due > at)) {
            return;
        }
        let Some(circumstances) = self.circumstances(slot, at) else { return };
        let timing = circumstances.timing;
        if !self.is_silent(slot, at, &circumstances) {
            return self.watch(slot, at);
        }
        if circumstances.frozen {
            // Its silence says nothing now; looked at again later.
            if let Some(entry) = self.entry_mut(slot) {
                entry.late_due = Some(at.saturating_add(timing.interval));
            }
            return;
        }
        let ratio = self.config.mass_absence_ratio;
        let all: usize = self.configured_jobs().map(|job| job.targets.len()).sum();
        let Some(entry) = self.entry(slot) else { return };
        let job = entry.job;
        let entries = &self.entries;
        let absence_of = |slot: Slot| entries.get(slot as usize)?.as_ref()?.absence;
        let of_job = &mut self.jobs[job as usize];
        let limit = Limit { ratio, targets: of_job.targets.len() };
        let in_job = of_job.absences.late(at, slot, &timing, &limit, |n, s| absence_of(s).is_some_and(|a| a.0 == n));
        let limit = Limit { ratio, targets: all };
        let in_all = self.absences.late(at, slot, &timing, &limit, |n, s| absence_of(s).is_some_and(|a| a.1 == n));
        if let Some(entry) = self.entry_mut(slot) {
            entry.absence = Some((in_job, in_all));
            entry.late_due = None;
        }
    }

    fn is_silent(&self, slot: Slot, at: Mono, circumstances: &Circumstances) -> bool {
        let since = self.entry(slot).and_then(|entry| entry.up.silent_since(circumstances));
        since.is_some_and(|since| at.saturating_sub(since) > circumstances.timing.late)
    }

    /// The target is heard of again, or no longer expected.
    pub(super) fn end_absence(&mut self, slot: Slot) {
        let Some(entry) = self.entries[slot as usize].as_mut() else { return };
        if let Some((in_job, in_all)) = entry.absence.take() {
            let job = entry.job;
            self.jobs[job as usize].absences.returned(in_job);
            self.absences.returned(in_all);
        }
    }

    /// Writes what a target has to say at a grid point.
    fn write_point(&mut self, slot: Slot, point: u64, at: Mono) -> State {
        if self.entry_mut(slot).is_some_and(|entry| entry.senders.many_ended(at)) {
            self.align(slot, at);
        }
        let Some(circumstances) = self.circumstances(slot, at) else { return State::Gone };
        let Some(entry) = self.entries[slot as usize].as_mut() else { return State::Gone };
        let state = entry.up.state_at(at, &circumstances);
        if state == State::Gone {
            let (labels, written) = (entry.written_labels.clone(), std::mem::take(&mut entry.written));
            entry.traffic.begin_interval();
            self.write_markers(slot, labels, written, point);
            self.end_series(slot, point);
            return state;
        }
        if state == State::Down {
            self.end_series(slot, point);
        }
        let samples = self.samples(slot, state, at, &circumstances);
        let Some(entry) = self.entries[slot as usize].as_mut() else { return State::Gone };
        entry.traffic.begin_interval();
        if samples.is_empty() {
            return state;
        }
        let labels = entry.labels.clone();
        if self.owners.get(&labels).is_some_and(|slots| slots.first() != Some(&slot)) {
            self.counters.withheld_duplicates += samples.len() as u64;
            return state;
        }
        if entry.written_labels != labels {
            let before = std::mem::replace(&mut entry.written_labels, labels.clone());
            let written = std::mem::take(&mut entry.written);
            self.write_markers(slot, before, written, point);
        }
        let Some(entry) = self.entries[slot as usize].as_mut() else { return State::Gone };
        for sample in &samples {
            entry.written.insert(sample.series);
        }
        entry.last_written_ms = Some(point);
        let start_ms = entry.traffic.start_ms;
        let resource = self.resource_of(slot);
        self.pending.push(Emission { labels, time_ms: point, start_ms, resource, samples });
        state
    }

    /// The markers of a target that is no longer expected (`up`, Removal).
    fn write_departure(&mut self, slot: Slot, leaving: Leaving) {
        let Some(entry) = self.entry(slot) else { return };
        let (labels, written) = (entry.written_labels.clone(), entry.written);
        let replaced = |other: &Slot| {
            let other = self.entry(*other).filter(|_| *other != slot);
            other.is_some_and(|o| o.written_labels == labels && o.last_written_ms >= Some(leaving.stale_ms))
        };
        if !self.owners.get(&labels).is_some_and(|slots| slots.iter().any(replaced)) {
            self.write_markers(slot, labels, written, leaving.stale_ms);
            self.end_series(slot, leaving.stale_ms);
        }
    }

    fn write_markers(&mut self, slot: Slot, labels: Labels, written: SeriesSet, point: u64) {
        let taken_over = self.owners.get(&labels).and_then(|slots| slots.first()).is_some_and(|first| {
            *first != slot && self.entry(*first).is_some_and(|o| o.leaving.is_none() && !o.written.is_empty())
        });
        if written.is_empty() || taken_over {
            return;
        }
        let samples = written.iter().map(|series| Sample { series, value: None }).collect();
        let start_ms = self.entry(slot).map_or(0, |entry| entry.traffic.start_ms);
        let resource = self.resource_of(slot);
        self.pending.push(Emission { labels, time_ms: point, start_ms, resource, samples });
    }

    /// What discovery knows of the target's pod, under the names of the semantic conventions.
    fn resource_of(&self, slot: Slot) -> Labels {
        const KUBERNETES: [(&str, &str); 6] = [
            ("k8s.namespace.name", "__meta_kubernetes_namespace"),
            ("k8s.pod.name", "__meta_kubernetes_pod_name"),
            ("k8s.pod.uid", "__meta_kubernetes_pod_uid"),
            ("k8s.container.name", "__meta_kubernetes_pod_container_name"),
            ("k8s.node.name", "__meta_kubernetes_pod_node_name"),
            ("k8s.cluster.name", "__k8s_cluster_name__"),
        ];
        let entry = self.entry(slot).filter(|_| self.config.resource_attributes);
        let known =
            |entry: &Entry| KUBERNETES.map(|(name, label)| (name, entry.target.relabelled.get(label).to_owned()));
        entry.map(known).iter().flatten().map(|(name, value)| (*name, value.as_str())).collect()
    }

    fn samples(&mut self, slot: Slot, state: State, at: Mono, circumstances: &Circumstances) -> Vec<Sample> {
        let mut samples = Vec::new();
        let (mode, level) = (self.config.ha.mode, self.config.ingest_metrics);
        let Some(entry) = self.entries[slot as usize].as_mut() else { return samples };
        let mut add = |series, value: f64| samples.push(Sample { series, value: Some(value) });
        if mode == HaMode::Evidence {
            if state.value().is_some() {
                entry.evidence(&circumstances.timing, &mut add);
            }
            return samples;
        }
        if let Some(up) = state.value() {
            if entry.scraped_until.is_some_and(|until| at <= until) {
                self.counters.withheld_scraped += 1;
            } else {
                add(Series::Up, f64::from(u8::from(up)));
            }
            for (signal, liveness) in &mut entry.signals {
                if let Some(up) = liveness.state_at(at, circumstances).value() {
                    add(Series::OtlpUp(*signal), f64::from(u8::from(up)));
                }
            }
            if level != IngestMetrics::Off {
                entry.ingest(level, &circumstances.timing, &mut add);
            }
        }
        if level == IngestMetrics::Full {
            for each in State::WRITTEN {
                add(Series::TargetState(each), f64::from(u8::from(each == state)));
            }
        }
        samples
    }
}

impl Entry {
    fn evidence(&self, timing: &Timing, add: &mut impl FnMut(Series, f64)) {
        self.last_seen(add);
        add(Series::Deadline, timing.deadline.as_secs_f64());
    }

    fn ingest(&self, level: IngestMetrics, timing: &Timing, add: &mut impl FnMut(Series, f64)) {
        let traffic = &self.traffic;
        add(Series::Samples, traffic.items as f64);
        if level == IngestMetrics::Basic {
            return self.last_seen(add);
        }
        add(Series::Requests, traffic.requests as f64);
        add(Series::Bytes, traffic.bytes as f64);
        self.last_seen(add);
        if let Some(delay) = traffic.delay {
            add(Series::DataDelay, delay);
        }
        add(Series::ExpectedInterval, timing.interval.as_secs_f64());
        if let Some(observed) = self.learned.as_ref().and_then(|learned| learned.observed()) {
            add(Series::ObservedInterval, observed.as_secs_f64());
        }
        for reason in RejectReason::ALL {
            let count = traffic.rejected[reason as usize];
            if count > 0 {
                add(Series::Rejected(reason), f64::from(count));
            }
        }
    }

    fn last_seen(&self, add: &mut impl FnMut(Series, f64)) {
        for signal in Signal::ALL {
            let seen = self.traffic.last_seen_ms[signal.index()];
            if seen > 0 {
                add(Series::LastSeen(signal), seen as f64 / 1e3);
            }
        }
    }
}

impl super::entry::Traffic {
    /// Counts anew from a grid point on.
    pub(super) fn begin_interval(&mut self) {
        (self.items, self.requests, self.bytes, self.delay) = (0, 0, 0, None);
    }
}
