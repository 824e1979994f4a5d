//! JSON is read or refused; what is read is a request, and what is written is read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_fuzz::request;
use sluice_pdata::testing::Decoded;
use sluice_pdata::{framing, json};

fuzz_target!(|input: &[u8]| {
    let Some((signal, wire, input)) = request(input) else { return };
    let request = if wire & 1 == 1 {
        input.to_vec()
    } else {
        match json::read(signal, input) {
            Ok(request) => {
                assert!(request.len() <= 4 * input.len());
                framing::check(signal, &request).expect("what is read is framed");
                Decoded::new(signal, &request).expect("what is read decodes");
                request
            }
            Err(error) => {
                assert!(error.offset <= input.len());
                return;
            }
        }
    };
    let mut text = Vec::new();
    let written = json::write(signal, &request, &mut text);
    let Ok(decoded) = Decoded::new(signal, &request) else { return };
    written.expect("what decodes is written");
    let read = json::read(signal, &text).expect("what is written is read");
    // Compared as text, because JSON has one NaN and doubles have many.
    let read = Decoded::new(signal, &read).expect("what is read decodes");
    assert!(format!("{read:?}") == format!("{decoded:?}"));
});
