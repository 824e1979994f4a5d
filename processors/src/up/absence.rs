//! Mass absence: when many targets fall silent at once, the network is the likelier cause.

use std::collections::VecDeque;
use std::time::Duration;

use super::ladder::Slot;
use super::state::{Mono, Timing};

/// Fewer targets say nothing about the network.
const LEAST_TARGETS: usize = 5;

/// The targets that fell silent lately, of one job or of all.
#[derive(Clone, Debug, Default)]
pub struct Absences {
    /// Targets that became LATE within the window, in order; some may have returned since.
    recent: VecDeque<(Mono, Slot)>,
    /// How many have left `recent`: the number of its first entry.
    left: u64,
    /// Those of `recent` that have not returned.
    silent: usize,
    /// The longest I of those that became LATE.
    window: Duration,
    suspected_until: Option<Mono>,
}

impl Absences {
    /// A target became LATE. Returns the number of the absence, for [`Absences::returned`].
    ///
    /// `holds` tells whether the absence with this number of this target still lasts.
    pub fn late(
        &mut self,
        at: Mono,
        slot: Slot,
        timing: &Timing,
        limit: &Limit,
        holds: impl Fn(u64, Slot) -> bool,
    ) -> u64 {
        self.window = self.window.max(timing.interval);
        while let Some(&(then, slot)) = self.recent.front()
            && then.saturating_add(self.window) < at
        {
            self.recent.pop_front();
            if holds(self.left, slot) {
                self.silent = self.silent.saturating_sub(1);
            }
            self.left += 1;
        }
        self.recent.push_back((at, slot));
        self.silent += 1;
        if limit.exceeded_by(self.silent) {
            self.suspected_until = self.suspected_until.max(Some(at.saturating_add(timing.deadline)));
        }
        self.left + self.recent.len() as u64 - 1
    }

    /// The target of the absence with this number has returned or is no longer expected.
    pub fn returned(&mut self, number: u64) {
        if number >= self.left {
            self.silent = self.silent.saturating_sub(1);
        }
    }

    /// Whether a partition is suspected at an instant.
    pub fn suspected(&self, at: Mono) -> bool {
        self.suspected_until.is_some_and(|until| at <= until)
    }
}

/// How much absence is too much.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// `mass_absence_ratio`.
    pub ratio: f64,
    /// Expected targets.
    pub targets: usize,
}

impl Limit {
    fn exceeded_by(&self, silent: usize) -> bool {
        self.targets >= LEAST_TARGETS && silent as f64 > self.ratio * self.targets as f64
    }
}
