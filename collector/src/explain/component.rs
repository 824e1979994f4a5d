//! The fields of a component, from its config type.

use std::fmt::Write as _;

use sluice_config::shape::{Kind as Type, Shape, schema};
use sluice_config::tree::Entry;
use sluice_config::{Kind, Node, Value};
use sluice_pipeline::factory::Registries;

use crate::catalog::Names;
use crate::configuration::descriptions;

/// The fields of `type` or of `type.field.field`, for each kind that has the type.
///
/// # Errors
/// The names that could have been meant.
pub fn describe(subject: &str, registries: &Registries) -> Result<String, Vec<String>> {
    let names = Names::of(registries);
    let mut path = subject.split('.');
    let written = path.next().unwrap_or_default();
    let path: Vec<&str> = path.collect();
    let (mut out, mut near) = (String::new(), Vec::new());
    for kind in Kind::ALL {
        near.extend(names.catalog().types(kind).iter().map(|name| (*name).to_owned()));
        let Some(known) = sluice_config::canonical(kind, written, names.catalog().types(kind)) else { continue };
        let Some(mut shape) = registries.shape(kind, known.name) else { continue };
        let mut title = format!("{} {}", kind.name(), known.name);
        let mut found = true;
        for field in &path {
            near.extend(inner(&shape).fields().iter().map(|(name, _)| format!("{written}.{name}")));
            match inner(&shape).get(field) {
                Some(next) => shape = next.clone(),
                None => {
                    found = false;
                    break;
                }
            }
            let _ = write!(title, " · {field}");
        }
        if found {
            let _ = writeln!(out, "{title}: {}", name(&shape));
            let known = defaults(&path, |node| registries.whole(kind, known.name, node));
            list(inner(&shape), known.as_ref(), 1, &mut out);
            let _ = writeln!(out, "\nMore: docs/components, `sluice config schema`\n");
        }
    }
    if out.is_empty() { Err(near) } else { Ok(out) }
}

/// A list or map by what it holds.
fn inner(shape: &Shape) -> &Shape {
    match &shape.kind {
        Type::List(item) | Type::Map(item) => inner(item),
        _ => shape,
    }
}

/// What the block at `path` holds if nothing is written in it, if that can be said.
fn defaults(path: &[&str], whole: impl Fn(&Node) -> Option<Node>) -> Option<Node> {
    let origin = sluice_config::encode::origin;
    let around = |inner: Node, field: &&str| {
        let entry = Entry { key: origin(), value: inner };
        Node::new(Value::Map([((*field).to_owned(), entry)].into_iter().collect()), origin())
    };
    let written = path.iter().rev().fold(Node::new(Value::Map(Default::default()), origin()), around);
    path.iter().try_fold(&whole(&written)?, |node, field| node.get(field)).cloned()
}

/// The fields of a block, each with its type, default and meaning.
fn list(shape: &Shape, known: Option<&Node>, depth: usize, out: &mut String) {
    for (field, of) in shape.fields() {
        let indent = "  ".repeat(depth);
        let value = known.and_then(|known| known.get(field));
        let default =
            value.and_then(|value| schema::default(value, of)).map_or(String::new(), |it| format!(" (default: {it})"));
        let _ = writeln!(out, "{indent}{field}: {}{default}", name(of));
        let described = of.within.and_then(|within| descriptions::of(within, Some(field)));
        if let Some(first) = described.as_deref().and_then(|text| text.lines().next()) {
            let _ = writeln!(out, "{indent}    {first}");
        }
        list(inner(of), value.filter(|_| matches!(of.kind, Type::Block(_))), depth + 1, out);
    }
}

/// A type in a few words.
fn name(shape: &Shape) -> String {
    match &shape.kind {
        Type::Any => "any".to_owned(),
        Type::Bool => "true or false".to_owned(),
        Type::Integer { min: 0, .. } => "whole number, 0 or more".to_owned(),
        Type::Integer { .. } => "whole number".to_owned(),
        Type::Number => "number".to_owned(),
        Type::Text => "text".to_owned(),
        Type::Words(words) => words.join(" | "),
        Type::OneWord(words) => words.join(" | "),
        Type::Duration => "duration, such as 5s".to_owned(),
        Type::Size => "size, such as 64MiB".to_owned(),
        Type::Secret => "secret".to_owned(),
        Type::Headers => "map of names to secrets".to_owned(),
        Type::List(item) => format!("list of {}", name(item)),
        Type::Map(value) => format!("map of names to {}", name(value)),
        Type::Block(_) if shape.switch => "block (enabled: false switches it off)".to_owned(),
        Type::Block(_) => "block".to_owned(),
        Type::OneOf(variants) => variants.iter().map(|(variant, _)| *variant).collect::<Vec<_>>().join(" | "),
    }
}
