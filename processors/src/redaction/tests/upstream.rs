//! Upstream's fields: order, meaning, hashes, and where ours differ on purpose.

use super::*;

fn key(engine: &Engine, key: &str) -> KeyVerdict {
    engine.key(&mut engine.scratch(), key.as_bytes(), true)
}

#[test]
fn keys_are_ignored_then_removed_then_blocked() {
    let engine = engine(json!({
        "allowed_keys": ["name", "token", "safe"],
        "ignored_keys": ["safe"],
        "ignored_key_patterns": ["^trusted_.*"],
        "blocked_key_patterns": [".*token.*", "safe"],
    }));
    assert_eq!(key(&engine, "safe"), KeyVerdict::Ignore);
    assert_eq!(key(&engine, "trusted_token"), KeyVerdict::Ignore);
    assert_eq!(key(&engine, "other_token"), KeyVerdict::Remove);
    assert_eq!(key(&engine, "token"), KeyVerdict::MaskValue);
    assert_eq!(key(&engine, "name"), KeyVerdict::Scan);
    assert_eq!(key(&engine, "redaction.masked.keys"), KeyVerdict::Scan, "summary keys are always allowed");
    assert_eq!(engine.key(&mut engine.scratch(), b"other", false), KeyVerdict::Scan, "not for nested keys");
}

#[test]
fn an_empty_allow_list_removes_everything() {
    let engine = engine(json!({"blocked_values": ["x"]}));
    assert_eq!(key(&engine, "anything"), KeyVerdict::Remove);
    let engine = super::engine(json!({"blocked_values": ["x"], "allow_all_keys": true}));
    assert_eq!(key(&engine, "anything"), KeyVerdict::Scan);
}

#[test]
fn matches_inside_a_value_become_stars_or_hashes() {
    let block = |hash: &str| {
        json!({
            "allow_all_keys": true, "hash_function": hash, "hmac_key": "0123456789abcdef".repeat(4),
            "blocked_values": ["4[0-9]{12}(?:[0-9]{3})?", "secret-\\w+"],
        })
    };
    let masked = |hash: &str, text: &str| run_at(&engine(block(hash)), Place::SpanAttribute, Some("a"), text);
    assert_eq!(masked("", "pan 4111111111111111 and secret-x"), "pan **** and ****");
    assert_eq!(masked("md5", "secret-x"), "d08f7f22e8dfe763cb6a68c3729ad8c6");
    assert_eq!(masked("sha1", "secret-x").len(), 40);
    assert_eq!(masked("sha3", "secret-x").len(), 64);
    assert_eq!(masked("hmac-sha256", "a secret-x b").len(), 68);
    assert_eq!(masked("hmac-sha512", "secret-x").len(), 128);
}

#[test]
fn an_allowed_value_exempts_the_whole_value_as_upstream_does() {
    let engine = engine(json!({
        "allow_all_keys": true, "blocked_values": ["mycompany\\.com", "\\d{4}"], "allowed_values": ["support\\.mycompany\\.com"],
        "blocked_key_patterns": ["token"],
    }));
    assert_eq!(
        run_at(&engine, Place::SpanAttribute, Some("a"), "support.mycompany.com 1234"),
        "support.mycompany.com 1234"
    );
    assert_eq!(run_at(&engine, Place::SpanAttribute, Some("a"), "www.mycompany.com 1234"), "www.**** ****");
    let (mut scratch, mut out) = (engine.scratch(), Vec::new());
    let verdict = engine.mask_by_key(&mut scratch, Place::SpanAttribute, b"token", b"support.mycompany.com", &mut out);
    assert_eq!(verdict, LeafVerdict::Keep);
    assert!(scratch.was_allowed);
}

#[test]
fn with_our_fields_an_allowed_value_exempts_only_what_lies_inside_it() {
    let engine = engine(json!({
        "packs": ["default"], "blocked_values": ["\\d{4}"], "allowed_values": ["[a-z]+@mycompany\\.com 1234"],
        "blocked_key_patterns": ["token"],
    }));
    assert_eq!(
        run(&engine, "bob@mycompany.com 1234 and eve@example.org 5678"),
        "bob@mycompany.com 1234 and [EMAIL] ****"
    );
    let (mut scratch, mut out) = (engine.scratch(), Vec::new());
    let verdict = engine.mask_by_key(&mut scratch, Place::SpanAttribute, b"token", b"bob@mycompany.com 1234", &mut out);
    assert_eq!((verdict, out.as_slice()), (LeafVerdict::Replace, b"****".as_slice()));
}

#[test]
fn blocked_values_do_not_touch_identities() {
    let engine = engine(json!({"packs": ["default"], "blocked_values": ["secret"]}));
    for place in [Place::Key, Place::MetricName, Place::MetricUnit, Place::ScopeName, Place::ScopeVersion] {
        assert_eq!(run_at(&engine, place, None, "secret bob@example.org"), "secret [EMAIL]", "{place:?}");
    }
    for place in [Place::MetricDescription, Place::SpanName, Place::LogSeverityText, Place::SpanStatus] {
        assert_eq!(run_at(&engine, place, None, "secret"), "****", "{place:?}");
    }
}

#[test]
fn overlapping_matches_become_one_replacement() {
    let engine = engine(json!({"allow_all_keys": true, "blocked_values": ["abcd", "cdef", "x+"]}));
    assert_eq!(run(&engine, "abcdef xxx"), "**** ****");
    assert_eq!(run(&engine, "****"), "****");
}

#[test]
fn all_types_are_matched_by_their_text_on_request() {
    let engine = engine(
        json!({"allow_all_keys": true, "redact_all_types": true, "blocked_values": ["^42$", "^true$", "^0\\.5$", "^1e\\+21$"]}),
    );
    let (mut scratch, mut out) = (engine.scratch(), Vec::new());
    let place = Place::SpanAttribute;
    assert_eq!(engine.int(&mut scratch, place, None, 42, &mut out), LeafVerdict::Replace);
    assert_eq!(engine.int(&mut scratch, place, None, 43, &mut out), LeafVerdict::Keep);
    assert_eq!(engine.bool(&mut scratch, place, None, true, &mut out), LeafVerdict::Replace);
    assert_eq!(engine.double(&mut scratch, place, None, 0.5, &mut out), LeafVerdict::Replace);
    assert_eq!(engine.double(&mut scratch, place, None, 1e21, &mut out), LeafVerdict::Replace);
}

#[test]
fn urls_are_sanitized_in_listed_attributes_after_masking() {
    let engine = engine(json!({"packs": ["default"], "url_sanitizer": {"enabled": true, "attributes": ["http.url"]}}));
    let at = |key: &str, text: &str| run_at(&engine, Place::SpanAttribute, Some(key), text);
    assert_eq!(at("http.url", "/users/123/bob@example.org?x=1"), "/users/*/[EMAIL]");
    assert_eq!(at("other", "/users/123"), "/users/123");
    assert_eq!(at("http.url", "/users"), "/users");
    let mut out = Vec::new();
    assert!(engine.sanitize_span_name(b"GET /users/123", &mut out));
    assert_eq!(out, b"GET /users/*");
    out.clear();
    assert!(!engine.sanitize_span_name(b"/123", &mut out), "a name is never starred out");
    assert!(!engine.sanitize_span_name(b"GET /users", &mut out));
    assert!(out.is_empty());
}
