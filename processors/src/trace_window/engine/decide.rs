//! Mode `decide`: spans and logs wait for the verdict of their trace (correlation §2, §6).

use sluice_pdata::view::LogRecordView;

use super::Engine;
use super::absorb::Item;
use super::append::Bytes;
use super::read::ReadSpan;
use crate::sampling::threshold::{Randomness, random_value, randomness};
use crate::sampling::{Decision, LogItem, RuleIndex, SpanItem, TraceFacts, Weight};
use crate::trace_window::entry::{HeldKind, SlotState, TraceEntry, TraceState};
use crate::trace_window::note;
use crate::trace_window::slab::NONE;
use crate::trace_window::statistics::{DecisionKind, Outcome, Trigger};
use crate::trace_window::verdict_cache::{Known, NO_RULE, TraceKey, UNKNOWN_WEIGHT, pack};

/// What an item meets when it comes.
enum Met {
    /// The trace is in the window.
    Window(u32),
    /// A verdict is known.
    Verdict(Known),
    /// Thinned out at ingest.
    Thinned,
}

impl Engine {
    /// The trace of an item, or its verdict. The live table comes first, then the kept map.
    fn meet_trace(&mut self, item: &Item<'_>, key: TraceKey, r: u64) -> Met {
        if let Some(trace) = self.find_trace_of(item, key) {
            return Met::Window(trace);
        }
        if let Some(known) = self.verdicts.get(key) {
            return Met::Verdict(known);
        }
        let floor = self.pressure.floor();
        if r < floor {
            return Met::Thinned;
        }
        if self.is_full() || self.traces.len() >= self.settings.max_traces {
            self.decide_oldest();
        }
        let trace = self.add_trace(key);
        self.extensions[trace].floor = floor;
        Met::Window(trace)
    }

    pub(super) fn take_span_to_decide(&mut self, item: &Item<'_>, read: &ReadSpan<'_>, key: TraceKey, id: [u8; 8]) {
        let view = &read.view;
        let stated = match random_value(view.trace_state) {
            Randomness::Valid(r) => Some(r),
            Randomness::Absent | Randomness::Malformed => None,
        };
        let trace = match self.meet_trace(item, key, stated.unwrap_or_else(|| randomness(None, &key.id))) {
            Met::Window(trace) => trace,
            Met::Verdict(known) => return self.late_span(item, key, known, stated),
            Met::Thinned => return self.thin_out(item, key),
        };
        if let Some(r) = stated
            && self.extensions[trace].randomness == UNKNOWN_WEIGHT
        {
            self.extensions[trace].randomness = r;
        }
        // What tells it from another span of its id is not needed before there is one.
        let slot = match self.find_slot(trace, id) {
            Some(slot) if self.spans.get(slot).state.has_span() => {
                let content = self.content(item.bytes);
                return self.take_duplicate(item, slot, content);
            }
            known => {
                let content = if self.notes_contents { self.content(item.bytes) } else { 0 };
                match known {
                    Some(slot) => {
                        self.meet(slot, trace, read, item, content);
                        slot
                    }
                    None => self.new_span(trace, id, read, item, content),
                }
            }
        };
        let around = item.around;
        let now = self.time.unix_ns();
        let extension = &mut self.extensions[trace];
        extension.bytes += item.bytes.len() as u64;
        if let Some(judge) = &mut self.judge {
            let seen = SpanItem {
                view: *view,
                status: read.status,
                attributes: read.whole.then_some(&read.pairs),
                resource: around.resource,
                resource_envelope: around.resource_envelope,
                scope: around.scope,
                scope_envelope: around.scope_envelope,
                now,
            };
            judge.observe_span(&seen, &mut extension.leaves);
        }
        if self.traces.get(trace).state == TraceState::Kept {
            self.spans.get_mut(slot).state = SlotState::Left;
            self.spans.get_mut(slot).content = self.content(item.bytes);
            self.stream_span(item, trace, Some(slot));
            return self.stream_logs(slot, trace);
        }
        if !self.hold(slot, item, HeldKind::Span, u32::MAX) {
            self.spans.get_mut(slot).content = self.content(item.bytes);
            return self.pass(item, Outcome::BypassPressure);
        }
        self.look_early(trace);
    }

