//! The canonical form means the same, has nothing left to resolve, and is its own canonical form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_fuzz::request;
use sluice_pdata::canonical::{self, Options};
use sluice_pdata::testing::{Decoded, meaning};

fuzz_target!(|input: &[u8]| {
    let Some((signal, flags, request)) = request(input) else { return };
    let schema = signal.request();
    let options = Options { drop_unknown: flags & 1 == 1, depth: 64 };
    let mut out = Vec::new();
    if canonical::message(schema, request, &options, &mut out).is_err() {
        return;
    }
    assert!(canonical::is_canonical(schema, &out, 64).expect("canonical is well-formed"));
    let before = meaning(schema, request).expect("well-formed");
    let before = if options.drop_unknown { before.without_unknown(schema) } else { before };
    assert!(meaning(schema, &out).expect("well-formed") == before);
    let mut again = Vec::new();
    canonical::message(schema, &out, &options, &mut again).expect("canonical is well-formed");
    assert_eq!(again, out);
    if let Ok(decoded) = Decoded::new(signal, request) {
        assert!(Decoded::new(signal, &out).expect("canonical decodes") == decoded);
    }
});
