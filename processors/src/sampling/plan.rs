//! Policies and rules, ready to decide.

use super::node::{Cond, Node};

/// A policy at the top.
#[derive(Debug)]
pub(super) struct Policy {
    /// Its place in the configuration.
    pub(super) index: u16,
    pub(super) type_name: &'static str,
    pub(super) kind: Kind,
}

/// What its outcome means.
#[derive(Debug)]
pub(super) enum Kind {
    Keep(Node),
    Drop(Node),
    /// An attribute with `invert_match`: it vetoes where it does not hold, and keeps where it does and nothing disagrees.
    Invert(Cond),
    /// Number of the composite.
    Composite(usize),
}

/// A rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) when: Cond,
    pub(super) action: Action,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    Keep,
    Drop,
    /// [`super::threshold::ONE`] keeps nothing.
    Probability(u64),
    /// Number of the limiter.
    Rate(usize),
}
