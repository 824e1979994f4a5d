//! A rate limit whose outcome is a threshold (correlation §12).
//!
//! Per tick the candidates are taken by randomness, highest first, while the bucket lasts. The threshold is just above the
//! first that is rejected: that one, and not the last that is kept, makes counts weighted by the threshold unbiased.

use super::threshold::ONE;

const NANOS: u128 = 1_000_000_000;

/// A token bucket. It starts full.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limiter {
    /// Tokens per second.
    rate: u64,
    burst: u64,
    /// Billionths of a token.
    tokens: u128,
    refilled: Option<u64>,
    candidates: Vec<Candidate>,
    /// Traces that were larger than the burst.
    too_large: u64,
}

/// A trace that wants to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) randomness: u64,
    pub(super) cost: u64,
    /// Whose it is.
    pub(super) at: usize,
}

impl Limiter {
    /// A burst of 0 is twice the rate.
    pub(super) fn new(rate: u64, burst: u64) -> Self {
        let burst = if burst == 0 { rate.saturating_mul(2) } else { burst };
        Limiter { rate, burst, tokens: u128::from(burst) * NANOS, refilled: None, candidates: Vec::new(), too_large: 0 }
    }

    fn refill(&mut self, now: u64) {
        let passed = now.saturating_sub(self.refilled.unwrap_or(now));
        let more = u128::from(passed) * u128::from(self.rate);
        self.tokens = self.tokens.saturating_add(more).min(u128::from(self.burst) * NANOS);
        self.refilled = Some(self.refilled.unwrap_or(now).max(now));
    }

    /// Whether a trace can ever pass.
    pub(super) fn fits(&self, cost: u64) -> bool {
        cost <= self.burst
    }

    pub(super) fn note_too_large(&mut self) {
        self.too_large += 1;
    }

    pub(super) fn take_too_large(&mut self) -> u64 {
        std::mem::take(&mut self.too_large)
    }

    pub(super) fn push(&mut self, candidate: Candidate) {
        self.candidates.push(candidate);
    }

    /// Takes from the bucket for the candidates that were pushed. The threshold that they pass from; [`ONE`] where none does.
    pub(super) fn take(&mut self, now: u64) -> u64 {
        self.refill(now);
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.sort_unstable_by(|a, b| b.randomness.cmp(&a.randomness).then(a.at.cmp(&b.at)));
        let (mut threshold, mut paid) = (0, 0_u128);
        for (place, candidate) in candidates.iter().enumerate() {
            let cost = u128::from(candidate.cost) * NANOS;
            if paid + cost > self.tokens {
                threshold = (candidate.randomness + 1).min(ONE);
                // Those of the same randomness are below the threshold, too.
                let ties = candidates[..place].iter().rev().take_while(|kept| kept.randomness == candidate.randomness);
                paid -= ties.map(|kept| u128::from(kept.cost) * NANOS).sum::<u128>();
                break;
            }
            paid += cost;
        }
        self.tokens -= paid;
        candidates.clear();
        self.candidates = candidates;
        threshold
    }

    pub(super) fn rate(&self) -> u64 {
        self.rate
    }

    pub(super) fn burst(&self) -> u64 {
        self.burst
    }

    /// Goes on with the tokens of a limiter that this one replaces.
    pub(super) fn succeed(&mut self, predecessor: &Limiter) {
        self.tokens = predecessor.tokens.min(u128::from(self.burst) * NANOS);
        self.refilled = predecessor.refilled;
    }
}
