//! Totals of weights, and what is written of them (correlation §13).
//!
//! Weights are real numbers, counts are whole ones. A total is kept exactly and rounded when it is written, so that the error
//! stays within one half for ever, and a delta is the difference of two such numbers. Rounding each span, by chance or not,
//! would add up errors.

/// A total as it is written: rounded half to even.
pub fn rounded(total: f64) -> u64 {
    // Saturates; a total is never negative and never NaN.
    total.round_ties_even() as u64
}

/// One total, and how much of it has been written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Total {
    total: f64,
    written: u64,
}

impl Total {
    pub fn add(&mut self, weight: f64) {
        self.total += weight;
    }

    /// What a point says now: the rounded total, or under `delta` its difference from the one before. Never goes back, also
    /// where totals were merged that had been rounded up one by one.
    pub fn write(&mut self, delta: bool) -> u64 {
        let now = rounded(self.total).max(self.written);
        let before = std::mem::replace(&mut self.written, now);
        if delta { now - before } else { now }
    }

    /// Takes in another bucket.
    pub fn merge(&mut self, other: Total) {
        self.total += other.total;
        self.written = self.written.saturating_add(other.written);
    }

    /// Whether all of it has been written, and nothing beyond it.
    pub fn is_exact(&self) -> bool {
        self.total == self.written as f64
    }

    pub fn is_empty(&self) -> bool {
        self.total == 0.0
    }
}
