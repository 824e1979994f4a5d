//! A request as the bytes that a file gets: a line of JSON, or a message behind its length.

use sluice_pdata::{Signal, json};

/// How requests are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) json: bool,
    pub(super) zstd: bool,
}

/// The zstd level; files are written once and read seldom, and nobody waits for long.
const ZSTD_LEVEL: i32 = 3;

/// The record of a request. Fails for what cannot be JSON: malformed, or nested too deep.
pub(super) fn record(signal: Signal, request: &[u8], format: Format) -> Result<Vec<u8>, String> {
    if format.json && !format.zstd {
        let mut line = Vec::with_capacity(request.len() * 2);
        json::write(signal, request, &mut line).map_err(|error| error.to_string())?;
        line.push(b'\n');
        return Ok(line);
    }
    let mut text = Vec::new();
    let plain = if format.json {
        json::write(signal, request, &mut text).map_err(|error| error.to_string())?;
        &text
    } else {
        request
    };
    if !format.zstd {
        return framed(plain);
    }
    let compressed = sluice_net::compression::compress(sluice_net::Encoding::Zstd, Some(ZSTD_LEVEL), plain);
    framed(&compressed.map_err(|error| error.to_string())?)
}

/// Four bytes of length, most significant first, and the message.
fn framed(message: &[u8]) -> Result<Vec<u8>, String> {
    let len = u32::try_from(message.len()).map_err(|_| "larger than 4 GiB".to_owned())?;
    Ok([&len.to_be_bytes(), message].concat())
}
