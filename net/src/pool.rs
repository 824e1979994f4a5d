//! Large buffers kept for the next request. Bodies come in the same few sizes over and over; handing the same pages
//! out again saves the page faults of fresh ones.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use crate::landing::{Landing, PageSource, Pages};
use crate::turns::Turns;

/// Buffers below this size are cheaper to take from the allocator.
const SMALLEST: usize = 64 << 10;
/// Kept by the usual pool, in bytes, and in one buffer.
const MOST: usize = 16 << 20;
const LARGEST: usize = 4 << 20;

/// A bounded stock of byte buffers. Clones share the stock.
#[derive(Clone)]
pub struct BufferPool {
    shelf: Arc<Shelf>,
}

struct Shelf {
    largest: usize,
    most: usize,
    stock: Mutex<Stock>,
    turns: Turns,
    pages: OnceLock<Pages>,
}

#[derive(Default)]
struct Stock {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl BufferPool {
    /// A pool that keeps at most `most` bytes, in buffers of at most `largest` bytes each.
    pub fn new(most: usize, largest: usize) -> Self {
        let (stock, pages) = (Mutex::default(), OnceLock::new());
        BufferPool { shelf: Arc::new(Shelf { largest, most, stock, turns: Turns::new(), pages }) }
    }

    /// From now on large bodies whose length is known come to pages, for a disk to read them there.
    pub fn use_pages(&self, source: PageSource) {
        self.shelf.pages.get_or_init(|| Pages::new(source));
    }

    /// A page for a body of `length`, if it is worth one and one is free.
    pub(crate) fn land(&self, length: usize) -> Option<Landing> {
        self.shelf.pages.get()?.land(length)
    }

    /// Who may inflate when. Whoever shares the buffers shares the turns.
    pub(crate) fn turns(&self) -> &Turns {
        &self.shelf.turns
    }

    /// An empty buffer with room for `size` bytes, pooled if it is worth it.
    pub(crate) fn take(&self, size: usize) -> Vec<u8> {
        if size < SMALLEST || size > self.shelf.largest {
            return Vec::with_capacity(size);
        }
        let mut stock = self.stock();
        // The tightest fit, and none that would waste more than three quarters of itself.
        let fit = stock
            .buffers
            .iter()
            .enumerate()
            .filter(|(_, buffer)| (size..=size.saturating_mul(4)).contains(&buffer.capacity()))
            .min_by_key(|(_, buffer)| buffer.capacity())
            .map(|(index, _)| index);
        match fit {
            Some(index) => {
                let buffer = stock.buffers.swap_remove(index);
                stock.bytes -= buffer.capacity();
                buffer
            }
            None => {
                drop(stock);
                Vec::with_capacity(size)
            }
        }
    }

    /// Seals `buffer`; its memory comes back here when the last clone of the result is gone.
    pub(crate) fn seal(&self, buffer: Vec<u8>) -> Bytes {
        if buffer.capacity() < SMALLEST || buffer.capacity() > self.shelf.largest {
            return Bytes::from(buffer);
        }
        Bytes::from_owner(Pooled { buffer, shelf: Arc::clone(&self.shelf) })
    }

    /// Gives all kept buffers back to the allocator (memory is short, or nothing has arrived for a while).
    pub fn clear(&self) {
        *self.stock() = Stock::default();
        if let Some(pages) = self.shelf.pages.get() {
            pages.clear();
        }
    }

    /// Bytes now kept for reuse.
    pub fn held_bytes(&self) -> usize {
        self.stock().bytes + self.shelf.pages.get().map_or(0, Pages::held_bytes)
    }

    fn stock(&self) -> std::sync::MutexGuard<'_, Stock> {
        self.shelf.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for BufferPool {
    /// 16 MiB at most, in buffers of at most 4 MiB.
    fn default() -> Self {
        BufferPool::new(MOST, LARGEST)
    }
}

struct Pooled {
    buffer: Vec<u8>,
    shelf: Arc<Shelf>,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut stock = self.shelf.stock.lock().unwrap_or_else(PoisonError::into_inner);
        if stock.bytes + buffer.capacity() <= self.shelf.most {
            stock.bytes += buffer.capacity();
            stock.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_handed_out_again() {
        let pool = BufferPool::default();
        let mut buffer = pool.take(200_000);
        buffer.extend_from_slice(&[1; 200_000]);
        let address = buffer.as_ptr();
        let sealed = pool.seal(buffer);
        let clone = sealed.slice(5..);
        drop(sealed);
        assert_eq!(pool.held_bytes(), 0, "a clone still uses it");
        drop(clone);
        assert_eq!(pool.held_bytes(), 200_000);
        let again = pool.take(150_000);
        assert_eq!(again.as_ptr(), address);
        assert!(again.is_empty());
        assert_eq!(pool.held_bytes(), 0);
    }

    #[test]
    fn the_stock_stays_within_its_bound_and_wastes_little() {
        let pool = BufferPool::new(1 << 20, 512 << 10);
        let buffers: Vec<_> = (0..10).map(|_| pool.seal(vec![0; 300 << 10])).collect();
        drop(buffers);
        assert_eq!(pool.held_bytes(), 900 << 10);
        assert!(pool.take(64 << 10).capacity() < 300 << 10, "a small body does not pin a buffer five times its size");
        drop(pool.seal(vec![0; 600 << 10]));
        assert_eq!(pool.held_bytes(), 900 << 10, "buffers over the largest size are not kept");
        pool.clear();
        assert_eq!(pool.held_bytes(), 0);
    }
}
