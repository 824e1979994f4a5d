//! The fused pass gives what the steps give one after another, on random chains over random and odd requests.
#![expect(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use sluice_pdata::pass::{Chain, Passed, Progress, Scratch};
use sluice_pdata::testing::{Decoded, Edit, Oddities, Rng, Shape, laws, meaning, odd_request, odd_request_of, request};
use sluice_pdata::{Signal, canonical, split};

fn pass(signal: Signal, edits: &[Edit], plain: &Bytes, slice: usize) -> Passed {
    let chain = Chain::new(signal, Edit::steps(edits));
    let mut scratch = Scratch::default();
    let mut run = chain.start(plain.clone(), split::count(signal, plain).unwrap());
    loop {
        match run.advance(&(), &mut scratch, slice).unwrap() {
            Progress::Yield(resumed) => run = resumed,
            Progress::Done(passed) => return passed,
        }
    }
}

fn plain(signal: Signal, seed: u64, rng: &mut Rng) -> Bytes {
    let request = if rng.chance(50) { request(signal, seed) } else { odd_request(signal, seed) };
    Bytes::from(canonical::envelopes(signal, &request).unwrap())
}

#[test]
fn law_a_chain_does_what_its_model_does() {
    laws(|signal, seed| {
        let mut rng = Rng::new(seed ^ 0x7061_7373);
        let request = plain(signal, seed, &mut rng);
        let edits = Edit::chain(&mut rng);
        let slice = if rng.chance(50) { usize::MAX } else { 1 + rng.below(300) };
        let passed = pass(signal, &edits, &request, slice);
        let before = Decoded::new(signal, &request).unwrap();
        let items = before.items();
        let expected = edits.iter().fold(before, |request, edit| request.edited(*edit));
        let found = Decoded::new(signal, &passed.bytes).unwrap();
        assert!(found == expected, "{edits:?}\n{found:#?}\n{expected:#?}");
        assert_eq!(passed.items, expected.items(), "{edits:?}");
        assert_eq!(passed.dropped.iter().map(|drop| drop.2).sum::<usize>(), items - passed.items, "{edits:?}");
    });
}

#[test]
fn law_a_fused_chain_equals_its_steps_one_by_one_in_unknown_fields_and_broken_strings_too() {
    laws(|signal, seed| {
        let mut rng = Rng::new(seed ^ 0x6675_7365);
        let shape = Shape { broken_utf8: true, ..Shape::default() };
        let odd = odd_request_of(signal, seed, &shape, &Oddities::ALL);
        let request = Bytes::from(canonical::envelopes(signal, &odd).unwrap());
        let edits = Edit::chain(&mut rng);
        let fused = pass(signal, &edits, &request, 1 + rng.below(300));
        let one_by_one = edits.iter().fold(request, |request, edit| pass(signal, &[*edit], &request, usize::MAX).bytes);
        let schema = signal.request();
        assert!(meaning(schema, &fused.bytes) == meaning(schema, &one_by_one), "{edits:?}");
    });
}

#[test]
fn law_what_is_put_in_and_taken_out_leaves_no_trace() {
    laws(|signal, seed| {
        let shape = Shape { broken_utf8: true, ..Shape::default() };
        let odd = odd_request_of(signal, seed, &shape, &Oddities::ALL);
        let request = Bytes::from(canonical::envelopes(signal, &odd).unwrap());
        let edits = [Edit::SetItemAttribute("no.such.key", 1), Edit::RemoveItemAttribute("no.such.key")];
        let passed = pass(signal, &edits, &request, usize::MAX);
        assert!(meaning(signal.request(), &passed.bytes) == meaning(signal.request(), &request));
    });
}

#[test]
fn law_a_chain_that_changes_nothing_returns_the_same_allocation() {
    laws(|signal, seed| {
        let request = plain(signal, seed, &mut Rng::new(seed));
        let edits = [
            Edit::RemoveItemAttribute("no.such.key"),
            Edit::DropItemsWith("no.such.key"),
            Edit::RemoveResourceAttribute("no.such.key"),
            Edit::DropScopes("no such name"),
            Edit::DropMetrics("no such name"),
        ];
        let passed = pass(signal, &edits, &request, 100);
        assert_eq!(passed.bytes.as_ptr(), request.as_ptr());
        assert!(passed.dropped.is_empty());
    });
}

#[test]
fn law_a_damaged_item_is_an_error_or_passes_and_never_a_panic() {
    laws(|signal, seed| {
        let mut rng = Rng::new(seed);
        let mut request = odd_request(signal, seed);
        if request.is_empty() {
            return;
        }
        let at = rng.below(request.len());
        request[at] ^= 1 << rng.below(8);
        let Ok(plain) = canonical::envelopes(signal, &request) else { return };
        let items = split::count(signal, &plain).unwrap();
        let edits = Edit::chain(&mut rng);
        let chain = Chain::new(signal, Edit::steps(&edits));
        let passed = chain.run(Bytes::from(plain), items, &(), &mut Scratch::default());
        if let Ok(decoded) = Decoded::new(signal, &request) {
            let expected = edits.iter().fold(decoded, |request, edit| request.edited(*edit));
            assert!(Decoded::new(signal, &passed.unwrap().bytes).unwrap() == expected, "{edits:?}");
        }
    });
}
