//! The sections `receivers` to `extensions`: ids, types and raw configs.

use crate::alias::{self, Kind};
use crate::decode;
use crate::diagnostic::Diagnostic;
use crate::ids::ComponentId;
use crate::quote;
use crate::service::Catalog;
use crate::source::Origin;
use crate::suggest::did_you_mean;
use crate::tree::{Entry, Node, Value};

/// A configured component.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its kind.
    pub kind: Kind,
    /// Its id as written.
    pub id: ComponentId,
    /// The canonical type; `None` if this build does not have it (reported).
    pub canonical: Option<String>,
    /// Its raw config, labelled `exporters::otlp_grpc/main`; null means defaults.
    pub node: Node,
    /// Where its key was written.
    pub key: Origin,
}

impl Component {
    /// Decodes the config.
    ///
    /// # Errors
    /// As [`decode::decode`].
    pub fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<T, Vec<Diagnostic>> {
        decode::decode(&self.node)
    }
}

pub(super) fn read(
    node: Option<&Node>,
    kind: Kind,
    catalog: &Catalog<'_>,
    found: &mut Vec<Diagnostic>,
) -> Vec<Component> {
    let section = kind.section();
    let mut components: Vec<Component> = Vec::new();
    let Some(node) = node.filter(|node| !node.is_null()) else { return components };
    let Some(map) = node.as_map() else {
        let text = format!("'{section}' expected a map or struct, got \"{}\"", node.value.go_type());
        found.push(Diagnostic::new("E0101", text).at(&node.origin));
        return components;
    };
    for (key, entry) in map {
        let id = match ComponentId::parse(key) {
            Ok(id) => id,
            Err(error) => {
                found.push(Diagnostic::new("E0108", format!("{section}: {error}")).at(&entry.key));
                continue;
            }
        };
        if let Some(first) = components.iter().find(|component| component.id == id) {
            let text = format!("{section}: duplicate name {} after unmarshaling {id}", quote(key));
            found.push(Diagnostic::new("E0108", text).at(&entry.key).also(&first.key, "first defined at"));
            continue;
        }
        let canonical = resolve_type(kind, &id, entry, catalog, found);
        if !matches!(entry.value.value, Value::Null | Value::Map(_)) {
            let found_type = entry.value.value.go_type();
            let text = format!(
                "{section}: '[{id}]' expected type 'map[string]interface {{}}', got unconvertible type '{found_type}'"
            );
            found.push(Diagnostic::new("E0101", text).at(&entry.value.origin));
        }
        let mut node = entry.value.clone().with_label(&format!("{section}::{id}"));
        if matches!(node.value, Value::Null | Value::Map(_)) {
            // What is said about the component as a whole points at its key.
            node.origin = entry.key.clone();
        }
        components.push(Component { kind, id, canonical, node, key: entry.key.clone() });
    }
    components
}

fn resolve_type(
    kind: Kind,
    id: &ComponentId,
    entry: &Entry,
    catalog: &Catalog<'_>,
    found: &mut Vec<Diagnostic>,
) -> Option<String> {
    if let Some(canonical) = alias::canonical(kind, id.kind(), catalog.types(kind)) {
        if canonical.deprecated {
            let text = alias::warning(id.kind(), canonical.name);
            found.push(Diagnostic::new("N0601", text).at(&entry.key));
        }
        return Some(canonical.name.to_owned());
    }
    found.push(unknown_type(kind, id, entry, catalog));
    None
}

fn unknown_type(kind: Kind, id: &ComponentId, entry: &Entry, catalog: &Catalog<'_>) -> Diagnostic {
    let section = kind.section();
    if kind == Kind::Exporter && id.kind() == "logging" {
        let text = "the logging exporter has been deprecated, use the debug exporter instead";
        return Diagnostic::new("E0103", format!("{section}::{id}: {text}")).at(&entry.key).help("write `debug`");
    }
    let written = id.kind();
    let text = format!("{section}: unknown type: {} for id: {}", quote(written), quote(&id.to_string()));
    let mut diagnostic = Diagnostic::new("E0103", text).at(&entry.key);
    let types = catalog.types(kind);
    if kind == Kind::Processor && written == "routing" {
        diagnostic = diagnostic.note("the routing processor was replaced by the `routing` connector");
    }
    let old: Vec<&str> = types.iter().flat_map(|name| alias::old_names(kind, name)).collect();
    if let Some(hint) = did_you_mean(written, types.iter().copied().chain(old)) {
        diagnostic = diagnostic.label(hint);
        // Only the type is replaced, not the name behind it.
        if id.name().is_empty() {
            diagnostic = diagnostic.suggest(written, types.iter().copied());
        }
    } else if crate::upstream::knows(kind, written) {
        diagnostic.code = "E0110";
        diagnostic = diagnostic.label("not in Sluice");
        diagnostic =
            diagnostic.note(format!("the OpenTelemetry Collector has this {}, Sluice does not yet", kind.name()));
        return diagnostic.help(format!("{section} of this build: {}", types.join(", ")));
    }
    let others = Kind::ALL.into_iter().filter(|other| *other != kind);
    for other in others.filter(|other| alias::canonical(*other, written, catalog.types(*other)).is_some()) {
        let article = if other == Kind::Exporter || other == Kind::Extension { "an" } else { "a" };
        diagnostic = diagnostic.note(format!("`{written}` is {article} {}", other.name()));
    }
    diagnostic.note(format!("`sluice components` lists the {section} of this build"))
}
