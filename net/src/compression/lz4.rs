//! LZ4 frames, several of them in a row. Decoded here and not by a crate, because those take the memory that a frame's header
//! claims, 4 MiB and more for a few bytes; this one keeps the 64 KiB that matches can reach back to, and writes as far as there
//! is room.

use xxhash_rust::xxh32::{Xxh32, xxh32};

const MAGIC: u32 = 0x184D_2204;
/// Frames that mean nothing here: the last half-byte is free.
const SKIPPABLE: u32 = 0x184D_2A50;
/// How far back a match can reach.
const REACH: usize = 64 << 10;
/// Of what was written, so much is kept before the older half goes.
const KEPT: usize = 2 * REACH;
/// The shortest match.
const SHORTEST: usize = 4;

/// What is left to decompress of an input.
pub(super) struct Lz4<'a> {
    input: &'a [u8],
    frame: Frame,
    at: At<'a>,
    /// The end of what was written in this frame.
    history: Vec<u8>,
}

/// What the header of a frame says.
#[derive(Default)]
struct Frame {
    independent: bool,
    block_checksums: bool,
    /// Over all of the content, if there is one at the end.
    content: Option<Xxh32>,
    /// Bytes that the header declares and that have not come yet.
    missing: Option<u64>,
    /// Most bytes of a block.
    largest: usize,
}

/// Where in the input.
enum At<'a> {
    /// Before a frame.
    Frame,
    /// Before a block, or the end of the frame.
    Block,
    /// In a block; what is left of it, and how many bytes it may still become.
    Inside { block: &'a [u8], room: usize, part: Part },
}

/// What comes next in a block.
enum Part {
    /// The block is not compressed: all of it is text.
    Plain,
    Token,
    /// So many literals, and then a match, of which this is the token's part of the length.
    Literals {
        left: usize,
        then: usize,
    },
    /// So many bytes from so far back.
    Match {
        left: usize,
        offset: usize,
    },
}

