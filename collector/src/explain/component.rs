//! The fields of a component, from its config type.

use std::fmt::Write as _;

use sluice_config::Kind;
use sluice_config::shape::{Kind as Type, Shape};
use sluice_pipeline::factory::Registries;

use crate::catalog::Names;

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
            list(inner(&shape), 1, &mut out);
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

fn list(shape: &Shape, depth: usize, out: &mut String) {
    for (field, of) in shape.fields() {
        let _ = writeln!(out, "{}{field}: {}", "  ".repeat(depth), name(of));
        list(inner(of), depth + 1, out);
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
