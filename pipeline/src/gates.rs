//! Feature gates that components ask for, as switched on for the whole process (collector-compat §1.9).

use std::collections::BTreeSet;
use std::sync::Arc;

/// `invert_match` of a sampling policy makes plain decisions.
pub const PLAIN_INVERSION: &str = "processor.tailsamplingprocessor.disableinvertdecisions";

/// The policy that kept a trace is written into the attributes of its scopes.
pub const RECORD_POLICY: &str = "processor.tailsamplingprocessor.recordpolicy";

/// The gates that are on. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct FeatureGates(Arc<BTreeSet<&'static str>>);

impl FeatureGates {
    pub fn new(enabled: impl IntoIterator<Item = &'static str>) -> Self {
        FeatureGates(Arc::new(enabled.into_iter().collect()))
    }

    /// Whether a gate is on.
    pub fn is_enabled(&self, id: &str) -> bool {
        self.0.contains(id)
    }
}
