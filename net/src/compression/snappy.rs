//! Snappy: one block, whose length is declared, or a stream of frames of at most 64 KiB each.

use std::io::Read;

/// The chunk that every framed stream begins with.
const STREAM_IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// Most output of a frame.
const FRAME: usize = 64 << 10;

/// What is left to decompress of an input.
pub(super) enum Snappy<'a> {
    /// A block of so many bytes.
    Block {
        input: &'a [u8],
        length: usize,
    },
    Frames(Box<snap::read::FrameDecoder<&'a [u8]>>),
}

impl<'a> Snappy<'a> {
    /// Looks at the first bytes; `None` for what is neither.
    pub(super) fn new(input: &'a [u8]) -> Option<Self> {
        if input.starts_with(STREAM_IDENTIFIER) {
            return Some(Snappy::Frames(Box::new(snap::read::FrameDecoder::new(input))));
        }
        // A declared length is believed as a bound only.
        snap::raw::decompress_len(input).ok().map(|length| Snappy::Block { input, length })
    }

    /// The output that the input declares.
    pub(super) fn declared(&self) -> Option<usize> {
        match self {
            Snappy::Block { length, .. } => Some(*length),
            Snappy::Frames(_) => None,
        }
    }

    /// Appends to `output` within its capacity: whether that was all, or `None` if the data is corrupt. A block needs room
    /// for all of it.
    pub(super) fn step(&mut self, output: &mut Vec<u8>) -> Option<bool> {
        let filled = output.len();
        match self {
            Snappy::Block { input, length } => {
                output.resize(filled + *length, 0);
                let written = snap::raw::Decoder::new().decompress(input, output.get_mut(filled..)?).ok()?;
                output.truncate(filled + written);
                Some(true)
            }
            Snappy::Frames(frames) => {
                output.resize(output.capacity().min(filled + FRAME), 0);
                let read = frames.read(output.get_mut(filled..)?);
                output.truncate(filled + *read.as_ref().ok()?);
                Some(read.ok()? == 0)
            }
        }
    }
}
