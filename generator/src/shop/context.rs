//! What a trace carries along: its id, whether its spans are exported, and what `tracestate` says.

use crate::random::Random;
use crate::settings::{Sampling, TraceState};

/// A trace as its spans and logs see it.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Index in the truth.
    pub trace: u32,
    pub id: [u8; 16],
    pub sampled: bool,
    pub state: String,
}

/// 2^56: one more than the largest randomness.
const ALL: u64 = 1 << 56;

/// The id, verdict and `tracestate` of a new trace (OpenTelemetry's consistent probability sampling: kept if its randomness
/// is at least the threshold).
pub(crate) fn new_trace(random: &mut Random, sampling: &Sampling) -> ([u8; 16], bool, String) {
    let id = random.trace_id();
    let of_id = u64::from_be_bytes([0, id[9], id[10], id[11], id[12], id[13], id[14], id[15]]);
    let randomness = if sampling.trace_state == TraceState::RandomValue { random.bits() % ALL } else { of_id };
    let threshold = threshold(sampling.ratio);
    let state = match sampling.trace_state {
        TraceState::Absent => String::new(),
        TraceState::Threshold => format!("ot=th:{}", encoded(threshold)),
        TraceState::RandomValue => format!("ot=rv:{randomness:014x};th:{}", encoded(threshold)),
    };
    (id, randomness >= threshold, state)
}

/// The rejection threshold of a ratio, rounded to four hexadecimal digits behind leading `f`s.
fn threshold(ratio: f64) -> u64 {
    let exact = ((1.0 - ratio) * ALL as f64) as u64;
    let leading = format!("{:014x}", exact.min(ALL - 1)).bytes().take_while(|&digit| digit == b'f').count();
    let cut = 4 * 14usize.saturating_sub(leading + 4);
    if cut == 0 { exact } else { (exact + (1 << (cut - 1))) >> cut << cut }
}

fn encoded(threshold: u64) -> String {
    let digits = format!("{threshold:014x}");
    let short = digits.trim_end_matches('0');
    if short.is_empty() { "0".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_those_of_the_specification() {
        let cases = [(1.0, "0"), (0.5, "8"), (0.25, "c"), (0.1, "e666"), (0.01, "fd70a")];
        for (ratio, digits) in cases {
            assert_eq!(encoded(threshold(ratio)), digits, "{ratio}");
        }
    }

    #[test]
    fn the_share_that_is_sampled_is_the_ratio_and_nobody_at_zero() {
        let mut random = Random::new(5);
        for ratio in [0.0, 0.1, 0.5, 1.0] {
            for trace_state in [TraceState::Absent, TraceState::Threshold, TraceState::RandomValue] {
                let sampling = Sampling { ratio, trace_state };
                let sampled = (0..4000).filter(|_| new_trace(&mut random, &sampling).1).count();
                let share = sampled as f64 / 4000.0;
                assert!((share - ratio).abs() < 0.03, "{share} of {ratio}");
            }
        }
    }
}
