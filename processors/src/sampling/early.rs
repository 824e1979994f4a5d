//! Keeping a trace before its time (correlation §2): only where nothing that comes can change that, nor its weight.

use super::aggregate::Certainty;
use super::decision::{Decision, RuleIndex, Weight};
use super::facts::TraceFacts;
use super::plan::{Action, Kind, Policy};
use super::sampler::Plan;

pub(super) fn decide(plan: &Plan, facts: &TraceFacts) -> Option<Decision> {
    let rule = match plan {
        Plan::Policies { policies, .. } => first_certain(policies, facts)?,
        Plan::Rules(rules) => {
            let mut rules = rules.iter().enumerate();
            loop {
                let (index, rule) = rules.next()?;
                match (rule.when.certainty(facts), rule.action) {
                    (Certainty::No, _) => {}
                    (Certainty::Yes, Action::Keep | Action::Probability(0)) => break index as u16,
                    _ => return None,
                }
            }
        }
    };
    Some(Decision { kept: true, weight: Weight::Threshold(0), rule: Some(RuleIndex(rule)), sub_rule: None })
}

/// A policy that is sure to sample, where none can drop.
fn first_certain(policies: &[Policy], facts: &TraceFacts) -> Option<u16> {
    let mut sure = None;
    for policy in policies {
        match &policy.kind {
            Kind::Keep(node) => {
                if sure.is_none() && node.certainty(facts) == Certainty::Yes {
                    sure = Some(policy.index);
                }
            }
            Kind::Drop(node) if node.certainty(facts) == Certainty::No => {}
            Kind::Drop(_) | Kind::Invert(_) => return None,
            Kind::Composite(_) => {}
        }
    }
    sure
}
