//! Canonical form means the same, is in order, and repeats nothing.

use sluice_pdata::schema::{self, Kind, Message};
use sluice_pdata::testing::{Decoded, Oddities, Shape, laws, meaning, odd_request, odd_request_of, request};
use sluice_pdata::wire::{fields, put_len, put_message};
use sluice_pdata::{Fault, canonical, framing};

#[test]
fn law_envelopes_of_an_odd_request_become_plain_and_mean_the_same() {
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
fn law_a_plain_request_is_left_as_it_is_by_the_rewriters() {
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
fn law_the_canonical_form_means_the_same_at_every_depth() {
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
fn law_the_canonical_form_is_in_order_and_equal_for_equal_messages_without_unknown_fields() {
    fn assert_sorted(schema: &'static Message, bytes: &[u8]) {
        let mut last = 0;
        for field in fields(bytes) {
            let field = field.unwrap();
            assert!(field.number >= last, "{} {}", schema.name, field.number);
            last = field.number;
            if let (Some(Kind::Message(inner)), Some(payload)) =
                (schema.field(field.number).map(|field| field.kind), field.value.len())
            {
                assert_sorted(inner, payload);
            }
        }
    }
    laws(|signal, seed| {
        let mut out = Vec::new();
        let options = canonical::Options { drop_unknown: true, depth: 64 };
        canonical::message(signal.request(), &odd_request(signal, seed), &options, &mut out).unwrap();
        assert_sorted(signal.request(), &out);
        // Explicit defaults and the packing of scalars aside, what was plain comes back.
        let oddities = Oddities { repack: false, repeat: false, ..Oddities::ALL };
        let odd = odd_request_of(signal, seed, &Shape::default(), &oddities);
        let mut out = Vec::new();
        canonical::message(signal.request(), &odd, &options, &mut out).unwrap();
        assert_eq!(out, request(signal, seed));
    });
}

#[test]
fn a_value_before_its_key_is_put_behind_it() {
    let mut pair = Vec::new();
    put_len(&mut pair, 9, b"unknown");
    put_message(&mut pair, 2, |out| put_len(out, 1, b"v"));
    put_len(&mut pair, 1, b"k");
    let mut expected = Vec::new();
    put_len(&mut expected, 1, b"k");
    put_message(&mut expected, 2, |out| put_len(out, 1, b"v"));
    put_len(&mut expected, 9, b"unknown");
    let mut out = Vec::new();
    let options = canonical::Options { drop_unknown: false, depth: 8 };
    canonical::message(&schema::KEY_VALUE, &pair, &options, &mut out).unwrap();
    assert_eq!(out, expected);
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
    let schema = &schema::ANY_VALUE;
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
