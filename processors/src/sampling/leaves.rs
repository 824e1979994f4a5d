//! The set of conditions that held for some item of a trace.

/// How many conditions over items there may be; more is an error of the configuration.
pub const MAX_LEAVES: usize = 256;

/// A set of leaf conditions, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Leaves([u64; 4]);

impl Leaves {
    /// No leaf.
    pub const EMPTY: Leaves = Leaves([0; 4]);

    /// The set of the first `count` leaves.
    pub fn first(count: usize) -> Self {
        let mut set = Leaves::default();
        (0..count.min(MAX_LEAVES)).for_each(|leaf| set.insert(leaf as u8));
        set
    }

    pub fn insert(&mut self, leaf: u8) {
        self.0[usize::from(leaf >> 6)] |= 1 << (leaf & 63);
    }

    pub fn contains(self, leaf: u8) -> bool {
        self.0[usize::from(leaf >> 6)] & (1 << (leaf & 63)) != 0
    }

    /// Adds all of `other`.
    pub fn union(&mut self, other: Leaves) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own |= other);
    }

    /// Whether every leaf of `other` is here.
    pub fn contains_all(self, other: Leaves) -> bool {
        self.0.iter().zip(other.0).all(|(own, other)| own & other == other)
    }

    pub fn is_empty(self) -> bool {
        self.0 == [0; 4]
    }

    /// As bytes, for a note that survives a restart.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).zip(self.0).for_each(|(chunk, word)| chunk.copy_from_slice(&word.to_le_bytes()));
        bytes
    }
}
