//! Where exemplars point.

use std::collections::HashMap;

use super::read::{Arrivals, TraceId};

/// How many exemplars point to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExemplarFates {
    pub kept: usize,
    pub dropped: usize,
    /// To traces of which nothing has arrived.
    pub unknown: usize,
    /// Without a valid trace and span.
    pub nowhere: usize,
}

impl Arrivals {
    /// Under these verdicts ([`Arrivals::verdicts`]).
    pub fn exemplar_fates(&self, verdicts: &HashMap<TraceId, bool>) -> ExemplarFates {
        let mut fates = ExemplarFates::default();
        for exemplar in &self.exemplars {
            match exemplar.span.map(|(trace, _)| verdicts.get(&trace)) {
                Some(Some(true)) => fates.kept += 1,
                Some(Some(false)) => fates.dropped += 1,
                Some(None) => fates.unknown += 1,
                None => fates.nowhere += 1,
            }
        }
        fates
    }
}
