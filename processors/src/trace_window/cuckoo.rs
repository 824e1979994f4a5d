//! A cuckoo filter with 32-bit fingerprints: says of a hash whether it was inserted, wrongly so about four times in 10^9.
//! Shorter fingerprints would now and then drop a trace that nobody has looked at.

/// Fingerprints a bucket.
const WAYS: usize = 4;

/// How often an insertion moves others before it gives up.
const KICKS: usize = 500;

/// The filter. A fingerprint of 0 is an empty place.
pub(crate) struct Cuckoo {
    buckets: Box<[[u32; WAYS]]>,
    /// Chooses whom an insertion moves.
    dice: u32,
}

impl Cuckoo {
    /// A filter for about this many: a million fill it to 95 %.
    pub(crate) fn new(capacity: usize) -> Self {
        let buckets = capacity.div_ceil(WAYS).max(2).next_power_of_two();
        Cuckoo { buckets: vec![[0; WAYS]; buckets].into_boxed_slice(), dice: 1 }
    }

    fn mask(&self) -> usize {
        self.buckets.len() - 1
    }

    fn place(&self, hash: u64) -> (usize, u32) {
        let fingerprint = (hash >> 32) as u32;
        (hash as usize & self.mask(), if fingerprint == 0 { 1 } else { fingerprint })
    }

    /// The other bucket of a fingerprint: the same rule leads back.
    fn other(&self, bucket: usize, fingerprint: u32) -> usize {
        let spread = u64::from(fingerprint).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        (bucket ^ spread as usize) & self.mask()
    }

    fn put(&mut self, bucket: usize, fingerprint: u32) -> bool {
        let empty = self.buckets[bucket].iter_mut().find(|way| **way == 0);
        empty.map(|way| *way = fingerprint).is_some()
    }

    /// Whether the hash was inserted.
    pub(crate) fn contains(&self, hash: u64) -> bool {
        let (bucket, fingerprint) = self.place(hash);
        self.buckets[bucket].contains(&fingerprint)
            || self.buckets[self.other(bucket, fingerprint)].contains(&fingerprint)
    }

    /// Inserts a hash. `false`: full, and one that was inserted before is lost.
    pub(crate) fn insert(&mut self, hash: u64) -> bool {
        if self.contains(hash) {
            return true;
        }
        let (mut bucket, mut fingerprint) = self.place(hash);
        if self.put(bucket, fingerprint) {
            return true;
        }
        bucket = self.other(bucket, fingerprint);
        for _ in 0..KICKS {
            if self.put(bucket, fingerprint) {
                return true;
            }
            self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let way = &mut self.buckets[bucket][(self.dice >> 16) as usize % WAYS];
            std::mem::swap(way, &mut fingerprint);
            bucket = self.other(bucket, fingerprint);
        }
        false
    }

    pub(crate) fn bytes(&self) -> usize {
        self.buckets.len() * size_of::<[u32; WAYS]>()
    }
}
