//! Parts hold every item once, in order, within the limits.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sluice_fuzz::request;
use sluice_pdata::split::{concat, count, halves, split};
use sluice_pdata::testing::Decoded;

fuzz_target!(|input: &[u8]| {
    let Some((signal, limit, request)) = request(input) else { return };
    let whole = Bytes::copy_from_slice(request);
    let max_items = 1 + usize::from(limit % 8);
    let max_bytes = if limit % 3 == 0 { usize::MAX } else { 1 + usize::from(limit) * 16 };
    let Ok(parts) = split(signal, &whole, max_items, max_bytes) else { return };
    let items = count(signal, &whole).expect("well-formed");
    let parts: Vec<Bytes> = parts.map(|part| part.expect("well-formed")).collect();
    let mut sum = 0;
    for part in &parts {
        let items = count(signal, part).expect("a part is well-formed");
        assert!(items <= max_items);
        sum += items;
    }
    assert_eq!(sum, items);
    if let Ok(decoded) = Decoded::new(signal, &whole) {
        let joined = Decoded::new(signal, &concat(&parts)).expect("parts decode");
        assert_eq!(joined.items(), decoded.items());
    }
    match halves(signal, &whole).expect("well-formed") {
        None => assert!(items < 2),
        Some((first, second)) => {
            assert_eq!(count(signal, &first).expect("well-formed"), items.div_ceil(2));
            assert_eq!(count(signal, &second).expect("well-formed"), items / 2);
        }
    }
});
