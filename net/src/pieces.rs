//! A message in several pieces, sent one behind the other without being copied together.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Bytes in pieces. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Pieces {
    first: Bytes,
    /// None of them empty.
    more: VecDeque<Bytes>,
    len: usize,
}

impl Pieces {
    /// All bytes together.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl From<Bytes> for Pieces {
    fn from(first: Bytes) -> Self {
        Pieces { len: first.len(), first, more: VecDeque::new() }
    }
}

impl FromIterator<Bytes> for Pieces {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
        let first = pieces.next().unwrap_or_default();
        let more: VecDeque<Bytes> = pieces.collect();
        let len = first.len() + more.iter().map(Bytes::len).sum::<usize>();
        Pieces { first, more, len }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        &self.first
    }

    /// # Panics
    /// As the trait says: for more than what remains.
    fn advance(&mut self, mut count: usize) {
        while count >= self.first.len()
            && let Some(next) = self.more.pop_front()
        {
            count -= self.first.len();
            self.len -= self.first.len();
            self.first = next;
        }
        self.first.advance(count);
        self.len -= count;
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        let pieces = std::iter::once(&self.first).chain(&self.more).filter(|piece| !piece.is_empty());
        let mut filled = 0;
        for (slot, piece) in dst.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(texts: &[&'static str]) -> Pieces {
        texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
    }

    #[test]
    fn they_read_as_one_whatever_the_step() {
        for texts in [&["", "one", "", "two", "three"][..], &["onetwothree"], &["o", "n", "etwothree", ""]] {
            for step in 1..12 {
                let mut left = pieces(texts);
                let mut read = Vec::new();
                while left.has_remaining() {
                    let mut slots = [IoSlice::new(&[]); 8];
                    let filled = left.chunks_vectored(&mut slots);
                    let shown: usize = slots[..filled].iter().map(|slot| slot.len()).sum();
                    assert_eq!((shown, left.remaining()), (left.len(), left.len()));
                    let taken = left.chunk().len().min(step);
                    assert!(taken > 0);
                    read.extend_from_slice(&left.chunk()[..taken]);
                    left.advance(taken);
                }
                assert_eq!(read, b"onetwothree");
            }
            let mut left = pieces(texts);
            left.advance(4);
            assert_eq!(left.copy_to_bytes(7), "wothree");
            assert!(left.is_empty() && left.chunk().is_empty());
        }
        assert!(pieces(&["", ""]).is_empty());
    }
}
