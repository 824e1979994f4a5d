//! The contents of `META`: how far the journal got, which segments it has deleted, and whether it was stopped cleanly.

use super::{Chain, SegNo};
use crate::codec::{Get, Put};
use crate::tally::{Items, SIGNALS, add_items};

/// Size of a slot of `META`.
pub(crate) const META_SLOT: u64 = 4096;
/// Most runs of deleted segments that fit; a segment that would make one more is kept until runs join.
pub(crate) const MAX_GAPS: usize = 64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// A sequence that was durable, so that numbers never go back.
    pub high_water: u64,
    /// The newest segment of each chain.
    pub last: [u64; 2],
    /// Runs of deleted segments.
    pub gaps: Vec<Gap>,
    /// Set by a clean stop, cleared by the next start.
    pub clean: Option<Clean>,
}

/// Segments `first..=last` of a chain were deleted because nobody needed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub first: SegNo,
    pub last: SegNo,
    /// Items that were in them.
    pub items: Items,
}

/// What a clean stop left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clean {
    /// Items of each chain since the journal began.
    pub items: [Items; 2],
}

impl Meta {
    pub(crate) fn is_deleted(&self, no: SegNo) -> bool {
        self.gaps.iter().any(|gap| gap.first <= no && no <= gap.last)
    }

    /// Items of the segments between these two, if all of them were deleted.
    pub(crate) fn deleted_between(&self, one: SegNo, other: SegNo) -> Option<Items> {
        if other.0 == one.0 + 1 {
            return Some([0; SIGNALS]);
        }
        let gap = self.gaps.iter().find(|gap| gap.first.0 == one.0 + 1 && gap.last.0 + 1 == other.0);
        gap.map(|gap| gap.items)
    }

    /// Notes a deletion, joining runs that touch. `false` without room for another run.
    pub(crate) fn delete(&mut self, no: SegNo, items: &Items) -> bool {
        if self.is_deleted(no) {
            return true;
        }
        let mut gap = Gap { first: no, last: no, items: *items };
        let touches = |other: &Gap| other.last.0 + 1 == no.0 || no.0 + 1 == other.first.0;
        if !self.gaps.iter().any(touches) && self.gaps.len() >= MAX_GAPS {
            return false;
        }
        for other in self.gaps.iter().filter(|other| touches(other)) {
            gap.first = gap.first.min(other.first);
            gap.last = gap.last.max(other.last);
            add_items(&mut gap.items, &other.items);
        }
        self.gaps.retain(|other| !touches(other));
        self.gaps.push(gap);
        self.gaps.sort_by_key(|gap| gap.first);
        true
    }

    /// The newest segment of a chain that was ever made, as far as this knows.
    pub(crate) fn newest(&self, chain: Chain) -> u64 {
        self.last[chain as usize]
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut put = Put::default();
        put.u64(self.high_water).u64s(&self.last).u8(u8::from(self.clean.is_some()));
        self.clean.unwrap_or(Clean { items: [[0; SIGNALS]; 2] }).items.iter().for_each(|items| {
            put.u64s(items);
        });
        put.count(self.gaps.len());
        for gap in &self.gaps {
            put.u64(gap.first.0).u64(gap.last.0).u64s(&gap.items);
        }
        put.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut get = Get(bytes);
        let (high_water, last, is_clean) = (get.u64()?, get.u64s()?, get.u8()? != 0);
        let items = [get.u64s()?, get.u64s()?];
        let count = get.count(16 + SIGNALS * 8)?;
        let gap =
            |get: &mut Get<'_>| Some(Gap { first: SegNo(get.u64()?), last: SegNo(get.u64()?), items: get.u64s()? });
        let gaps = (0..count).map(|_| gap(&mut get)).collect::<Option<_>>()?;
        Some(Meta { high_water, last, gaps, clean: is_clean.then_some(Clean { items }) })
    }
}
