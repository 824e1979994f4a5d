//! JSON Schema 2020-12 of a shape, for editors. Any scalar may also be a text that holds a `${…}` reference, and any
//! block, list or map may be one altogether; null keeps a field's default.

use serde_json::{Map, Value, json};

use super::{Kind, Shape, TypeName};
use crate::complete::is_off;
use crate::tree::{self, Node, Value as Tree};

/// The dialect.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

const DURATION: &str = r"^[+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";
const SIZE: &str = r"^[0-9]+(\.[0-9]*)? *([kKmMgGtT]i?)?[bB]?$";

/// What a shape alone does not tell.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// What is said of a type (`None`), or of a field or variant of it.
    pub describe: &'a dyn Fn(TypeName, Option<&str>) -> Option<String>,
    /// Gives a config of the type all its defaults; `None` if it does not decode.
    pub whole: &'a dyn Fn(&Node) -> Option<Node>,
}

/// The schema of a config type; it refers to [`definitions`] of the document.
pub fn of(shape: &Shape, sources: Sources<'_>) -> Value {
    let mut writer = Writer { sources, way: Vec::new() };
    let defaults = writer.made();
    writer.of(shape, defaults.as_ref())
}

/// A step into a config.
#[derive(Clone, Copy)]
enum Step {
    Key(&'static str),
    Item,
}

/// The key that stands for the free ones of a map.
const FREE: &str = "x";

struct Writer<'a> {
    sources: Sources<'a>,
    way: Vec<Step>,
}

