//! Reading and writing `ot=th`, against a plain model.

use std::collections::BTreeMap;

use sluice_pdata::testing::Rng;

use super::threshold::{
    ONE, OwnThreshold, Randomness, adjusted_count, encode_randomness, own_threshold, random_value, randomness, rewrite,
};
use super::*;

fn th(text: &str) -> Option<u64> {
    Threshold::parse(text.as_bytes()).map(Threshold::get)
}

#[test]
fn thresholds_are_read_and_written_as_the_specification_shows() {
    for (text, t) in [
        ("0", Some(0)),
        ("8", Some(ONE / 2)),
        ("c", Some(ONE / 4 * 3)),
        ("00000000000001", Some(1)),
        ("ffffffffffffff", Some(ONE - 1)),
        ("80000000000000", Some(ONE / 2)),
        ("", None),
        ("000000000000000", None),
        ("C", None),
        ("g", None),
        ("-1", None),
        ("0x8", None),
        (" 8", None),
    ] {
        assert_eq!(th(text), t, "{text}");
    }
    for (t, text) in [(0, "0"), (ONE / 2, "8"), (ONE / 4 * 3, "c"), (1, "00000000000001"), (ONE - 1, "ffffffffffffff")]
    {
        assert_eq!(Threshold::new(t).unwrap().encode().as_str(), text);
    }
    assert_eq!(Threshold::new(ONE), None);
}

#[test]
fn ratios_are_rounded_to_four_digits_after_leading_fs() {
    for (p, text) in [
        (1.0, "0"),
        (2.0, "0"),
        (0.5, "8"),
        (0.25, "c"),
        (1.0 / 3.0, "aaab"),
        (0.1, "e666"),
        (0.01, "fd70a"),
        (0.001, "ffbe77"),
        (0.0001, "fff9724"),
        (0.05, "f3333"),
        (1e-9, "fffffffbb48"),
        (2.0_f64.powi(-56), "ffffffffffffff"),
    ] {
        assert_eq!(Threshold::from_probability(p).unwrap().encode().as_str(), text, "{p}");
    }
    for p in [0.0, -1.0, f64::NAN, 2.0_f64.powi(-58)] {
        assert_eq!(Threshold::from_probability(p), None, "{p}");
    }
    // The probability that is left is the one that was asked for, to four digits.
    let mut rng = Rng::new(3);
    for _ in 0..10_000 {
        let p = 2.0_f64.powf(-(rng.below(40_000) as f64) / 1000.0);
        let probability = Threshold::from_probability(p).unwrap().probability();
        assert!((probability / p - 1.0).abs() < 1.0 / 2048.0, "{p}: {probability}");
    }
}

#[test]
fn every_threshold_survives_its_text() {
    let mut rng = Rng::new(1);
    for _ in 0..20_000 {
        let t = (rng.bits() >> 8 >> rng.below(56)) << rng.below(8) & (ONE - 1);
        let threshold = Threshold::new(t).unwrap();
        let encoded = threshold.encode();
        assert_eq!(Threshold::parse(encoded.as_bytes()), Some(threshold));
        assert!(t == 0 || !encoded.as_str().ends_with('0'));
        let probability = threshold.probability();
        assert!((threshold.adjusted_count() * probability - 1.0).abs() < 1e-9);
    }
}

#[test]
fn randomness_is_rv_or_the_low_bits_of_the_id() {
    let id = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    let of_id = 0x0a_0b0c_0d0e_0f10;
    assert_eq!(randomness(None, &id), of_id);
    assert_eq!(randomness(Some(b"0123456789abcd"), &id), 0x01_2345_6789_abcd);
    for malformed in [&b"123456789abcd"[..], b"0123456789abcde", b"0123456789abcD", b""] {
        assert_eq!(randomness(Some(malformed), &id), of_id);
    }
    for (list, found) in [
        ("", Randomness::Absent),
        ("ot=th:8", Randomness::Absent),
        ("x=rv:0123456789abcd", Randomness::Absent),
        ("ot=th:8;rv:0123456789abcd", Randomness::Valid(0x01_2345_6789_abcd)),
        ("a=b, ot=rv:0123456789abcd ,c=d", Randomness::Valid(0x01_2345_6789_abcd)),
        ("ot=rv:12", Randomness::Malformed),
        ("ot=rv:0123456789abcd;rv:0123456789abcd", Randomness::Malformed),
    ] {
        assert_eq!(random_value(list.as_bytes()), found, "{list}");
    }
    assert_eq!(encode_randomness(0x0a), "0000000000000a");
}

