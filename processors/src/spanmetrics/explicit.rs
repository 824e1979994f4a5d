//! Histograms with configured buckets.

use super::total::Total;

/// The totals of one series.
#[derive(Clone, Debug)]
pub struct Explicit {
    /// One for each bound, and one for what is above all.
    buckets: Box<[Total]>,
    sum: f64,
}

impl Explicit {
    pub fn new(bounds: usize) -> Self {
        Explicit { buckets: vec![Total::default(); bounds + 1].into(), sum: 0.0 }
    }

    /// The bucket of a value: bounds are inclusive upper ones.
    #[inline]
    pub fn bucket(bounds: &[f64], value: f64) -> usize {
        bounds.partition_point(|bound| *bound < value)
    }

    #[inline]
    pub fn record(&mut self, bucket: usize, value: f64, weight: f64) {
        if let Some(total) = self.buckets.get_mut(bucket) {
            total.add(weight);
            self.sum += value * weight;
        }
    }

    /// What a point says: `write` gets each bucket's count. Returns count and sum.
    pub fn write(&mut self, delta: bool, mut write: impl FnMut(u64)) -> (u64, f64) {
        let mut count = 0_u64;
        for bucket in &mut self.buckets {
            let value = bucket.write(delta);
            count = count.saturating_add(value);
            write(value);
        }
        let sum = self.sum;
        if delta {
            self.sum = 0.0;
        }
        (count, sum)
    }

    pub fn bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }
}
