//! Buckets of an exponential histogram at a fixed scale.

use std::collections::BTreeMap;

/// Eight buckets for each doubling: from a nanosecond to an hour, in any unit of the shop, in less than 360 of them; what one
/// series really sees fits the usual 160.
pub(super) const SCALE: i32 = 3;

/// Counts of positive values.
#[derive(Clone, Debug, Default)]
pub(super) struct Buckets {
    counts: BTreeMap<i32, u64>,
    pub zero: u64,
}

impl Buckets {
    /// The bucket of a positive value: `(base^index, base^(index+1)]`, base = 2^(2^-scale).
    pub fn index(value: f64) -> i32 {
        (value.log2() * f64::from(1 << SCALE)).ceil() as i32 - 1
    }

    pub fn record(&mut self, value: f64) {
        if value > 0.0 {
            *self.counts.entry(Self::index(value)).or_default() += 1;
        } else {
            self.zero += 1;
        }
    }

    /// The index of the first bucket, and all counts from there on.
    pub fn dense(&self) -> (i32, Vec<u64>) {
        let (Some((&first, _)), Some((&last, _))) = (self.counts.first_key_value(), self.counts.last_key_value())
        else {
            return (0, Vec::new());
        };
        (first, (first..=last).map(|index| self.counts.get(&index).copied().unwrap_or(0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_within_the_bounds_of_its_bucket() {
        for value in [1e-9, 0.001, 0.5, 0.999, 1.0, 1.001, 2.0, 3.7, 1e6] {
            let index = f64::from(Buckets::index(value));
            let bound = |index: f64| 2f64.powf(index / f64::from(1 << SCALE));
            assert!(bound(index) < value * (1.0 + 1e-12) && value <= bound(index + 1.0) * (1.0 + 1e-12), "{value}");
        }
    }
}
