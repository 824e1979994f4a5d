//! The walk over leaves reaches every string of every message, at the offsets that it names, and changes nothing else.

use sluice_pdata::leaves::Root;
use sluice_pdata::testing::{
    LEAF_ROOTS, Oddities, Rng, Shape, at_signs_replaced, law_cases, meaning, message, odd, without_at_signs,
};
use sluice_pdata::wire::{put_len, put_message};

#[test]
fn law_every_string_is_reached_and_nothing_else_changes() {
    for (root, schema) in LEAF_ROOTS {
        for seed in 0..law_cases() {
            let mut rng = Rng::new(seed);
            let shape = Shape { broken_utf8: true, ..Shape::default() };
            let plain = message(schema, &mut rng, &shape);
            let source = match rng.below(3) {
                0 => plain,
                // In order and with nothing repeated: walked without canonical form.
                1 => odd(schema, &plain, &mut rng, &Oddities::UNKNOWN),
                _ => odd(schema, &plain, &mut rng, &Oddities::ALL),
            };
            let found = without_at_signs(root, schema, &source).unwrap();
            let expected = at_signs_replaced(schema, meaning(schema, &source).unwrap().without_unknown(schema));
            assert!(meaning(schema, &found).unwrap() == expected, "{root:?}, seed {seed}");
        }
    }
}

#[test]
fn an_unknown_field_does_not_hide_in_a_message_without_text() {
    for (data, number) in [(10, 8), (10, 9), (11, 6)] {
        let (root, schema) = LEAF_ROOTS.into_iter().find(|(root, _)| *root == Root::DataPoint(data)).unwrap();
        let mut point = Vec::new();
        put_message(&mut point, number, |inner| put_len(inner, 99, b"carol@example.com"));
        let mut expected = Vec::new();
        put_len(&mut expected, number, b"");
        assert_eq!(without_at_signs(root, schema, &point).unwrap(), expected);
    }
}
