//! Memory that a disk reads from, in one huge page if the system gives one.
//!
//! A write past the page cache looks up each of its pages, and tells the disk where each of them is. Of a huge page there is
//! only one: for 420 KB that is a quarter of what the write costs.

use memmap2::{Advice, MmapMut, MmapOptions};
use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

/// Size of a huge page, and of the memory.
pub(super) const LEN: usize = 2 << 20;

/// Memory of 2 MiB at a multiple of that, in one huge page if the system gives one. A payload that begins where this does is
/// written from here, without a copy.
#[derive(Debug)]
pub struct DiskPage {
    /// Twice the memory, of which only the aligned part is ever touched.
    map: MmapMut,
    start: usize,
}

impl DiskPage {
    /// Takes it from the system. `None` if that gives none.
    pub fn new() -> Option<Self> {
        let mut map = MmapOptions::new().len(2 * LEN).map_anon().ok()?;
        let start = map.as_ptr().align_offset(LEN);
        // Only advice: where it is not taken, there are more pages and the rest is the same.
        let _ = map.advise(Advice::HugePage);
        // Allocators turn huge pages off for a whole process, and what counts is when a page is touched for the first time.
        let off = transparent_huge_pages_are_disabled() == Ok(true) && disable_transparent_huge_pages(false).is_ok();
        let first = map.get_mut(start).map(|first| *first = 1);
        if off {
            let _ = disable_transparent_huge_pages(true);
        }
        first.map(|()| DiskPage { map, start })
    }
}

impl AsRef<[u8]> for DiskPage {
    fn as_ref(&self) -> &[u8] {
        &self.map[self.start..self.start + LEN]
    }
}

impl AsMut<[u8]> for DiskPage {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.start..self.start + LEN]
    }
}

/// One, taken at the first use.
#[derive(Debug, Default)]
pub(super) struct Pages(Option<DiskPage>);

impl Pages {
    /// The memory. `None` if the system gives none.
    pub(super) fn get(&mut self) -> Option<&mut [u8]> {
        if self.0.is_none() {
            self.0 = DiskPage::new();
        }
        self.0.as_mut().map(DiskPage::as_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_aligned_whole_and_kept() {
        let mut pages = Pages::default();
        let memory = pages.get().unwrap();
        assert_eq!((memory.len(), memory.as_ptr() as usize % LEN), (LEN, 0));
        memory[LEN - 1] = 7;
        assert_eq!(pages.get().unwrap()[LEN - 1], 7);
    }
}