    pub(super) fn take_log_to_decide(&mut self, item: &Item<'_>, view: &LogRecordView<'_>, key: TraceKey, id: [u8; 8]) {
        let trace = match self.meet_trace(item, key, randomness(None, &key.id)) {
            Met::Window(trace) => trace,
            Met::Verdict(known) => return self.late_log(item, key, known),
            Met::Thinned => return self.thin_out(item, key),
        };
        let slot = match self.find_slot(trace, id) {
            Some(slot) => slot,
            None => self.logs_only(trace, id, item.around.source),
        };
        self.count_log(slot, view);
        let around = item.around;
        let now = self.time.unix_ns();
        if let Some(judge) = &mut self.judge {
            let seen = LogItem {
                view: *view,
                resource: around.resource,
                resource_envelope: around.resource_envelope,
                scope: around.scope,
                scope_envelope: around.scope_envelope,
                now,
            };
            judge.observe_log(&seen, &mut self.extensions[trace].leaves);
        }
        let has_span = self.spans.get(slot).state.has_span();
        if has_span {
            self.lag_of_known_span(slot, around.source);
        }
        if self.traces.get(trace).state == TraceState::Kept {
            // What a trace that streams may still hold is bounded like any other's.
            let is_over = self.traces.get(trace).held_bytes as usize >= self.settings.trace_max_bytes;
            if has_span || is_over {
                let by = self.kept_by(trace);
                let (base, suffix) = self.stamped_log(item.base(), Bytes::of(item), Some(slot), by);
                let outcome = if has_span { Outcome::MatchedImmediate } else { Outcome::Kept };
                return self.leave(item, base, suffix, outcome);
            }
        }
        if !self.hold(slot, item, HeldKind::Log, u32::MAX) {
            return self.pass(item, Outcome::BypassPressure);
        }
        let tick = self.time.tick();
        if !has_span
            && view.flags & 1 == 0
            && self.traces.get(trace).state == TraceState::Open
            && self.traces.get(trace).spans == 0
            && self.sources.lag(around.source).never_sampled(tick, item.entry.0)
        {
            return self.decide_traces(&[trace], Trigger::Unsampled);
        }
        self.look_early(trace);
    }

    /// Decides a trace before its time, if that is sure or called for.
    fn look_early(&mut self, trace: u32) {
        let entry = self.traces.get(trace);
        if entry.state != TraceState::Open {
            return;
        }
        let over = entry.spans as usize >= self.settings.trace_max_spans
            || entry.held_bytes as usize >= self.settings.trace_max_bytes;
        if over {
            self.evict_reason("trace_limit");
            self.traces.get_mut(trace).flags |= TraceEntry::OVER;
            return self.decide_traces(&[trace], Trigger::TraceLimit);
        }
        let (spans, extension) = (entry.spans, &self.extensions[trace]);
        let duration_ms = extension.end.checked_sub(extension.start).map(|duration| duration / 1_000_000);
        if !self.early_signs.are_in(extension.leaves, spans, duration_ms) {
            return;
        }
        let facts = self.facts(trace);
        let early = self.judge.as_mut().and_then(|judge| judge.early(&facts));
        if let Some(decision) = early {
            self.keep_early(trace, decision);
        }
    }

    /// Traces whose time has come, all of one tick.
    pub(super) fn wake_traces(&mut self, mut traces: Vec<u32>) {
        let tick = self.wheel.now();
        traces.sort_unstable();
        traces.dedup();
        traces.retain(|&trace| {
            self.traces.get(trace).state != TraceState::Free && self.extensions[trace].deadline <= tick
        });
        self.read_ahead(&traces);
        let (kept, open): (Vec<u32>, Vec<u32>) =
            traces.into_iter().partition(|&trace| self.traces.get(trace).state == TraceState::Kept);
        for trace in kept {
            self.close(trace, true);
        }
        let (rooted, rootless): (Vec<u32>, Vec<u32>) =
            open.into_iter().partition(|&trace| self.traces.get(trace).flags & TraceEntry::ROOT != 0);
        // One decision for the tick, so that rate limits rank all its traces; what triggered them is counted apart.
        let all: Vec<u32> = rooted.iter().chain(&rootless).copied().collect();
        self.statistics.rootless_traces += rootless.len() as u64;
        self.decide_with(&all, |at| if at < rooted.len() { Trigger::Root } else { Trigger::Wait });
    }

    /// The window is full: a share of the oldest traces is decided on what is known of them.
    fn decide_oldest(&mut self) {
        let mut open: Vec<(u32, u32)> = Vec::new();
        for handle in self.traces.handles() {
            match self.traces.get(handle).state {
                TraceState::Open | TraceState::Kept => open.push((self.extensions[handle].first, handle)),
                TraceState::Free => {}
            }
        }
        open.sort_unstable();
        // Some at once, so that the next new trace does not search again.
        open.truncate(open.len().div_ceil(64).max(1));
        self.statistics.evict("window_full", open.len() as u64);
        let (kept, undecided): (Vec<u32>, Vec<u32>) = open
            .into_iter()
            .map(|(_, trace)| trace)
            .partition(|&trace| self.traces.get(trace).state == TraceState::Kept);
        kept.into_iter().for_each(|trace| self.close(trace, true));
        self.decide_traces(&undecided, Trigger::WindowFull);
    }

