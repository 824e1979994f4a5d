//! `composite`: sub-policies in order, each with its share of the spans of a second, counted as the Go Collector does.

use super::facts::TraceFacts;
use super::node::{Match, Node, Tick};

/// A `composite` policy.
#[derive(Debug)]
pub(super) struct Composite {
    pub(super) max: u64,
    pub(super) subs: Vec<SubPolicy>,
    pub(super) second: Option<u64>,
}

/// One of its parts.
#[derive(Debug)]
pub(super) struct SubPolicy {
    pub(super) node: Node,
    /// Number among all names.
    pub(super) index: u16,
    /// Spans a second.
    pub(super) allocated: u64,
    /// Spans sampled in this second.
    pub(super) sampled: u64,
}

impl Composite {
    /// Turns each candidate into what becomes of it, and `subs` into who sampled it. The first sub-policy that samples
    /// decides: within its share it is a keep, beyond it none, and the others are not asked.
    pub(super) fn evaluate(&mut self, tick: &mut Tick<'_>, found: &mut [Match], subs: &mut [Option<u16>]) {
        let second = tick.now / 1_000_000_000;
        if self.second != Some(second) {
            self.second = Some(second);
            self.subs.iter_mut().for_each(|sub| sub.sampled = 0);
        }
        let mut open: Vec<bool> =
            found.iter().zip(tick.facts).map(|(found, facts)| found.samples(facts.randomness)).collect();
        let mut said = vec![Match::No; found.len()];
        let mut outcome = found.to_vec();
        for (outcome, _) in outcome.iter_mut().zip(&open).filter(|(_, open)| **open) {
            *outcome = Match::No;
        }
        for sub in &mut self.subs {
            for (said, open) in said.iter_mut().zip(&open) {
                *said = if *open { Match::At(0) } else { Match::No };
            }
            sub.node.narrow(tick, &mut said);
            for (at, facts) in tick.facts.iter().enumerate().filter(|(at, _)| open[*at]).collect::<Vec<_>>() {
                if said[at] == Match::No {
                    continue;
                }
                outcome[at] = Match::Missed;
                if said[at].samples(facts.randomness) {
                    open[at] = false;
                    if sub.take(facts, self.max) {
                        outcome[at] = Match::Unknown;
                        subs[at] = Some(sub.index);
                    }
                }
            }
        }
        found.copy_from_slice(&outcome);
    }
}

impl SubPolicy {
    fn take(&mut self, facts: &TraceFacts, max: u64) -> bool {
        let sampled = self.sampled + u64::from(facts.spans);
        let fits = sampled <= self.allocated && sampled <= max;
        if fits {
            self.sampled = sampled;
        }
        fits
    }
}
