//! What became of the items of a payload, in their order, and of the records they came from.

use std::ops::Range;

use sluice_pdata::pass::Reason;
use sluice_pipeline::spine::{Completion, Entry, Seq};
use smallvec::SmallVec;

/// What became of a run of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    Dropped(Reason),
    /// In the dead letters.
    Parked,
}

/// The fates of a payload's items, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fates(SmallVec<[(usize, Fate); 1]>);

impl Fates {
    /// Adds a run of items behind the others.
    pub(super) fn push(&mut self, items: usize, fate: Fate) {
        match self.0.last_mut() {
            _ if items == 0 => {}
            Some((count, last)) if *last == fate => *count += items,
            _ => self.0.push((items, fate)),
        }
    }

    /// The fates of items that were found out in any order, by their places in the payload.
    pub(super) fn of(mut scattered: Vec<(Range<usize>, Fate)>) -> Self {
        scattered.sort_unstable_by_key(|(run, _)| run.start);
        let mut fates = Fates::default();
        scattered.into_iter().for_each(|(run, fate)| fates.push(run.len(), fate));
        fates
    }

    /// Deals the fates out to the records that the payload was made of. Items that no fate covers were never sent: they are
    /// delivered by definition of an empty remainder, which a payload's item count rules out.
    pub(super) fn completions<'e>(&'e self, entries: &'e [Entry]) -> impl Iterator<Item = (Seq, Completion)> + 'e {
        let mut runs = self.0.iter().copied();
        let mut run = runs.next();
        entries.iter().map(move |entry| {
            let mut left = entry.batch().items();
            let mut completion = Completion::default();
            while let (Some((items, fate)), true) = (&mut run, left > 0) {
                let taken = left.min(*items);
                match fate {
                    Fate::Delivered => completion.delivered += taken,
                    Fate::Parked => completion.parked += taken,
                    Fate::Dropped(reason) => completion.dropped.push((*reason, taken)),
                }
                left -= taken;
                *items -= taken;
                if *items == 0 {
                    run = runs.next();
                }
            }
            (entry.seq(), completion)
        })
    }
}
