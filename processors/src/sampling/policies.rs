//! How the outcomes of policies come together (correlation §11 and §12).
//!
//! Any drop drops; else an inverted policy that does not hold drops; else any policy that samples keeps; else an inverted one
//! that holds keeps, if no policy said no. The threshold of a kept trace is the least of the policies that would keep it by
//! their conditions: what would have kept it at a lower randomness, too, tells how probable it was to be kept.

use super::composite::Composite;
use super::count::Outcome;
use super::decision::{Decision, RuleIndex, Weight};
use super::facts::TraceFacts;
use super::node::{Match, Tick};
use super::plan::{Kind, Policy};
use super::sampler::Witness;
use super::threshold::ONE;

/// What has been said of one trace so far.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    dropped: Option<u16>,
    /// Dropping by probability leaves what is at or above this.
    floor: u64,
    /// It was spared by a chance that is not known.
    spared: bool,
    /// The least threshold of those that keep.
    least: Option<u64>,
    sampled: Option<u16>,
    sub: Option<u16>,
    vetoed: Option<u16>,
    inverted: Option<u16>,
    not_sampled: bool,
    /// Evaluation is over, by `sample_on_first_match`; what follows can still tell that the trace would have been kept.
    over: bool,
    /// Nothing that follows counts.
    closed: bool,
}

impl Policy {
    pub(super) fn drops(&self) -> bool {
        matches!(self.kind, Kind::Drop(_))
    }
}

/// Decides the traces of a tick. `policies` are in the order of evaluation.
pub(super) fn decide(
    policies: &[Policy],
    first_match: bool,
    composites: &mut [Composite],
    tick: &mut Tick<'_>,
    count: &mut dyn FnMut(RuleIndex, Outcome, &TraceFacts),
    witness: Witness<'_>,
) -> Vec<Decision> {
    let mut states = vec![State::default(); tick.facts.len()];
    let mut found = vec![Match::No; tick.facts.len()];
    let mut subs = vec![None; tick.facts.len()];
    for policy in policies {
        for (found, state) in found.iter_mut().zip(&states) {
            *found = match (&policy.kind, state.closed) {
                (_, true) => Match::No,
                // What is below the floor is dropped already.
                (Kind::Drop(_), false) => Match::At(0),
                (_, false) => Match::At(state.floor),
            };
        }
        let dropping = match &policy.kind {
            Kind::Keep(node) => {
                node.narrow(tick, &mut found);
                None
            }
            Kind::Drop(node) => {
                node.narrow(tick, &mut found);
                Some(node.is_limited())
            }
            Kind::Invert(_) => None,
            Kind::Composite(composite) => {
                subs.fill(None);
                if let Some(composite) = composites.get_mut(*composite) {
                    composite.evaluate(tick, &mut found, &mut subs);
                }
                None
            }
        };
        for (at, (state, facts)) in
            states.iter_mut().zip(tick.facts).enumerate().filter(|(_, (state, _))| !state.closed)
        {
            let over = state.over;
            let (said, outcome) = match (&policy.kind, dropping) {
                (Kind::Invert(condition), _) => state.invert(policy.index, condition.holds(facts)),
                (_, Some(limited)) => (found[at], state.drop(policy.index, found[at], limited, facts.randomness)),
                _ => (found[at], state.keep(policy.index, found[at], subs[at], first_match, facts.randomness)),
            };
            if !over {
                count(RuleIndex(policy.index), outcome, facts);
                witness(RuleIndex(policy.index), at, said);
            }
        }
    }
    states.iter().zip(tick.facts).map(|(state, facts)| state.decision(facts.randomness)).collect()
}

impl State {
    fn drop(&mut self, policy: u16, found: Match, limited: bool, randomness: u64) -> Outcome {
        let dropped = match found {
            Match::No => false,
            Match::Unknown => true,
            Match::Missed => {
                self.spared = true;
                false
            }
            Match::At(t) if limited => {
                self.spared |= randomness < t;
                randomness >= t
            }
            Match::At(0) => true,
            // Dropped with the probability of T, of what has the least randomness: the rest agrees with other samplers.
            Match::At(t) => {
                self.floor = self.floor.max(ONE.saturating_sub(t));
                randomness < self.floor
            }
        };
        if dropped {
            self.dropped = Some(policy);
            self.closed = true;
            return Outcome::Dropped;
        }
        self.not_sampled = true;
        Outcome::NotSampled
    }

    fn keep(&mut self, policy: u16, found: Match, sub: Option<u16>, first_match: bool, randomness: u64) -> Outcome {
        if let Match::At(t) = found
            && t < ONE
        {
            self.least = Some(self.least.map_or(t, |least| least.min(t)));
        }
        let samples = found.samples(randomness);
        if self.over {
            self.closed |= found == Match::At(self.floor);
        } else if samples {
            if self.sampled.is_none() {
                (self.sampled, self.sub) = (Some(policy), sub);
            }
            self.over = first_match;
            self.closed = first_match && found == Match::At(self.floor);
        } else {
            self.not_sampled = true;
        }
        if samples { Outcome::Sampled } else { Outcome::NotSampled }
    }

    fn invert(&mut self, policy: u16, holds: bool) -> (Match, Outcome) {
        match (self.over, holds) {
            // With less randomness it would have come here, and no further.
            (true, false) => self.closed = true,
            (true, true) => {}
            (false, true) => self.inverted = self.inverted.or(Some(policy)),
            (false, false) => self.vetoed = self.vetoed.or(Some(policy)),
        }
        if holds { (Match::At(self.floor), Outcome::Sampled) } else { (Match::No, Outcome::NotSampled) }
    }

    fn decision(&self, randomness: u64) -> Decision {
        let drop = |rule: u16| Decision { rule: Some(RuleIndex(rule)), ..Decision::UNMATCHED };
        let keep = |rule: u16, weight| Decision {
            kept: true,
            weight: if self.spared { Weight::Unknown } else { weight },
            rule: Some(RuleIndex(rule)),
            sub_rule: None,
        };
        if let Some(rule) = self.dropped.or(self.vetoed) {
            return drop(rule);
        }
        if let Some(rule) = self.sampled {
            let least = self.least.filter(|least| randomness >= *least);
            let weight = least.map_or(Weight::Unknown, Weight::Threshold);
            return Decision { sub_rule: self.sub.map(RuleIndex), ..keep(rule, weight) };
        }
        match self.inverted {
            Some(rule) if !self.not_sampled => keep(rule, Weight::Threshold(self.floor)),
            _ => Decision::UNMATCHED,
        }
    }
}
