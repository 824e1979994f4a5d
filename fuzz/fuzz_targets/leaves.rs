//! The walk over leaves misses no string of what is well-formed, and never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_pdata::testing::{LEAF_ROOTS, at_signs_replaced, meaning, without_at_signs};

fuzz_target!(|input: &[u8]| {
    let Some((choice, source)) = input.split_first() else { return };
    let (root, schema) = LEAF_ROOTS[usize::from(*choice) % LEAF_ROOTS.len()];
    let Ok(found) = without_at_signs(root, schema, source) else { return };
    // Packed numbers are not looked into, and may be malformed without notice.
    let Ok(expected) = meaning(schema, source) else { return };
    let found = meaning(schema, &found).expect("what was walked is well-formed");
    assert!(found == at_signs_replaced(schema, expected.without_unknown(schema)));
});
