//! Memory that a disk reads from, in one huge page if the system gives one.
//!
//! A write past the page cache looks up each of its pages, and tells the disk where each of them is. Of a huge page there is
//! only one: for 420 KB that is a quarter of what the write costs.

use memmap2::{Advice, MmapMut, MmapOptions};
use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

/// Size of a huge page, and of the memory.
pub(super) const LEN: usize = 2 << 20;

/// Memory of [`LEN`] bytes at a multiple of that. Taken from the system at the first use.
#[derive(Debug, Default)]
pub(super) struct Pages {
    map: Option<MmapMut>,
}

impl Pages {
    /// The memory. `None` if the system gives none.
    pub(super) fn get(&mut self) -> Option<&mut [u8]> {
        if self.map.is_none() {
            self.map = Some(touched()?);
        }
        let map = self.map.as_mut()?;
        let start = map.as_ptr().align_offset(LEN);
        map.get_mut(start..start.checked_add(LEN)?)
    }
}

/// Twice the memory, of which only the aligned part is ever touched.
fn touched() -> Option<MmapMut> {
    let mut map = MmapOptions::new().len(2 * LEN).map_anon().ok()?;
    let start = map.as_ptr().align_offset(LEN);
    // Only advice: where it is not taken, there are more pages and the rest is the same.
    let _ = map.advise(Advice::HugePage);
    // Allocators turn huge pages off for a whole process, and what counts is when a page is touched for the first time.
    let off = transparent_huge_pages_are_disabled() == Ok(true) && disable_transparent_huge_pages(false).is_ok();
    if let Some(first) = map.get_mut(start) {
        *first = 1;
    }
    if off {
        let _ = disable_transparent_huge_pages(true);
    }
    Some(map)
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
