//! A policy as a tree, and what it makes of the traces of one tick.

use super::aggregate::{Aggregate, Certainty, TraceCondition};
use super::facts::TraceFacts;
use super::hash::SaltedHash;
use super::limiter::{Candidate, Limiter};
use super::threshold::ONE;

/// A condition over what is known of one trace.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cond {
    Always,
    /// A leaf held for some item.
    Leaf(u8),
    /// There are spans, and the leaf held for none.
    Inverted(u8),
    /// Longer than the first, and not longer than the second, in milliseconds.
    Latency(i64, Option<i64>),
    /// Inclusive.
    SpanCount(i64, Option<i64>),
    Trace(TraceCondition),
    Not(Box<Cond>),
    All(Vec<Cond>),
    Any(Vec<Cond>),
}

impl Cond {
    pub(super) fn holds(&self, facts: &TraceFacts) -> bool {
        match self {
            Cond::Always => true,
            Cond::Leaf(leaf) => facts.leaves.contains(*leaf),
            Cond::Inverted(leaf) => facts.spans > 0 && !facts.leaves.contains(*leaf),
            Cond::Latency(above, upto) => facts.duration_ms().is_some_and(|duration| {
                let duration = i64::try_from(duration).unwrap_or(i64::MAX);
                duration > *above && upto.is_none_or(|upto| duration <= upto)
            }),
            Cond::SpanCount(min, max) => {
                let spans = i64::from(facts.spans);
                spans > 0 && spans >= *min && max.is_none_or(|max| spans <= max)
            }
            Cond::Trace(condition) => condition.holds(facts),
            Cond::Not(inner) => !inner.holds(facts),
            Cond::All(parts) => parts.iter().all(|part| part.holds(facts)),
            Cond::Any(parts) => parts.iter().any(|part| part.holds(facts)),
        }
    }

    /// What is sure for every way the trace may go on: leaves, counts and the duration only grow.
    pub(super) fn certainty(&self, facts: &TraceFacts) -> Certainty {
        // Holds now, and for ever unless a bound can be passed.
        let bounded = |bounded: bool| match (self.holds(facts), bounded) {
            (true, false) => Certainty::Yes,
            _ => Certainty::Open,
        };
        match self {
            Cond::Always => Certainty::Yes,
            Cond::Leaf(_) => bounded(false),
            Cond::Inverted(leaf) if facts.leaves.contains(*leaf) => Certainty::No,
            Cond::Inverted(_) => Certainty::Open,
            Cond::Latency(_, upto) => {
                let passed =
                    |upto: i64| facts.duration_ms().is_some_and(|now| i64::try_from(now).is_ok_and(|now| now > upto));
                if upto.is_some_and(passed) { Certainty::No } else { bounded(upto.is_some()) }
            }
            Cond::SpanCount(_, max) => {
                if max.is_some_and(|max| i64::from(facts.spans) > max) {
                    Certainty::No
                } else {
                    bounded(max.is_some())
                }
            }
            Cond::Trace(condition) => condition.certainty(facts),
            Cond::Not(inner) => inner.certainty(facts).not(),
            Cond::All(parts) => Certainty::all(parts.iter().map(|part| part.certainty(facts))),
            Cond::Any(parts) => Certainty::any(parts.iter().map(|part| part.certainty(facts))),
        }
    }

    /// The leaves it looks at.
    pub(super) fn leaves(&self, into: &mut Vec<u8>) {
        match self {
            Cond::Leaf(leaf) | Cond::Inverted(leaf) => into.push(*leaf),
            Cond::Not(inner) => inner.leaves(into),
            Cond::All(parts) | Cond::Any(parts) => parts.iter().for_each(|part| part.leaves(into)),
            Cond::Always | Cond::Latency(..) | Cond::SpanCount(..) | Cond::Trace(_) => {}
        }
    }

    /// The aggregates it looks at.
    pub(super) fn aggregates(&self, into: &mut Vec<Aggregate>) {
        let mut add = |aggregate| {
            if !into.contains(&aggregate) {
                into.push(aggregate);
            }
        };
        match self {
            Cond::Latency(..) => add(Aggregate::Duration),
            Cond::SpanCount(..) => add(Aggregate::Spans),
            Cond::Trace(condition) => condition.aggregates(into),
            Cond::Not(inner) => inner.aggregates(into),
            Cond::All(parts) | Cond::Any(parts) => parts.iter().for_each(|part| part.aggregates(into)),
            Cond::Always | Cond::Leaf(_) | Cond::Inverted(_) => {}
        }
    }
}

/// A policy, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    If(Cond),
    /// Consistent probability; [`ONE`] keeps nothing.
    Probability(u64),
    Hash(SaltedHash),
    Limit(usize),
    /// Of a part that is not a condition.
    Not(Box<Node>),
    All(Vec<Node>),
}

/// What a policy says of one trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// Its conditions do not hold.
    No,
    /// Its conditions hold: it samples where R is at least this. [`ONE`] and above: nothing passes.
    At(u64),
    /// It samples, with a probability that is not known.
    Unknown,
    /// It does not sample; with better luck it would have.
    Missed,
}

impl Match {
    /// Whether it samples a trace of this randomness.
    pub(super) fn samples(self, randomness: u64) -> bool {
        match self {
            Match::At(t) => randomness >= t,
            Match::Unknown => true,
            Match::No | Match::Missed => false,
        }
    }
}

