//! A payload as the body of a request: in protobuf or JSON, compressed as configured.

use std::io::Write as _;

use bytes::Bytes;
use sluice_net::compression::compress;
use sluice_net::http::HeaderValue;
use sluice_pdata::json;
use sluice_pipeline::exporter::Payload;

/// What the body is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

impl Format {
    /// The configured one; what is no format was refused before.
    pub(super) fn new(encoding: &str) -> Self {
        if encoding == "json" { Format::Json } else { Format::Protobuf }
    }

    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Format::Protobuf => "application/x-protobuf",
            Format::Json => "application/json",
        })
    }
}

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Compression {
    algorithm: Algorithm,
    level: Option<i32>,
    /// As it was written: `zlib` and `deflate` are the same, and a server may know only one of them.
    name: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Gzip,
    Zstd,
    Zlib,
    Snappy,
    SnappyFramed,
    Lz4,
}

impl Compression {
    /// The configured one, `None` for none; or, for people, why there is no such compression. Level 0 is the default of the
    /// algorithm.
    pub(super) fn new(name: &str, level: i32) -> Result<Option<Self>, String> {
        let (algorithm, name) = match name {
            "" | "none" => return Ok(None),
            "gzip" => (Algorithm::Gzip, "gzip"),
            "zstd" => (Algorithm::Zstd, "zstd"),
            "zlib" => (Algorithm::Zlib, "zlib"),
            "deflate" => (Algorithm::Zlib, "deflate"),
            "snappy" => (Algorithm::Snappy, "snappy"),
            "x-snappy-framed" => (Algorithm::SnappyFramed, "x-snappy-framed"),
            "lz4" => (Algorithm::Lz4, "lz4"),
            // Reported by the block that the field is in.
            _ => return Ok(None),
        };
        let valid = match algorithm {
            Algorithm::Gzip | Algorithm::Zlib => (-2..=9).contains(&level),
            Algorithm::Zstd => true,
            Algorithm::Snappy | Algorithm::SnappyFramed | Algorithm::Lz4 => level == 0,
        };
        if !valid {
            return Err(format!("unsupported parameters {{Level:{level}}} for compression type {name:?}"));
        }
        let level = match (algorithm, level) {
            (_, 0) | (Algorithm::Gzip | Algorithm::Zlib, -1) => None,
            // Huffman coding alone: the fastest there is.
            (Algorithm::Gzip | Algorithm::Zlib, -2) => Some(1),
            (_, level) => Some(level),
        };
        Ok(Some(Compression { algorithm, level, name }))
    }

    /// For `Content-Encoding`.
    pub(super) fn name(self) -> HeaderValue {
        HeaderValue::from_static(self.name)
    }

    /// The same among those that batches come in.
    pub(super) fn of_batches(self) -> Option<sluice_pipeline::Encoding> {
        match self.algorithm {
            Algorithm::Gzip => Some(sluice_pipeline::Encoding::Gzip),
            Algorithm::Zstd => Some(sluice_pipeline::Encoding::Zstd),
            Algorithm::Zlib => Some(sluice_pipeline::Encoding::Zlib),
            Algorithm::Snappy => Some(sluice_pipeline::Encoding::Snappy),
            Algorithm::Lz4 => Some(sluice_pipeline::Encoding::Lz4),
            Algorithm::SnappyFramed => None,
        }
    }

    fn compress(self, plain: &[u8]) -> Result<Bytes, String> {
        let by = |encoding| compress(encoding, self.level, plain).map_err(|error| error.to_string());
        match self.algorithm {
            Algorithm::Gzip => by(sluice_net::Encoding::Gzip),
            Algorithm::Zstd => by(sluice_net::Encoding::Zstd),
            Algorithm::Zlib => by(sluice_net::Encoding::Deflate),
            Algorithm::Lz4 => by(sluice_net::Encoding::Lz4),
            Algorithm::Snappy => {
                snap::raw::Encoder::new().compress_vec(plain).map(Bytes::from).map_err(|error| error.to_string())
            }
            Algorithm::SnappyFramed => {
                let mut framed = snap::write::FrameEncoder::new(Vec::with_capacity(plain.len() / 2));
                framed.write_all(plain).map_err(|error| error.to_string())?;
                framed.into_inner().map(Bytes::from).map_err(|error| error.to_string())
            }
        }
    }
}

/// Why a payload has no body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// The payload cannot be expressed: it is malformed or nests too deep.
    Payload(String),
    /// Memory is short.
    Compressor(String),
}

/// The body. A payload that came in this very compression is sent as it came.
pub(super) fn body(payload: &Payload, format: Format, compression: Option<Compression>) -> Result<Bytes, BodyError> {
    let plain = match format {
        Format::Protobuf => {
            if let (Some(compression), Some(came)) = (compression, &payload.compressed)
                && compression.of_batches() == Some(came.encoding)
            {
                return Ok(came.bytes.clone());
            }
            payload.contiguous()
        }
        Format::Json => {
            let request = payload.contiguous();
            let mut text = Vec::with_capacity(request.len() * 2);
            json::write(payload.signal, &request, &mut text).map_err(|error| BodyError::Payload(error.to_string()))?;
            Bytes::from(text)
        }
    };
    match compression {
        None => Ok(plain),
        Some(compression) => compression.compress(&plain).map_err(BodyError::Compressor),
    }
}
