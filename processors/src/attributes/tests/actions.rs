//! Each action on one attribute list.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::{Value as Json, json};

use crate::model::small::{log_request, logs, pairs, record, shown};

/// The attributes of a log record behind some actions.
fn edited(actions: &str, before: Json) -> Json {
    let config = format!("{{actions: [{actions}]}}");
    let after = logs(&[("attributes", &config)], log_request(None, vec![record(before)]));
    shown(&after.resource_logs[0].scope_logs[0].log_records[0].attributes)
}

fn table(rows: &[(&str, Json, Json)]) {
    for (actions, before, after) in rows {
        assert_eq!(edited(actions, before.clone()), *after, "{actions}");
    }
}

#[test]
fn insert_update_and_upsert_differ_in_what_must_be_there() {
    table(&[
        ("{key: a, value: 1, action: insert}", json!({"b": 2}), json!({"a": 1, "b": 2})),
        ("{key: a, value: 1, action: insert}", json!({"a": "x"}), json!({"a": "x"})),
        ("{key: a, value: 1, action: update}", json!({"b": 2}), json!({"b": 2})),
        ("{key: a, value: 1, action: update}", json!({"a": "x"}), json!({"a": 1})),
        ("{key: a, value: 1, action: upsert}", json!({}), json!({"a": 1})),
        ("{key: a, value: 1, action: upsert}", json!({"a": "x"}), json!({"a": 1})),
        ("{key: a, value: 1, action: UpSert}", json!({}), json!({"a": 1})),
        // An empty value is there.
        ("{key: a, value: 1, action: insert}", json!({"a": null}), json!({"a": null})),
    ]);
}

#[test]
fn a_value_has_the_type_that_it_is_written_with() {
    table(&[
        ("{key: a, value: text, action: insert}", json!({}), json!({"a": "text"})),
        ("{key: a, value: \"7\", action: insert}", json!({}), json!({"a": "7"})),
        ("{key: a, value: 7, action: insert}", json!({}), json!({"a": 7})),
        ("{key: a, value: 7.5, action: insert}", json!({}), json!({"a": 7.5})),
        ("{key: a, value: true, action: insert}", json!({}), json!({"a": true})),
        ("{key: a, value: \"\", action: insert}", json!({}), json!({"a": ""})),
        ("{key: a, value: [1, x, [], null], action: insert}", json!({}), json!({"a": [1, "x", [], null]})),
        ("{key: a, value: {b: 1, c: {d: x}}, action: insert}", json!({}), json!({"a": {"b": 1, "c": {"d": "x"}}})),
    ]);
}

#[test]
fn from_attribute_copies_whatever_is_there() {
    let from = |kind: &str| format!("{{key: a, from_attribute: b, action: {kind}}}");
    table(&[
        (&from("insert"), json!({"b": {"c": [1, 2]}}), json!({"a": {"c": [1, 2]}, "b": {"c": [1, 2]}})),
        (&from("upsert"), json!({"a": 1, "b": 2.5}), json!({"a": 2.5, "b": 2.5})),
        (&from("upsert"), json!({"a": 1}), json!({"a": 1})),
        (&from("update"), json!({"b": 1}), json!({"b": 1})),
        (&from("insert"), json!({"b": null}), json!({"a": null, "b": null})),
    ]);
}

#[test]
fn from_context_reads_the_request() {
    let from = |name: &str| format!("{{key: a, from_context: {name}, action: insert}}");
    table(&[
        (&from("metadata.X-Team"), json!({}), json!({"a": "blue;green"})),
        (&from("x-team"), json!({}), json!({"a": "blue;green"})),
        (&from("metadata.absent"), json!({}), json!({})),
        (&from("metadata.authorization"), json!({}), json!({})),
        (&from("auth.subject"), json!({}), json!({"a": "sender"})),
        (&from("auth.claims.role"), json!({}), json!({"a": "admin"})),
        (&from("auth.absent"), json!({}), json!({})),
        (&from("client.address"), json!({}), json!({"a": "192.0.2.7"})),
    ]);
}

#[test]
fn a_default_value_stands_in_for_a_source_that_gives_nothing() {
    let from = |source: &str, kind: &str| format!("{{key: a, {source}, default_value: none, action: {kind}}}");
    table(&[
        (&from("from_attribute: b", "insert"), json!({}), json!({"a": "none"})),
        (&from("from_attribute: b", "insert"), json!({"b": 1}), json!({"a": 1, "b": 1})),
        (&from("from_attribute: b", "update"), json!({}), json!({})),
        (&from("from_context: metadata.absent", "upsert"), json!({"a": 1}), json!({"a": "none"})),
        ("{key: a, default_value: 5, action: upsert}", json!({}), json!({"a": 5})),
    ]);
}

#[test]
fn delete_goes_by_key_and_by_pattern() {
    let before = json!({"http.url": 1, "http.method": 2, "url": 3});
    table(&[
        ("{key: url, action: delete}", before.clone(), json!({"http.url": 1, "http.method": 2})),
        ("{key: absent, action: delete}", before.clone(), before.clone()),
        ("{pattern: '^http\\.', action: delete}", before.clone(), json!({"url": 3})),
        ("{key: url, pattern: method, action: delete}", before.clone(), json!({"http.url": 1})),
        ("{pattern: '', key: url, action: delete}", before, json!({"http.url": 1, "http.method": 2})),
    ]);
}

