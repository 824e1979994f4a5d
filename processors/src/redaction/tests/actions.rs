//! Actions, masks in their syntax, scores, allow lists, scope, limits.

use super::*;

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn each_action_does_what_it_says() {
    for (action, expected) in [
        ("mask", "a [EMAIL] b"),
        ("mask_len", "a *************** b"),
        ("partial", "a ***@example.org b"),
        ("drop_value", "<Empty>"),
        ("drop_attribute", "<DropAttribute>"),
        ("drop_record", "<DropItem(ByRule)>"),
        ("tag_only", "a bob@example.org b"),
    ] {
        let engine = engine(json!({"detectors": {"email": {"action": action}}}));
        assert_eq!(run_at(&engine, Place::SpanAttribute, None, "a bob@example.org b"), expected, "{action}");
    }
    let engine = engine(json!({"detectors": {"email": {"action": "drop_attribute"}}}));
    assert_eq!(run(&engine, "a bob@example.org b"), "a [EMAIL] b", "a body is no attribute");
}

#[test]
fn join_tokens_are_the_same_for_the_same_value_everywhere() {
    let tokens = json!({"active": {"kid": "k1", "key": KEY}});
    let engine = engine(json!({"packs": ["default"], "detectors": {"email": {"action": "hmac"}}, "tokens": tokens}));
    let first = run(&engine, "bob@example.org");
    assert!(first.starts_with("EMAIL_k1_") && first.len() == 29, "{first}");
    assert_eq!(run(&engine, "x Bob%40Example.org y"), format!("x {first} y"));
    assert_eq!(run_at(&engine, Place::SpanName, None, "bob@example.org"), first);
    assert_eq!(run(&engine, "4111111111111111"), "[PAN]", "hmac is the default on data points only");
    let on_point = run_at(&engine, Place::DatapointAttribute, None, "4111 1111 1111 1111");
    assert!(on_point.starts_with("PAN_k1_"), "{on_point}");
    assert_eq!(run(&engine, &on_point), on_point);
}

