//! The walk over leaves reaches every string of every message, at the offsets that it names, and changes nothing else.

use sluice_pdata::testing::{
    LEAF_ROOTS, Oddities, Rng, Shape, at_signs_replaced, law_cases, meaning, message, odd, without_at_signs,
};

#[test]
fn every_string_is_reached_and_nothing_else_changes() {
    for (root, schema) in LEAF_ROOTS {
        for seed in 0..law_cases() {
            let mut rng = Rng::new(seed);
            let shape = Shape { broken_utf8: true, ..Shape::default() };
            let plain = message(schema, &mut rng, &shape);
            let source = if rng.chance(50) { odd(schema, &plain, &mut rng, &Oddities::ALL) } else { plain };
            let found = without_at_signs(root, schema, &source).unwrap();
            let expected = at_signs_replaced(schema, meaning(schema, &source).unwrap().without_unknown(schema));
            assert!(meaning(schema, &found).unwrap() == expected, "{root:?}, seed {seed}");
        }
    }
}
