//! Decoders of zstd: a few are kept.

use std::sync::{Mutex, PoisonError};

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

/// zstd windows beyond 8 MiB are refused (`security.md` A1).
const ZSTD_WINDOW_LOG: u32 = 23;
/// zstd decoders keep the window that they have filled; those of larger outputs are not kept.
const KEPT_OUTPUT: usize = 1 << 20;

/// zstd contexts cost some 100 KiB to set up, so a few are kept.
static ZSTD: Mutex<Vec<Decoder<'static>>> = Mutex::new(Vec::new());
const ZSTD_KEPT: usize = 8;

/// A decoder that is taken when it is needed and goes back to the shelf.
#[derive(Default)]
pub(super) struct Lent {
    decoder: Option<Decoder<'static>>,
    /// Bytes that it has made.
    output: usize,
}

/// One from the shelf, or a new one.
fn take() -> std::io::Result<Decoder<'static>> {
    let kept = ZSTD.lock().unwrap_or_else(PoisonError::into_inner).pop();
    match kept {
        Some(mut decoder) => decoder.reinit().map(|()| decoder),
        None => {
            let mut decoder = Decoder::new()?;
            decoder.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
            Ok(decoder)
        }
    }
}

impl Lent {
    pub(super) fn run(&mut self, from: &mut InBuffer<'_>, to: &mut OutBuffer<'_, Vec<u8>>) -> std::io::Result<usize> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            empty => empty.insert(take()?),
        };
        let before = to.pos();
        let hint = decoder.run(from, to);
        self.output = self.output.saturating_add(to.pos() - before);
        hint
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut kept = ZSTD.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < ZSTD_KEPT
            && self.output <= KEPT_OUTPUT
            && let Some(decoder) = self.decoder.take()
        {
            kept.push(decoder);
        }
    }
}
