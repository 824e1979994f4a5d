//! Views never panic, and read what `prost` decodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_fuzz::request;
use sluice_pdata::canonical;
use sluice_pdata::testing::{Decoded, viewed};

fuzz_target!(|input: &[u8]| {
    let Some((signal, _, request)) = request(input) else { return };
    let Ok(plain) = canonical::envelopes(signal, request) else { return };
    let found = viewed(signal, &plain);
    if let Ok(decoded) = Decoded::new(signal, request) {
        assert!(found.expect("what decodes is viewed") == decoded.as_views_tell());
    }
});
