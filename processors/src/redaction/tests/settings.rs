//! What is refused, and which defaults apply.

use super::*;

#[test]
fn what_cannot_work_is_refused_with_a_reason() {
    for (block, reason) in [
        (json!({"surprise": 1}), "unknown field `surprise`"),
        (json!({"hash_function": "crc"}), "unknown hash function crc"),
        (json!({"hash_function": "hmac-sha256"}), "hmac_key: must be at least 32 bytes"),
        (
            json!({"hash_function": "hmac-sha512", "hmac_key": "0123456789012345678901234567890123456789"}),
            "at least 64 bytes",
        ),
        (json!({"blocked_values": ["ok", "(a"]}), "blocked_values[1]: pattern `(a` at offset 0: missing closing )"),
        (json!({"ignored_key_patterns": ["\\1"]}), "ignored_key_patterns[0]: pattern"),
        (json!({"packs": ["network"]}), "packs: `network` is not supported yet"),
        (json!({"packs": ["nothing"]}), "unknown variant `nothing`"),
        (json!({"detectors": {"emial": {}}}), "detectors.emial: no such detector; available: email, pan"),
        (json!({"detectors": {"email": {"action": "hmac"}}}), "tokens: needed by the action hmac of `email`"),
        (json!({"detectors": {"email": {"policy": {"a": "b"}}}}), "detectors.email.policy"),
        (json!({"detectors": {"email": {"threshold": 2}}}), "detectors.email.threshold: must be between 0 and 1"),
        (json!({"tokens": {"active": {"kid": "k1", "key": "short"}}}), "tokens.active.key: must be at least 32 bytes"),
        (
            json!({"tokens": {"active": {"kid": "K 1", "key": "0123456789012345678901234567890123456789"}}}),
            "tokens.active.kid",
        ),
        (json!({"rules": [{"id": "x"}]}), "exactly one of pattern, keywords and keys"),
        (json!({"rules": [{"id": "email", "pattern": "x"}, {"id": "email", "pattern": "y"}]}), "rules[1].id"),
        (json!({"rules": [{"pattern": "x", "validator": "mod97"}]}), "rules[0].validator"),
        (json!({"mask": "bob@example.org", "packs": ["default"]}), "is itself a finding"),
        (json!({"allow": {"values_hashed": ["12"]}}), "allow.values_hashed"),
        (
            json!({"db_sanitizer": {"sql": {"enabled": true}}}),
            "db_sanitizer: sanitizing database statements is not supported yet",
        ),
        (json!({"skip_conditions": ["true"]}), "skip_conditions: skip conditions are not supported yet"),
        (json!({"on_limit": "pass"}), "unknown variant `pass`"),
        (json!({"summary": "loud"}), "unknown variant `loud`"),
    ] {
        let error = try_engine(block.clone()).map(|_| ()).unwrap_err();
        assert!(error.contains(reason), "{block}: {error}");
    }
}

#[test]
fn defaults_follow_what_is_written() {
    let config = |block: Value| serde_json::from_value::<Config>(block).unwrap();
    let upstream = config(json!({"blocked_values": ["x"]}));
    assert!(upstream.is_upstream_only() && !upstream.allows_all_keys() && upstream.effective_packs().is_empty());
    assert_eq!(upstream.allowed_scope(), config::AllowedScope::Value);
    let mixed = config(json!({"blocked_values": ["x"], "packs": ["default"]}));
    assert!(mixed.allows_all_keys());
    assert_eq!(mixed.allowed_scope(), config::AllowedScope::Match);
    let empty = config(json!({}));
    assert!(empty.allows_all_keys());
    assert_eq!(empty.effective_packs(), [config::Pack::Default]);
    let dry = config(json!({"dry_run": true}));
    assert_eq!(dry.effective_packs(), [config::Pack::Default]);
}

#[test]
fn key_material_is_never_shown() {
    let config: Config = serde_json::from_value(
        json!({"hmac_key": "a very secret key", "tokens": {"active": {"kid": "k", "key": "another secret"}}}),
    )
    .unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("secret") && shown.contains("[REDACTED]"), "{shown}");
}

#[test]
fn detectors_are_chosen_by_pack_and_by_name() {
    let ids = |block: Value| engine(block).detector_ids().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(ids(json!({"packs": ["contact"]})), ["email"]);
    assert_eq!(ids(json!({"packs": ["default"], "detectors": {"email": {"enabled": false}}})), ["pan"]);
    assert_eq!(ids(json!({"detectors": {"pan": {}}})), ["pan"]);
    assert_eq!(ids(json!({"blocked_values": ["x"]})), [""; 0]);
}

#[test]
fn a_pattern_without_a_literal_is_reported_as_slow() {
    let engine = engine(json!({"blocked_values": ["token=\\d+", "\\d{11}", "\\d{16}"]}));
    assert_eq!(engine.slow_patterns().collect::<Vec<_>>(), ["blocked_values[1]"]);
}
