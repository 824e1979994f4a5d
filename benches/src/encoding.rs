//! The compressions that OTLP senders use.

use crate::Error;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

/// A message or content encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    #[default]
    None,
    Gzip,
    Zstd,
}

/// A decompressed request may not be larger: a bound for the sink, far above what the generator sends.
const LIMIT: u64 = 256 << 20;

impl Encoding {
    /// The name in `grpc-encoding` and `content-encoding`; none for the identity.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// The encoding of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "" | "identity" => Some(Self::None),
            "gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Appends `plain`, compressed at the level that Go and Java SDKs use by default.
    pub fn compress(self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::None => out.extend_from_slice(plain),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
                encoder.write_all(plain).and_then(|()| encoder.finish().map(drop)).map_err(Error::io("gzip"))?;
            }
            Self::Zstd => {
                let compressed = zstd::bulk::compress(plain, zstd::DEFAULT_COMPRESSION_LEVEL);
                out.extend_from_slice(&compressed.map_err(Error::io("zstd"))?);
            }
        }
        Ok(())
    }

    /// The plain bytes of a compressed body.
    pub fn decompress(self, body: &[u8]) -> Result<Vec<u8>, Error> {
        let mut plain = Vec::with_capacity(body.len() * 8);
        match self {
            Self::None => plain.extend_from_slice(body),
            Self::Gzip => {
                let mut decoder = flate2::read::MultiGzDecoder::new(body).take(LIMIT);
                decoder.read_to_end(&mut plain).map_err(Error::io("gunzip"))?;
            }
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(Error::io("unzstd"))?;
                decoder.take(LIMIT).read_to_end(&mut plain).map_err(Error::io("unzstd"))?;
            }
        }
        Ok(plain)
    }
}
