//! What policies have said, for their metrics.

use super::facts::TraceFacts;

/// What a policy said of a trace, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Sampled,
    NotSampled,
    Dropped,
}

/// Traces, and what is in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub traces: u64,
    pub spans: u64,
    pub bytes: u64,
}

/// The outcomes of one policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyCounts {
    pub sampled: Counted,
    pub not_sampled: Counted,
    pub dropped: Counted,
}

impl PolicyCounts {
    pub(super) fn add(&mut self, outcome: Outcome, facts: &TraceFacts) {
        let counted = match outcome {
            Outcome::Sampled => &mut self.sampled,
            Outcome::NotSampled => &mut self.not_sampled,
            Outcome::Dropped => &mut self.dropped,
        };
        counted.traces += 1;
        counted.spans += u64::from(facts.spans);
        counted.bytes += facts.bytes;
    }
}
