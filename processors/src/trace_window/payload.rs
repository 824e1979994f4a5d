//! Held payload: items copied into 1 MiB segments that are freed as a whole.
//!
//! A held item must never pin the request it came in: 600 bytes would keep megabytes. Segments come from the system and go back to
//! it at once: an allocator keeps what was freed for a while, and a window at its limit would take a quarter more than that.
//!
//! Where the log survives a restart, segments are only a cache: under pressure they are given up, and their items read again
//! when they are to leave (correlation §10).

use memmap2::{MmapMut, MmapOptions};

/// Size of a segment; a larger item gets one of its own.
const SEGMENT: usize = 1 << 20;

/// Below this part of live bytes a closed segment is copied forward (1/10).
const SPARSE: usize = 10;

/// One segment in so many is kept for the next one when it has emptied: memory that is given back costs a page fault for
/// each ten items when it comes again.
const SPARE: usize = 8;

/// Which chain of segments: what waits for its span goes sooner than what waits for its hold or verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    Logs = 0,
    Spans = 1,
    /// What was given up, and is about to leave.
    Again = 2,
}

/// Where an item lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u16,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

#[derive(Default)]
struct Segment {
    /// `None`: it is free, or given up.
    memory: Option<MmapMut>,
    /// Bytes that have been filled.
    filled: usize,
    live: usize,
    items: u32,
    /// Its bytes are gone, and its place is kept for as long as items refer to it.
    given_up: bool,
    /// How many were opened before it.
    number: u64,
}

impl Segment {
    fn capacity(&self) -> usize {
        self.memory.as_deref().map_or(0, <[u8]>::len)
    }
}

/// The segments of both chains.
#[derive(Default)]
pub(crate) struct Payload {
    segments: Vec<Segment>,
    free: Vec<u16>,
    /// Empty ones, for the next that are opened.
    spare: Vec<MmapMut>,
    open: [Option<u16>; 3],
    /// Of all, spare ones too.
    capacity: usize,
    live: usize,
    opened: u64,
    given_up: usize,
}

impl Payload {
    /// Copies an item in. `None` if there is no segment left, 65,536 of them are 64 GiB, or no memory.
    pub(crate) fn push(&mut self, chain: Chain, item: &[u8]) -> Option<Place> {
        let segment = match self.open[chain as usize] {
            Some(open) if self.room(open) >= item.len() => open,
            _ => self.open(chain, item.len())?,
        };
        let held = &mut self.segments[usize::from(segment)];
        let place = Place { segment, offset: held.filled as u32, len: u32::try_from(item.len()).ok()? };
        let room = held.memory.as_deref_mut()?.get_mut(held.filled..held.filled + item.len())?;
        room.copy_from_slice(item);
        held.filled += item.len();
        held.live += item.len();
        held.items += 1;
        self.live += item.len();
        Some(place)
    }

    fn room(&self, segment: u16) -> usize {
        let segment = &self.segments[usize::from(segment)];
        segment.capacity() - segment.filled
    }

    fn open(&mut self, chain: Chain, len: usize) -> Option<u16> {
        let before = self.open[chain as usize].take();
        if let Some(before) = before
            && self.segments[usize::from(before)].live == 0
        {
            self.discard(before);
        }
        let next = u16::try_from(self.segments.len());
        if self.free.is_empty() && next.is_err() {
            return None;
        }
        let memory = match self.spare.pop_if(|_| len <= SEGMENT) {
            Some(spare) => spare,
            None => {
                let capacity = SEGMENT.max(len);
                let memory = MmapOptions::new().len(capacity).map_anon().ok()?;
                self.capacity += capacity;
                memory
            }
        };
        let segment = match self.free.pop() {
            Some(segment) => segment,
            None => {
                self.segments.push(Segment::default());
                next.ok()?
            }
        };
        self.opened += 1;
        self.segments[usize::from(segment)] =
            Segment { memory: Some(memory), number: self.opened, ..Segment::default() };
        self.open[chain as usize] = Some(segment);
        Some(segment)
    }

