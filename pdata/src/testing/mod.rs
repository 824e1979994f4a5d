//! Random telemetry for laws, behind the feature `testing`: never part of a normal build.
//!
//! - [`request`] makes a well-formed OTLP request from a seed; [`odd_request`] the same request written as oddly as
//!   protobuf allows. Both are pure functions of signal and seed, so a failing case is named by its seed.
//! - [`Decoded`] is the oracle: what `prost` and `opentelemetry-proto` read from the bytes.
//! - [`viewed`] reads a request through every view, for comparison with the oracle.
//! - [`Edit`] is a step of a random chain, with its model on the generated types.
//! - [`meaning`] is the oracle for what `prost` cannot show: unknown fields, strings that are not UTF-8.
//! - [`laws`] runs a property over many seeds; `SLUICE_LAWS=10000` runs that many a signal.

mod at_signs;
mod decoded;
mod edits;
mod forget;
mod meaning;
mod model;
mod odd;
mod request;
mod rng;
mod viewed;

pub use at_signs::{LEAF_ROOTS, at_signs_replaced, without_at_signs};
pub use decoded::Decoded;
pub use edits::Edit;
pub use meaning::{Meaning, Node, meaning};
pub use odd::{Oddities, odd};
pub use request::{Shape, message, request, request_of};
pub use rng::Rng;
pub use viewed::viewed;

use proptest::strategy::Strategy;

use crate::signal::Signal;

/// The request of [`request`], written as oddly as protobuf allows, unknown fields included. It means the same:
/// `Decoded` of both is equal.
pub fn odd_request(signal: Signal, seed: u64) -> Vec<u8> {
    odd_request_of(signal, seed, &Shape::default(), &Oddities::ALL)
}

/// As [`odd_request`], of a given size and with chosen oddities.
pub fn odd_request_of(signal: Signal, seed: u64, shape: &Shape, oddities: &Oddities) -> Vec<u8> {
    let plain = request_of(signal, seed, shape);
    odd(signal.request(), &plain, &mut Rng::new(seed ^ 0x6f64_6421), oddities)
}

/// Requests as a proptest strategy. Shrinks to fewer resources, scopes and items.
pub fn requests(signal: Signal) -> impl Strategy<Value = Vec<u8>> {
    (shapes(), proptest::num::u64::ANY).prop_map(move |(shape, seed)| request_of(signal, seed, &shape))
}

/// Odd requests as a proptest strategy. Shrinks to fewer resources, scopes and items, then to fewer oddities.
pub fn odd_requests(signal: Signal) -> impl Strategy<Value = Vec<u8>> {
    (shapes(), oddities(), proptest::num::u64::ANY)
        .prop_map(move |(shape, oddities, seed)| odd_request_of(signal, seed, &shape, &oddities))
}

fn shapes() -> impl Strategy<Value = Shape> {
    (0usize..4, 0usize..4, 0usize..5, 0usize..5, 0usize..4).prop_map(|(resources, scopes, items, attributes, depth)| {
        Shape { resources, scopes, items, attributes, depth, ..Shape::default() }
    })
}

fn oddities() -> impl Strategy<Value = Oddities> {
    proptest::array::uniform6(proptest::bool::ANY).prop_map(|[shuffle, repeat, split, repack, overlong, unknown]| {
        Oddities { shuffle, repeat, split, repack, overlong, unknown }
    })
}

/// How many random requests of each signal a law is tried on: `SLUICE_LAWS`, or 100.
pub fn law_cases() -> u64 {
    std::env::var("SLUICE_LAWS").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100)
}

/// Tries `law` on [`law_cases`] seeds of every signal. The law panics when it is broken; signal and seed of the case are
/// then printed.
pub fn laws(law: impl Fn(Signal, u64)) {
    struct Case(Signal, u64);
    impl Drop for Case {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("law broken by Signal::{:?}, seed {}", self.0, self.1);
            }
        }
    }
    for signal in Signal::ALL {
        for seed in 0..law_cases() {
            let _case = Case(signal, seed);
            law(signal, seed);
        }
    }
}
