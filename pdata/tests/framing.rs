//! Framing accepts what `prost` accepts, counts its items, and names what is wrong.

use sluice_pdata::testing::{Decoded, Rng, laws, odd_request, request};
use sluice_pdata::wire::{Reader, WireType, put_len, put_message, put_tag, put_varint, put_varint_field};
use sluice_pdata::{Fault, Signal, canonical, framing, schema};

#[test]
fn law_a_plain_request_is_plain_and_its_items_are_counted() {
    laws(|signal, seed| {
        let request = request(signal, seed);
        let framing = framing::check(signal, &request).unwrap();
        assert!(framing.plain);
        assert_eq!(framing.items, Decoded::new(signal, &request).unwrap().items());
    });
}

#[test]
fn law_a_request_cut_anywhere_is_an_error_or_a_shorter_request() {
    laws(|signal, seed| {
        let request = odd_request(signal, seed);
        let cut = &request[..Rng::new(seed).below(request.len() + 1)];
        // Cut between two resources it is a valid request; everywhere else it must be refused.
        let mut reader = Reader::new(cut);
        let whole = loop {
            match reader.field() {
                Ok(Some(_)) => {}
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        assert_eq!(framing::check(signal, cut).is_ok(), whole);
    });
}

#[test]
fn law_damaged_bytes_never_panic_and_what_prost_accepts_is_accepted() {
    laws(|signal, seed| {
        let mut request = odd_request(signal, seed);
        let mut rng = Rng::new(seed);
        if request.is_empty() {
            return;
        }
        for _ in 0..=rng.below(3) {
            let at = rng.below(request.len());
            request[at] ^= 1 << rng.below(8);
        }
        let framed = framing::check(signal, &request);
        let rewritten = canonical::envelopes(signal, &request);
        let mut out = Vec::new();
        let options = canonical::Options { drop_unknown: true, depth: 64 };
        let deep = canonical::message(signal.request(), &request, &options, &mut out);
        assert_eq!(framed.is_ok(), rewritten.is_ok());
        if let Ok(decoded) = Decoded::new(signal, &request) {
            framed.unwrap();
            deep.unwrap();
            assert_eq!(Decoded::new(signal, &rewritten.unwrap()).unwrap(), decoded);
            assert_eq!(Decoded::new(signal, &out).unwrap(), decoded);
        }
    });
}

#[test]
fn an_envelope_field_of_the_wrong_wire_type_is_refused() {
    let mut request = Vec::new();
    put_varint_field(&mut request, 1, 7);
    for signal in Signal::ALL {
        assert_eq!(framing::check(signal, &request).unwrap_err().fault, Fault::WireType);
    }
    let nested = |path: &[u32]| {
        let mut message = Vec::new();
        put_varint_field(&mut message, path[path.len() - 1], 7);
        for number in path[..path.len() - 1].iter().rev() {
            let mut outer = Vec::new();
            put_len(&mut outer, *number, &message);
            message = outer;
        }
        message
    };
    let cases: &[(Signal, &[u32])] = &[
        (Signal::Traces, &[1, 1]),
        (Signal::Traces, &[1, 2]),
        (Signal::Traces, &[1, 3]),
        (Signal::Traces, &[1, 2, 1]),
        (Signal::Logs, &[1, 2, 2]),
        (Signal::Logs, &[1, 2, 3]),
        (Signal::Metrics, &[1, 2, 2]),
        (Signal::Metrics, &[1, 2, 2, 1]),
        (Signal::Metrics, &[1, 2, 2, 9]),
        (Signal::Metrics, &[1, 2, 2, 12]),
        (Signal::Metrics, &[1, 2, 2, 7, 1]),
    ];
    for (signal, path) in cases {
        let request = nested(path);
        assert_eq!(framing::check(*signal, &request).unwrap_err().fault, Fault::WireType, "{signal} {path:?}");
    }
}

#[test]
fn what_is_not_plain_is_seen() {
    fn nest(path: &[u32], inside: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut message = Vec::new();
        inside(&mut message);
        for number in path.iter().rev() {
            let mut outer = Vec::new();
            put_len(&mut outer, *number, &message);
            message = outer;
        }
        message
    }
    let twice = |path: &[u32], number: u32| {
        nest(path, |out| {
            put_len(out, number, b"");
            put_len(out, number, b"");
        })
    };
    let flags = |number: u32| {
        nest(&[1, 2, 2, 7], |out| {
            put_varint_field(out, number, 1);
            put_varint_field(out, number, 1);
        })
    };
    let cases = [
        (Signal::Traces, twice(&[1], 1), false),
        (Signal::Traces, twice(&[1], 2), true),
        (Signal::Logs, twice(&[1], 3), false),
        (Signal::Logs, twice(&[1, 2], 1), false),
        (Signal::Logs, twice(&[1, 2], 2), true),
        (Signal::Logs, twice(&[1, 2], 3), false),
        (Signal::Traces, twice(&[1, 2], 17), true),
        (Signal::Metrics, twice(&[1, 2, 2], 1), false),
        (Signal::Metrics, twice(&[1, 2, 2], 2), false),
        (Signal::Metrics, twice(&[1, 2, 2], 3), false),
        (Signal::Metrics, twice(&[1, 2, 2], 5), false),
        (Signal::Metrics, twice(&[1, 2, 2], 12), true),
        (Signal::Metrics, flags(2), false),
        (Signal::Metrics, flags(3), false),
        (
            Signal::Metrics,
            nest(&[1, 2, 2], |out| {
                put_len(out, 5, b"");
                put_len(out, 11, b"");
            }),
            false,
        ),
    ];
    for (signal, request, plain) in cases {
        assert_eq!(framing::check(signal, &request).unwrap().plain, plain, "{signal} {request:?}");
        let rewritten = canonical::envelopes(signal, &request).unwrap();
        assert!(framing::check(signal, &rewritten).unwrap().plain);
    }
}

#[test]
fn an_error_points_into_the_request() {
    // A span whose length reaches behind its scope.
    let mut request = Vec::new();
    put_message(&mut request, 1, |out| {
        put_message(out, 2, |out| {
            put_len(out, 2, b"ab");
            put_tag(out, 2, WireType::Len);
            put_varint(out, 90);
        });
    });
    let error = framing::check(Signal::Traces, &request).unwrap_err();
    assert_eq!((error.fault, error.offset as usize), (Fault::Truncated, request.len()));
    assert_eq!(error, canonical::envelopes(Signal::Traces, &request).unwrap_err());
}

#[test]
fn law_an_error_is_located_by_its_path() {
    let mut request = Vec::new();
    put_len(&mut request, 1, b"");
    put_message(&mut request, 1, |out| {
        put_message(out, 2, |out| put_varint_field(out, 2, 7));
        put_len(out, 3, b"x");
    });
    let error = framing::check(Signal::Traces, &request).unwrap_err();
    let locate = |offset: u32| schema::locate(Signal::Traces.request(), &request, offset as usize);
    assert_eq!(locate(error.offset), "resource_spans[1].scope_spans[0].spans[0]");
    assert_eq!(locate(request.len() as u32 - 1), "resource_spans[1].schema_url");
    // Any offset of any request has some path.
    laws(|signal, seed| {
        let request = odd_request(signal, seed);
        for offset in (0..=request.len()).step_by(request.len() / 20 + 1) {
            assert!(!schema::locate(signal.request(), &request, offset).is_empty());
        }
    });
    assert_eq!(schema::locate(Signal::Traces.request(), &[0x09, 1, 2, 3, 4, 5, 6, 7, 8], 1), "resource_spans[0]");
}
