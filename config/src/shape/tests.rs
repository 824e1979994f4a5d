use serde::{Deserialize, Serialize};

use super::{Kind, Shape, schema};
use crate::{ByteSize, GoDuration, Headers, Node, Secret, Toggle};

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Client {
    #[serde(rename = "endpoint")]
    _endpoint: String,
    #[serde(rename = "headers")]
    _headers: Headers,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Queue {
    #[serde(rename = "size")]
    _size: Option<u32>,
    #[serde(rename = "sizer")]
    _sizer: Sizer,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Sizer {
    #[default]
    Requests,
    Bytes,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "raw")]
    _raw: Option<Node>,
    #[serde(rename = "inner", default)]
    _inner: Vec<Rule>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    #[serde(rename = "..client")]
    _client: Client,
    #[serde(rename = "sending_queue")]
    _queue: Toggle<Queue>,
    #[serde(rename = "timeout")]
    _timeout: GoDuration,
    #[serde(rename = "limit")]
    _limit: ByteSize,
    #[serde(rename = "token")]
    _token: Secret,
    #[serde(rename = "labels")]
    _labels: std::collections::BTreeMap<String, String>,
    #[serde(rename = "rules")]
    _rules: Vec<Rule>,
    #[serde(rename = "ratio")]
    _ratio: f64,
    #[serde(rename = "on")]
    _on: bool,
}

#[test]
fn a_shape_is_what_the_type_asks_for() {
    let shape = Shape::of::<Config>();
    let names: Vec<_> = shape.fields().iter().map(|(name, _)| *name).collect();
    let expected =
        ["endpoint", "headers", "labels", "limit", "on", "ratio", "rules", "sending_queue", "timeout", "token"];
    assert_eq!(names, expected, "squashed fields stand beside the others");
    let kind = |name: &str| shape.get(name).unwrap().kind.clone();
    assert_eq!(kind("endpoint"), Kind::Text);
    assert_eq!(kind("headers"), Kind::Headers);
    assert_eq!(kind("timeout"), Kind::Duration);
    assert_eq!(kind("limit"), Kind::Size);
    assert_eq!(kind("token"), Kind::Secret);
    assert_eq!(kind("ratio"), Kind::Number);
    assert_eq!(kind("on"), Kind::Bool);
    assert_eq!(kind("labels"), Kind::Map(Box::new(Kind::Text.into())));
    let queue = shape.get("sending_queue").unwrap();
    assert!(queue.switch);
    assert_eq!(queue.get("sizer").unwrap().kind, Kind::Words(&["requests", "bytes"]));
    assert!(matches!(queue.get("size").unwrap().kind, Kind::Integer { min: 0, .. }));
    let Kind::List(rule) = kind("rules") else { panic!("a list") };
    assert_eq!(rule.get("name").unwrap().kind, Kind::Text);
    assert_eq!(rule.get("raw").unwrap().kind, Kind::Any);
    assert_eq!(rule.get("inner").unwrap().kind, Kind::List(Box::new(Kind::Any.into())), "recursion ends");
}

#[test]
fn a_schema_names_every_field_and_refuses_others() {
    let schema = schema::of(&Shape::of::<Config>(), sources());
    let block = &schema["anyOf"][0];
    assert_eq!(block["additionalProperties"], false);
    assert_eq!(block["properties"]["timeout"]["$ref"], "#/$defs/duration");
    let queue = &block["properties"]["sending_queue"]["anyOf"][0]["properties"];
    assert_eq!(queue["enabled"]["$ref"], "#/$defs/boolean");
    assert_eq!(queue["sizer"]["anyOf"][0]["enum"][1], "bytes");
}

fn sources() -> schema::Sources<'static> {
    fn describe(of: super::TypeName, member: Option<&str>) -> Option<String> {
        match (of.name, member) {
            ("Config", Some("timeout")) => Some("Of an attempt.".to_owned()),
            ("Client", Some("endpoint")) => Some("Where to.".to_owned()),
            ("Queue", None) => Some("What waits.".to_owned()),
            ("Sizer", Some("bytes")) => Some("By size.".to_owned()),
            ("Sizer", None) => Some("What counts.".to_owned()),
            _ => None,
        }
    }
    schema::Sources { describe: &describe, whole: &crate::encode::whole::<Config> }
}

#[test]
fn a_schema_says_what_a_field_means_and_what_it_is_if_not_written() {
    let schema = schema::of(&Shape::of::<Config>(), sources());
    let fields = &schema["anyOf"][0]["properties"];
    assert_eq!(fields["timeout"]["description"], "Of an attempt.");
    assert_eq!(fields["timeout"]["default"], "0s");
    assert_eq!(fields["endpoint"]["description"], "Where to.", "of the squashed block");
    assert_eq!(fields["endpoint"].get("default"), None, "an empty text is none");
    assert_eq!(fields["on"]["default"], false);
    let queue = &fields["sending_queue"];
    assert_eq!(
        (&queue["description"], &queue["default"]),
        (&"What waits.".into(), &serde_json::json!({"enabled": false}))
    );
    let sizer = &queue["anyOf"][0]["properties"]["sizer"];
    assert_eq!(sizer["description"], "What counts.\n- `bytes`: By size.");
    assert_eq!(sizer["default"], "requests", "what it is when the block is there");
}
