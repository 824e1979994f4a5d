//! The entries that held items came in: what the low watermark and the order of arrival are made of (correlation §10).

use std::collections::VecDeque;

use sluice_pipeline::context::Arrival;
use sluice_pipeline::spine::Seq;

/// The number of an absorbed entry: counts up, and wraps after more entries than a window can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct EntryNumber(pub(crate) u32);

#[derive(Clone, Copy, Debug)]
struct Input {
    seq: Seq,
    /// Engine time, ms.
    arrival: u32,
    arrived: Arrival,
    /// Items of it that are held.
    live: u32,
}

/// Entries in the order they came, from the oldest that still has an item here.
#[derive(Default)]
pub(crate) struct Inputs {
    window: VecDeque<Input>,
    /// The number of the first of them.
    first: u32,
}

impl Inputs {
    /// An entry begins. Those before it that hold nothing any more are forgotten.
    pub(crate) fn begin(&mut self, seq: Seq, arrival: u32, arrived: Arrival) -> EntryNumber {
        self.forget();
        self.window.push_back(Input { seq, arrival, arrived, live: 0 });
        EntryNumber(self.first.wrapping_add(self.window.len() as u32 - 1))
    }

    fn at(&mut self, entry: EntryNumber) -> Option<&mut Input> {
        self.window.get_mut(entry.0.wrapping_sub(self.first) as usize)
    }

    /// An item of the entry is held.
    pub(crate) fn hold(&mut self, entry: EntryNumber) {
        if let Some(input) = self.at(entry) {
            input.live += 1;
        }
    }

    /// An item that was held is emitted or dropped.
    pub(crate) fn done(&mut self, entry: EntryNumber) {
        if let Some(input) = self.at(entry) {
            input.live = input.live.saturating_sub(1);
        }
    }

    /// When the entry came, in ms of engine time.
    pub(crate) fn arrival(&self, entry: EntryNumber) -> u32 {
        self.window.get(entry.0.wrapping_sub(self.first) as usize).map_or(0, |input| input.arrival)
    }

    /// When the entry's request arrived.
    pub(crate) fn arrived(&self, entry: EntryNumber) -> Arrival {
        self.window.get(entry.0.wrapping_sub(self.first) as usize).map_or_else(Arrival::default, |input| input.arrived)
    }

    /// Its place in the log, while it holds anything.
    pub(crate) fn seq(&self, entry: EntryNumber) -> Option<Seq> {
        self.window.get(entry.0.wrapping_sub(self.first) as usize).map(|input| input.seq)
    }

    /// How many entries came before it, of those in the window: the order of arrival.
    pub(crate) fn order(&self, entry: EntryNumber) -> u32 {
        entry.0.wrapping_sub(self.first)
    }

    /// Forgets the entries at the front that hold nothing.
    pub(crate) fn forget(&mut self) {
        while self.window.front().is_some_and(|input| input.live == 0) {
            self.window.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    /// The oldest entry with an item that is held.
    pub(crate) fn low_watermark(&self) -> Option<Seq> {
        self.window.iter().find(|input| input.live > 0).map(|input| input.seq)
    }

    pub(crate) fn oldest_arrival(&self) -> Option<u32> {
        self.window.iter().find(|input| input.live > 0).map(|input| input.arrival)
    }

    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.window.capacity() * size_of::<Input>()
    }
}
