//! From an identity to its targets, by the match ladder and by what was bound earlier.

use smallvec::SmallVec;

use super::Engine;
use crate::up::identity::Identity;
use crate::up::ladder::{Lookup, Rung, Slot, same_scope};
use crate::up::state::Mono;

/// A matched target with its generation, and the rung that found it.
pub(super) type Match = (Slot, u32, Rung);

impl Engine {
    /// The targets of an identity: in each job the first rung that says something (`up`, Match ladder).
    pub(super) fn match_identity(&mut self, identity: &Identity, at: Mono) -> SmallVec<[Match; 1]> {
        let forwards = identity.peer().is_some_and(|address| self.forwards(address, at));
        let mut found = SmallVec::new();
        for job in 0..self.jobs.len() as u32 {
            if let Some((slot, rung)) = self.match_in_job(job, identity, forwards) {
                let generation = self.entry(slot).map_or(0, |entry| entry.generation);
                if rung.is_strong() {
                    self.bind(job, identity, slot, generation);
                }
                self.counters.matches[rung as usize] += 1;
                found.push((slot, generation, rung));
            }
        }
        found
    }

    /// A target that is leaving is found only if no other one is.
    fn match_in_job(&mut self, job: u32, identity: &Identity, forwards: bool) -> Option<(Slot, Rung)> {
        let found = self.climb(job, identity, forwards, false);
        if found.is_none() && !self.jobs[job as usize].leaving.is_empty() {
            return self.climb(job, identity, forwards, true);
        }
        found
    }

    fn climb(&mut self, job: u32, identity: &Identity, forwards: bool, leaving: bool) -> Option<(Slot, Rung)> {
        let mut bound_tried = false;
        for i in 0..self.jobs[job as usize].rungs.len() {
            let rung = self.jobs[job as usize].rungs[i];
            if !rung.is_strong()
                && !std::mem::replace(&mut bound_tried, true)
                && let Some(slot) = self.bound(job, identity)
            {
                return Some((slot, rung));
            }
            if rung == Rung::PeerIp && forwards {
                continue;
            }
            let entries = &self.entries;
            let compatible = |slot: Slot| {
                let entry = entries.get(slot as usize).and_then(Option::as_ref);
                entry.is_some_and(|entry| {
                    entry.leaving.is_some() == leaving && same_scope(&entry.target.relabelled, identity)
                })
            };
            match self.ladder.lookup(job, rung, identity, compatible) {
                Lookup::Hit(slot) => return Some((slot, rung)),
                Lookup::Ambiguous => self.counters.ambiguous[rung as usize] += 1,
                Lookup::Miss => {}
            }
        }
        None
    }

    /// Binds an instance to a target, so that its data without the strong key finds the target too.
    fn bind(&mut self, job: u32, identity: &Identity, slot: Slot, generation: u32) {
        if identity.instance().is_none() {
            return;
        }
        let key = self.surroundings.seed.hash_one((job, identity.label_key()));
        match self.bindings.touch(key) {
            Some(binding) => *binding = (slot, generation),
            None => {
                let limit = 4 * self.entries.len() + 1_000;
                self.bindings.insert(key, (slot, generation), limit);
            }
        }
    }

    fn bound(&mut self, job: u32, identity: &Identity) -> Option<Slot> {
        identity.instance()?;
        let key = self.surroundings.seed.hash_one((job, identity.label_key()));
        let (slot, generation) = *self.bindings.touch(key)?;
        let entry = self.entry(slot)?;
        let holds =
            entry.generation == generation && entry.leaving.is_none() && same_scope(&entry.target.relabelled, identity);
        holds.then_some(slot)
    }
}
