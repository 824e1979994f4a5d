//! Hash index of a slab: finds handles by the key that the entry itself holds.
//!
//! Many small tables that grow alone, instead of one: growing rehashes one part in 256, and nothing ever stops for the whole.

use hashbrown::HashTable;

/// Parts, by the highest bits that the tables do not use for their control bytes.
const PARTS: usize = 256;

/// Handles by hash. Keys stay in the entries: the caller compares and rehashes.
pub(crate) struct HandleIndex {
    parts: Box<[HashTable<u32>]>,
    len: usize,
    allocated: usize,
}

impl Default for HandleIndex {
    fn default() -> Self {
        HandleIndex { parts: (0..PARTS).map(|_| HashTable::new()).collect(), len: 0, allocated: 0 }
    }
}

impl HandleIndex {
    #[inline]
    fn part(hash: u64) -> usize {
        (hash >> 40) as usize % PARTS
    }

    pub(crate) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.parts[Self::part(hash)].find(hash, |&handle| is(handle)).copied()
    }

    /// Reads what finding an entry of this hash reads of the table, so that it is in the cache then. The result means nothing.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) -> u32 {
        let mut read = 0;
        let _ = self.parts[Self::part(hash)].find(hash, |&handle| {
            read ^= handle;
            false
        });
        read
    }

    /// Adds a handle whose key is not there. `rehash` gives the hash of the entry under a handle.
    pub(crate) fn insert(&mut self, hash: u64, handle: u32, rehash: impl Fn(u32) -> u64) {
        let part = &mut self.parts[Self::part(hash)];
        let grows = (part.len() == part.capacity()).then(|| part.allocation_size());
        part.insert_unique(hash, handle, |&handle| rehash(handle));
        if let Some(before) = grows {
            self.allocated += part.allocation_size() - before;
        }
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, hash: u64, handle: u32) {
        let part = &mut self.parts[Self::part(hash)];
        if let Ok(entry) = part.find_entry(hash, |&known| known == handle) {
            entry.remove();
            self.len -= 1;
        }
    }

    /// Entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Gives back what a burst has left, part by part when called again and again.
    pub(crate) fn trim(&mut self, round: usize, rehash: impl Fn(u32) -> u64) {
        let part = &mut self.parts[round % PARTS];
        if part.capacity() > 64 && part.len() * 4 < part.capacity() {
            let before = part.allocation_size();
            part.shrink_to(part.len() * 2, |&handle| rehash(handle));
            self.allocated -= before - part.allocation_size();
        }
    }

    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.allocated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_is_accounted() {
        let mut index = HandleIndex::default();
        let hash = |handle: u32| u64::from(handle).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for handle in 0..400_000 {
            index.insert(hash(handle), handle, hash);
        }
        let allocated = |index: &HandleIndex| index.parts.iter().map(HashTable::allocation_size).sum::<usize>();
        assert_eq!(index.bytes(), allocated(&index));
        // A table is never less than 7/16 full when it has grown.
        assert!(index.bytes() <= 400_000 * 12, "{}", index.bytes());
        assert!((0..400_000).all(|handle| index.find(hash(handle), |it| it == handle) == Some(handle)));
        (0..399_000).for_each(|handle| index.remove(hash(handle), handle));
        let full = index.bytes();
        (0..PARTS).for_each(|part| index.trim(part, hash));
        assert_eq!(index.bytes(), allocated(&index));
        assert!(index.bytes() < full / 10);
        assert_eq!((index.len(), index.find(hash(399_999), |it| it == 399_999)), (1_000, Some(399_999)));
    }
}
