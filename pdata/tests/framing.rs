//! Framing and canonical form agree with what `prost` reads, however oddly a request is written.

use std::collections::BTreeSet;

use sluice_pdata::schema::{Kind, Message};
use sluice_pdata::testing::{
    Decoded, Meaning, Node, Oddities, Rng, Shape, laws, meaning, odd_request, odd_request_of, request, request_of,
};
use sluice_pdata::wire::{Reader, WireType};
use sluice_pdata::wire::{put_len, put_message, put_tag, put_varint, put_varint_field};
use sluice_pdata::{Fault, Signal, canonical, framing};

#[test]
fn an_odd_request_means_what_the_plain_one_means() {
    laws(|signal, seed| {
        let plain = Decoded::new(signal, &request(signal, seed)).unwrap();
        let odd = Decoded::new(signal, &odd_request(signal, seed)).unwrap();
        assert_eq!(plain, odd);
    });
}

#[test]
fn a_plain_request_is_plain_and_its_items_are_counted() {
    laws(|signal, seed| {
        let request = request(signal, seed);
        let framing = framing::check(signal, &request).unwrap();
        assert!(framing.plain);
        assert_eq!(framing.items, Decoded::new(signal, &request).unwrap().items());
    });
}

#[test]
fn envelopes_of_an_odd_request_become_plain_and_mean_the_same() {
    laws(|signal, seed| {
        let odd = odd_request(signal, seed);
        framing::check(signal, &odd).unwrap();
        let plain = canonical::envelopes(signal, &odd).unwrap();
        let framing = framing::check(signal, &plain).unwrap();
        assert!(framing.plain);
        let decoded = Decoded::new(signal, &plain).unwrap();
        assert_eq!(framing.items, decoded.items());
        assert_eq!(decoded, Decoded::new(signal, &odd).unwrap());
        assert_eq!(meaning(signal.request(), &plain), meaning(signal.request(), &odd));
    });
}

#[test]
fn a_plain_request_is_left_as_it_is_by_the_rewriters() {
    laws(|signal, seed| {
        let request = request(signal, seed);
        assert_eq!(canonical::envelopes(signal, &request).unwrap(), request);
        let mut out = Vec::new();
        let options = canonical::Options { drop_unknown: true, depth: 64 };
        canonical::message(signal.request(), &request, &options, &mut out).unwrap();
        assert_eq!(out, request);
    });
}

#[test]
fn the_canonical_form_means_the_same_at_every_depth() {
    laws(|signal, seed| {
        let shape = Shape { broken_utf8: true, ..Shape::default() };
        let odd = odd_request_of(signal, seed, &shape, &Oddities::ALL);
        let mut kept = Vec::new();
        let options = canonical::Options { drop_unknown: false, depth: 64 };
        canonical::message(signal.request(), &odd, &options, &mut kept).unwrap();
        assert_eq!(meaning(signal.request(), &kept), meaning(signal.request(), &odd));

        let mut dropped = Vec::new();
        let options = canonical::Options { drop_unknown: true, depth: 64 };
        canonical::message(signal.request(), &odd, &options, &mut dropped).unwrap();
        let expected = meaning(signal.request(), &odd).unwrap().without_unknown(signal.request());
        assert_eq!(meaning(signal.request(), &dropped).unwrap(), expected);

        // What `prost` reads stays too, and a second rewrite finds nothing to do.
        let odd = odd_request(signal, seed);
        let mut once = Vec::new();
        canonical::message(signal.request(), &odd, &options, &mut once).unwrap();
        assert_eq!(Decoded::new(signal, &once).unwrap(), Decoded::new(signal, &odd).unwrap());
        let mut twice = Vec::new();
        canonical::message(signal.request(), &once, &options, &mut twice).unwrap();
        assert_eq!(once, twice);
    });
}

#[test]
fn a_request_cut_anywhere_is_an_error_or_a_shorter_request() {
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
fn damaged_bytes_never_panic_and_what_prost_accepts_is_accepted() {
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
fn depth_and_pieces_are_limited() {
    let mut value = Vec::new();
    for _ in 0..50 {
        let mut array = Vec::new();
        put_len(&mut array, 1, &value);
        value.clear();
        put_len(&mut value, 5, &array);
    }
    let schema = &sluice_pdata::schema::ANY_VALUE;
    let rewrite = |bytes: &[u8], depth| {
        canonical::message(schema, bytes, &canonical::Options { drop_unknown: false, depth }, &mut Vec::new())
    };
    rewrite(&value, 101).unwrap();
    assert_eq!(rewrite(&value, 100).unwrap_err().fault, Fault::Depth);

    let pieces = |count: usize| {
        let mut bytes = Vec::new();
        for _ in 0..count {
            put_message(&mut bytes, 5, |out| put_len(out, 1, b""));
        }
        bytes
    };
    rewrite(&pieces(1024), 8).unwrap();
    assert_eq!(rewrite(&pieces(1025), 8).unwrap_err().fault, Fault::Pieces);
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
fn shapes_bound_what_is_drawn() {
    for signal in Signal::ALL {
        let none = Shape { resources: 0, ..Shape::default() };
        assert!(request_of(signal, 1, &none).is_empty());
        let seen: Vec<usize> =
            (0..200).map(|seed| Decoded::new(signal, &request(signal, seed)).unwrap().items()).collect();
        assert!(seen.contains(&0) && seen.iter().any(|items| *items > 10), "{signal} {seen:?}");
    }
}

#[test]
fn every_field_of_every_message_is_drawn() {
    fn missing(
        schema: &'static Message,
        seen: &BTreeSet<(&str, u32)>,
        done: &mut BTreeSet<&str>,
        out: &mut Vec<String>,
    ) {
        if !done.insert(schema.name) {
            return;
        }
        for field in schema.fields {
            if !seen.contains(&(schema.name, field.number)) {
                out.push(format!("{}.{}", schema.name, field.name));
            }
            if let Kind::Message(inner) = field.kind {
                missing(inner, seen, done, out);
            }
        }
    }
    fn note(schema: &'static Message, content: &Meaning, seen: &mut BTreeSet<(&'static str, u32)>) {
        for (number, nodes) in &content.0 {
            seen.insert((schema.name, *number));
            for node in nodes {
                if let (Some(Kind::Message(inner)), Node::Message(content)) =
                    (schema.field(*number).map(|field| field.kind), node)
                {
                    note(inner, content, seen);
                }
            }
        }
    }
    for signal in Signal::ALL {
        let (mut seen, mut gaps) = (BTreeSet::new(), Vec::new());
        for seed in 0..300 {
            note(signal.request(), &meaning(signal.request(), &request(signal, seed)).unwrap(), &mut seen);
        }
        missing(signal.request(), &seen, &mut BTreeSet::new(), &mut gaps);
        assert_eq!(gaps, Vec::<String>::new(), "{signal}");
    }
}
