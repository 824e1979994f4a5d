//! A body as it grows. Memory is promised in proportion to what has come and not to what was announced: a peer that announces
//! much and sends little would otherwise keep the room of those who send.

use bytes::Bytes;

use super::{Memory, ReadError};
use crate::reserve::Reservation;

/// Promised before anything has come. A connection may open a hundred streams with some bytes each.
const FIRST: usize = 4 << 10;
/// Promised for each byte that has come, where it is known how many will come and where it is not.
const AHEAD: usize = 4;
const AHEAD_UNKNOWN: usize = 2;
/// A buffer of an announced length up to this is taken whole: until it is written to it is no memory. Bodies of unknown
/// length are kept in pieces of this until they have ended: most that are too long never do.
const WHOLE: usize = 1 << 20;

pub(super) struct Growing<'a> {
    memory: &'a Memory<'a>,
    reservation: Box<dyn Reservation>,
    /// What came before `buffer`, and how much that is.
    pieces: Vec<Bytes>,
    in_pieces: usize,
    buffer: Vec<u8>,
    /// The body is no longer than this.
    most: usize,
    announced: bool,
}

impl<'a> Growing<'a> {
    /// Promises the first bytes of a body of which `come` are there. `announced` is its length, within the limit.
    pub(super) async fn begin(
        memory: &'a Memory<'a>,
        announced: Option<usize>,
        come: usize,
    ) -> Result<Growing<'a>, ReadError> {
        let most = announced.unwrap_or(memory.max_bytes);
        let first = come.saturating_mul(AHEAD).max(FIRST).min(most);
        let reservation = memory.reserve.reserve(first).await.map_err(ReadError::Exhausted)?;
        let announced = announced.is_some();
        Ok(Growing { memory, reservation, pieces: Vec::new(), in_pieces: 0, buffer: Vec::new(), most, announced })
    }

    /// Bytes that were taken in.
    pub(super) fn len(&self) -> usize {
        self.in_pieces + self.buffer.len()
    }

    /// Promises that `come` bytes are kept.
    pub(super) async fn promise(&mut self, come: usize) -> Result<(), ReadError> {
        let promised = self.reservation.bytes();
        if come <= promised {
            return Ok(());
        }
        let times = if self.announced { AHEAD } else { AHEAD_UNKNOWN };
        let more = come.saturating_mul(times).max(FIRST).min(self.most).max(come) - promised;
        self.reservation.grow(more).await.map_err(ReadError::Exhausted)
    }

    /// Takes in the next piece. The caller has seen to it that the body stays within its limit.
    pub(super) async fn push(&mut self, data: &[u8]) -> Result<(), ReadError> {
        let come = self.len().saturating_add(data.len());
        self.promise(come).await?;
        let held = self.buffer.len().saturating_add(data.len());
        if held > self.buffer.capacity() {
            let pool = &self.memory.pool;
            if !self.announced && held > WHOLE {
                let full = std::mem::replace(&mut self.buffer, pool.take(WHOLE.max(data.len())));
                self.in_pieces += full.len();
                self.pieces.push(pool.seal(full));
            } else {
                let whole = if self.announced { self.most.min(WHOLE) } else { 0 };
                let size = if self.announced { self.reservation.bytes() } else { self.reservation.bytes().min(WHOLE) };
                let mut larger = pool.take(size.max(held).max(whole));
                larger.extend_from_slice(&self.buffer);
                drop(pool.seal(std::mem::replace(&mut self.buffer, larger)));
            }
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    /// What came, and the memory promised for it.
    pub(super) fn finish(mut self) -> (Bytes, Box<dyn Reservation>) {
        let length = self.len();
        if !self.pieces.is_empty() {
            let mut whole = self.memory.pool.take(length);
            // Each piece goes as soon as it is copied.
            self.pieces.drain(..).for_each(|piece| whole.extend_from_slice(&piece));
            whole.extend_from_slice(&self.buffer);
            self.buffer = whole;
        }
        self.reservation.shrink_to(length);
        (self.memory.pool.seal(self.buffer), self.reservation)
    }

    /// The memory promised for a body that is kept in the piece in which it came.
    pub(super) fn into_reservation(self) -> Box<dyn Reservation> {
        self.reservation
    }
}
