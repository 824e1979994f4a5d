//! What became of the items of a payload, in their order, and of the records they came from.

use sluice_pdata::pass::Reason;
use sluice_pipeline::spine::{Completion, Entry, Seq};

/// What became of a run of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    Dropped(Reason),
}

/// The fates of a payload's items, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fates(Vec<(usize, Fate)>);

impl Fates {
    /// Adds a run of items behind the others.
    pub(super) fn push(&mut self, items: usize, fate: Fate) {
        match self.0.last_mut() {
            _ if items == 0 => {}
            Some((count, last)) if *last == fate => *count += items,
            _ => self.0.push((items, fate)),
        }
    }

    /// Items delivered.
    pub(super) fn delivered(&self) -> usize {
        self.0.iter().filter(|(_, fate)| *fate == Fate::Delivered).map(|(items, _)| items).sum()
    }

    /// Items dropped.
    pub(super) fn dropped(&self) -> usize {
        self.0.iter().filter(|(_, fate)| *fate != Fate::Delivered).map(|(items, _)| items).sum()
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
