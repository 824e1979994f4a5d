//! Keeping a trace before its time (correlation §2): only where nothing that comes can change that, nor its weight.

use super::aggregate::Certainty;
use super::decision::{Decision, RuleIndex, Weight};
use super::facts::TraceFacts;
use super::leaves::Leaves;
use super::node::{Cond, Node};
use super::plan::{Action, Kind, Policy};
use super::sampler::Plan;

/// What must have been seen of a trace before it can be kept early: all that one of these asks for. A look that is cheap enough
/// for every item, where most tell nothing new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlySigns(Vec<Sign>);

/// Things that must all have been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sign {
    leaves: Leaves,
    /// So many spans.
    spans: u32,
    /// Longer than this, in milliseconds, if at all.
    longer_than_ms: Option<u64>,
}

/// Of more ways than this to be kept, only a part of what each asks for is looked for.
const MAX_SIGNS: usize = 32;

impl EarlySigns {
    /// Nothing is sure before its time.
    pub const NEVER: EarlySigns = EarlySigns(Vec::new());

    /// Nothing is known: it has to be asked.
    pub fn any() -> Self {
        EarlySigns(vec![Sign { leaves: Leaves::EMPTY, spans: 0, longer_than_ms: None }])
    }

    /// Whether all of one of them is there.
    #[inline]
    pub fn are_in(&self, leaves: Leaves, spans: u32, duration_ms: Option<u64>) -> bool {
        self.0.iter().any(|sign| {
            spans >= sign.spans
                && sign.longer_than_ms.is_none_or(|least| duration_ms.is_some_and(|duration| duration > least))
                && leaves.contains_all(sign.leaves)
        })
    }

    fn leaf(leaf: u8) -> Self {
        let mut leaves = Leaves::EMPTY;
        leaves.insert(leaf);
        EarlySigns(vec![Sign { leaves, spans: 0, longer_than_ms: None }])
    }

    fn spans(spans: u32) -> Self {
        EarlySigns(vec![Sign { leaves: Leaves::EMPTY, spans, longer_than_ms: None }])
    }

    fn longer_than(ms: u64) -> Self {
        EarlySigns(vec![Sign { leaves: Leaves::EMPTY, spans: 0, longer_than_ms: Some(ms) }])
    }

    /// Of things of which one must be sure.
    fn one_of(parts: impl IntoIterator<Item = EarlySigns>) -> EarlySigns {
        EarlySigns(parts.into_iter().flat_map(|part| part.0).collect())
    }

    /// Of things that must all be sure.
    fn all_of(parts: impl IntoIterator<Item = EarlySigns>) -> EarlySigns {
        parts.into_iter().fold(EarlySigns::any(), |all, part| {
            if all.0.len() * part.0.len() > MAX_SIGNS {
                // Each of the two is a sign of both.
                return if part.0.len() < all.0.len() { part } else { all };
            }
            let both = all.0.iter().flat_map(|&one| part.0.iter().map(move |&other| one.and(other)));
            EarlySigns(both.collect())
        })
    }

    pub(super) fn of(plan: &Plan) -> EarlySigns {
        match plan {
            Plan::Policies { policies, .. } => Self::one_of(policies.iter().map(|policy| match &policy.kind {
                Kind::Keep(node) => Self::of_node(node),
                Kind::Drop(_) | Kind::Invert(_) | Kind::Composite(_) => EarlySigns::NEVER,
            })),
            Plan::Rules(rules) => Self::one_of(rules.iter().map(|rule| match rule.action {
                Action::Keep | Action::Probability(0) => Self::of_condition(&rule.when),
                Action::Drop | Action::Probability(_) | Action::Rate(_) => EarlySigns::NEVER,
            })),
        }
    }

    fn of_node(node: &Node) -> EarlySigns {
        match node {
            Node::If(condition) => Self::of_condition(condition),
            Node::All(parts) => Self::all_of(parts.iter().map(Self::of_node)),
            Node::Probability(1..) | Node::Hash(_) | Node::Limit(_) => EarlySigns::NEVER,
            Node::Probability(_) | Node::Not(_) => EarlySigns::any(),
        }
    }

    /// What must have been seen before [`Cond::certainty`] says yes.
    fn of_condition(condition: &Cond) -> EarlySigns {
        match condition {
            Cond::Leaf(leaf) => Self::leaf(*leaf),
            Cond::Latency(above, None) => u64::try_from(*above).map_or_else(|_| Self::any(), Self::longer_than),
            Cond::SpanCount(min, None) => {
                Self::spans(u32::try_from(*min).unwrap_or(if *min < 0 { 0 } else { u32::MAX }))
            }
            // A bound can still be passed, and the leaf can still hold.
            Cond::Latency(_, Some(_)) | Cond::SpanCount(_, Some(_)) | Cond::Inverted(_) => EarlySigns::NEVER,
            Cond::All(parts) => Self::all_of(parts.iter().map(Self::of_condition)),
            Cond::Any(parts) => Self::one_of(parts.iter().map(Self::of_condition)),
            Cond::Always | Cond::Trace(_) | Cond::Not(_) => EarlySigns::any(),
        }
    }
}

impl Sign {
    fn and(self, other: Sign) -> Sign {
        let mut leaves = self.leaves;
        leaves.union(other.leaves);
        let longer_than_ms = self.longer_than_ms.max(other.longer_than_ms);
        Sign { leaves, spans: self.spans.max(other.spans), longer_than_ms }
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