#[test]
fn hash_writes_sha_256_of_the_bytes_that_upstream_hashes() {
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const ONE: &str = "7c9fa136d4413fa6173637e883b6998d32e1d675f88cddff9dcbcf331820f4b8"; // 1 as eight bytes
    const TRUE: &str = "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"; // one byte
    table(&[
        ("{key: a, action: hash}", json!({"a": "abc", "b": "abc"}), json!({"a": ABC, "b": "abc"})),
        ("{pattern: '^[ab]$', action: hash}", json!({"a": "abc", "b": 1, "c": 1}), json!({"a": ABC, "b": ONE, "c": 1})),
        ("{key: a, action: hash}", json!({"a": true}), json!({"a": TRUE})),
        // What has no scalar bytes becomes the empty text.
        ("{pattern: ., action: hash}", json!({"a": "", "b": [1], "c": null}), json!({"a": "", "b": "", "c": ""})),
        ("{key: absent, action: hash}", json!({"a": 1}), json!({"a": 1})),
    ]);
}

#[test]
fn extract_sets_the_named_groups_of_the_first_match() {
    let action = "{key: url, pattern: '^(?P<scheme>[a-z]+)://(?P<host>[^/]*)(?P<rest>/.*)?', action: extract}";
    table(&[
        (
            action,
            json!({"url": "http://shop/cart", "host": 7}),
            json!({"url": "http://shop/cart", "scheme": "http", "host": "shop", "rest": "/cart"}),
        ),
        // A group that took no part is empty.
        (
            action,
            json!({"url": "http://shop"}),
            json!({"url": "http://shop", "scheme": "http", "host": "shop", "rest": ""}),
        ),
        (action, json!({"url": "no match"}), json!({"url": "no match"})),
        (action, json!({"url": 7}), json!({"url": 7})),
        (action, json!({}), json!({})),
    ]);
}

#[test]
fn convert_changes_the_type_or_leaves_the_value() {
    let to = |kind: &str| format!("{{key: a, converted_type: {kind}, action: convert}}");
    for (kind, before, after) in [
        ("int", json!("42"), json!(42)),
        ("int", json!("-7"), json!(-7)),
        ("int", json!("4.2"), json!("4.2")),
        ("int", json!(""), json!("")),
        ("int", json!(4.9), json!(4)),
        ("int", json!(true), json!(1)),
        ("int", json!([1]), json!([1])),
        ("double", json!("0.5"), json!(0.5)),
        ("double", json!("x"), json!("x")),
        ("double", json!(2), json!(2.0)),
        ("double", json!(false), json!(0.0)),
        ("string", json!(42), json!("42")),
        ("string", json!(0.1), json!("0.1")),
        ("string", json!(1e-7), json!("1e-7")),
        ("string", json!(1e21), json!("1e+21")),
        ("string", json!(true), json!("true")),
        ("string", json!(null), json!("")),
        ("string", json!([1, "x", {"b": null}]), json!("[1,\"x\",{\"b\":null}]")),
        ("string", json!({"b": 1, "a": "<"}), json!("{\"a\":\"<\",\"b\":1}")),
        ("bool", json!("T"), json!(true)),
        ("bool", json!("False"), json!(false)),
        ("bool", json!("yes"), json!("yes")),
        ("bool", json!(0), json!(false)),
        ("bool", json!(0.5), json!(true)),
    ] {
        assert_eq!(edited(&to(kind), json!({"a": before})), json!({"a": after}), "{kind} {before}");
    }
}

#[test]
fn actions_run_in_order_each_on_what_the_last_one_left() {
    table(&[
        (
            "{key: a, value: '12', action: insert}, {key: a, converted_type: int, action: convert}, {key: b, from_attribute: a, action: insert}, {key: a, action: delete}",
            json!({}),
            json!({"b": 12}),
        ),
        ("{key: a, action: delete}, {key: a, value: 2, action: update}", json!({"a": 1}), json!({})),
    ]);
}

#[test]
fn with_equal_keys_the_first_is_read_and_set_and_all_are_deleted() {
    let twice = |first: i64, second: &str| {
        let mut list = pairs(&json!({"a": first}));
        list.extend(pairs(&json!({"a": second})));
        list
    };
    let run = |actions: &str| {
        let mut request = log_request(None, vec![record(json!({}))]);
        request.resource_logs[0].scope_logs[0].log_records[0].attributes = twice(1, "x");
        let after = logs(&[("attributes", &format!("{{actions: [{actions}]}}"))], request);
        after.resource_logs[0].scope_logs[0].log_records[0].attributes.clone()
    };
    assert_eq!(run("{key: a, value: 5, action: update}"), twice(5, "x"));
    assert_eq!(
        run("{key: b, from_attribute: a, action: insert}")[2],
        KeyValue { key: "b".to_owned(), value: Some(AnyValue { value: Some(Value::IntValue(1)) }), key_strindex: 0 }
    );
    assert_eq!(run("{key: a, action: delete}"), []);
}

#[test]
fn a_resource_that_is_not_there_is_made_when_something_is_inserted() {
    let run = |actions: &str, resource: Option<Json>| {
        let config = format!("{{attributes: [{actions}]}}");
        let after = logs(&[("resource", &config)], log_request(resource, vec![record(json!({}))]));
        after.resource_logs[0].resource.as_ref().map(|resource| shown(&resource.attributes))
    };
    assert_eq!(run("{key: a, value: 1, action: insert}", None), Some(json!({"a": 1})));
    assert_eq!(run("{key: a, value: 1, action: insert}", Some(json!({}))), Some(json!({"a": 1})));
    assert_eq!(run("{key: a, value: 1, action: update}", None), None);
    assert_eq!(run("{key: a, action: delete}, {pattern: ., action: hash}", None), None);
    assert_eq!(run("{key: a, action: delete}", Some(json!({"a": 1, "b": 2}))), Some(json!({"b": 2})));
}
