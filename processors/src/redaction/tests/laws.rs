//! Laws: idempotence, independence of order, planted secrets, linear time.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Text made of pieces that detectors care about.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("bob@example.org".to_owned()),
        Just("4111111111111111".to_owned()),
        Just("4111-1111-1111-1111".to_owned()),
        Just("3782 822463 10005".to_owned()),
        Just("%40example.org".to_owned()),
        Just("＠x.de".to_owned()),
        Just("secret-1".to_owned()),
        Just("****".to_owned()),
        Just("[EMAIL]".to_owned()),
        Just("\u{200d}".to_owned()),
        "[a-z0-9@. %\\-_'\"{}:,/]{0,6}",
        "[0-9 \\-]{0,20}",
        "\\PC{0,4}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Engines of detectors alone. The law does not hold for every set of patterns: one may match what another's mask leaves.
static ENGINES: LazyLock<Vec<Engine>> = LazyLock::new(|| {
    let tokens = json!({"active": {"kid": "k1", "key": "0123456789abcdef0123456789abcdef"}});
    let all = |action: &str| json!({"email": {"action": action}, "pan": {"action": action}});
    vec![
        engine(json!({})),
        engine(json!({"detectors": all("partial")})),
        engine(json!({"detectors": all("mask_len")})),
        engine(json!({"packs": ["default"], "mask": "<hidden {type}>"})),
        engine(json!({"detectors": all("hmac"), "tokens": tokens})),
    ]
});

static BYTES: LazyLock<Engine> =
    LazyLock::new(|| engine(json!({"packs": ["default"], "blocked_values": ["a.b", "(?i)tok"]})));

static REQUEST: LazyLock<Engine> =
    LazyLock::new(|| engine(json!({"packs": ["default"], "blocked_values": ["secret-\\d", "exam.*org"]})));

/// The same patterns in two orders.
static ORDERS: LazyLock<[Engine; 2]> = LazyLock::new(|| {
    let mut patterns = ["secret-\\d", "[a-f]{2,}", "1{3}", "x\\w+"];
    let build = |patterns: &[&str]| engine(json!({"allow_all_keys": true, "blocked_values": patterns}));
    let forward = build(&patterns);
    patterns.reverse();
    [forward, build(&patterns)]
});

#[test]
fn a_finding_that_another_one_hides_is_masked_in_the_same_run() {
    let once = run(&ENGINES[0], "%%40example.org\u{c0}4111111111111111");
    assert_eq!(run(&ENGINES[0], &once), once);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_second_run_changes_nothing(text in pieces(), index in 0usize..5) {
        let engine = &ENGINES[index];
        let once = run(engine, &text);
        prop_assert_eq!(run(engine, &once), once);
    }

    #[test]
    fn a_planted_secret_never_survives(before in "\\PC{0,12}", after in "\\PC{0,12}", secret in 0usize..3) {
        let engine = &ENGINES[0];
        let secret = ["bob.planted@example.org", "4539578763621486", "4539-5787-6362-1486"][secret];
        let text = format!("{before} <{secret}> {after}");
        let out = run(engine, &text);
        prop_assert!(!out.contains(secret), "{}", out);
        prop_assert!(!out.contains("planted") && !out.contains("621486"), "{}", out);
    }

    #[test]
    fn any_bytes_are_judged_without_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let engine = &*BYTES;
        let (mut scratch, mut out) = (engine.scratch(), Vec::new());
        for place in Place::ALL {
            out.clear();
            engine.leaf_alone(&mut scratch, place, Some(b"key"), &text, &mut out);
        }
    }

    #[test]
    fn the_order_of_patterns_does_not_matter(text in pieces()) {
        let forward = run(&ORDERS[0], &text);
        let backward = run(&ORDERS[1], &text);
        prop_assert_eq!(forward, backward);
    }

    #[test]
    fn a_scan_of_the_whole_request_finds_what_a_scan_of_the_value_finds(
        before in proptest::collection::vec(any::<u8>(), 0..40), text in pieces(), after in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let engine = &*REQUEST;
        let (mut scratch, mut out, mut candidates) = (engine.scratch(), Vec::new(), Candidates::default());
        let request = [&before[..], text.as_bytes(), &after[..]].concat();
        engine.scan_batch(&request, &mut candidates);
        let leaf = Leaf { place: Place::LogBody, key: None, text: text.as_bytes(), at: before.len() };
        let verdict = engine.leaf(&mut scratch, &leaf, &mut candidates, &mut out);
        prop_assert_eq!(show(verdict, &text, &out), run(engine, &text));
    }
}

/// How long an engine takes for `text`.
fn time(engine: &Engine, text: &[u8]) -> Duration {
    let (mut scratch, mut out) = (engine.scratch(), Vec::new());
    let start = Instant::now();
    engine.leaf_alone(&mut scratch, Place::LogBody, None, text, &mut out);
    start.elapsed()
}

#[test]
fn hostile_values_take_linear_time() {
    let engine = engine(json!({"packs": ["default"], "max_value_bytes": 8 << 20}));
    for piece in [
        "1",
        "1 ",
        "12-",
        "@",
        "a@",
        "aaaaaaa@",
        "a.",
        "@a.",
        "%40",
        "4111 ",
        "\u{200d}1",
        "４",
        "a%2",
        "'@",
        "\\\\n@a.b",
    ] {
        let text = |bytes: usize| piece.repeat(bytes / piece.len()).into_bytes();
        let (small, large) = (text(32 << 10), text(1 << 20));
        // 32 times the input; quadratic work would take 1,024 times as long. A busy machine may need several attempts.
        let linear = || time(&engine, &large) < time(&engine, &small) * 250;
        assert!((0..10).any(|_| linear()), "{piece:?}");
    }
}
