//! The error arena: the first error that a span's logs told of, in a ring of 16 MiB. What is overwritten reads as nothing.

const CAPACITY: usize = 16 << 20;

/// Positions are counted in blocks, so that they fit into a span's entry.
const BLOCK: usize = 16;

/// Longest text that is kept of each part.
pub(crate) const MAX_TEXT: usize = 256;

/// No error.
pub(crate) const NO_ERROR: u32 = 0;

/// What is kept of an error: body, exception type, exception message.
pub(crate) type Parts<'a> = [&'a [u8]; 3];

#[derive(Default)]
pub(crate) struct ErrorArena {
    ring: Vec<u8>,
    /// Blocks written since the start; the first one is number 1.
    written: u32,
}

/// The longest prefix of at most `limit` bytes that does not cut a character.
pub(crate) fn prefix(text: &[u8], limit: usize) -> &[u8] {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while end > 0 && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &text[..end]
}

impl ErrorArena {
    /// Keeps an error.
    pub(crate) fn push(&mut self, parts: Parts<'_>) -> u32 {
        let mut record = Vec::with_capacity(64);
        for part in parts {
            let part = prefix(part, MAX_TEXT);
            record.extend_from_slice(&(part.len() as u16).to_le_bytes());
            record.extend_from_slice(part);
        }
        record.resize(record.len().next_multiple_of(BLOCK), 0);
        let blocks = record.len() / BLOCK;
        let mut at = self.written as usize % (CAPACITY / BLOCK);
        if at + blocks > CAPACITY / BLOCK {
            // A record does not wrap around.
            self.written = self.written.wrapping_add((CAPACITY / BLOCK - at) as u32);
            at = 0;
        }
        let from = at * BLOCK;
        let end = from + record.len();
        if self.ring.capacity() < end {
            let wanted = (self.ring.capacity() * 2).clamp(end, CAPACITY);
            self.ring.reserve_exact(wanted - self.ring.len());
        }
        if self.ring.len() < end {
            self.ring.resize(end, 0);
        }
        self.ring[from..end].copy_from_slice(&record);
        let number = self.written.wrapping_add(1);
        self.written = self.written.wrapping_add(blocks as u32);
        // After 64 GiB of errors the number that means none is skipped.
        if number == NO_ERROR { 1 } else { number }
    }

    /// What was kept; nothing if it has been overwritten since.
    pub(crate) fn get(&self, number: u32) -> Option<Parts<'_>> {
        if number == NO_ERROR || self.written.wrapping_sub(number) as usize >= CAPACITY / BLOCK {
            return None;
        }
        let mut rest = self.ring.get((number as usize - 1) % (CAPACITY / BLOCK) * BLOCK..)?;
        let mut parts = [&[][..]; 3];
        for part in &mut parts {
            let (len, behind) = rest.split_first_chunk::<2>()?;
            (*part, rest) = behind.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
        }
        Some(parts)
    }

    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.ring.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_takes_what_is_in_it_and_never_more_than_its_bound() {
        let mut arena = ErrorArena::default();
        let text = [b'x'; 100];
        for pushed in 1..=100 {
            arena.push([&text, b"", b""]);
            assert!(arena.bytes() <= 2 * 112 * pushed, "{} for {pushed}", arena.bytes());
        }
        for _ in 0..200_000 {
            arena.push([&text, b"", b""]);
        }
        assert_eq!(arena.bytes(), CAPACITY);
    }

    #[test]
    fn an_error_is_kept_until_the_ring_comes_round() {
        let mut arena = ErrorArena::default();
        let first = arena.push([b"boom", b"IOError", b""]);
        assert_eq!(arena.get(first), Some([&b"boom"[..], b"IOError", b""]));
        let long = arena.push(["ä".repeat(200).as_bytes(), b"", b""]);
        assert_eq!(arena.get(long).unwrap()[0].len(), 256);
        let odd = ["x", &"ä".repeat(200)].concat();
        let odd = arena.push([odd.as_bytes(), b"", b""]);
        assert_eq!(arena.get(odd).unwrap()[0].len(), 255, "no character is cut");
        let mut last = 0;
        for n in 0..CAPACITY as u32 / 48 + 10 {
            last = arena.push([&[n as u8; 40], b"", b""]);
        }
        assert_eq!(arena.get(first), None);
        assert!(arena.get(last).is_some());
        assert!(arena.bytes() <= CAPACITY);
    }
}