impl Writer<'_> {
    /// `defaults`: what a block of this shape has if nothing is written in it, where that is known.
    fn of(&mut self, shape: &Shape, defaults: Option<&Node>) -> Value {
        match &shape.kind {
            Kind::Any => json!({}),
            Kind::Bool => named("boolean"),
            Kind::Integer { min: 0, .. } => named("count"),
            Kind::Integer { .. } => named("integer"),
            Kind::Number => named("number"),
            Kind::Text => named("text"),
            Kind::Secret => named("secret"),
            Kind::Duration => named("duration"),
            Kind::Size => named("size"),
            Kind::Headers => named("headers"),
            Kind::Words(words) => json!({"anyOf": [{"enum": words}, {"type": "null"}, named("reference")]}),
            Kind::OneWord(words) => {
                let other = json!({"type": "string", "pattern": any_case(words)});
                json!({"anyOf": [{"enum": words}, other, {"type": "null"}, named("reference")]})
            }
            Kind::List(item) => {
                let items = self.inside(Step::Item, item, None);
                // A text is split at `,`.
                json!({"anyOf": [{"type": "array", "items": items}, {"type": ["string", "null"]}]})
            }
            Kind::Map(value) => {
                let value = self.inside(Step::Key(FREE), value, None);
                block(json!({"type": ["object", "null"], "additionalProperties": value}))
            }
            Kind::Block(fields) => {
                let mut properties = self.fields(fields, defaults);
                if shape.switch && !properties.contains_key("enabled") {
                    let mut enabled = named("boolean");
                    annotate(&mut enabled, "description", "`false` switches the block off.".into());
                    properties.insert("enabled".to_owned(), enabled);
                }
                block(json!({"type": ["object", "null"], "properties": properties, "additionalProperties": false}))
            }
            Kind::OneOf(variants) => {
                let words: Vec<&str> = variants.iter().map(|(name, _)| *name).collect();
                let properties = self.fields(variants, None);
                let object = json!({
                    "type": "object", "properties": properties, "additionalProperties": false,
                    "minProperties": 1, "maxProperties": 1,
                });
                json!({"anyOf": [{"enum": words}, object, {"type": "null"}, named("reference")]})
            }
        }
    }

    fn fields(&mut self, fields: &[(&'static str, Shape)], defaults: Option<&Node>) -> Map<String, Value> {
        let mut properties = Map::new();
        for (name, shape) in fields {
            let default = defaults.and_then(|defaults| defaults.get(name));
            let mut schema = self.inside(Step::Key(name), shape, default);
            if let Some(text) = self.description(name, shape) {
                annotate(&mut schema, "description", text.into());
            }
            if let Some(value) = default.and_then(|default| self::default(default, shape)) {
                annotate(&mut schema, "default", value);
            }
            properties.insert((*name).to_owned(), schema);
        }
        properties
    }

    /// The schema of what is one step further. Of a block that is there only when it is written, the defaults are those that it
    /// has then.
    fn inside(&mut self, step: Step, shape: &Shape, default: Option<&Node>) -> Value {
        self.way.push(step);
        let made = match default {
            Some(Node { value: Tree::Map(map), .. }) if !is_off(map, shape) => None,
            _ if matches!(shape.kind, Kind::Block(_)) => self.made(),
            _ => None,
        };
        let schema = self.of(shape, made.as_ref().or(default));
        self.way.pop();
        schema
    }

    /// What a block at the end of the way is if nothing is written in it.
    fn made(&self) -> Option<Node> {
        let empty = || Node { value: Tree::Map(tree::Map::new()), ..Node::default() };
        let around = |inner: Node, step: &Step| {
            let origin = inner.origin.clone();
            let value = match step {
                Step::Item => Tree::Seq(vec![inner]),
                Step::Key(key) => {
                    let entry = tree::Entry { key: origin.clone(), value: inner };
                    Tree::Map(tree::Map::from_iter([((*key).to_owned(), entry)]))
                }
            };
            Node::new(value, origin)
        };
        let whole = (self.sources.whole)(&self.way.iter().rev().fold(empty(), around))?;
        let found = self.way.iter().try_fold(&whole, |node, step| match step {
            Step::Item => node.as_seq().and_then(<[Node]>::first),
            Step::Key(key) => node.get(key),
        });
        found.cloned()
    }

    /// What is said of a field, or else of its type; then what its words mean.
    fn description(&self, name: &str, shape: &Shape) -> Option<String> {
        let describe = self.sources.describe;
        let of_field = shape.within.and_then(|within| describe(within, Some(name)));
        let mut of = shape;
        while let Kind::List(inner) | Kind::Map(inner) = &of.kind {
            of = inner;
        }
        let mut text = of_field.or_else(|| of.of.and_then(|of| describe(of, None)))?;
        if let (Kind::Words(words), Some(named)) = (&of.kind, of.of) {
            for word in *words {
                if let Some(meaning) = describe(named, Some(word)) {
                    text.push_str(&format!("\n- `{word}`: {meaning}"));
                }
            }
        }
        Some(text)
    }
}

/// A default worth showing: not that of a block, which its fields have, and not nothing.
pub fn default(default: &Node, shape: &Shape) -> Option<Value> {
    let nothing = match &default.value {
        Tree::Null => true,
        Tree::String(text) => text.is_empty(),
        Tree::Seq(items) => items.is_empty(),
        Tree::Map(map) => map.is_empty() || matches!(shape.kind, Kind::Block(_)) && !is_off(map, shape),
        _ => false,
    };
    (!nothing).then(|| crate::print::json(default))
}

fn annotate(schema: &mut Value, keyword: &str, value: Value) {
    if let Value::Object(rules) = schema {
        rules.insert(keyword.to_owned(), value);
    }
}

/// Any of the words in any case of letters, or nothing.
fn any_case(words: &[&str]) -> String {
    let mut pattern = "^(".to_owned();
    for c in words.join("|").chars() {
        match c {
            c if c.is_ascii_alphabetic() => {
                pattern.extend(['[', c.to_ascii_lowercase(), c.to_ascii_uppercase(), ']']);
            }
            '|' => pattern.push('|'),
            c => pattern.push(c),
        }
    }
    pattern + ")?$"
}

/// A value that may as a whole come from a reference.
pub fn block(object: Value) -> Value {
    json!({"anyOf": [object, named("reference")]})
}

fn named(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

/// `$defs`: what schemas of shapes refer to.
pub fn definitions() -> Value {
    let or_reference = |value: Value| json!({"anyOf": [value, named("reference")]});
    json!({
        "reference": {"type": "string", "pattern": r"\$\{", "description": "A reference such as ${env:NAME} or ${file:path}."},
        "boolean": or_reference(json!({"type": ["boolean", "null"]})),
        "integer": or_reference(json!({"type": ["number", "null"]})),
        "count": or_reference(json!({"type": ["number", "null"], "minimum": 0})),
        "number": or_reference(json!({"type": ["number", "null"]})),
        "text": {"type": ["string", "number", "boolean", "null"]},
        "secret": {
            "type": ["string", "number", "boolean", "null"],
            "description": "A secret: better ${env:NAME} than the value itself. Never shown.",
            "writeOnly": true,
        },
        "duration": {
            "anyOf": [{"type": "string", "pattern": DURATION}, {"enum": [0, null]}, named("reference")],
            "description": "A number with a unit, such as 300ms, 5s or 1m30s.",
        },
        "size": {
            "anyOf": [{"type": "string", "pattern": SIZE}, {"type": ["number", "null"], "minimum": 0}, named("reference")],
            "description": "Bytes, or a number with a unit, such as 64MiB.",
        },
        "headers": {
            "anyOf": [
                {"type": ["object", "null"], "additionalProperties": named("secret")},
                {"type": "array", "items": {
                    "type": "object", "properties": {"name": named("text"), "value": named("secret")},
                    "required": ["name"], "additionalProperties": false,
                }},
                named("reference"),
            ],
            "description": "A map of names to values, or a list of {name, value}. Values are secrets.",
        },
        "ids": {
            "anyOf": [{"type": "array", "items": named("text")}, {"type": ["string", "null"]}],
            "description": "Component ids, as type or type/name.",
        },
    })
}
