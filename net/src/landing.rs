//! Memory that a disk can read from, for bodies that go to one: received there, they are written without a copy in between.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// Bodies from this length on are worth it; a journal places shorter ones anywhere.
const SMALLEST: usize = 128 << 10;
/// Pages at a time. Bodies are on disk some milliseconds later; while all pages are taken, others come to the heap.
const MOST: usize = 2;

/// Memory of a fixed length, aligned as the disk wants it.
pub trait Page: AsRef<[u8]> + AsMut<[u8]> + Send + Sync {}

impl<T: AsRef<[u8]> + AsMut<[u8]> + Send + Sync> Page for T {}

/// Gives a page; `None` if there is none to be had.
pub type PageSource = fn() -> Option<Box<dyn Page>>;

/// The pages of a pool.
pub(crate) struct Pages(Arc<Shared>);

struct Shared {
    source: PageSource,
    stock: Mutex<Stock>,
}

#[derive(Default)]
struct Stock {
    idle: Vec<Box<dyn Page>>,
    taken: usize,
}

impl Shared {
    fn stock(&self) -> std::sync::MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    pub(crate) fn new(source: PageSource) -> Self {
        Pages(Arc::new(Shared { source, stock: Mutex::default() }))
    }

    /// A page for a body of `length`, if it is worth one, fits, and one is free.
    pub(crate) fn land(&self, length: usize) -> Option<Landing> {
        if length < SMALLEST {
            return None;
        }
        let mut stock = self.0.stock();
        if stock.taken == MOST {
            return None;
        }
        let page = stock.idle.pop().or_else(self.0.source)?;
        stock.taken += 1;
        drop(stock);
        let landing = Landing { page: Some(page), len: 0, shared: Arc::clone(&self.0) };
        (length <= landing.capacity()).then_some(landing)
    }

    /// Gives back to the system what is not in use.
    pub(crate) fn clear(&self) {
        self.0.stock().idle = Vec::new();
    }

    /// Bytes of the pages that are not in use.
    pub(crate) fn held_bytes(&self) -> usize {
        self.0.stock().idle.iter().map(|page| (**page).as_ref().len()).sum()
    }
}

/// A body in a page, which is free again when this is gone.
pub(crate) struct Landing {
    /// Always there until it is dropped.
    page: Option<Box<dyn Page>>,
    len: usize,
    shared: Arc<Shared>,
}

impl Landing {
    pub(crate) fn capacity(&self) -> usize {
        self.page.as_ref().map_or(0, |page| (**page).as_ref().len())
    }

    /// Takes in the next piece. The caller has seen to it that there is room.
    pub(crate) fn extend_from_slice(&mut self, data: &[u8]) {
        let behind = self.len.saturating_add(data.len());
        let room = self.page.as_mut().and_then(|page| (**page).as_mut().get_mut(self.len..behind));
        if let Some(room) = room {
            room.copy_from_slice(data);
            self.len = behind;
        }
    }
}

impl Deref for Landing {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.page.as_ref().and_then(|page| (**page).as_ref().get(..self.len)).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Landing {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut stock = self.shared.stock();
        stock.taken -= 1;
        stock.idle.extend(self.page.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_few_and_come_back() {
        let pages = Pages::new(|| Some(Box::new(vec![0; 1 << 20])));
        assert!(pages.land(SMALLEST - 1).is_none() && pages.land((1 << 20) + 1).is_none());
        let mut landing = pages.land(200_000).unwrap();
        (0..4).for_each(|piece| landing.extend_from_slice(&[piece; 50_000]));
        assert_eq!((landing.len(), landing[149_999], landing[150_000]), (200_000, 2, 3));
        let address = landing.as_ptr();
        let other = pages.land(200_000).unwrap();
        assert!(pages.land(200_000).is_none(), "all are taken");
        drop(landing);
        let again = pages.land(200_000).unwrap();
        assert!(again.is_empty() && again.as_ptr() == address);
        drop((again, other));
        assert_eq!(pages.held_bytes(), 2 << 20);
        pages.clear();
        assert_eq!(pages.held_bytes(), 0);
        assert!(Pages::new(|| None).land(200_000).is_none());
    }
}
