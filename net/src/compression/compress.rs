use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

use super::Encoding;
use crate::Error;

/// Levels used when none is configured: fast ones (`transport.md`: gzip 6 costs 2.4 times gzip 1).
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;

/// zstd contexts cost some 100 KiB to set up, so a few are kept.
static ZSTD: Mutex<Vec<zstd::bulk::Compressor<'static>>> = Mutex::new(Vec::new());
const ZSTD_KEPT: usize = 8;

/// Compresses `input` whole. `level` is the algorithm's own scale; out of range counts as the nearest valid one.
///
/// # Errors
/// Only when the compressor cannot get memory.
pub fn compress(encoding: Encoding, level: Option<i32>, input: &[u8]) -> Result<Bytes, Error> {
    let deflate_level =
        || Compression::new(level.map_or(GZIP_LEVEL, |level| u32::try_from(level.clamp(0, 9)).unwrap_or(GZIP_LEVEL)));
    let out = || Vec::with_capacity(input.len() / 3 + 64);
    let compressed = match encoding {
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(out(), deflate_level());
            encoder.write_all(input).and_then(|()| encoder.finish())
        }
        Encoding::Deflate => {
            let mut encoder = ZlibEncoder::new(out(), deflate_level());
            encoder.write_all(input).and_then(|()| encoder.finish())
        }
        Encoding::Zstd => zstd(level.unwrap_or(ZSTD_LEVEL), input),
        Encoding::Snappy => {
            let mut encoder = snap::write::FrameEncoder::new(out());
            encoder
                .write_all(input)
                .and_then(|()| encoder.into_inner().map_err(|error| io::Error::other(error.to_string())))
        }
        Encoding::Lz4 => lz4(input, out()),
    };
    compressed.map(Bytes::from).map_err(Error::Compress)
}

/// One frame of independent blocks, which every reader knows, with a checksum.
fn lz4(input: &[u8], out: Vec<u8>) -> io::Result<Vec<u8>> {
    let info = FrameInfo::new().block_size(BlockSize::Max256KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info.content_checksum(true), out);
    encoder.write_all(input)?;
    encoder.finish().map_err(io::Error::other)
}

fn zstd(level: i32, input: &[u8]) -> io::Result<Vec<u8>> {
    // Above 19 the window outgrows what receivers accept (8 MiB).
    let level = level.clamp(-7, 19);
    let kept = ZSTD.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut compressor = match kept {
        Some(mut compressor) => {
            compressor.set_compression_level(level)?;
            compressor
        }
        None => {
            let mut compressor = zstd::bulk::Compressor::new(level)?;
            compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
            compressor
        }
    };
    let compressed = compressor.compress(input)?;
    let mut kept = ZSTD.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() < ZSTD_KEPT {
        kept.push(compressor);
    }
    Ok(compressed)
}
