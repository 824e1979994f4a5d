//! Randomness as an argument, so that a seed repeats a run.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A source of pseudo-random numbers. Not for secrets.
pub trait Rng: Send + Sync {
    /// The next 64 uniform bits.
    fn next_u64(&self) -> u64;

    /// Uniform in `[0, 1)`.
    fn unit(&self) -> f64 {
        // 53 bits: every value is exact.
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `[0, bound)`; 0 for a bound of 0.
    fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in `[low, high]`.
    fn duration(&self, low: Duration, high: Duration) -> Duration {
        low + high.saturating_sub(low).mul_f64(self.unit())
    }
}

/// SplitMix64 over an atomic counter: any number of tasks may draw, without a lock.
#[derive(Debug)]
pub struct SplitMix(AtomicU64);

/// The generator's increment, 2^64 divided by the golden ratio.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl SplitMix {
    /// The sequence that belongs to a seed.
    pub fn seeded(seed: u64) -> Self {
        SplitMix(AtomicU64::new(seed))
    }

    /// A sequence that differs with every process and call.
    pub fn from_entropy() -> Self {
        SplitMix::seeded(RandomState::new().hash_one(0u8))
    }
}

impl Rng for SplitMix {
    fn next_u64(&self) -> u64 {
        let mut z = self.0.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_sequence() {
        // First outputs of the reference implementation for seed 1234567.
        let rng = SplitMix::seeded(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn draws_stay_within_bounds() {
        let rng = SplitMix::seeded(7);
        for _ in 0..1000 {
            assert!(rng.below(3) < 3);
            assert!((0.0..1.0).contains(&rng.unit()));
            let wait = rng.duration(Duration::from_secs(1), Duration::from_secs(5));
            assert!((Duration::from_secs(1)..=Duration::from_secs(5)).contains(&wait));
        }
        assert_eq!(rng.below(0), 0);
    }
}
