//! Exponential histograms: at most so many buckets, at the finest scale that fits.

use super::total::Total;

/// The finest scale, at which every histogram starts.
pub const MAX_SCALE: i32 = 20;
/// The coarsest that OTLP knows: everything is in two buckets.
const MIN_SCALE: i32 = -10;

/// The totals of one series. Values are never negative.
#[derive(Clone, Debug)]
pub struct Exponential {
    max_size: usize,
    scale: i32,
    /// Index of the first bucket.
    offset: i32,
    buckets: Vec<Total>,
    zero: Total,
    sum: f64,
    min: f64,
    max: f64,
}

/// A point, as it is written.
#[derive(Debug, Default)]
pub struct ExponentialPoint {
    pub count: u64,
    pub sum: f64,
    /// `None` for a point without values.
    pub range: Option<(f64, f64)>,
    pub scale: i32,
    pub zero: u64,
    pub offset: i32,
    pub buckets: Vec<u64>,
}

impl Exponential {
    pub fn new(max_size: usize) -> Self {
        Exponential {
            max_size: max_size.max(2),
            scale: MAX_SCALE,
            offset: 0,
            buckets: Vec::new(),
            zero: Total::default(),
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }

    /// Counts a value: finite, and 0 or more.
    pub fn record(&mut self, value: f64, weight: f64) {
        self.sum += value * weight;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if value <= 0.0 {
            self.zero.add(weight);
            return;
        }
        let mut index = index(value, self.scale);
        if self.buckets.is_empty() {
            self.offset = index;
        }
        let (mut low, mut high) = self.with(index);
        while high.abs_diff(low) as usize >= self.max_size && self.scale > MIN_SCALE {
            self.halve();
            index >>= 1;
            (low, high) = self.with(index);
        }
        self.cover(low, high);
        if let Some(total) = self.buckets.get_mut(index.abs_diff(self.offset) as usize) {
            total.add(weight);
        }
    }

    /// First and last index once `index` is among the buckets.
    fn with(&self, index: i32) -> (i32, i32) {
        let last = self.offset + self.buckets.len().saturating_sub(1) as i32;
        if self.buckets.is_empty() { (index, index) } else { (index.min(self.offset), index.max(last)) }
    }

    /// Half as many buckets, each twice as wide in the logarithm.
    fn halve(&mut self) {
        let first = self.offset >> 1;
        let mut halved: Vec<Total> = Vec::with_capacity(self.buckets.len() / 2 + 1);
        for (at, total) in self.buckets.iter().enumerate() {
            let to = ((self.offset + at as i32) >> 1).abs_diff(first) as usize;
            match halved.get_mut(to) {
                Some(bucket) => bucket.merge(*total),
                None => halved.push(*total),
            }
        }
        (self.buckets, self.offset) = (halved, first);
        self.scale -= 1;
    }

    /// Makes room for the indexes from `low` to `high`.
    fn cover(&mut self, low: i32, high: i32) {
        let len = high.abs_diff(low) as usize + 1;
        let front = low.abs_diff(self.offset) as usize;
        if self.buckets.is_empty() || front == 0 {
            self.buckets.resize(len, Total::default());
        } else {
            let mut wider = vec![Total::default(); len];
            wider[front..front + self.buckets.len()].copy_from_slice(&self.buckets);
            self.buckets = wider;
        }
        self.offset = low;
    }

    /// What a point says.
    pub fn write(&mut self, delta: bool) -> ExponentialPoint {
        let zero = self.zero.write(delta);
        let buckets: Vec<u64> = self.buckets.iter_mut().map(|total| total.write(delta)).collect();
        let count = buckets.iter().fold(zero, |count, value| count.saturating_add(*value));
        let point = ExponentialPoint {
            count,
            sum: self.sum,
            range: (self.min <= self.max).then_some((self.min, self.max)),
            scale: self.scale,
            zero,
            offset: self.offset,
            buckets,
        };
        if delta {
            self.begin_interval();
        }
        point
    }

    /// Delta: what belongs to one interval goes. Without fractions left over the next one starts at the finest scale again.
    fn begin_interval(&mut self) {
        (self.sum, self.min, self.max) = (0.0, f64::INFINITY, f64::NEG_INFINITY);
        if self.zero.is_exact() && self.buckets.iter().all(Total::is_exact) {
            self.zero = Total::default();
            self.buckets.clear();
            self.scale = MAX_SCALE;
        }
    }

    pub fn bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Total>()
    }
}

/// Index of the bucket (base^index, base^(index+1)] that holds a positive finite value, for base = 2^(2^-scale).
pub fn index(value: f64, scale: i32) -> i32 {
    let (exponent, fraction) = parts(value);
    if scale <= 0 {
        // Exact: a power of two is the upper bound of the bucket below.
        let ceiling = if fraction == 0.0 { exponent - 1 } else { exponent };
        return ceiling >> -scale;
    }
    if fraction == 0.0 {
        return (exponent << scale) - 1;
    }
    // Between two powers of two: rounding must not leave the octave.
    let within = ((1.0 + fraction).log2() * f64::from(1_u32 << scale)).ceil() as i32 - 1;
    (exponent << scale) + within.clamp(0, (1 << scale) - 1)
}

/// Exponent, and the significand's part behind the point, of a positive finite number.
fn parts(value: f64) -> (i32, f64) {
    const BITS: u32 = f64::MANTISSA_DIGITS - 1;
    // What is too small for an exponent of its own counts as the smallest that has one.
    let bits = value.max(f64::MIN_POSITIVE).to_bits();
    let exponent = (bits >> BITS) as i32 - 1023;
    let fraction = (bits & ((1 << BITS) - 1)) as f64 / (1_u64 << BITS) as f64;
    (exponent, fraction)
}

/// The octave of a value, under which exemplar candidates are kept: it stays the same when the scale changes.
pub fn octave(value: f64) -> i32 {
    if value <= 0.0 { i32::MIN } else { index(value, 0) }
}
