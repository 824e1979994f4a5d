//! Attributes of every kind as OTLP, and what they read as.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "support of tests")]

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use sluice_ottl::{Compiler, Context, Registry, Scope, WireRecord};

use super::{noon, shown};

pub fn any(value: Any) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

pub fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: any(value), ..Default::default() }
}

pub fn string(text: &str) -> Any {
    Any::StringValue(text.to_owned())
}

pub fn attributes() -> Vec<KeyValue> {
    let list = ArrayValue { values: vec![AnyValue { value: Some(Any::IntValue(-7)) }, AnyValue { value: None }] };
    let inner = KeyValueList { values: vec![pair("b", string("deep"))] };
    vec![
        pair("s", string("text")),
        pair("i", Any::IntValue(-5)),
        pair("f", Any::DoubleValue(2.5)),
        pair("t", Any::BoolValue(true)),
        pair("y", Any::BytesValue(vec![1, 255])),
        pair("l", Any::ArrayValue(list)),
        pair("m", Any::KvlistValue(inner)),
        KeyValue { key: "e".to_owned(), ..Default::default() },
        pair("s", string("second")),
    ]
}

pub const ATTRIBUTES: &[(&str, &str)] = &[
    (r#"attributes["s"]"#, r#""text""#),
    (r#"attributes["i"]"#, "-5"),
    (r#"attributes["f"]"#, "2.5"),
    (r#"attributes["t"]"#, "true"),
    (r#"attributes["y"]"#, "0x01ff"),
    (r#"attributes["l"]"#, "[-7, nil]"),
    (r#"attributes["l"][0]"#, "-7"),
    (r#"attributes["m"]"#, r#"{b: "deep"}"#),
    (r#"attributes["m"]["b"]"#, r#""deep""#),
    (r#"attributes["e"]"#, "nil"),
    (r#"attributes["absent"]"#, "nil"),
    ("Len(attributes)", "9"),
    (
        "attributes",
        r#"{s: "text", i: -5, f: 2.5, t: true, y: 0x01ff, l: [-7, nil], m: {b: "deep"}, e: nil, s: "second"}"#,
    ),
    ("dropped_attributes_count", "3"),
];

/// Evaluates paths that leave out the level's name.
pub fn check(context: Context, record: &WireRecord<'_>, cases: &[(&str, &str)]) {
    let registry = Registry::filter();
    let mut compiler = Compiler::new(context, &registry).allow_unprefixed();
    for (source, expected) in cases {
        let expression = compiler.value_expression(source).unwrap();
        let value = expression.eval(Scope::new(record, &noon)).unwrap();
        assert_eq!(shown(&value), *expected, "{} {source}", context.name());
    }
}
