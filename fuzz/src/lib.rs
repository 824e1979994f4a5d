//! What the fuzz targets share.

use sluice_pdata::Signal;

/// The first byte of an input chooses the signal, or more; the rest is the request.
pub fn request(input: &[u8]) -> Option<(Signal, u8, &[u8])> {
    let (&first, request) = input.split_first()?;
    Some((Signal::ALL[usize::from(first % 3)], first / 3, request))
}