    /// An item's bytes, which must be [here](Self::is_here).
    pub(crate) fn get(&self, place: Place) -> &[u8] {
        let from = place.offset as usize;
        let memory = self.segments[usize::from(place.segment)].memory.as_deref().unwrap_or_default();
        &memory[from..from + place.len as usize]
    }

    /// The item is gone. Its segment goes with its last one.
    pub(crate) fn free(&mut self, place: Place) {
        let segment = &mut self.segments[usize::from(place.segment)];
        segment.live -= place.len as usize;
        segment.items -= 1;
        self.live -= place.len as usize;
        if segment.live > 0 {
            return;
        }
        if self.open.contains(&Some(place.segment)) {
            // It is filled from the start again, so that a quiet collector needs no second one.
            segment.filled = 0;
        } else {
            self.discard(place.segment);
        }
    }

    fn discard(&mut self, segment: u16) {
        let gone = std::mem::take(&mut self.segments[usize::from(segment)]);
        self.given_up -= usize::from(gone.given_up);
        self.free.push(segment);
        match gone.memory {
            Some(memory) if memory.len() == SEGMENT => self.spare.push(memory),
            memory => self.capacity -= memory.as_deref().map_or(0, <[u8]>::len),
        }
        let used = self.segments.len() - self.free.len() - self.given_up;
        while self.spare.len() > used / SPARE
            && let Some(spare) = self.spare.pop()
        {
            self.capacity -= spare.len();
        }
    }

    /// Gives up closed segments, the newest first, whose items are needed last, until so many bytes are free. Returns how many
    /// items are not here any more.
    pub(crate) fn give_up(&mut self, bytes: usize) -> u64 {
        let mut closed: Vec<(u64, u16)> = (0..self.segments.len() as u16)
            .filter(|at| !self.open.contains(&Some(*at)))
            .map(|at| (self.segments[usize::from(at)].number, at))
            .filter(|&(_, at)| self.segments[usize::from(at)].live > 0 && !self.segments[usize::from(at)].given_up)
            .collect();
        closed.sort_unstable();
        let mut freed: usize = self.spare.drain(..).map(|spare| spare.len()).sum();
        let mut items = 0;
        while freed < bytes
            && let Some((_, at)) = closed.pop()
        {
            let segment = &mut self.segments[usize::from(at)];
            freed += segment.capacity();
            items += u64::from(segment.items);
            (segment.memory, segment.filled, segment.given_up) = (None, 0, true);
            self.given_up += 1;
        }
        self.capacity -= freed;
        items
    }

    /// Whether an item's bytes are here.
    #[inline]
    pub(crate) fn is_here(&self, place: Place) -> bool {
        self.given_up == 0 || !self.segments[usize::from(place.segment)].given_up
    }

    /// Whether any item's bytes are not.
    #[inline]
    pub(crate) fn has_given_up(&self) -> bool {
        self.given_up > 0
    }

    /// Whether so much room is lost in sparse segments that copying them forward is worth looking for their items.
    pub(crate) fn wants_compaction(&self) -> bool {
        let wasted: usize = (0..self.segments.len()).filter(|&at| self.sparse(at as u16)).count();
        wasted >= 4 && wasted * 8 >= self.capacity / SEGMENT
    }

    /// Whether less than a tenth of a closed segment is live.
    pub(crate) fn sparse(&self, segment: u16) -> bool {
        let held = &self.segments[usize::from(segment)];
        // What is given up has no capacity.
        held.live > 0 && held.live * SPARSE < held.capacity() && !self.open.contains(&Some(segment))
    }

    /// Copies an item into the open segment of a chain.
    pub(crate) fn carry(&mut self, chain: Chain, place: Place) -> Option<Place> {
        let item = self.get(place).to_vec();
        let carried = self.push(chain, &item)?;
        self.free(place);
        Some(carried)
    }

