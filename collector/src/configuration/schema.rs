//! JSON Schema of the whole configuration, for editors: made of the config types of this build's components.

use serde_json::{Map, Value, json};
use sluice_config::service::{Part, meaning, parts};
use sluice_config::shape::Shape;
use sluice_config::shape::schema::{self, Sources};
use sluice_config::{Kind, Node, old_names};
use sluice_pipeline::factory::Registries;

use super::descriptions;
use crate::catalog::Names;

/// The schema. Ids are matched by pattern, under old names too; what no component reads is refused.
pub fn of(registries: &Registries) -> Value {
    let names = Names::of(registries);
    let mut properties = Map::new();
    for kind in Kind::ALL {
        let mut patterns = Map::new();
        for name in names.catalog().types(kind) {
            let shape = registries.shape(kind, name).unwrap_or_else(Shape::of::<Node>);
            let whole = |node: &Node| registries.whole(kind, name, node);
            let component = schema::of(&shape, Sources { describe: &descriptions::of, whole: &whole });
            patterns.insert(ids(kind, name), titled(&format!("{} {name}", kind.name()), component));
        }
        let section = json!({"type": ["object", "null"], "patternProperties": patterns, "additionalProperties": false});
        properties.insert(kind.section().to_owned(), described(kind.section(), schema::block(section)));
    }
    properties.insert("service".to_owned(), described("service", block(&parts())));
    json!({
        "$schema": schema::DIALECT,
        "title": "Sluice configuration",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "$defs": schema::definitions(),
    })
}

/// `type` or `type/name`, the type under any placing of underscores, or under its old name.
fn ids(kind: Kind, name: &str) -> String {
    let folded: Vec<String> = name.replace('_', "").chars().map(String::from).collect();
    let mut spellings = vec![folded.join("_?")];
    spellings.extend(old_names(kind, name).into_iter().map(str::to_owned));
    format!("^ *({})( */.+)? *$", spellings.join("|"))
}

fn block(parts: &[(&'static str, Part)]) -> Value {
    let properties: Map<String, Value> =
        parts.iter().map(|(key, part)| ((*key).to_owned(), described(key, of_part(part)))).collect();
    schema::block(json!({"type": ["object", "null"], "properties": properties, "additionalProperties": false}))
}

fn titled(title: &str, mut schema: Value) -> Value {
    if let Value::Object(rules) = &mut schema {
        rules.insert("title".to_owned(), title.into());
    }
    schema
}

fn described(key: &str, mut schema: Value) -> Value {
    if let Value::Object(rules) = &mut schema {
        rules.insert("description".to_owned(), meaning(key).into());
    }
    schema
}

fn of_part(part: &Part) -> Value {
    match part {
        Part::Ids => json!({"$ref": "#/$defs/ids"}),
        Part::Block(shape, whole) => schema::of(shape, Sources { describe: &descriptions::of, whole }),
        Part::Pipelines(fields) => schema::block(json!({
            "type": ["object", "null"],
            "patternProperties": {"^ *(traces|metrics|logs|profiles)( */.+)? *$": titled("pipeline", block(fields))},
            "additionalProperties": false,
        })),
    }
}
