//! The decoders of all encodings behind one call.

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{InBuffer, OutBuffer};

use super::lent::Lent;
use super::lz4::Lz4;
use super::snappy::Snappy;
use super::{DecompressError, Encoding};

/// Every gzip member costs a fresh inflater; more of them than this is an attack, not a concatenation.
const GZIP_MEMBERS: usize = 4096;

pub(super) enum Codec<'a> {
    Inflate { inflate: Box<Decompress>, members: usize },
    Zstd(Lent),
    Snappy(Snappy<'a>),
    Lz4(Box<Lz4<'a>>),
}

impl<'a> Codec<'a> {
    /// At the beginning of `input`. Snappy and LZ4 keep it; the others are given it step by step.
    pub(super) fn new(encoding: Encoding, input: &'a [u8]) -> Result<Self, DecompressError> {
        let malformed = |reason| DecompressError::Malformed { encoding, reason };
        Ok(match encoding {
            Encoding::Gzip => Codec::Inflate { inflate: Box::new(Decompress::new_gzip(15)), members: 1 },
            Encoding::Deflate => Codec::Inflate { inflate: Box::new(Decompress::new(true)), members: 1 },
            Encoding::Zstd => Codec::Zstd(Lent::default()),
            Encoding::Lz4 => Codec::Lz4(Box::new(Lz4::new(input))),
            Encoding::Snappy => Codec::Snappy(Snappy::new(input).ok_or_else(|| malformed("not a block or a stream"))?),
        })
    }

    /// The size of the output, where the input declares it.
    pub(super) fn declared(&self) -> Option<usize> {
        match self {
            Codec::Snappy(snappy) => snappy.declared(),
            Codec::Inflate { .. } | Codec::Zstd(_) | Codec::Lz4(_) => None,
        }
    }

    /// One call of the library, with the input that is left and the room that `output` has: how much of it was read, and
    /// whether a member or frame has ended.
    pub(super) fn step(
        &mut self,
        encoding: Encoding,
        rest: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(usize, bool), DecompressError> {
        match self {
            Codec::Inflate { inflate, .. } => {
                let before = inflate.total_in();
                let status = inflate
                    .decompress_vec(rest, output, FlushDecompress::None)
                    .map_err(|_| DecompressError::Malformed { encoding, reason: "corrupt stream" })?;
                let read = usize::try_from(inflate.total_in() - before).unwrap_or(usize::MAX);
                Ok((read, status == Status::StreamEnd))
            }
            Codec::Zstd(decoder) => {
                let filled = output.len();
                let mut from = InBuffer::around(rest);
                let mut to = OutBuffer::around_pos(output, filled);
                let hint = decoder.run(&mut from, &mut to).map_err(|_| DecompressError::Malformed {
                    encoding,
                    reason: "corrupt frame or window over 8 MiB",
                })?;
                Ok((from.pos(), hint == 0))
            }
            Codec::Snappy(snappy) => {
                let corrupt = DecompressError::Malformed { encoding, reason: "corrupt block or frame" };
                let ended = snappy.step(output).ok_or(corrupt)?;
                Ok((if ended { rest.len() } else { 0 }, ended))
            }
            Codec::Lz4(frames) => {
                let corrupt = DecompressError::Malformed { encoding, reason: "corrupt or truncated frame" };
                let ended = frames.step(output).ok_or(corrupt)?;
                Ok((rest.len() - frames.left(), ended))
            }
        }
    }

    /// Prepares for what follows a member or frame.
    pub(super) fn next_member(&mut self, encoding: Encoding) -> Result<(), DecompressError> {
        let malformed = |reason| Err(DecompressError::Malformed { encoding, reason });
        match self {
            Codec::Inflate { members, .. } if encoding == Encoding::Gzip && *members < GZIP_MEMBERS => {
                let members = *members + 1;
                *self = Codec::Inflate { inflate: Box::new(Decompress::new_gzip(15)), members };
                Ok(())
            }
            Codec::Inflate { .. } if encoding == Encoding::Gzip => malformed("too many members"),
            Codec::Inflate { .. } => malformed("data after the end of the stream"),
            Codec::Snappy(_) | Codec::Lz4(_) => Ok(()), // takes all of the input
            Codec::Zstd(_) => Ok(()),                   // the decoder starts the next frame by itself
        }
    }
}
