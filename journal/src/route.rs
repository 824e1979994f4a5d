//! Destinations and sets of them.

/// A destination by its index. Stable for as long as any record refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dest(pub u8);

/// Who needs a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteSet(pub [u64; 4]);

impl RouteSet {
    /// Nobody.
    pub const EMPTY: RouteSet = RouteSet([0; 4]);

    #[must_use]
    pub fn with(mut self, dest: Dest) -> Self {
        self.0[usize::from(dest.0 >> 6)] |= 1 << (dest.0 & 63);
        self
    }

    #[must_use]
    pub fn without(mut self, dest: Dest) -> Self {
        self.0[usize::from(dest.0 >> 6)] &= !(1 << (dest.0 & 63));
        self
    }

    #[must_use]
    pub fn union(self, other: RouteSet) -> Self {
        RouteSet(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    pub fn contains(self, dest: Dest) -> bool {
        self.0[usize::from(dest.0 >> 6)] & (1 << (dest.0 & 63)) != 0
    }

    pub fn is_empty(self) -> bool {
        self == RouteSet::EMPTY
    }

    /// In order of index.
    pub fn iter(self) -> impl Iterator<Item = Dest> {
        (0..4u8).flat_map(move |word| {
            let mut bits = self.0[usize::from(word)];
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros() as u8)?;
                bits &= bits - 1;
                Some(Dest(word << 6 | bit))
            })
        })
    }
}

impl FromIterator<Dest> for RouteSet {
    fn from_iter<I: IntoIterator<Item = Dest>>(dests: I) -> Self {
        dests.into_iter().fold(RouteSet::EMPTY, RouteSet::with)
    }
}
