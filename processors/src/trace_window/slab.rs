//! Entries of one size under `u32` handles, in chunks: growing never moves what is there, and a chunk goes with its last entry.

/// Entries a chunk.
const CHUNK: usize = 1024;

/// One chunk in so many is kept for the next one when it has emptied, so that it needs no filling and faults in no pages.
const SPARE: usize = 8;

/// No entry: the end of a list.
pub(crate) const NONE: u32 = u32::MAX;

/// Words of a bit for each entry of a chunk.
const WORDS: usize = CHUNK / u64::BITS as usize;

/// What a slab keeps.
pub(crate) trait Entry: Clone + Default {
    /// Something of the entry, for those who only want it in the cache.
    fn touch(&self) -> u32;
}

struct Chunk<T> {
    /// None while no entry of it is live, but for the one that is filled next.
    entries: Box<[T]>,
    /// A bit for each entry that is not live: the entries themselves need not be read to find one.
    free: [u64; WORDS],
    /// The words before it have no bits.
    from: usize,
    live: usize,
    /// Whether it is among the open ones.
    open: bool,
}

impl<T> Default for Chunk<T> {
    fn default() -> Self {
        Chunk { entries: Box::default(), free: [u64::MAX; WORDS], from: 0, live: 0, open: false }
    }
}

impl<T> Chunk<T> {
    /// The first entry that is not live, which is from now on.
    fn take(&mut self) -> Option<usize> {
        while self.free.get(self.from) == Some(&0) {
            self.from += 1;
        }
        let word = self.free.get_mut(self.from)?;
        let bit = word.trailing_zeros();
        *word &= *word - 1;
        self.live += 1;
        Some(self.from * u64::BITS as usize + bit as usize)
    }

    fn give_back(&mut self, at: usize) {
        let (word, bit) = (at / u64::BITS as usize, at % u64::BITS as usize);
        self.free[word] |= 1 << bit;
        self.from = self.from.min(word);
        self.live -= 1;
    }

    /// Those that are not live, or those that are, in order.
    fn these(&self, live: bool) -> impl Iterator<Item = usize> + use<T> {
        let free = self.free;
        (0..WORDS).flat_map(move |word| {
            let mut bits = if live { !free[word] } else { free[word] };
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros())?;
                bits &= bits - 1;
                Some(word * u64::BITS as usize + bit as usize)
            })
        })
    }
}

/// Entries under handles. A handle is valid from `insert` to `remove`; then it may name another entry.
#[derive(Default)]
pub(crate) struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    /// Chunks that may have room. The last one is filled until it is full, so that others can empty.
    open: Vec<u32>,
    /// Chunks without entries.
    vacant: Vec<u32>,
    /// Entries for the next chunks that are opened.
    spare: Vec<Box<[T]>>,
    /// Chunks with entries, and spare ones.
    allocated: usize,
    len: usize,
    /// What is read where nothing is, and what is written there.
    blank: T,
    lost: T,
}

