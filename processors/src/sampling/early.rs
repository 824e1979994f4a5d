//! Keeping a trace before its time (correlation §2): only where nothing that comes can change that, nor its weight.

use super::aggregate::Certainty;
use super::decision::{Decision, RuleIndex, Weight};
use super::facts::TraceFacts;
use super::leaves::Leaves;
use super::node::{Cond, Node};
use super::plan::{Action, Kind, Policy};
use super::sampler::Plan;

/// What must have been seen of a trace before it can be kept early: one of these. A look that is cheap enough for every item,
/// where most tell nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlySigns {
    leaves: Leaves,
    /// So many spans.
    spans: u32,
    /// Longer than this, in milliseconds.
    longer_than_ms: u64,
    /// Anything: it has to be asked.
    any: bool,
}

impl EarlySigns {
    /// Nothing is sure before its time.
    pub const NEVER: EarlySigns =
        EarlySigns { leaves: Leaves::EMPTY, spans: u32::MAX, longer_than_ms: u64::MAX, any: false };
    /// Nothing is known.
    pub const ANY: EarlySigns = EarlySigns { any: true, ..EarlySigns::NEVER };

    /// Whether one of them is there.
    #[inline]
    pub fn are_in(&self, leaves: Leaves, spans: u32, duration_ms: Option<u64>) -> bool {
        self.any
            || leaves.intersects(self.leaves)
            || spans >= self.spans
            || duration_ms.is_some_and(|duration| duration > self.longer_than_ms)
    }

    fn or(self, other: EarlySigns) -> EarlySigns {
        let mut leaves = self.leaves;
        leaves.union(other.leaves);
        EarlySigns {
            leaves,
            spans: self.spans.min(other.spans),
            longer_than_ms: self.longer_than_ms.min(other.longer_than_ms),
            any: self.any || other.any,
        }
    }

    fn any_of(parts: impl IntoIterator<Item = EarlySigns>) -> EarlySigns {
        parts.into_iter().fold(EarlySigns::NEVER, EarlySigns::or)
    }

    /// Of things that must all be sure: the signs of one of them are enough to look for.
    fn one_of(parts: impl IntoIterator<Item = EarlySigns>) -> EarlySigns {
        let mut found = EarlySigns::ANY;
        for part in parts {
            match part {
                EarlySigns::NEVER => return EarlySigns::NEVER,
                part if found.any => found = part,
                _ => {}
            }
        }
        found
    }

    pub(super) fn of(plan: &Plan) -> EarlySigns {
        match plan {
            Plan::Policies { policies, .. } => Self::any_of(policies.iter().map(|policy| match &policy.kind {
                Kind::Keep(node) => Self::of_node(node),
                Kind::Drop(_) | Kind::Invert(_) | Kind::Composite(_) => EarlySigns::NEVER,
            })),
            Plan::Rules(rules) => Self::any_of(rules.iter().map(|rule| match rule.action {
                Action::Keep | Action::Probability(0) => Self::of_condition(&rule.when),
                Action::Drop | Action::Probability(_) | Action::Rate(_) => EarlySigns::NEVER,
            })),
        }
    }

    fn of_node(node: &Node) -> EarlySigns {
        match node {
            Node::If(condition) => Self::of_condition(condition),
            Node::All(parts) => Self::one_of(parts.iter().map(Self::of_node)),
            Node::Probability(1..) => EarlySigns::NEVER,
            Node::Hash(_) | Node::Limit(_) => EarlySigns::NEVER,
            Node::Probability(_) | Node::Not(_) => EarlySigns::ANY,
        }
    }

    /// What must have been seen before [`Cond::certainty`] says yes.
    fn of_condition(condition: &Cond) -> EarlySigns {
        match condition {
            Cond::Leaf(leaf) => {
                let mut leaves = Leaves::EMPTY;
                leaves.insert(*leaf);
                EarlySigns { leaves, ..EarlySigns::NEVER }
            }
            Cond::Latency(above, None) => u64::try_from(*above)
                .map_or(EarlySigns::ANY, |ms| EarlySigns { longer_than_ms: ms, ..EarlySigns::NEVER }),
            Cond::SpanCount(min, None) => {
                let spans = u32::try_from(*min).unwrap_or(if *min < 0 { 0 } else { u32::MAX });
                EarlySigns { spans, ..EarlySigns::NEVER }
            }
            // A bound can still be passed, and the leaf can still hold.
            Cond::Latency(_, Some(_)) | Cond::SpanCount(_, Some(_)) | Cond::Inverted(_) => EarlySigns::NEVER,
            Cond::All(parts) => Self::one_of(parts.iter().map(Self::of_condition)),
            Cond::Any(parts) => Self::any_of(parts.iter().map(Self::of_condition)),
            Cond::Always | Cond::Trace(_) | Cond::Not(_) => EarlySigns::ANY,
        }
    }
}

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
