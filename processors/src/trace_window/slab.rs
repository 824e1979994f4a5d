//! Entries of one size under `u32` handles, in chunks: growing never moves what is there.

/// Entries a chunk.
const CHUNK: usize = 1024;

/// No entry: the end of a list.
pub(crate) const NONE: u32 = u32::MAX;

/// What a slab keeps. Free entries are chained through a field that only live ones need otherwise.
pub(crate) trait Entry: Clone + Default {
    fn link(&mut self) -> &mut u32;
}

/// Entries under handles. A handle is valid from `insert` to `remove`; then it may name another entry.
#[derive(Default)]
pub(crate) struct Slab<T> {
    chunks: Vec<Box<[T]>>,
    free: Option<u32>,
    fresh: u32,
    len: usize,
}

impl<T: Entry> Slab<T> {
    /// Entries that are live.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, entry: T) -> u32 {
        self.len += 1;
        if let Some(handle) = self.free {
            let slot = self.get_mut(handle);
            let next = *slot.link();
            *slot = entry;
            self.free = (next != NONE).then_some(next);
            return handle;
        }
        let handle = self.fresh;
        if handle as usize == self.chunks.len() * CHUNK {
            self.chunks.push(vec![T::default(); CHUNK].into_boxed_slice());
        }
        self.fresh += 1;
        *self.get_mut(handle) = entry;
        handle
    }

    /// Takes an entry out. What is left in its place reads as the default.
    pub(crate) fn remove(&mut self, handle: u32) -> T {
        let free = self.free.replace(handle).unwrap_or(NONE);
        self.len -= 1;
        let slot = self.get_mut(handle);
        let entry = std::mem::take(slot);
        *slot.link() = free;
        entry
    }

    #[inline]
    pub(crate) fn get(&self, handle: u32) -> &T {
        &self.chunks[handle as usize / CHUNK][handle as usize % CHUNK]
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, handle: u32) -> &mut T {
        &mut self.chunks[handle as usize / CHUNK][handle as usize % CHUNK]
    }

    /// Every handle ever given out: the caller knows free entries by their state.
    pub(crate) fn handles(&self) -> std::ops::Range<u32> {
        0..self.fresh
    }
}
