//! The collector's own faults: times in which silence says nothing about a target.

use std::time::Duration;

use super::state::{Mono, Timing};

/// More faults at the same time are merged.
const KEPT: usize = 8;

/// What was wrong with the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The receiver refuses pushes (memory, quota, overload).
    Refusing,
    /// The listener does not accept, or its TLS material cannot be loaded.
    Listener,
    /// Arrivals were lost inside the collector.
    Lost,
    /// The process stood still; counts for targets with a shorter I.
    Stalled,
    /// The clocks disagreed; counts for targets with an I shorter than twice the difference.
    Clock,
}

#[derive(Clone, Copy, Debug)]
struct Fault {
    from: Mono,
    /// None while it lasts.
    until: Option<Mono>,
    /// Applies to targets with an I below this.
    below: Duration,
}

/// Faults that still matter.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    ended: Vec<Fault>,
    lasting: Vec<(FaultKind, Mono)>,
}

impl Faults {
    /// A fault begins. Beginning twice is the same as once.
    pub fn begin(&mut self, kind: FaultKind, at: Mono) {
        if !self.lasting.iter().any(|(k, _)| *k == kind) {
            self.lasting.push((kind, at));
        }
    }

    /// A fault ends.
    pub fn end(&mut self, kind: FaultKind, at: Mono) {
        if let Some(i) = self.lasting.iter().position(|(k, _)| *k == kind) {
            let (_, from) = self.lasting.swap_remove(i);
            self.add(Fault { from, until: Some(at), below: Duration::MAX });
        }
    }

    /// A fault that was noticed after its end; it matters to targets with an I below `below`.
    pub fn passed(&mut self, from: Mono, until: Mono, below: Duration) {
        self.add(Fault { from, until: Some(until), below });
    }

    fn add(&mut self, fault: Fault) {
        self.ended.push(fault);
        if self.ended.len() > KEPT {
            let oldest = self.ended.remove(0);
            let next = &mut self.ended[0];
            next.from = next.from.min(oldest.from);
            next.below = next.below.max(oldest.below);
        }
    }

    /// Forgets what ended longer ago than any deadline.
    pub fn forget(&mut self, now: Mono, longest_deadline: Duration) {
        self.ended.retain(|fault| fault.until.is_none_or(|until| until.saturating_add(longest_deadline) >= now));
    }

    /// Whether any fault is remembered or lasts: the cheap check before [`Faults::cover`].
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.lasting.is_empty()
    }

    /// Whether a target is frozen at an instant: from the fault until its data or D after (`up`, Own faults).
    ///
    /// Data that came through while the fault lasted thaws the target, but its silence afterwards says nothing again.
    pub fn cover(&self, at: Mono, last_seen: Option<Mono>, timing: &Timing) -> bool {
        self.all().any(|fault| {
            if timing.interval >= fault.below || at < fault.from {
                return false;
            }
            if let Some(until) = fault.until
                && (last_seen.is_some_and(|seen| seen >= until) || at > until.saturating_add(timing.deadline))
            {
                return false;
            }
            !last_seen.is_some_and(|seen| seen >= fault.from && at.saturating_sub(seen) <= timing.late)
        })
    }

    /// Whether a fault that matters to a target touches the time between two instants.
    pub fn touch(&self, from: Mono, until: Mono, interval: Duration) -> bool {
        self.all().any(|f| interval < f.below && f.from <= until && f.until.is_none_or(|end| end >= from))
    }

    fn all(&self) -> impl Iterator<Item = Fault> + '_ {
        let lasting = self.lasting.iter().map(|&(_, from)| Fault { from, until: None, below: Duration::MAX });
        self.ended.iter().copied().chain(lasting)
    }
}