impl<'a> Lz4<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Lz4 { input, frame: Frame::default(), at: At::Frame, history: Vec::new() }
    }

    /// Bytes of the input that are still to be read, but for those of the block that has begun.
    pub(super) fn left(&self) -> usize {
        self.input.len()
    }

    /// Appends to `output` within its capacity, as much as there is: whether that was all, or `None` if the data is corrupt or
    /// truncated.
    pub(super) fn step(&mut self, output: &mut Vec<u8>) -> Option<bool> {
        loop {
            match &self.at {
                At::Frame if self.input.is_empty() => return Some(true),
                At::Frame => self.begin_frame()?,
                At::Block => self.begin_block()?,
                At::Inside { .. } if output.len() == output.capacity() => return Some(false),
                At::Inside { .. } => self.write(output)?,
            }
        }
    }

    /// The next bytes of the input; `None` if there are fewer.
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.input.split_at_checked(length)?;
        self.input = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// Reads a header, or passes over a frame that means nothing; `None` if it is none.
    fn begin_frame(&mut self) -> Option<()> {
        let magic = self.number()?;
        if magic & !0xF == SKIPPABLE {
            let length = self.number()?;
            self.take(usize::try_from(length).ok()?)?;
            return Some(());
        }
        if magic != MAGIC {
            return None;
        }
        let descriptor = self.input;
        let &[flags, sizes] = self.take(2)? else { return None };
        // Version 1, nothing reserved, no dictionary: nobody has told which.
        if flags & 0b1100_0011 != 0b0100_0000 || sizes & 0b1000_1111 != 0 {
            return None;
        }
        let largest = match sizes >> 4 {
            size @ 4..=7 => 1 << (2 * size + 8),
            _ => return None,
        };
        let declares = flags & 0b1000 != 0;
        let mut missing = None;
        if declares {
            let size = self.take(8)?;
            missing = size.try_into().ok().map(u64::from_le_bytes);
        }
        let described = descriptor.get(..if declares { 10 } else { 2 })?;
        let &[checksum] = self.take(1)? else { return None };
        if (xxh32(described, 0) >> 8) & 0xFF != u32::from(checksum) {
            return None;
        }
        self.frame = Frame {
            independent: flags & 0b10_0000 != 0,
            block_checksums: flags & 0b1_0000 != 0,
            content: (flags & 0b100 != 0).then(|| Xxh32::new(0)),
            missing,
            largest,
        };
        self.history.clear();
        self.at = At::Block;
        Some(())
    }

    /// Reads the size of a block and enters it, or ends the frame.
    fn begin_block(&mut self) -> Option<()> {
        let size = self.number()?;
        if size == 0 {
            return self.end_frame();
        }
        let length = usize::try_from(size & !(1 << 31)).ok()?;
        if length > self.frame.largest {
            return None;
        }
        let block = self.take(length)?;
        if self.frame.block_checksums {
            let checksum = self.number()?;
            if xxh32(block, 0) != checksum {
                return None;
            }
        }
        if self.frame.independent {
            self.history.clear();
        }
        let part = if size & 1 << 31 != 0 { Part::Plain } else { Part::Token };
        self.at = At::Inside { block, room: self.frame.largest, part };
        Some(())
    }

    fn end_frame(&mut self) -> Option<()> {
        if self.frame.missing.is_some_and(|missing| missing > 0) {
            return None;
        }
        if let Some(content) = self.frame.content.take() {
            let checksum = self.number()?;
            if content.digest() != checksum {
                return None;
            }
        }
        self.at = At::Frame;
        Some(())
    }

    /// Goes on in a block, as far as there is room. `None` if it is corrupt.
    fn write(&mut self, output: &mut Vec<u8>) -> Option<()> {
        let At::Inside { block, part, .. } = &mut self.at else { return None };
        let free = output.capacity() - output.len();
        let from = output.len();
        match part {
            Part::Plain if block.is_empty() => self.at = At::Block,
            Part::Plain => {
                let (now, rest) = block.split_at_checked(block.len().min(free))?;
                output.extend_from_slice(now);
                *block = rest;
            }
            Part::Token => {
                let token = usize::from(byte(block)?);
                let left = length(token >> 4, block)?;
                *part = Part::Literals { left, then: token & 0xF };
            }
            Part::Literals { left: 0, .. } if block.is_empty() => self.at = At::Block,
            Part::Literals { left: 0, then } => {
                let offset = usize::from(u16::from_le_bytes([byte(block)?, byte(block)?]));
                let left = length(*then, block)?.checked_add(SHORTEST)?;
                if offset == 0 || offset > self.history.len() {
                    return None;
                }
                *part = Part::Match { left, offset };
            }
            Part::Literals { left, .. } => {
                let (now, rest) = block.split_at_checked((*left).min(free))?;
                output.extend_from_slice(now);
                *left -= now.len();
                *block = rest;
            }
            Part::Match { left: 0, .. } => *part = Part::Token,
            Part::Match { left, offset } => {
                // A match may reach into what it writes: then it is repeated.
                let now = (*left).min(free).min(*offset);
                let start = self.history.len() - *offset;
                output.extend_from_slice(self.history.get(start..start + now)?);
                *left -= now;
            }
        }
        let written = output.get(from..)?;
        if let At::Inside { room, .. } = &mut self.at {
            *room = room.checked_sub(written.len())?;
        }
        if let Some(missing) = &mut self.frame.missing {
            *missing = missing.checked_sub(written.len() as u64)?;
        }
        if let Some(content) = &mut self.frame.content {
            content.update(written);
        }
        self.remember(output, from);
        Some(())
    }

    /// Keeps what was written for the matches to come.
    fn remember(&mut self, output: &[u8], from: usize) {
        let written = output.get(from..).unwrap_or_default();
        let written = written.get(written.len().saturating_sub(REACH)..).unwrap_or_default();
        if self.history.len() + written.len() > KEPT {
            let old = self.history.len().saturating_sub(REACH);
            self.history.drain(..old);
        }
        self.history.extend_from_slice(written);
    }
}

fn byte(block: &mut &[u8]) -> Option<u8> {
    block.split_off_first().copied()
}

/// A length of which a token has the beginning: while all bits are set, the next byte adds to it.
fn length(token: usize, block: &mut &[u8]) -> Option<usize> {
    let mut length = token;
    if token == 0xF {
        loop {
            let more = byte(block)?;
            length = length.checked_add(usize::from(more))?;
            if more != u8::MAX {
                break;
            }
        }
    }
    Some(length)
}