#[test]
fn a_span_counts_as_its_threshold_says() {
    let id = [0xff; 16]; // the highest randomness
    for (list, count) in [
        ("", 1.0),
        ("a=b", 1.0),
        ("ot=th:0", 1.0),
        ("ot=th:8", 2.0),
        ("ot=th:c", 4.0),
        ("ot=th:C", 1.0),
        ("ot=th:", 1.0),
        // Its randomness is below: it should not be here.
        ("ot=th:8;rv:70000000000000", 1.0),
        ("ot=th:8;rv:80000000000000", 2.0),
        // A malformed rv is as none.
        ("ot=th:8;rv:7", 2.0),
    ] {
        assert_eq!(adjusted_count(list.as_bytes(), &id), count, "{list}");
    }
}

#[test]
fn a_kept_span_gets_the_larger_threshold() {
    let half = Weight::Threshold(ONE / 2);
    for (list, weight, written) in [
        ("", half, Some("ot=th:8")),
        ("a=b", half, Some("ot=th:8,a=b")),
        ("a=b,ot=rv:f0000000000000", half, Some("ot=th:8;rv:f0000000000000,a=b")),
        ("ot=th:4", half, Some("ot=th:8")),
        ("ot=th:c", half, None),
        ("ot=th:8", half, None),
        ("ot=th:80", half, None),
        ("a=b,ot=x:1;th:4;y:2", half, Some("ot=th:8;x:1;y:2,a=b")),
        // Nothing to add: it stays as it came, in the way it was written.
        (" a=b , ot=th:4", Weight::Threshold(0), None),
        ("", Weight::Threshold(0), None),
        // Erased.
        ("a=b,ot=th:4", Weight::Unknown, Some("a=b")),
        ("ot=th:4;x:1", Weight::Unknown, Some("ot=x:1")),
        ("ot=th:4", Weight::Unknown, Some("")),
        ("a=b", Weight::Unknown, None),
        // Malformed, or above the randomness.
        ("ot=th:X,a=b", Weight::Threshold(0), Some("a=b")),
        ("ot=th:ff", Weight::Threshold(0), Some("")),
        ("ot=th:ff", half, Some("ot=th:8")),
        ("ot=th:4;th:4", Weight::Threshold(0), Some("")),
    ] {
        let rewritten = rewrite(list.as_bytes(), weight, 0xf0_0000_0000_0000);
        let got = rewritten.changed.map(|text| String::from_utf8(text).unwrap());
        assert_eq!(got.as_deref(), written, "{list} {weight:?}");
    }
}

#[test]
fn what_does_not_fit_goes_without_a_threshold() {
    let members: Vec<String> = (0..32).map(|n| format!("k{n}=v")).collect();
    let half = Weight::Threshold(ONE / 2);
    let full = members.join(",");
    let rewritten = rewrite(full.as_bytes(), half, ONE - 1);
    assert_eq!((rewritten.changed, rewritten.no_room, rewritten.threshold), (None, true, None));
    // One fewer leaves room.
    let rewritten = rewrite(members[1..].join(",").as_bytes(), half, ONE - 1);
    assert!(!rewritten.no_room);
    assert_eq!(rewritten.threshold, Threshold::new(ONE / 2));
    // With `ot` among them there is room.
    let rewritten = rewrite(format!("{},ot=x:1", members[1..].join(",")).as_bytes(), half, ONE - 1);
    assert!(!rewritten.no_room);
    // A long `ot`.
    for (len, fits) in [(248, true), (249, true), (250, false)] {
        let list = format!("ot=x:{}", "y".repeat(len));
        let rewritten = rewrite(list.as_bytes(), Weight::Threshold(ONE / 2), ONE - 1);
        assert_eq!(rewritten.no_room, !fits, "{len}");
        let text = rewritten.changed.unwrap_or_else(|| list.clone().into_bytes());
        assert_eq!(text.starts_with(b"ot=th:8;x:yyy"), fits, "{len}");
        assert!(text.len() <= 259 || !fits);
    }
    // What was there and no longer fits is erased.
    let list = format!("ot=th:4;x:{}", "y".repeat(248));
    let rewritten = rewrite(list.as_bytes(), Weight::Threshold(ONE / 16 * 15 + 1), ONE - 1);
    assert!(rewritten.no_room);
    assert_eq!(rewritten.changed.as_deref(), Some(format!("ot=x:{}", "y".repeat(248)).as_bytes()));
}

