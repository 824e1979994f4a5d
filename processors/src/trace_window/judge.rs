//! Who decides over traces. The window gathers facts and asks; policies and probability are the judge's.

use sluice_pdata::view::{LogRecordView, SpanView};

/// Conditions over items that held for some item of a trace: a set of at most 256 leaf numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leaves(pub [u64; 4]);

impl Leaves {
    pub fn insert(&mut self, leaf: u8) {
        self.0[usize::from(leaf / 64)] |= 1 << (leaf % 64);
    }

    pub fn contains(&self, leaf: u8) -> bool {
        self.0[usize::from(leaf / 64)] & 1 << (leaf % 64) != 0
    }
}
