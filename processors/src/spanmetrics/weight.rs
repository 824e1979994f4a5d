//! How many spans a span stands for (correlation §12): by the `th` that it carries at this point of the pipeline.

use crate::sampling::threshold::{OwnThreshold, Randomness, own_threshold, random_value, randomness};

/// What the sampling state of a span says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight {
    /// Adjusted count; 1 without a valid threshold.
    pub count: f64,
    /// A valid threshold was there.
    pub extrapolated: bool,
    /// There was a threshold, malformed or above the randomness. It counts as none.
    pub invalid: bool,
    /// R, in units of 2^-56.
    pub randomness: u64,
}

/// The weights of a batch: neighbours mostly are of one trace, or have no trace state at all.
#[derive(Debug, Default)]
pub struct Weights<'a> {
    last: Option<(&'a [u8], [u8; 16], Weight)>,
}

impl<'a> Weights<'a> {
    /// The weight of a span. A trace id of a wrong length has no randomness: such a span counts as 1.
    #[inline]
    pub fn of(&mut self, trace_state: &'a [u8], trace_id: &[u8]) -> Weight {
        let Ok(trace) = <[u8; 16]>::try_from(trace_id) else {
            return Weight { count: 1.0, extrapolated: false, invalid: false, randomness: 0 };
        };
        if trace_state.is_empty() {
            let randomness = randomness(None, &trace);
            return Weight { count: 1.0, extrapolated: false, invalid: false, randomness };
        }
        if let Some((state, id, weight)) = self.last
            && state == trace_state
            && id == trace
        {
            return weight;
        }
        let weight = parse(trace_state, &trace);
        self.last = Some((trace_state, trace, weight));
        weight
    }
}

fn parse(trace_state: &[u8], trace: &[u8; 16]) -> Weight {
    let randomness = match random_value(trace_state) {
        Randomness::Valid(r) => r,
        Randomness::Absent | Randomness::Malformed => randomness(None, trace),
    };
    let (count, extrapolated, invalid) = match own_threshold(trace_state, randomness) {
        OwnThreshold::Valid(threshold) => (threshold.adjusted_count(), true, false),
        OwnThreshold::Absent => (1.0, false, false),
        OwnThreshold::Invalid => (1.0, false, true),
    };
    Weight { count, extrapolated, invalid, randomness }
}
