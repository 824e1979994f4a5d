//! What becomes of a trace.

/// A policy or rule, by its place in the configuration. Sub-policies of `composite` have numbers behind those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(pub u16);

/// The decision over one trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub kept: bool,
    /// What the kept spans' `th` becomes. Of no meaning for a dropped trace.
    pub weight: Weight,
    /// Which rule or policy decided; `None` if none matched, or several had to come together.
    pub rule: Option<RuleIndex>,
    /// The sub-policy, where a `composite` decided.
    pub sub_rule: Option<RuleIndex>,
}

impl Decision {
    /// Dropped because nothing wanted it.
    pub const UNMATCHED: Decision = Decision { kept: false, weight: Weight::Threshold(0), rule: None, sub_rule: None };
}

/// How probable it was that a trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weight {
    /// T of the trace in units of 2^-56: kept where R >= T. 0: its `th` stays as it came.
    Threshold(u64),
    /// Not known: `th` is erased.
    Unknown,
}
