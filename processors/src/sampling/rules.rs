//! Rules: the first that matches decides (correlation §2).

use super::count::Outcome;
use super::decision::{Decision, RuleIndex, Weight};
use super::facts::TraceFacts;
use super::node::{Match, Node, Tick};
use super::plan::{Action, Rule};
use super::sampler::Witness;
use super::threshold::ONE;

/// Decides the traces of a tick.
pub(super) fn decide(
    rules: &[Rule],
    tick: &mut Tick<'_>,
    count: &mut dyn FnMut(RuleIndex, Outcome, &TraceFacts),
    witness: Witness<'_>,
) -> Vec<Decision> {
    let matching = |facts: &TraceFacts| rules.iter().position(|rule| rule.when.holds(facts));
    let matched: Vec<Option<usize>> = tick.facts.iter().map(matching).collect();
    let mut found = vec![Match::No; matched.len()];
    let mut limited = vec![Match::No; matched.len()];
    for (at, rule) in rules.iter().enumerate() {
        let here = |matched: &Option<usize>| *matched == Some(at);
        let all = match rule.action {
            Action::Keep => Match::At(0),
            Action::Drop => Match::At(ONE),
            Action::Probability(t) => Match::At(t),
            Action::Rate(limiter) => {
                for (limited, matched) in limited.iter_mut().zip(&matched) {
                    *limited = if here(matched) { Match::At(0) } else { Match::No };
                }
                Node::Limit(limiter).narrow(tick, &mut limited);
                let of_rule = found.iter_mut().zip(&limited).zip(&matched).filter(|(_, matched)| here(matched));
                of_rule.for_each(|((found, limited), _)| *found = *limited);
                continue;
            }
        };
        found.iter_mut().zip(&matched).filter(|(_, matched)| here(matched)).for_each(|(found, _)| *found = all);
    }
    let mut decisions = Vec::with_capacity(matched.len());
    for (at, (found, facts)) in found.iter().zip(tick.facts).enumerate() {
        let Some(rule) = matched[at] else {
            decisions.push(Decision::UNMATCHED);
            continue;
        };
        let index = RuleIndex(rule as u16);
        let kept = found.samples(facts.randomness);
        let outcome = match (kept, rules[rule].action) {
            (true, _) => Outcome::Sampled,
            (false, Action::Drop) => Outcome::Dropped,
            (false, _) => Outcome::NotSampled,
        };
        count(index, outcome, facts);
        for before in 0..rule {
            witness(RuleIndex(before as u16), at, Match::No);
        }
        witness(index, at, *found);
        let weight = match *found {
            Match::At(t) if kept => Weight::Threshold(t),
            Match::Unknown => Weight::Unknown,
            _ => Weight::Threshold(0),
        };
        decisions.push(Decision { kept, weight, rule: Some(index), sub_rule: None });
    }
    decisions
}
