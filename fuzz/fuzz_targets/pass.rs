//! A random chain over any bytes does what its model does, and never panics.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sluice_fuzz::request;
use sluice_pdata::pass::{Chain, Progress, Scratch};
use sluice_pdata::testing::{Decoded, Edit, Rng};
use sluice_pdata::{canonical, split};

fuzz_target!(|input: &[u8]| {
    let Some((signal, choice, request)) = request(input) else { return };
    // The byte behind the first chooses the chain, with the first.
    let (seed, request) = request.split_first().unwrap_or((&0, &[]));
    let mut rng = Rng::new(u64::from(choice) << 8 | u64::from(*seed));
    let Ok(plain) = canonical::envelopes(signal, request) else { return };
    let plain = Bytes::from(plain);
    let items = split::count(signal, &plain).expect("envelopes are framed");
    let edits = Edit::chain(&mut rng);
    let slice = if rng.chance(50) { usize::MAX } else { 1 + rng.below(100) };
    let chain = Chain::new(signal, Edit::steps(&edits));
    let mut scratch = Scratch::default();
    let mut run = chain.start(plain, items);
    let passed = loop {
        match run.advance(&(), &mut scratch, slice) {
            Ok(Progress::Yield(resumed)) => run = resumed,
            Ok(Progress::Done(passed)) => break Ok(passed),
            Err(error) => break Err(error),
        }
    };
    if let Ok(passed) = &passed {
        assert_eq!(split::count(signal, &passed.bytes).expect("what passed is framed"), passed.items);
    }
    if let Ok(decoded) = Decoded::new(signal, request) {
        let expected = edits.iter().fold(decoded, |request, edit| request.edited(*edit));
        let passed = passed.expect("what decodes passes");
        assert!(Decoded::new(signal, &passed.bytes).expect("what passed decodes") == expected);
    }
});