    /// Bytes of items.
    #[cfg(test)]
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_goes_with_its_last_item() {
        let mut payload = Payload::default();
        let places: Vec<_> = (0..3000).map(|n| payload.push(Chain::Logs, &[n as u8; 1000]).unwrap()).collect();
        assert_eq!((payload.live(), payload.bytes()), (3_000_000, 3 << 20));
        for (n, &place) in places.iter().enumerate() {
            assert_eq!(payload.get(place), [n as u8; 1000]);
        }
        places.iter().for_each(|&place| payload.free(place));
        assert_eq!((payload.live(), payload.bytes()), (0, 1 << 20));
    }

    #[test]
    fn what_is_given_up_takes_no_memory_and_is_not_here_until_it_comes_again() {
        let mut payload = Payload::default();
        let places: Vec<_> = (0..5000).map(|n| payload.push(Chain::Spans, &[n as u8; 1000]).unwrap()).collect();
        assert_eq!((payload.bytes(), payload.has_given_up()), (5 << 20, false));
        // The newest of those that are closed.
        assert_eq!(payload.give_up(2 << 20), 2 * 1048);
        assert_eq!((payload.bytes(), payload.has_given_up()), (3 << 20, true));
        let here = places.iter().filter(|&&place| payload.is_here(place)).count();
        assert_eq!(here, 5000 - 2 * 1048);
        assert!(payload.is_here(places[0]) && payload.is_here(places[4999]) && !payload.is_here(places[4000]));
        let again = payload.push(Chain::Again, &[7; 1000]).unwrap();
        payload.free(places[4000]);
        assert_eq!(payload.get(again), [7; 1000]);
        assert_eq!(payload.give_up(usize::MAX), 2 * 1048);
        for (n, &place) in places.iter().enumerate() {
            assert!(n >= 4192 || !payload.is_here(place));
            if n != 4000 {
                payload.free(place);
            }
        }
        payload.free(again);
        assert_eq!((payload.live(), payload.has_given_up(), payload.give_up(usize::MAX)), (0, false, 0));
        assert!(payload.bytes() <= 2 << 20);
    }

    #[test]
    fn a_segment_that_has_emptied_is_the_next_one_while_there_are_many() {
        let mut payload = Payload::default();
        let mut places = std::collections::VecDeque::new();
        (0..40_000).for_each(|_| places.push_back(payload.push(Chain::Logs, &[7; 1000]).unwrap()));
        let full = payload.bytes();
        for round in 0..20_000 {
            payload.free(places.pop_front().unwrap());
            places.push_back(payload.push(Chain::Logs, &[7; 1000]).unwrap());
            assert!(payload.bytes() <= full + (2 << 20), "{round}");
            assert!(payload.spare.len() <= full / SEGMENT / SPARE);
        }
        assert_eq!(
            payload.bytes(),
            payload.spare.len() * SEGMENT + (payload.segments.len() - payload.free.len()) * SEGMENT
        );
        places.into_iter().for_each(|place| payload.free(place));
        assert_eq!((payload.live(), payload.bytes(), payload.spare.len()), (0, 1 << 20, 0));
    }

    #[test]
    fn what_is_left_in_sparse_segments_is_carried_forward() {
        let mut payload = Payload::default();
        let places: Vec<_> =
            (0..10_000).map(|n: u32| payload.push(Chain::Spans, &n.to_le_bytes().repeat(250)).unwrap()).collect();
        let (kept, gone): (Vec<_>, Vec<_>) = places.iter().enumerate().partition(|(n, _)| n % 50 == 0);
        gone.into_iter().for_each(|(_, &place)| payload.free(place));
        assert!(payload.wants_compaction());
        for (n, &place) in kept {
            let place = if payload.sparse(place.segment) { payload.carry(Chain::Spans, place).unwrap() } else { place };
            assert_eq!(payload.get(place), (n as u32).to_le_bytes().repeat(250));
        }
        assert!(!payload.wants_compaction());
        assert!(payload.bytes() <= 2 << 20, "{}", payload.bytes());
    }
}