impl<T: Entry> Slab<T> {
    /// Entries that are live.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, entry: T) -> u32 {
        self.len += 1;
        loop {
            let at = match self.open.last() {
                Some(&at) => at,
                None => self.open_chunk(),
            };
            let chunk = &mut self.chunks[at as usize];
            let free = if chunk.entries.is_empty() { None } else { chunk.take() };
            let Some(free) = free else {
                chunk.open = false;
                self.open.pop();
                if chunk.entries.is_empty() {
                    self.vacant.push(at);
                }
                continue;
            };
            chunk.entries[free] = entry;
            return at * CHUNK as u32 + free as u32;
        }
    }

    /// Reads the entries that are filled next, so that nobody waits for them one by one. Nothing depends on it.
    pub(crate) fn read_ahead(&self, entries: usize) {
        let Some(chunk) = self.open.last().map(|&at| &self.chunks[at as usize]) else { return };
        let next = chunk.these(false).take(entries).filter_map(|at| chunk.entries.get(at));
        std::hint::black_box(next.fold(0, |read, entry| read ^ entry.touch()));
    }

    /// A chunk with room, where none has any.
    fn open_chunk(&mut self) -> u32 {
        let at = self.vacant.pop().unwrap_or_else(|| {
            self.chunks.push(Chunk::default());
            self.chunks.len() as u32 - 1
        });
        let entries = self.spare.pop().unwrap_or_else(|| {
            self.allocated += 1;
            vec![T::default(); CHUNK].into_boxed_slice()
        });
        self.chunks[at as usize] = Chunk { entries, open: true, ..Chunk::default() };
        self.open.push(at);
        at
    }

    /// Takes an entry out. What is left in its place reads as the default.
    pub(crate) fn remove(&mut self, handle: u32) -> T {
        self.len -= 1;
        let at = handle / CHUNK as u32;
        let chunk = &mut self.chunks[at as usize];
        let entry = std::mem::take(&mut chunk.entries[handle as usize % CHUNK]);
        chunk.give_back(handle as usize % CHUNK);
        if chunk.live == 0 && self.open.last() != Some(&at) {
            self.spare.push(std::mem::take(&mut chunk.entries));
            while self.spare.len() > (self.allocated - self.spare.len()) / SPARE && self.spare.pop().is_some() {
                self.allocated -= 1;
            }
        }
        if !chunk.open {
            // Behind the one that is being filled.
            chunk.open = true;
            self.open.insert(self.open.len().saturating_sub(1), at);
        }
        entry
    }

    #[inline]
    pub(crate) fn get(&self, handle: u32) -> &T {
        self.chunks[handle as usize / CHUNK].entries.get(handle as usize % CHUNK).unwrap_or(&self.blank)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, handle: u32) -> &mut T {
        match self.chunks[handle as usize / CHUNK].entries.get_mut(handle as usize % CHUNK) {
            Some(entry) => entry,
            None => {
                self.lost = T::default();
                &mut self.lost
            }
        }
    }

    /// The handles that are live now.
    pub(crate) fn handles(&self) -> impl Iterator<Item = u32> + use<T> {
        let live: Vec<_> = self.chunks.iter().map(|chunk| chunk.these(true)).collect();
        (0..).zip(live).flat_map(|(at, live)| live.map(move |entry| at * CHUNK as u32 + entry as u32))
    }

    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.allocated * CHUNK * size_of::<T>()
    }
}

/// What goes with the entries of a slab, under the same handles.
pub(crate) struct Beside<T>(Vec<Box<[T]>>, usize);

impl<T> Default for Beside<T> {
    fn default() -> Self {
        Beside(Vec::new(), 0)
    }
}

impl<T: Clone + Default> Beside<T> {
    /// Makes room for a handle and sets what goes with it.
    pub(crate) fn set(&mut self, handle: u32, value: T) {
        let at = handle as usize / CHUNK;
        if self.0.len() <= at {
            self.0.resize_with(at + 1, Box::default);
        }
        if self.0[at].is_empty() {
            self.0[at] = vec![T::default(); CHUNK].into_boxed_slice();
            self.1 += 1;
        }
        self.0[at][handle as usize % CHUNK] = value;
    }

    /// Gives back what goes with no entry any more, chunk by chunk when called again and again.
    pub(crate) fn trim<E>(&mut self, round: usize, of: &Slab<E>) {
        let at = round % self.0.len().max(1);
        if self.0.get(at).is_some_and(|chunk| !chunk.is_empty()) && of.chunks[at].entries.is_empty() {
            self.0[at] = Box::default();
            self.1 -= 1;
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flat_map(|chunk| chunk.iter_mut())
    }

    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.1 * CHUNK * size_of::<T>()
    }
}

impl<T> std::ops::Index<u32> for Beside<T> {
    type Output = T;