/// What the parts of a policy need beside the traces.
pub(super) struct Tick<'a> {
    pub(super) facts: &'a [TraceFacts],
    pub(super) now: u64,
    pub(super) limiters: &'a mut [Limiter],
    pub(super) costs: &'a [Cost],
}

/// What a limiter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    Spans,
    Bytes,
}

impl Cost {
    /// What it is called.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Cost::Spans => "spans",
            Cost::Bytes => "bytes",
        }
    }

    /// A trace of logs alone costs as much as one span.
    pub(super) fn of(self, facts: &TraceFacts) -> u64 {
        match self {
            Cost::Spans => u64::from(facts.spans.max(1)),
            Cost::Bytes => facts.bytes,
        }
    }
}

impl Node {
    /// Narrows what is left of the candidates: one entry per trace.
    pub(super) fn narrow(&self, tick: &mut Tick<'_>, found: &mut [Match]) {
        match self {
            Node::If(Cond::Always) => {}
            Node::If(condition) => {
                each(found, tick.facts, |facts, found| if condition.holds(facts) { found } else { Match::No })
            }
            Node::Probability(t) => each(found, tick.facts, |facts, found| match found {
                _ if *t >= ONE => Match::No,
                Match::At(before) => Match::At(before.max(*t)),
                other if facts.randomness >= *t => other,
                _ => Match::Missed,
            }),
            Node::Hash(hash) => each(found, tick.facts, |facts, found| match (hash.keeps(&facts.trace_id), found) {
                (true, Match::At(t)) if facts.randomness >= t => Match::Unknown,
                (true, other) => other,
                (false, _) => Match::Missed,
            }),
            Node::Limit(limiter) => limit(*limiter, tick, found),
            Node::Not(inner) => not(inner, tick, found),
            Node::All(parts) => parts.iter().for_each(|part| part.narrow(tick, found)),
        }
    }

    /// Whether a limiter is in it.
    pub(super) fn is_limited(&self) -> bool {
        match self {
            Node::Limit(_) => true,
            Node::Not(inner) => inner.is_limited(),
            Node::All(parts) => parts.iter().any(Node::is_limited),
            Node::If(_) | Node::Probability(_) | Node::Hash(_) => false,
        }
    }

    /// Whether it is sure to sample, or sure not to, whatever comes.
    pub(super) fn certainty(&self, facts: &TraceFacts) -> Certainty {
        match self {
            Node::If(condition) => condition.certainty(facts),
            Node::Probability(0) => Certainty::Yes,
            Node::Probability(ONE..) => Certainty::No,
            Node::All(parts) => Certainty::all(parts.iter().map(|part| part.certainty(facts))),
            Node::Not(inner) => inner.certainty(facts).not(),
            Node::Probability(_) | Node::Hash(_) | Node::Limit(_) => Certainty::Open,
        }
    }
}

/// Changes the entries that are still in question.
fn each(found: &mut [Match], facts: &[TraceFacts], change: impl Fn(&TraceFacts, Match) -> Match) {
    for (found, facts) in found.iter_mut().zip(facts) {
        if let Match::At(_) | Match::Unknown = *found {
            *found = change(facts, *found);
        }
    }
}

fn limit(limiter: usize, tick: &mut Tick<'_>, found: &mut [Match]) {
    let (Some(limiter), Some(cost)) = (tick.limiters.get_mut(limiter), tick.costs.get(limiter)) else { return };
    for (at, (found, facts)) in found.iter_mut().zip(tick.facts).enumerate() {
        if !found.samples(facts.randomness) {
            continue;
        }
        let cost = cost.of(facts);
        if limiter.fits(cost) {
            limiter.push(Candidate { randomness: facts.randomness, cost, at });
        } else {
            limiter.note_too_large();
            *found = Match::No;
        }
    }
    let t = limiter.take(tick.now);
    each(found, tick.facts, |facts, found| match found {
        Match::At(before) => Match::At(before.max(t)),
        other if facts.randomness >= t => other,
        _ => Match::Missed,
    });
}

fn not(inner: &Node, tick: &mut Tick<'_>, found: &mut [Match]) {
    // What the inner part says, of the candidates that can still be sampled.
    let start =
        |found: &Match, facts: &TraceFacts| if found.samples(facts.randomness) { Match::At(0) } else { Match::No };
    let candidates: Vec<bool> =
        found.iter().zip(tick.facts).map(|(found, facts)| found.samples(facts.randomness)).collect();
    let mut said: Vec<Match> = found.iter().zip(tick.facts).map(|(found, facts)| start(found, facts)).collect();
    inner.narrow(tick, &mut said);
    let limited = inner.is_limited();
    for (at, found) in found.iter_mut().enumerate().filter(|(at, _)| candidates[*at]) {
        let randomness = tick.facts[at].randomness;
        *found = match (said[at], *found) {
            (Match::No, before) => before,
            (Match::At(0) | Match::Unknown, _) if !limited => match said[at] {
                Match::At(0) => Match::No,
                _ => Match::Missed,
            },
            (Match::Missed, _) => Match::Unknown,
            (said, _) if limited => {
                if said.samples(randomness) {
                    Match::Missed
                } else {
                    Match::Unknown
                }
            }
            // Kept with the probability that is left, of the same randomness.
            (Match::At(t), Match::At(before)) => Match::At(before.max(ONE.saturating_sub(t))),
            (Match::At(t), before) => {
                if randomness >= ONE.saturating_sub(t) {
                    before
                } else {
                    Match::Missed
                }
            }
            (Match::Unknown, _) => Match::Missed,
        };
    }
}
