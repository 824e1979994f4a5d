//! Framing accepts what `prost` accepts and counts its items; envelopes become plain and mean the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_fuzz::request;
use sluice_pdata::testing::Decoded;
use sluice_pdata::{canonical, framing, schema};

fuzz_target!(|input: &[u8]| {
    let Some((signal, _, request)) = request(input) else { return };
    let framed = framing::check(signal, request);
    let plain = canonical::envelopes(signal, request);
    let decoded = Decoded::new(signal, request);
    if let Err(error) = &framed {
        assert!(decoded.is_err() && plain.is_err() && error.offset as usize <= request.len());
        schema::locate(signal.request(), request, error.offset as usize);
        return;
    }
    let plain = plain.expect("framing is right");
    let again = framing::check(signal, &plain).expect("plain is framed");
    assert!(again.plain);
    if let Ok(decoded) = decoded {
        assert_eq!(again.items, decoded.items());
        assert!(Decoded::new(signal, &plain).expect("plain decodes") == decoded);
    }
});
