//! JSON Schema 2020-12 of a shape, for editors. Any scalar may also be a text that holds a `${…}` reference, and any
//! block, list or map may be one altogether; null keeps a field's default.

use serde_json::{Map, Value, json};

use super::{Kind, Shape};

/// The dialect.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

const DURATION: &str = r"^[+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";
const SIZE: &str = r"^[0-9]+(\.[0-9]*)? *([kKmMgGtT]i?)?[bB]?$";

/// The schema of one shape; it refers to [`definitions`] of the document.
pub fn of(shape: &Shape) -> Value {
    match &shape.kind {
        Kind::Any => Value::Bool(true),
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
        Kind::List(item) => {
            // A text is split at `,`.
            json!({"anyOf": [{"type": "array", "items": of(item)}, {"type": ["string", "null"]}]})
        }
        Kind::Map(value) => block(json!({"type": ["object", "null"], "additionalProperties": of(value)})),
        Kind::Block(fields) => {
            let mut properties: Map<String, Value> =
                fields.iter().map(|(name, shape)| ((*name).to_owned(), of(shape))).collect();
            if shape.switch {
                properties.entry("enabled").or_insert_with(|| named("boolean"));
            }
            block(json!({"type": ["object", "null"], "properties": properties, "additionalProperties": false}))
        }
        Kind::OneOf(variants) => {
            let words: Vec<&str> = variants.iter().map(|(name, _)| *name).collect();
            let properties: Map<String, Value> =
                variants.iter().map(|(name, shape)| ((*name).to_owned(), of(shape))).collect();
            let object = json!({
                "type": "object", "properties": properties, "additionalProperties": false,
                "minProperties": 1, "maxProperties": 1,
            });
            json!({"anyOf": [{"enum": words}, object, {"type": "null"}, named("reference")]})
        }
    }
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