    /// Decides traces now.
    pub(super) fn decide_traces(&mut self, traces: &[u32], trigger: Trigger) {
        self.decide_with(traces, |_| trigger);
    }

    fn decide_with(&mut self, traces: &[u32], trigger: impl Fn(usize) -> Trigger) {
        if traces.is_empty() {
            return;
        }
        let counts_services = self.judge.as_ref().is_some_and(|judge| judge.counts_services());
        let services = |trace| if counts_services { self.services(trace) } else { 0 };
        let facts: Vec<TraceFacts> =
            traces.iter().map(|&trace| TraceFacts { services: services(trace), ..self.facts(trace) }).collect();
        let now = self.time.wall(self.wheel.now().max(1)).0;
        let decisions = match &mut self.judge {
            Some(judge) => judge.decide(&facts, now),
            None => Vec::new(),
        };
        for (at, &trace) in traces.iter().enumerate() {
            let decision = decisions.get(at).copied().unwrap_or(Decision::UNMATCHED);
            let oversize = self.settings.drop_oversize && self.traces.get(trace).flags & TraceEntry::OVER != 0;
            let decision = if oversize { Decision::UNMATCHED } else { decision };
            let keeps = self.conclude(trace, decision, trigger(at));
            self.sub_rule = decision.sub_rule.map(|RuleIndex(rule)| rule);
            self.close(trace, keeps);
            self.sub_rule = None;
        }
    }

    /// Makes a decision known: counts it, and remembers it here and across a restart. Returns whether the trace is kept.
    fn conclude(&mut self, trace: u32, decision: Decision, trigger: Trigger) -> bool {
        let dry_run = self.settings.decide.is_some_and(|decide| decide.dry_run);
        let entry = self.traces.get(trace);
        let key = TraceKey { tenant: entry.tenant, id: entry.id };
        let kind = DecisionKind { kept: decision.kept, rule: decision.rule, trigger };
        let count = self.statistics.decisions.entry(kind).or_default();
        count.traces += 1;
        count.spans += u64::from(entry.spans);
        let rule = decision.rule.map_or(NO_RULE, |RuleIndex(rule)| rule);
        let weight = match decision.weight {
            _ if dry_run => Weight::Threshold(0),
            Weight::Threshold(t) => Weight::Threshold(t.max(self.extensions[trace].floor)),
            Weight::Unknown => Weight::Unknown,
        };
        let verdict = if decision.kept || dry_run { Known::Kept { weight, rule } } else { Known::Dropped };
        self.extensions[trace].threshold = pack(weight);
        self.traces.get_mut(trace).rule = rule;
        self.remember(key, verdict);
        verdict != Known::Dropped
    }

    pub(super) fn remember(&mut self, key: TraceKey, verdict: Known) {
        let before = self.verdicts.get(key);
        if before.is_some_and(|before| (before == Known::Dropped) != (verdict == Known::Dropped)) {
            self.statistics.split_decisions += 1;
        }
        self.verdicts.insert(key, verdict, self.time.tick());
        self.note_turns();
        self.is_new_verdict(key);
        self.statistics.early_rotations = self.verdicts.early_turns();
        note::write(&mut self.note, self.origins.tenant_name(key.tenant), &key.id, verdict);
    }

    /// A trace is sure to be kept: what has met leaves, and what comes streams through until the trace's time is over.
    fn keep_early(&mut self, trace: u32, decision: Decision) {
        if !self.conclude(trace, decision, Trigger::Early) {
            return;
        }
        self.traces.get_mut(trace).state = TraceState::Kept;
        self.restart.streaming += 1;
        let mut at = self.traces.get(trace).head;
        while at != NONE {
            let next = self.spans.get(at).next;
            if self.spans.get(at).state.has_span() {
                self.spans.get_mut(at).content = self.content_of(at);
                self.release_slot(at, trace);
                self.spans.get_mut(at).state = SlotState::Left;
            }
            at = next;
        }
    }

    /// Decides, or releases, everything that is held.
    pub(super) fn decide_all(&mut self) {
        let mut traces: Vec<u32> = Vec::new();
        for handle in self.traces.handles() {
            match self.traces.get(handle).state {
                TraceState::Kept => self.close(handle, true),
                TraceState::Open => traces.push(handle),
                TraceState::Free => {}
            }
        }
        if self.settings.drop_pending_on_drain {
            traces.into_iter().for_each(|trace| self.close(trace, false));
        } else {
            self.decide_traces(&traces, Trigger::Drain);
        }
    }
}