#[test]
fn a_mask_keeps_the_syntax_around_it() {
    let engine = engine(json!({}));
    for (text, expected) in [
        (r#"{"card":4111111111111111,"n":1}"#, r#"{"card":"[PAN]","n":1}"#),
        (r#"{"card":"4111111111111111"}"#, r#"{"card":"[PAN]"}"#),
        (r#"{"m":"{\"card\": 4111111111111111}"}"#, r#"{"m":"{\"card\": \"[PAN]\"}"}"#),
        ("[4111111111111111, 2]", r#"["[PAN]", 2]"#),
        ("card: 4111111111111111,", "card: [PAN],"),
        ("https://x.example/u/bob@example.org?c=4111111111111111", "https://x.example/u/REDACTED?c=REDACTED"),
        ("see https://x.example/ and bob@example.org", "see https://x.example/ and [EMAIL]"),
        (r#"{"mail":"a\nbob@example.org"}"#, r#"{"mail":"a\n[EMAIL]"}"#),
    ] {
        assert_eq!(run(&engine, text), expected, "{text}");
    }
}

#[test]
fn trace_state_loses_the_member_and_stays_valid() {
    let engine = engine(json!({}));
    let state = |text: &str| run_at(&engine, Place::SpanTraceState, None, text);
    assert_eq!(state("a=1,b=bob@example.org,c=3"), "a=1,c=3");
    assert_eq!(state("b=bob@example.org"), "");
    assert_eq!(state("a=4111111111111111,b=2,c=bob@example.org"), "b=2");
}

#[test]
fn schema_urls_lose_their_user_information() {
    let engine = engine(json!({}));
    let url = |text: &str| run_at(&engine, Place::ScopeSchemaUrl, None, text);
    assert_eq!(url("https://bob:secret@schemas.example/1.0"), "https://schemas.example/1.0");
    assert_eq!(url("https://schemas.example/1.0?by=bob@example.org"), "https://schemas.example/1.0?by=REDACTED");
    assert_eq!(url("https://u@s.example/bob@example.org"), "https://s.example/REDACTED");
    assert_eq!(url("https://schemas.example/1.0"), "https://schemas.example/1.0");
}

#[test]
fn numbers_become_strings_only_when_masked() {
    let engine = engine(json!({}));
    let (mut scratch, mut out) = (engine.scratch(), Vec::new());
    assert_eq!(
        engine.int(&mut scratch, Place::SpanAttribute, Some(b"n"), 4_111_111_111_111_111, &mut out),
        LeafVerdict::Replace
    );
    assert_eq!(out, b"[PAN]");
    out.clear();
    assert_eq!(
        engine.double(&mut scratch, Place::SpanAttribute, None, 4_111_111_111_111_111.0, &mut out),
        LeafVerdict::Replace
    );
    out.clear();
    for value in [0, -4_111_111_111_111_111, 4_111_111_111_111_112, 1_700_000_000_000_000_000, i64::MIN, i64::MAX] {
        assert_eq!(engine.int(&mut scratch, Place::SpanAttribute, None, value, &mut out), LeafVerdict::Keep, "{value}");
    }
    for value in [f64::NAN, f64::INFINITY, 4_111_111_111_111_111.5, 0.1] {
        assert_eq!(
            engine.double(&mut scratch, Place::SpanAttribute, None, value, &mut out),
            LeafVerdict::Keep,
            "{value}"
        );
    }
    assert!(out.is_empty());
}

#[test]
fn context_and_threshold_decide() {
    let default = engine(json!({}));
    assert_eq!(run(&default, "offset 4111111111111111"), "offset 4111111111111111", "an excluded word costs 0.40");
    assert_eq!(run(&default, "card 4111111111111111 offset 3"), "card [PAN] offset 3");
    assert_eq!(run_at(&default, Place::SpanAttribute, Some("card_number"), "offset 4111111111111111"), "offset [PAN]");
    assert_eq!(run_at(&default, Place::SpanAttribute, Some("block.id"), "4111111111111111"), "4111111111111111");
    assert_eq!(run(&default, "commit by bob@example.org"), "commit by [EMAIL]", "the shape is proof enough");
    let strict = engine(json!({"packs": ["default"], "threshold": 0.9}));
    assert_eq!(run(&strict, "4111111111111111"), "4111111111111111");
    assert_eq!(run(&strict, "visa 4111111111111111"), "visa [PAN]");
    let mut scratch = strict.scratch();
    strict.leaf_alone(&mut scratch, Place::LogBody, None, b"4111111111111111", &mut Vec::new());
    let mut seen = Vec::new();
    scratch.counts.each_suppressed(|source, why, count| seen.push((strict.source_id(source).to_owned(), why, count)));
    assert_eq!(seen, [("pan".to_owned(), Suppressed::Threshold, 1)]);
}

#[test]
fn allow_lists_look_at_the_finding_alone() {
    let hashed =
        super::super::hash::sha256(b"bob@example.org").iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for (allow, text, expected) in [
        (json!({"prefixes": ["noreply@"]}), "noreply@example.org bob@example.org", "noreply@example.org [EMAIL]"),
        (json!({"suffixes": ["@corp.example"]}), "a@corp.example b@x.example", "a@corp.example [EMAIL]"),
        (json!({"span_patterns": ["bot-\\d+@.*"]}), "bot-7@x.org xbot-7@x.org", "bot-7@x.org [EMAIL]"),
        (json!({"values_hashed": [hashed]}), "Bob%40example.org a@example.org", "Bob%40example.org [EMAIL]"),
        (json!({"example_domains": true}), "a@sub.example.org b@example.de", "a@sub.example.org [EMAIL]"),
        (json!({"test_cards": true}), "4111 1111 1111 1111 / 4539578763621486", "4111 1111 1111 1111 / [PAN]"),
    ] {
        let engine = engine(json!({"packs": ["default"], "allow": allow}));
        assert_eq!(run(&engine, text), expected, "{allow}");
    }
    let engine = engine(json!({"packs": ["default"], "allow": {"keys": ["contact.*"]}}));
    assert_eq!(run_at(&engine, Place::SpanAttribute, Some("contact.mail"), "bob@example.org"), "bob@example.org");
    assert_eq!(run_at(&engine, Place::SpanAttribute, Some("user.mail"), "bob@example.org"), "[EMAIL]");
}

#[test]
fn scope_limits_where_detectors_look() {
    let engine =
        engine(json!({"packs": ["default"], "scope": {"include": ["span", "log"], "exclude": ["safe.*", "log"]}}));
    let at = |place, key| run_at(&engine, place, key, "bob@example.org");
    assert_eq!(at(Place::SpanAttribute, Some("a")), "[EMAIL]");
    assert_eq!(at(Place::SpanAttribute, Some("safe.a")), "bob@example.org");
    assert_eq!(at(Place::LogBody, None), "bob@example.org");
    assert_eq!(at(Place::ResourceAttribute, Some("a")), "bob@example.org");
}

#[test]
fn rules_of_the_user_act_like_detectors() {
    let engine = engine(json!({"rules": [
        {"id": "staff", "type": "STAFF_ID", "pattern": "\\bE-\\d{6}\\b"},
        {"id": "codename", "keywords": ["Blue Heron"]},
        {"id": "pin", "keys": ["*.pin"]},
        {"id": "loyalty", "pattern": "\\b9\\d{15}\\b", "validator": "luhn"},
        {"id": "room", "pattern": "R\\d{3}", "base": 0.4, "with_context": 0.9, "context": ["meeting"], "scope": {"include": ["log"]}},
    ]}));
    assert_eq!(run(&engine, "E-123456 saw the blue heron"), "[STAFF_ID] saw the [CODENAME]");
    assert_eq!(run(&engine, "E-1234567 blue herons"), "E-1234567 blue herons");
    assert_eq!(run(&engine, "9000000000000001 9000000000000002"), "[LOYALTY] 9000000000000002");
    assert_eq!(run(&engine, "R101 meeting in R102"), "[ROOM] meeting in [ROOM]");
    assert_eq!(run(&engine, "R101"), "R101");
    assert_eq!(run_at(&engine, Place::SpanAttribute, None, "meeting R101"), "meeting R101");
    let mut scratch = engine.scratch();
    assert_eq!(engine.key(&mut scratch, b"card.pin", false), KeyVerdict::MaskValue);
    let mut out = Vec::new();
    assert_eq!(
        engine.mask_by_key(&mut scratch, Place::SpanAttribute, b"card.pin", b"1234", &mut out),
        LeafVerdict::Replace
    );
    assert_eq!(out, b"[PIN]");
}

#[test]
fn over_a_limit_the_whole_value_is_masked() {
    let small = engine(json!({"packs": ["default"], "max_value_bytes": 10}));
    assert_eq!(run(&small, "12345678901"), "****");
    assert_eq!(run(&small, "1234567890"), "1234567890");
    assert_eq!(run_at(&small, Place::SpanTraceState, None, "a=1,b=2,c=3,d=4"), "<Empty>");
    let dropping = engine(json!({"packs": ["default"], "max_value_bytes": 10, "on_limit": "drop_item"}));
    assert_eq!(run(&dropping, "12345678901"), "<DropItem(OnLimit)>");
    let many = "a@b.cc ".repeat(5_000);
    let default = engine(json!({}));
    assert_eq!(run(&default, &many), "****");
    assert_eq!(run(&default, &"a@b.cc ".repeat(4_000)), "[EMAIL] ".repeat(4_000));
}

#[test]
fn a_dry_run_counts_and_changes_nothing() {
    let engine = engine(
        json!({"dry_run": true, "packs": ["default"], "max_value_bytes": 40, "blocked_key_patterns": ["token"]}),
    );
    let mut scratch = engine.scratch();
    let mut out = Vec::new();
    let verdict = engine.leaf_alone(&mut scratch, Place::SpanName, None, b"bob@example.org", &mut out);
    assert_eq!((verdict, out.len()), (LeafVerdict::Keep, 0));
    assert_eq!(engine.leaf_alone(&mut scratch, Place::SpanName, None, &[b'x'; 50], &mut out), LeafVerdict::Keep);
    assert_eq!(engine.mask_by_key(&mut scratch, Place::SpanAttribute, b"token", b"x", &mut out), LeafVerdict::Keep);
    let mut seen = Vec::new();
    scratch.counts.each_finding(|source, action, place, count| {
        seen.push((engine.source_id(source).to_owned(), action, place, count))
    });
    assert_eq!(
        seen,
        [
            ("blocked_key".to_owned(), crate::redaction::counts::DRY_RUN, "span", 1),
            ("email".to_owned(), crate::redaction::counts::DRY_RUN, "span", 1),
        ]
    );
    assert_eq!(scratch.counts.tally.fail_closed[FailClosed::Size as usize], 1);
}

#[test]
fn what_is_not_utf8_is_scanned_as_bytes() {
    let engine = engine(json!({}));
    let (mut scratch, mut out) = (engine.scratch(), Vec::new());
    let verdict = engine.leaf_alone(&mut scratch, Place::LogBody, None, b"\xff\xfe bob@example.org \x80", &mut out);
    assert_eq!(verdict, LeafVerdict::Replace);
    assert_eq!(out, b"\xff\xfe [EMAIL] \x80");
}