/// A list as its members in order; of `ot`, the sub-keys.
fn model(list: &str) -> (Vec<String>, BTreeMap<String, String>) {
    let members = list.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty());
    let (ot, others): (Vec<&str>, Vec<&str>) = members.partition(|member| member.starts_with("ot="));
    let subs = ot.first().map(|member| member[3..].split(';')).into_iter().flatten().filter(|sub| !sub.is_empty());
    let subs = subs
        .map(|sub| sub.split_once(':').map_or((sub.to_owned(), String::new()), |(k, v)| (k.to_owned(), v.to_owned())));
    (others.into_iter().map(str::to_owned).collect(), subs.collect())
}

#[test]
fn rewriting_loses_nothing_but_what_it_must() {
    let mut rng = Rng::new(5);
    for case in 0..20_000 {
        let mut members: Vec<String> = (0..rng.below(5))
            .map(|n| format!("{}{n}={}", rng.pick(&["v", "w@s", "o"]), rng.pick(&["1", "a b", "x:y;th:8"])))
            .collect();
        if rng.chance(70) {
            let mut subs: Vec<String> = Vec::new();
            if rng.chance(50) {
                subs.push(format!("th:{}", rng.pick(&["0", "4", "8", "c", "fff", "8A", "", "123456789012345"])));
            }
            if rng.chance(50) {
                subs.push("rv:e0000000000000".to_owned());
            }
            if rng.chance(50) {
                subs.push(format!("{}:{}", rng.pick(&["x", "thx", "t"]), rng.pick(&["1", "th:8"])));
            }
            let at = rng.below(subs.len() + 1);
            subs.rotate_left(at);
            if !subs.is_empty() {
                let at = rng.below(members.len() + 1);
                members.insert(at, format!("ot={}", subs.join(";")));
            }
        }
        let list = members.join(rng.pick(&[",", ", ", " ,,"]));
        let r = 0xe0_0000_0000_0000;
        let weight = match rng.below(4) {
            0 => Weight::Unknown,
            1 => Weight::Threshold(0),
            _ => Weight::Threshold(rng.pick(&[1, ONE / 4, ONE / 2, ONE / 8 * 7])),
        };
        let (others, mut subs) = model(&list);
        let own = subs.get("th").and_then(|text| th(text)).filter(|t| *t <= r);
        let had = subs.remove("th").is_some();
        let expected = match weight {
            Weight::Unknown => None,
            Weight::Threshold(t) => own.max((t > 0).then_some(t)),
        };
        let rewritten = rewrite(list.as_bytes(), weight, r);
        assert_eq!(rewritten.threshold.map(Threshold::get), expected, "case {case}: {list} {weight:?}");
        assert_eq!(rewritten.invalid, had && own.is_none(), "case {case}: {list}");
        let unchanged = expected == own && !rewritten.invalid;
        assert_eq!(rewritten.changed.is_none(), unchanged, "case {case}: {list} {weight:?}");
        let text = rewritten.changed.map_or(list.clone(), |text| String::from_utf8(text).unwrap());
        let (others_now, mut subs_now) = model(&text);
        let written = subs_now.remove("th");
        assert_eq!(others_now, others, "case {case}: {list} -> {text}");
        assert_eq!(subs_now, subs, "case {case}: {list} -> {text}");
        assert_eq!(written.as_deref().and_then(th), expected, "case {case}: {list} -> {text}");
        if !unchanged && (expected.is_some() || !subs.is_empty()) {
            assert!(text.starts_with("ot="), "case {case}: a changed `ot` is in front: {text}");
        }
        // Again, nothing changes; and the threshold has only risen.
        assert_eq!(rewrite(text.as_bytes(), weight, r).changed, None, "case {case}: {text}");
        if let (Weight::Threshold(_), Some(own)) = (weight, own) {
            assert!(expected >= Some(own));
        }
        let read = own_threshold(text.as_bytes(), r);
        let expected = expected.map_or(OwnThreshold::Absent, |t| OwnThreshold::Valid(Threshold::new(t).unwrap()));
        assert_eq!(read, expected, "case {case}: {text}");
    }
}
