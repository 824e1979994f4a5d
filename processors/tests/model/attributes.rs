//! `attributes` and `resource`: random actions, and what they do, written plainly.

use aws_lc_rs::digest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use serde_json::{Value as Json, json};
use sluice_pdata::testing::{Meaning, Rng};
use sluice_pipeline::Context;

use super::matcher::Matcher;
use super::pairs::{New, Pairs};
use super::tree::{Refused, nodes, readable, real};
use super::value::{base64, double, hex, json as json_text, matches, re2, scalar_text};
use super::walk::{Around, Item, Plain};
use super::{KEYS, TEXTS};

/// Where a new value comes from.
#[derive(Clone, Debug)]
enum Source {
    Value(Value),
    Attribute(&'static str),
    Context(&'static str),
}

/// One action.
#[derive(Clone, Debug)]
enum Action {
    Insert(&'static str, Source, Option<Value>),
    Update(&'static str, Source, Option<Value>),
    Upsert(&'static str, Source, Option<Value>),
    Delete(Option<&'static str>, Option<&'static str>),
    Hash(Option<&'static str>, Option<&'static str>),
    Extract(&'static str, &'static str),
    Convert(&'static str, &'static str),
}

/// Patterns on keys.
const KEY_PATTERNS: [&str; 8] = ["^http\\.", "e", "^(k8s|host)\\.", "name$", "(?i)SERVICE", "^$", "ü", "^[^a-z]"];

/// Patterns with named groups on values.
const EXTRACTIONS: [&str; 5] = [
    "^(?P<http_method>[A-Z]+)$",
    "(?P<user>[a-z.+]+)@(?P<host>[a-z.]+)",
    "^/(?P<first>[a-z]+)(?P<rest>/.*)?",
    "(?P<card>\\d{4}) ?(?P<session>\\d*)",
    "(?P<card>.)$",
];

const CONTEXTS: [&str; 7] = [
    "metadata.x-team",
    "metadata.X-Scope-OrgID",
    "metadata.absent",
    "x-team",
    "auth.subject",
    "auth.claims.role",
    "client.address",
];

/// A list or a map, as a config may have it.
fn container(rng: &mut Rng) -> Value {
    let leaf = |value| AnyValue { value: Some(value) };
    let text = leaf(Value::StringValue(rng.pick(&TEXTS).to_owned()));
    let values = vec![text.clone(), leaf(Value::IntValue(7)), AnyValue::default()];
    if rng.chance(50) {
        return Value::ArrayValue(ArrayValue { values });
    }
    let list = leaf(Value::ArrayValue(ArrayValue { values }));
    // serde_json sorts keys.
    let pairs = [("a", list), ("b", leaf(Value::DoubleValue(0.5))), ("c", text)];
    let pair = |(key, value): (&str, AnyValue)| KeyValue { key: key.into(), value: Some(value), key_strindex: 0 };
    Value::KvlistValue(KeyValueList { values: pairs.map(pair).to_vec() })
}

/// A value as a config has it.
fn written(value: &Value) -> Json {
    let member = |value: &AnyValue| value.value.as_ref().map_or(Json::Null, written);
    match value {
        Value::StringValue(text) => json!(text),
        Value::IntValue(number) => json!(number),
        Value::DoubleValue(number) => json!(number),
        Value::BoolValue(flag) => json!(flag),
        Value::ArrayValue(list) => list.values.iter().map(member).collect(),
        Value::KvlistValue(map) => {
            let pair = |pair: &KeyValue| (pair.key.clone(), pair.value.as_ref().map_or(Json::Null, member));
            Json::Object(map.values.iter().map(pair).collect())
        }
        other => panic!("{other:?}"),
    }
}

impl Source {
    fn random(rng: &mut Rng) -> Self {
        match rng.below(11) {
            0..3 => Source::Attribute(rng.pick(&KEYS)),
            3..5 => Source::Context(rng.pick(&CONTEXTS)),
            5 => Source::Value(Value::IntValue(rng.below(1000) as i64 - 500)),
            6 => Source::Value(Value::DoubleValue(rng.pick(&[0.5, -2.25, 1e30, 3.0]))),
            7 => Source::Value(Value::BoolValue(rng.chance(50))),
            8 => Source::Value(container(rng)),
            _ => Source::Value(Value::StringValue(rng.pick(&TEXTS).to_owned())),
        }
    }

    fn write(&self, into: &mut Json) {
        match self {
            Source::Value(value) => into["value"] = written(value),
            Source::Attribute(key) => into["from_attribute"] = json!(key),
            Source::Context(name) => into["from_context"] = json!(name),
        }
    }

    fn read(&self, pairs: &Pairs<'_>, context: &Context) -> Option<New> {
        match self {
            Source::Value(value) => Some(New::of(value.clone())),
            Source::Attribute(key) => pairs.copy(key),
            Source::Context("client.address") => context.peer.map(|peer| New::text(peer.ip().to_string())),
            Source::Context(name) => match name.strip_prefix("auth.") {
                Some(name) => {
                    let identity = context.identity.as_ref()?;
                    let known =
                        identity.attributes.iter().find(|(key, _)| **key == *name || **key == format!("auth.{name}"));
                    let subject = (name == "subject").then_some(&identity.subject);
                    Some(New::text(known.map(|(_, value)| value).or(subject)?.to_string()))
                }
                None => {
                    let name = name.strip_prefix("metadata.").unwrap_or(name).to_lowercase();
                    let values: Vec<_> = context.metadata.get(&name).collect();
                    (!values.is_empty()).then(|| New::text(values.join(";")))
                }
            },
        }
    }
}

impl Action {
    fn random(rng: &mut Rng) -> Self {
        let key = rng.pick(&KEYS);
        let (by_key, by_pattern) = match rng.below(3) {
            0 => (Some(key), None),
            1 => (None, Some(rng.pick(&KEY_PATTERNS))),
            _ => (Some(key), Some(rng.pick(&KEY_PATTERNS))),
        };
        let default = rng.chance(20).then(|| Value::StringValue(rng.pick(&TEXTS).to_owned()));
        match rng.below(8) {
            0 | 1 => Action::Insert(key, Source::random(rng), default),
            2 => Action::Update(key, Source::random(rng), default),
            3 => Action::Upsert(key, Source::random(rng), default),
            4 => Action::Delete(by_key, by_pattern),
            5 => Action::Hash(by_key, by_pattern),
            6 => Action::Extract(key, rng.pick(&EXTRACTIONS)),
            _ => Action::Convert(key, rng.pick(&["int", "double", "string", "bool"])),
        }
    }

    fn config(&self) -> Json {
        let with = |action: &str, key: &str, source: &Source, default: &Option<Value>| {
            let mut config = json!({"action": action, "key": key});
            default.iter().for_each(|value| config["default_value"] = written(value));
            source.write(&mut config);
            config
        };
        let by = |action: &str, key: &Option<&str>, pattern: &Option<&str>| {
            let mut config = json!({"action": action});
            key.iter().for_each(|key| config["key"] = json!(key));
            pattern.iter().for_each(|pattern| config["pattern"] = json!(pattern));
            config
        };
        match self {
            Action::Insert(key, source, default) => with("insert", key, source, default),
            Action::Update(key, source, default) => with("update", key, source, default),
            Action::Upsert(key, source, default) => with("upsert", key, source, default),
            Action::Delete(key, pattern) => by("delete", key, pattern),
            Action::Hash(key, pattern) => by("hash", key, pattern),
            Action::Extract(key, pattern) => json!({"action": "extract", "key": key, "pattern": pattern}),
            Action::Convert(key, to) => json!({"action": "convert", "key": key, "converted_type": to}),
        }
    }

    fn apply(&self, pairs: &mut Pairs<'_>, context: &Context) {
        match self {
            Action::Insert(key, source, default)
            | Action::Update(key, source, default)
            | Action::Upsert(key, source, default) => {
                let wanted = match self {
                    Action::Insert(..) => !pairs.has(key),
                    Action::Update(..) => pairs.has(key),
                    _ => true,
                };
                let value = source.read(pairs, context).or_else(|| default.clone().map(New::of));
                if let (true, Some(value)) = (wanted, value) {
                    pairs.set(key, value);
                }
            }
            Action::Delete(key, pattern) => {
                pairs.remove(|found| Some(found) == *key || pattern.is_some_and(|pattern| matches(pattern, found)));
            }
            Action::Hash(key, pattern) => {
                let mut keys: Vec<String> = key.iter().map(|key| (*key).to_owned()).collect();
                // A key that occurs twice has its first value hashed twice, as often as the key matches.
                keys.extend(
                    pairs
                        .list
                        .iter()
                        .map(|pair| pair.key.clone())
                        .filter(|key| pattern.is_some_and(|pattern| matches(pattern, key))),
                );
                for key in keys {
                    if let Some(value) = pairs.get(&key) {
                        let text = hashed(value);
                        pairs.set(&key, New::text(text));
                    }
                }
            }
            Action::Extract(key, pattern) => {
                let Some(Some(Value::StringValue(text))) = pairs.get(key) else { return };
                let text = readable(text);
                let pattern = re2(pattern);
                let Some(found) = pattern.captures(&text) else { return };
                for name in pattern.capture_names().flatten() {
                    pairs.set(name, New::text(found.name(name).map_or("", |group| group.as_str())));
                }
            }
            Action::Convert(key, to) => {
                let Some(value) = pairs.get(key) else { return };
                if let Some(converted) = converted(value, to) {
                    pairs.set(key, New::of(converted));
                }
            }
        }
    }
}

/// SHA-256 in hex of a scalar's bytes; the empty text for anything else.
fn hashed(value: Option<&Value>) -> String {
    let bytes = match value {
        Some(Value::StringValue(text)) => real(text),
        Some(Value::BoolValue(flag)) => vec![u8::from(*flag)],
        Some(Value::IntValue(number)) => number.to_le_bytes().to_vec(),
        Some(Value::DoubleValue(number)) => number.to_le_bytes().to_vec(),
        _ => Vec::new(),
    };
    if bytes.is_empty() { String::new() } else { hex(digest::digest(&digest::SHA256, &bytes).as_ref()) }
}

/// The value in another type; `None` leaves it as it is.
fn converted(value: Option<&Value>, to: &str) -> Option<Value> {
    use Value::{BoolValue, DoubleValue, IntValue, StringValue};
    Some(match (to, value) {
        ("string", Some(StringValue(_))) => return None,
        ("string", Some(BoolValue(_) | IntValue(_) | DoubleValue(_))) => StringValue(scalar_text(value)?),
        ("string", Some(Value::BytesValue(bytes))) => StringValue(base64(bytes)),
        ("string", Some(Value::ArrayValue(_) | Value::KvlistValue(_))) => StringValue(json_text(value, false, true)?),
        ("string", _) => StringValue(String::new()),
        ("int", Some(StringValue(text))) => IntValue(text.parse().ok()?),
        ("int", Some(DoubleValue(number))) => IntValue(*number as i64),
        ("int", Some(BoolValue(flag))) => IntValue(i64::from(*flag)),
        ("double", Some(StringValue(text))) => DoubleValue(text.parse().ok()?),
        ("double", Some(IntValue(number))) => DoubleValue(*number as f64),
        ("double", Some(BoolValue(flag))) => DoubleValue(if *flag { 1.0 } else { 0.0 }),
        ("bool", Some(StringValue(text))) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => BoolValue(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => BoolValue(false),
            _ => return None,
        },
        ("bool", Some(IntValue(number))) => BoolValue(*number != 0),
        ("bool", Some(DoubleValue(number))) => BoolValue(*number != 0.0),
        _ => return None,
    })
}

fn random_actions(rng: &mut Rng) -> Vec<Action> {
    (0..=rng.below(4)).map(|_| Action::random(rng)).collect()
}

/// `attributes`.
#[derive(Debug)]
pub struct Attributes {
    include: Option<Matcher>,
    exclude: Option<Matcher>,
    actions: Vec<Action>,
}

impl Attributes {
    pub fn random(rng: &mut Rng) -> Self {
        Attributes {
            include: rng.chance(30).then(|| Matcher::random(rng)),
            exclude: rng.chance(20).then(|| Matcher::random(rng)),
            actions: random_actions(rng),
        }
    }

    pub fn config(&self) -> Json {
        let mut config = json!({"actions": self.actions.iter().map(Action::config).collect::<Vec<_>>()});
        self.include.iter().for_each(|matcher| config["include"] = matcher.config());
        self.exclude.iter().for_each(|matcher| config["exclude"] = matcher.config());
        config
    }
}

impl Plain for Attributes {
    fn item(&self, around: &Around<'_>, item: &mut Item<'_>, tree: &mut Meaning) -> Result<bool, Refused> {
        if self.include.as_ref().is_some_and(|matcher| !matcher.matches(around, item))
            || self.exclude.as_ref().is_some_and(|matcher| matcher.matches(around, item))
        {
            return Ok(true);
        }
        let (list, number) = item.attributes();
        let mut pairs = Pairs { list, nodes: nodes(tree, number), added: false, touched: around.touched };
        self.actions.iter().for_each(|action| action.apply(&mut pairs, around.context));
        Ok(true)
    }
}

/// `resource`.
#[derive(Debug)]
pub struct Resource {
    actions: Vec<Action>,
}

impl Resource {
    pub fn random(rng: &mut Rng) -> Self {
        Resource { actions: random_actions(rng) }
    }

    pub fn config(&self) -> Json {
        json!({"attributes": self.actions.iter().map(Action::config).collect::<Vec<_>>()})
    }
}

impl Plain for Resource {
    fn resource(&self, around: &Around<'_>, pairs: &mut Pairs<'_>) -> Result<bool, Refused> {
        self.actions.iter().for_each(|action| action.apply(pairs, around.context));
        Ok(true)
    }
}

#[test]
fn doubles_are_printed_as_upstream_prints_them() {
    assert_eq!([1e21, 1e-7, 0.1, 3.0].map(double), ["1e+21", "1e-7", "0.1", "3"]);
}
