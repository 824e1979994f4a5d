//! Sums over records: how many, how many items of each signal, how many bytes.

/// Signals that items are counted by. The journal does not know what they mean.
pub const SIGNALS: usize = 4;

/// Items by signal.
pub type Items = [u64; SIGNALS];

/// A sum over records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub records: u64,
    pub items: Items,
    /// On disk, headers and padding included.
    pub bytes: u64,
}

impl Tally {
    /// One record.
    pub fn one(signal: u8, items: u32, bytes: u64) -> Self {
        let mut tally = Tally { records: 1, items: [0; SIGNALS], bytes };
        tally.items[usize::from(signal) % SIGNALS] = u64::from(items);
        tally
    }

    pub fn add(&mut self, other: &Tally) {
        self.records += other.records;
        self.bytes += other.bytes;
        add_items(&mut self.items, &other.items);
    }

    /// Never below zero.
    pub fn sub(&mut self, other: &Tally) {
        self.records = self.records.saturating_sub(other.records);
        self.bytes = self.bytes.saturating_sub(other.bytes);
        self.items = less(&self.items, &other.items);
    }

    pub fn is_zero(&self) -> bool {
        *self == Tally::default()
    }

    /// Items of all signals.
    pub fn all_items(&self) -> u64 {
        self.items.iter().sum()
    }
}

pub(crate) fn add_items(to: &mut Items, more: &Items) {
    to.iter_mut().zip(more).for_each(|(to, more)| *to = to.saturating_add(*more));
}

/// What is left of `of` without `minus`.
pub(crate) fn less(of: &Items, minus: &Items) -> Items {
    std::array::from_fn(|signal| of[signal].saturating_sub(minus[signal]))
}
