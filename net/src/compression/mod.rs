//! gzip, zstd, deflate, snappy and lz4 with bounds: what a peer compressed is decompressed step by step, never further than the
//! limits allow and never ahead of its reservation (`security.md` A1 and section 6).

mod codec;
mod compress;
mod decompress;
mod lent;
mod look;
mod lz4;
mod snappy;
#[cfg(test)]
mod tests;

pub use compress::compress;
pub(crate) use decompress::decompress_yielding;
pub use decompress::{DecompressError, DecompressLimits, decompress};
pub(crate) use look::{Beginning, look};

use crate::Error;

/// A content or message encoding. Identity is the absence of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// RFC 1952, several members allowed.
    Gzip,
    /// RFC 8878, several frames allowed, windows up to 8 MiB.
    Zstd,
    /// RFC 1950 (zlib), which HTTP calls deflate.
    Deflate,
    /// Snappy, as a block or framed: the first bytes tell which, as upstream has it. Written framed.
    Snappy,
    /// LZ4 frames, several allowed.
    Lz4,
}

impl Encoding {
    /// All of them, most common first.
    pub const ALL: [Encoding; 5] = [Encoding::Gzip, Encoding::Zstd, Encoding::Deflate, Encoding::Snappy, Encoding::Lz4];

    /// The name on the wire (`grpc-encoding`, `Content-Encoding`).
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
            Encoding::Deflate => "deflate",
            Encoding::Snappy => "snappy",
            Encoding::Lz4 => "lz4",
        }
    }

    /// Reads a name on the wire; `None` inside for `identity`, `""` and `none`.
    ///
    /// # Errors
    /// The name is not known.
    pub fn parse(name: &str) -> Result<Option<Encoding>, Error> {
        let known = |known: &str| name.eq_ignore_ascii_case(known);
        if known("gzip") || known("x-gzip") {
            Ok(Some(Encoding::Gzip))
        } else if known("zstd") {
            Ok(Some(Encoding::Zstd))
        } else if known("deflate") || known("zlib") {
            Ok(Some(Encoding::Deflate))
        } else if known("snappy") || known("x-snappy-framed") {
            Ok(Some(Encoding::Snappy))
        } else if known("lz4") {
            Ok(Some(Encoding::Lz4))
        } else if known("identity") || known("none") || name.is_empty() {
            Ok(None)
        } else {
            Err(Error::Compression(name.to_owned()))
        }
    }
}