    #[inline]
    fn index(&self, handle: u32) -> &T {
        &self.0[handle as usize / CHUNK][handle as usize % CHUNK]
    }
}

impl<T> std::ops::IndexMut<u32> for Beside<T> {
    #[inline]
    fn index_mut(&mut self, handle: u32) -> &mut T {
        &mut self.0[handle as usize / CHUNK][handle as usize % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq)]
    struct Number(u32, u32);

    impl Entry for Number {
        fn touch(&self) -> u32 {
            self.0
        }
    }

    #[test]
    fn a_chunk_goes_with_its_last_entry_and_its_handles_read_as_the_default() {
        let mut slab = Slab::default();
        let handles: Vec<u32> = (1..=10_000).map(|n| slab.insert(Number(n, 0))).collect();
        assert_eq!((slab.len(), slab.bytes()), (10_000, 10 * CHUNK * 8));
        for (n, &handle) in handles.iter().enumerate() {
            assert_eq!(slab.get(handle).0, n as u32 + 1);
        }
        // The oldest go, as they do in a window; what is new first fills up what is open.
        handles[..9_000].iter().for_each(|&handle| assert_ne!(slab.remove(handle), Number::default()));
        assert_eq!((slab.len(), slab.bytes()), (1_000, 2 * CHUNK * 8));
        assert_eq!(slab.get(handles[0]), &Number::default());
        slab.get_mut(handles[0]).0 = 7;
        assert_eq!(slab.get(handles[0]), &Number::default());
        assert_eq!(slab.handles().filter(|&handle| slab.get(handle).0 > 0).count(), 1_000);
        let again: Vec<u32> = (0..9_000).map(|n| slab.insert(Number(n + 20_000, 0))).collect();
        assert_eq!((slab.len(), slab.bytes()), (10_000, 10 * CHUNK * 8));
        let mut all: Vec<u32> = again.iter().chain(&handles[9_000..]).copied().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 10_000, "no handle is given out twice");
        for (n, &handle) in handles.iter().enumerate().skip(9_000) {
            assert_eq!(slab.get(handle).0, n as u32 + 1);
        }
    }

    #[test]
    fn in_any_order_entries_stay_what_they_are() {
        let (mut slab, mut model, mut dice) = (Slab::default(), std::collections::BTreeMap::new(), 1u64);
        for round in 0..200_000u32 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Waves of 20,000 and back.
            let grows = round / 20_000 % 2 == 0;
            if (dice >> 33) % 10 < if grows { 9 } else { 2 } || model.is_empty() {
                assert_eq!(model.insert(slab.insert(Number(round + 1, 0)), round + 1), None);
            } else {
                let from = (dice >> 40) as u32 % (slab.chunks.len() * CHUNK) as u32;
                let (&handle, &number) = model.range(from..).next().or(model.iter().next()).unwrap();
                model.remove(&handle);
                assert_eq!(slab.remove(handle).0, number);
            }
        }
        assert_eq!(slab.len(), model.len());
        assert!(model.iter().all(|(&handle, &number)| slab.get(handle).0 == number));
        let live: Vec<u32> = slab.handles().filter(|&handle| slab.get(handle).0 > 0).collect();
        assert_eq!(live, model.keys().copied().collect::<Vec<_>>());
    }

    #[test]
    fn what_is_beside_a_slab_goes_with_it() {
        let (mut slab, mut beside) = (Slab::default(), Beside::default());
        let handles: Vec<u32> = (0..5_000).map(|n| slab.insert(Number(n, 0))).collect();
        handles.iter().for_each(|&handle| beside.set(handle, u64::from(handle)));
        assert!(handles.iter().all(|&handle| beside[handle] == u64::from(handle)));
        for &handle in &handles {
            slab.remove(handle);
        }
        (0..5).for_each(|round| beside.trim(round, &slab));
        assert_eq!((slab.bytes(), beside.bytes()), (CHUNK * 8, CHUNK * 8));
    }
}
