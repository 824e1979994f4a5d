//! A body as it grows. Memory is promised in proportion to what has come and not to what was announced: a peer that announces
//! much and sends little would otherwise keep the room of those who send.

use std::ops::Deref;

use bytes::Bytes;

use super::{Memory, ReadError, Received};
use crate::compression::{Beginning, DecompressError, Encoding, look};
use crate::landing::Landing;
use crate::pool::BufferPool;
use crate::reserve::Reservation;
use crate::turns::Unseen;

/// Promised before anything has come. A connection may open a hundred streams with some bytes each.
const FIRST: usize = 4 << 10;
/// Promised for each byte that has come, where it is known how many will come and where it is not.
const AHEAD: usize = 4;
const AHEAD_UNKNOWN: usize = 2;
/// A buffer of an announced length up to this is taken whole: until it is written to it is no memory. Bodies of unknown
/// length are kept in pieces of this until they have ended: most that are too long never do.
const WHOLE: usize = 1 << 20;
/// Up to this a buffer has room for little more than what came: many that begin like that are sent by the byte.
const LITTLE: usize = 1 << 10;
/// So much of a compressed body is never looked at before it is whole.
const SMALL: usize = 32 << 10;

/// Where bytes come together.
enum Buffer {
    Heap(Vec<u8>),
    Page(Landing),
}

impl Buffer {
    fn capacity(&self) -> usize {
        match self {
            Buffer::Heap(buffer) => buffer.capacity(),
            Buffer::Page(landing) => landing.capacity(),
        }
    }

    fn extend_from_slice(&mut self, data: &[u8]) {
        match self {
            Buffer::Heap(buffer) => buffer.extend_from_slice(data),
            Buffer::Page(landing) => landing.extend_from_slice(data),
        }
    }

    fn move_to(&mut self, mut larger: Buffer, pool: &BufferPool) {
        larger.extend_from_slice(self);
        drop(std::mem::replace(self, larger).seal(pool));
    }

    fn seal(self, pool: &BufferPool) -> Bytes {
        match self {
            Buffer::Heap(buffer) => pool.seal(buffer),
            Buffer::Page(landing) => Bytes::from_owner(landing),
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Buffer::Heap(buffer) => buffer,
            Buffer::Page(landing) => landing,
        }
    }
}

pub(super) struct Growing<'a> {
    memory: &'a Memory<'a>,
    reservation: Box<dyn Reservation>,
    /// What came before `buffer`, and how much that is.
    pieces: Vec<Bytes>,
    in_pieces: usize,
    buffer: Buffer,
    /// The body is no longer than this.
    most: usize,
    announced: bool,
    /// How it is compressed.
    encoding: Option<Encoding>,
    /// Up to this length nobody has to look at it, or has.
    seen: usize,
    unseen: Unseen,
}

impl<'a> Growing<'a> {
    /// Promises the first bytes of a body of which `come` are there. `announced` is its length, within the limit, and
    /// `encoding` how it is compressed.
    pub(super) async fn begin(
        memory: &'a Memory<'a>,
        announced: Option<usize>,
        encoding: Option<Encoding>,
        come: usize,
    ) -> Result<Growing<'a>, ReadError> {
        let most = announced.unwrap_or(memory.max_bytes);
        let first = come.saturating_mul(AHEAD).max(FIRST).min(most);
        let reservation = memory.reserve.reserve(first).await.map_err(ReadError::Exhausted)?;
        Ok(Growing {
            memory,
            reservation,
            pieces: Vec::new(),
            in_pieces: 0,
            buffer: Buffer::Heap(Vec::new()),
            most,
            announced: announced.is_some(),
            encoding,
            seen: SMALL,
            unseen: Unseen::none(memory.pool),
        })
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

    /// Sees to it that no more is kept of compressed bodies than may be before somebody has looked at what they become
    /// (`security.md` A1). `data` has come and is not taken in yet.
    ///
    /// Looking costs as much as decompressing, so it waits until there is too much that nobody has looked at; and as the
    /// decoder is not kept, it comes again only when the body has doubled.
    pub(super) async fn see(&mut self, data: &[u8]) -> Result<(), ReadError> {
        let Some(encoding) = self.encoding else { return Ok(()) };
        let come = self.len().saturating_add(data.len());
        if come <= self.seen || self.unseen.grow_to(come - self.seen) {
            return Ok(());
        }
        let pieces: Vec<&[u8]> = self.pieces.iter().map(|piece| &piece[..]).chain([&self.buffer[..], data]).collect();
        let announced = self.announced.then_some(self.most);
        // Where nothing is announced, as much as the windows of HTTP/2 let through.
        let holds = announced.unwrap_or(come.saturating_mul(2).max(WHOLE));
        let beginning = Beginning { encoding, pieces: &pieces, announced, holds };
        look(beginning, &self.memory.decompress, self.memory.pool).await.map_err(|error| match error {
            DecompressError::TooLarge { limit } => ReadError::Inflates { limit },
            DecompressError::Ratio { limit } => ReadError::Inflates { limit: limit.saturating_mul(self.most) },
            DecompressError::Malformed { reason, .. } => ReadError::Corrupt(reason),
            DecompressError::Exhausted(exhausted) => ReadError::Exhausted(exhausted),
        })?;
        self.unseen.clear();
        self.seen = come.saturating_mul(2);
        Ok(())
    }

    /// Takes in the next piece. The caller has seen to it that the body stays within its limit.
    pub(super) async fn push(&mut self, data: &[u8]) -> Result<(), ReadError> {
        self.see(data).await?;
        let come = self.len().saturating_add(data.len());
        self.promise(come).await?;
        let held = self.buffer.len().saturating_add(data.len());
        if held > self.buffer.capacity() {
            let pool = &self.memory.pool;
            if held <= LITTLE {
                // It may never be more.
                self.buffer.move_to(Buffer::Heap(Vec::with_capacity(held.next_power_of_two())), pool);
            } else if !self.announced && held > WHOLE {
                let full = std::mem::replace(&mut self.buffer, Buffer::Heap(pool.take(WHOLE.max(data.len()))));
                self.in_pieces += full.len();
                self.pieces.push(full.seal(pool));
            } else {
                // Most of what is compressed is small, and of the rest some is refused before it is whole.
                let is_taken_whole = self.announced && self.encoding.is_none();
                let whole = if is_taken_whole { self.most.min(WHOLE) } else { 0 };
                let size = if self.announced { self.reservation.bytes() } else { self.reservation.bytes().min(WHOLE) };
                let landing = if is_taken_whole { pool.land(self.most) } else { None };
                let heap = || Buffer::Heap(pool.take(size.max(held).max(whole)));
                self.buffer.move_to(landing.map_or_else(heap, Buffer::Page), pool);
            }
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    /// What came, and the memory promised for it.
    pub(super) fn finish(mut self) -> Received {
        let length = self.len();
        if !self.pieces.is_empty() {
            let mut whole = self.memory.pool.take(length);
            // Each piece goes as soon as it is copied.
            self.pieces.drain(..).for_each(|piece| whole.extend_from_slice(&piece));
            whole.extend_from_slice(&self.buffer);
            self.buffer = Buffer::Heap(whole);
        }
        self.reservation.shrink_to(length);
        let bytes = self.buffer.seal(self.memory.pool);
        Received { bytes, reservation: self.reservation, unseen: self.unseen }
    }

    /// The same of a body that is kept in the piece in which it came.
    pub(super) fn finish_with(self, bytes: Bytes) -> Received {
        Received { bytes, reservation: self.reservation, unseen: self.unseen }
    }
}
