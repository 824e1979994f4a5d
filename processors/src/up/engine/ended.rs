//! Targets whose own series end (`up`, Stale markers for the target's own series).

use smallvec::SmallVec;

use super::entry::Kind;
use super::{Engine, SharedIdentity};
use crate::up::labels::Labels;
use crate::up::ladder::Slot;
use crate::up::state::Timing;

/// The end of what a target pushed. The number names its series; see [`Engine::targets_of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// What it pushed last is to be marked stale at this time, in milliseconds since the Unix epoch. It may come back.
    Silent { series: u32, time_ms: u64 },
    /// It is expected no more.
    Forgotten { series: u32 },
}

impl Engine {
    /// The targets whose own series ended since the last call, in order. To be called after each [`Engine::tick`].
    pub fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    /// The targets that a sender was matched to when it was last observed: what names their series for as long as they are
    /// expected, and their clocks.
    pub fn targets_of(&mut self, identity: &SharedIdentity) -> SmallVec<[(u32, Timing); 1]> {
        let Some(known) = self.expected.touch(identity.key()) else { return SmallVec::new() };
        let targets = known.targets.clone();
        let timed = targets.iter().filter_map(|&(slot, generation, _)| {
            let entry = self.entry(slot).filter(|entry| entry.generation == generation)?;
            // A service as a whole has no series of its own.
            let owns = entry.kind != Kind::Service && entry.leaving.is_none();
            owns.then(|| (entry.series, entry.timing(&self.jobs[entry.job as usize])))
        });
        timed.collect()
    }

    /// The labels of the one target whose metrics a sender's are (`align_labels: sd`); None if it has no target by discovery.
    ///
    /// Looks only: what is due is judged by arrivals, which must be handed in first.
    pub fn labels_of(&mut self, identity: &SharedIdentity) -> Option<Labels> {
        let counters = self.counters.clone();
        let at = self.now.map(|now| now.mono).unwrap_or_default();
        let found = self.match_identity(identity, at);
        // The sender is counted when its push is accepted.
        self.counters = counters;
        let expected = found.iter().filter_map(|&(slot, ..)| self.entry(slot));
        let mut expected = expected.filter(|entry| entry.kind == Kind::Instance && entry.leaving.is_none());
        expected.next().map(|entry| entry.target.labels.clone())
    }

    /// What the target pushed last ends, unless it has ended already.
    pub(super) fn end_series(&mut self, slot: Slot, time_ms: u64) {
        let tracks = self.config.stale_on_down;
        let Some(entry) = self.entry_mut(slot) else { return };
        if tracks && !std::mem::replace(&mut entry.ended, true) {
            let series = entry.series;
            self.ended.push(Ended::Silent { series, time_ms });
        }
    }
}
