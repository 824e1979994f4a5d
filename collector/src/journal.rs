//! Which extension keeps the journal (delivery §1.1): decided from the configuration alone.

use sluice_config::service::{Component, Reference, Service};
use sluice_config::{Diagnostic, Kind, Node};
use sluice_pipeline::ComponentId;

/// Extension types that can.
const TYPES: [&str; 2] = ["journal", "file_storage"];

/// The extension by which the journal is configured, if there is one: what `service::delivery::journal` names, else the
/// extension of type `journal`, else what exporters name in `sending_queue::storage`. Reports references to nothing, and
/// choices that are left open: there is one journal for the whole collector.
pub fn choose(service: &Service, found: &mut Vec<Diagnostic>) -> Option<ComponentId> {
    let storages = storages(service, found);
    let chosen = match named(service, found) {
        Named::As(chosen) => Some(chosen),
        Named::Nothing => {
            let journals = of_type_journal(service);
            if journals.is_empty() {
                let named = storages.iter().map(|(component, ..)| *component).collect::<Vec<_>>();
                only(&named, found)
            } else {
                only(&journals, found)
            }
        }
        Named::Wrongly => None,
    }?;
    for (_, node, exporter) in storages.iter().filter(|(component, ..)| component.id != chosen.id) {
        let text = format!("exporters::{}: the queue is kept in {:?}", exporter.id, chosen.id.to_string());
        found.push(Diagnostic::new("N0602", text).at(&node.origin));
    }
    Some(ComponentId::new(chosen.id.kind(), chosen.id.name()))
}

enum Named<'s> {
    As(&'s Component),
    /// Nothing that there is.
    Wrongly,
    Nothing,
}

/// What `service::delivery::journal` names.
fn named<'s>(service: &'s Service, found: &mut Vec<Diagnostic>) -> Named<'s> {
    let Some(id) = &service.delivery.journal else { return Named::Nothing };
    let keeper = keeper(service, id);
    let Some(component) = keeper else {
        let text = format!("service::delivery: references journal {id:?} which is not a configured extension");
        let finding = Diagnostic::new("E0201", text);
        let node = service.delivery_node.as_ref().and_then(|node| node.get("journal"));
        found.push(match node {
            Some(node) => finding.at(&node.origin),
            None => finding,
        });
        return Named::Wrongly;
    };
    Named::As(component)
}

/// The configured extension of this id, if it is of a type that keeps data.
fn keeper<'s>(service: &'s Service, id: &str) -> Option<&'s Component> {
    let id = sluice_config::ComponentId::parse(id).ok()?;
    let component = service.component(Kind::Extension, &id)?;
    component.canonical.as_deref().is_some_and(|name| TYPES.contains(&name)).then_some(component)
}

/// The extensions of type `journal`: those that `service::extensions` lists, else all.
fn of_type_journal(service: &Service) -> Vec<&Component> {
    let journals =
        service.of_kind(Kind::Extension).filter(|component| component.canonical.as_deref() == Some("journal"));
    let all: Vec<&Component> = journals.collect();
    let listed = |component: &&&Component| service.extensions.iter().any(|it: &Reference| it.id == component.id);
    let of_list: Vec<&Component> = all.iter().filter(listed).copied().collect();
    if of_list.is_empty() { all } else { of_list }
}

/// What exporters name as their storage, with the place.
fn storages<'s>(service: &'s Service, found: &mut Vec<Diagnostic>) -> Vec<(&'s Component, &'s Node, &'s Component)> {
    let mut storages = Vec::new();
    for exporter in service.of_kind(Kind::Exporter) {
        let Some(node) = exporter.node.get("sending_queue").and_then(|queue| queue.get("storage")) else { continue };
        let Some(id) = node.text() else { continue };
        match keeper(service, id) {
            Some(storage) => storages.push((storage, node, exporter)),
            None => {
                let text = format!("exporters::{}: storage client extension '{id}' not found", exporter.id);
                found.push(Diagnostic::new("E0201", text).at(&node.origin));
            }
        }
    }
    storages
}

/// The one of them; several are an error, as is the choice between them.
fn only<'s>(candidates: &[&'s Component], found: &mut Vec<Diagnostic>) -> Option<&'s Component> {
    let first = candidates.first()?;
    if let Some(other) = candidates.iter().find(|component| component.id != first.id) {
        let text = format!("extensions: {:?} and {:?}", first.id.to_string(), other.id.to_string());
        let finding = Diagnostic::new("E0105", format!("{text}: there is one journal for the whole collector"));
        found.push(
            finding.at(&other.key).also(&first.key, "the other one").help("name one in `service::delivery::journal`"),
        );
        return None;
    }
    Some(first)
}
