use super::{ClientRanges, Key, Ranges, Seen};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn a_key_survives_both_carriers() {
    let key = Key { run: 1023, client: 77, sequence: (1 << 33) - 1 };
    assert_eq!(Key::of_trace_id(key.to_trace_id()), key);
    assert_eq!(Key::of_value(key.to_value()), Some(key));
    assert_eq!(Key::of_value(f64::NAN), None);
    assert_eq!(Key::of_value(0.5), None);
}

#[test]
fn loss_and_duplicates_are_seen() {
    let mut seen = Seen::default();
    for sequence in (0..100).chain(150..200).chain(10..12) {
        seen.insert(Key { run: 1, client: 2, sequence });
    }
    let mut ranges = Ranges::default();
    ranges.insert(0, 180);
    let report = seen.report();
    assert_eq!(report.duplicates, 2);
    assert_eq!(report.lost(&ClientRanges { run: 1, client: 2, ranges: ranges.clone() }), 50);
    assert_eq!(report.unacknowledged(&ClientRanges { run: 1, client: 2, ranges: ranges.clone() }), 20);
    assert_eq!(report.lost(&ClientRanges { run: 1, client: 3, ranges }), 180);
}

proptest! {
    #[test]
    fn ranges_are_a_set(a in proptest::collection::vec((0u64..60, 0u64..9), 0..20), b in proptest::collection::vec((0u64..60, 0u64..9), 0..20)) {
        let build = |parts: &[(u64, u64)]| {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (start, length) in parts {
                ranges.insert(*start, start + length);
                set.extend(*start..start + length);
            }
            (ranges, set)
        };
        let ((left, left_set), (right, right_set)) = (build(&a), build(&b));
        prop_assert_eq!(left.count(), left_set.len() as u64);
        prop_assert!(left.0.windows(2).all(|pair| pair[0].1 < pair[1].0));
        prop_assert_eq!(left.missing_from(&right), left_set.difference(&right_set).count() as u64);
    }
}
