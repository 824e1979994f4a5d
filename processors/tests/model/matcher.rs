//! `include` and `exclude` of `attributes`: random properties, and what they mean, written plainly.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use serde_json::{Map, Value as Json, json};
use sluice_pdata::testing::Rng;

use super::pairs::value_of;
use super::value::{matches, scalar_text};
use super::walk::{Around, Item};
use super::{KEYS, METRICS, NAMES, TEXTS};

/// An attribute that must be there, with this value if one is given.
type Attribute = (&'static str, Option<Value>);

#[derive(Debug, Default)]
pub struct Matcher {
    regexp: bool,
    services: Vec<&'static str>,
    span_names: Vec<&'static str>,
    span_kinds: Vec<&'static str>,
    attributes: Vec<Attribute>,
    resources: Vec<Attribute>,
    libraries: Vec<(&'static str, Option<&'static str>)>,
    log_bodies: Vec<&'static str>,
    log_severity_texts: Vec<&'static str>,
    log_severity_number: Option<(i32, bool)>,
    metric_names: Vec<&'static str>,
}

const PATTERNS: [&str; 6] = ["^[a-z.]+$", "e", "^GET", "^$", "\\d", "[^a-z0-9 ]"];
const KINDS: [&str; 3] = ["SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_UNSPECIFIED"];

impl Matcher {
    pub fn random(rng: &mut Rng) -> Self {
        let regexp = rng.chance(50);
        let mut texts = |pool: &[&'static str], percent: usize| -> Vec<&'static str> {
            let count = if rng.chance(percent) { 1 + rng.below(2) } else { 0 };
            (0..count).map(|_| if regexp { rng.pick(&PATTERNS) } else { rng.pick(pool) }).collect()
        };
        let mut matcher = Matcher {
            regexp,
            services: texts(&TEXTS, 15),
            span_names: texts(&NAMES, 20),
            span_kinds: texts(&KINDS, 15),
            log_bodies: texts(&TEXTS, 20),
            log_severity_texts: texts(&TEXTS, 15),
            metric_names: texts(&METRICS, 25),
            ..Matcher::default()
        };
        matcher.attributes = attributes(rng, regexp, 40);
        matcher.resources = attributes(rng, regexp, 20);
        if rng.chance(20) {
            let pool: &[&'static str] = if regexp { &PATTERNS } else { &NAMES };
            matcher.libraries = vec![(rng.pick(pool), rng.chance(30).then(|| rng.pick(pool)))];
        }
        matcher.log_severity_number = rng.chance(20).then(|| (rng.below(25) as i32, rng.chance(50)));
        matcher
    }

    pub fn config(&self) -> Json {
        let mut config = Map::new();
        config.insert("match_type".into(), json!(if self.regexp { "regexp" } else { "strict" }));
        let lists = [
            ("services", &self.services),
            ("span_names", &self.span_names),
            ("span_kinds", &self.span_kinds),
            ("log_bodies", &self.log_bodies),
            ("log_severity_texts", &self.log_severity_texts),
            ("metric_names", &self.metric_names),
        ];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            config.insert(name.into(), json!(list));
        }
        for (name, list) in [("attributes", &self.attributes), ("resources", &self.resources)] {
            if !list.is_empty() {
                config.insert(name.into(), list.iter().map(attribute_config).collect());
            }
        }
        if !self.libraries.is_empty() {
            let libraries = self.libraries.iter().map(|(name, version)| match version {
                Some(version) => json!({"name": name, "version": version}),
                None => json!({"name": name}),
            });
            config.insert("libraries".into(), libraries.collect());
        }
        if let Some((min, match_undefined)) = self.log_severity_number {
            config.insert("log_severity_number".into(), json!({"min": min, "match_undefined": match_undefined}));
        }
        Json::Object(config)
    }

    fn text(&self, expected: &str, found: &str) -> bool {
        if self.regexp { matches(expected, found) } else { expected == found }
    }

    fn any(&self, expected: &[&str], found: &str) -> bool {
        expected.is_empty() || expected.iter().any(|expected| self.text(expected, found))
    }

    fn all(&self, expected: &[Attribute], pairs: &[KeyValue]) -> bool {
        expected.iter().all(|(key, expected)| match (value_of(pairs, key), expected) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(found), Some(Value::StringValue(pattern))) if self.regexp => {
                scalar_text(found).is_some_and(|text| matches(pattern, &text))
            }
            (Some(found), Some(expected)) => found == Some(expected),
        })
    }

    /// Whether the item has every property.
    pub fn matches(&self, around: &Around<'_>, item: &mut Item<'_>) -> bool {
        let service = match value_of(&around.resource.attributes, "service.name") {
            Some(Some(Value::StringValue(name))) => name.as_str(),
            _ => "<nil-service-name>",
        };
        let library = self.libraries.is_empty()
            || self.libraries.iter().any(|(name, version)| {
                self.text(name, &around.scope.name)
                    && version.is_none_or(|version| self.text(version, &around.scope.version))
            });
        self.any(&self.services, service)
            && self.all(&self.resources, &around.resource.attributes)
            && library
            && self.own(around, item)
            && self.all(&self.attributes, item.attributes().0)
    }

    /// The properties of one signal.
    fn own(&self, around: &Around<'_>, item: &Item<'_>) -> bool {
        match item {
            Item::Span(span) => {
                let kinds = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
                let kind = usize::try_from(span.kind).ok().and_then(|kind| kinds.get(kind));
                let kind = kind.map_or(String::new(), |kind| format!("SPAN_KIND_{kind}"));
                self.any(&self.span_names, &span.name) && self.any(&self.span_kinds, &kind)
            }
            Item::Log(record) => {
                let body = match record.body.as_ref().and_then(|body| body.value.as_ref()) {
                    Some(Value::StringValue(text)) => Some(text),
                    _ => None,
                };
                (self.log_bodies.is_empty() || body.is_some_and(|body| self.any(&self.log_bodies, body)))
                    && self.any(&self.log_severity_texts, &record.severity_text)
                    && self.log_severity_number.is_none_or(|(min, match_undefined)| {
                        if record.severity_number == 0 { match_undefined } else { record.severity_number >= min }
                    })
            }
            _ => self.any(&self.metric_names, around.metric.map_or("", |metric| &metric.name)),
        }
    }
}

fn attributes(rng: &mut Rng, regexp: bool, percent: usize) -> Vec<Attribute> {
    let count = if rng.chance(percent) { 1 + rng.below(2) } else { 0 };
    let value = |rng: &mut Rng| match rng.below(4) {
        _ if regexp => Value::StringValue(rng.pick(&PATTERNS).to_owned()),
        0 => Value::IntValue(rng.below(4) as i64),
        1 => Value::BoolValue(rng.chance(50)),
        _ => Value::StringValue(rng.pick(&TEXTS).to_owned()),
    };
    (0..count)
        .map(|_| {
            let key = loop {
                let key = rng.pick(&KEYS);
                if !key.is_empty() {
                    break key;
                }
            };
            (key, rng.chance(60).then(|| value(rng)))
        })
        .collect()
}

fn attribute_config((key, value): &Attribute) -> Json {
    match value {
        None => json!({"key": key}),
        Some(Value::StringValue(text)) => json!({"key": key, "value": text}),
        Some(Value::IntValue(number)) => json!({"key": key, "value": number}),
        Some(Value::BoolValue(flag)) => json!({"key": key, "value": flag}),
        Some(other) => panic!("{other:?}"),
    }
}
