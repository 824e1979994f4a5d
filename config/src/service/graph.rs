//! What must hold between components, pipelines and extensions (collector-compat §1.7): everything is reported, each
//! finding at its place, in upstream's words.

use std::collections::HashMap;
use std::sync::Arc;

use crate::alias::{self, Kind};
use crate::diagnostic::Diagnostic;
use crate::ids::{ComponentId, Signal};
use crate::quote;
use crate::service::{Component, Gates, Pipeline, Reference, Service};
use crate::source::Origin;
use crate::suggest::nearest;
use crate::tree::{Map, Node};

pub(super) fn check(service: &Service, root: &Node, gates: Gates, found: &mut Vec<Diagnostic>) {
    if root.as_map().is_none_or(Map::is_empty) {
        found.push(
            Diagnostic::new("E0208", "empty configuration file")
                .help("`sluice config defaults` prints one, `sluice run` without -c uses it"),
        );
        return;
    }
    for (section, text) in [
        ("receivers", "no receiver configuration specified in config"),
        ("exporters", "no exporter configuration specified in config"),
    ] {
        if !gates.allow_no_pipelines && is_empty(root.get(section)) {
            let problem = Diagnostic::new("E0208", text);
            found.push(match root.entry(section) {
                Some(entry) => problem.at(&entry.key),
                None => problem,
            });
        }
    }
    if !gates.allow_no_pipelines && is_empty(root.get("service").and_then(|service| service.get("pipelines"))) {
        let problem = Diagnostic::new("E0208", "service::pipelines: service must have at least one pipeline");
        found.push(match root.entry("service") {
            Some(entry) => problem.at(&entry.key),
            None => problem,
        });
    }
    ambiguous(service, found);
    for reference in &service.extensions {
        if service.component(Kind::Extension, &reference.id).is_none() {
            found.push(dangling(service, "service::extensions", reference, Kind::Extension));
        }
    }
    for pipeline in &service.pipelines {
        check_pipeline(service, pipeline, root, gates, found);
    }
    half_used(service, found);
}

fn same_place(a: &Origin, b: &Origin) -> bool {
    Arc::ptr_eq(&a.source, &b.source) && a.span == b.span
}

fn is_empty(node: Option<&Node>) -> bool {
    node.is_none_or(|node| node.is_null() || node.as_map().is_some_and(Map::is_empty))
}

/// The same id as connector and as receiver or exporter.
fn ambiguous(service: &Service, found: &mut Vec<Diagnostic>) {
    for connector in service.of_kind(Kind::Connector) {
        for kind in [Kind::Exporter, Kind::Receiver] {
            let Some(other) = service.component(kind, &connector.id) else { continue };
            let (id, kind) = (quote(&connector.id.to_string()), kind.name());
            let text = format!(
                "connectors::{}: ambiguous ID: Found both {id} {kind} and {id} connector. Change one of the components' \
                 IDs to eliminate ambiguity (e.g. rename {id} connector to {})",
                connector.id,
                quote(&format!("{}/connector", connector.id)),
            );
            found.push(Diagnostic::new("E0206", text).at(&connector.key).also(&other.key, format!("the {kind}")));
        }
    }
}

fn check_pipeline(service: &Service, pipeline: &Pipeline, root: &Node, gates: Gates, found: &mut Vec<Diagnostic>) {
    let path = format!("service::pipelines::{}", pipeline.id);
    if pipeline.id.signal() == Signal::Profiles && !gates.profiles_support {
        let text = format!(
            "service::pipelines: pipeline {}: profiling signal support is at alpha level, gated under the \
             \"service.profilesSupport\" feature gate",
            quote(&pipeline.id.to_string())
        );
        found.push(Diagnostic::new("E0203", text).at(&pipeline.key));
    }
    // A list that was written but whose items were refused has been reported already.
    let written = |list: &str| {
        let pipelines = root.get("service").and_then(|service| service.get("pipelines"))?;
        let node = pipelines.as_map()?.iter().find(|(_, entry)| same_place(&entry.key, &pipeline.key))?.1;
        Some(!node.value.get(list)?.is_null() && node.value.get(list)?.as_seq().is_none_or(|items| !items.is_empty()))
    };
    for (list, ends, word) in
        [("receivers", &pipeline.receivers, "receiver"), ("exporters", &pipeline.exporters, "exporter")]
    {
        if ends.is_empty() && written(list) != Some(true) {
            found.push(Diagnostic::new("E0202", format!("{path}: must have at least one {word}")).at(&pipeline.key));
        }
    }
    let mut seen: HashMap<&ComponentId, &Reference> = HashMap::new();
    for reference in &pipeline.processors {
        if let Some(first) = seen.insert(&reference.id, reference) {
            let text = format!("{path}: references processor {} multiple times", quote(&reference.id.to_string()));
            found.push(Diagnostic::new("E0207", text).at(&reference.origin).also(&first.origin, "listed before at"));
        }
    }
    for (references, kind) in [
        (&pipeline.receivers, Kind::Receiver),
        (&pipeline.processors, Kind::Processor),
        (&pipeline.exporters, Kind::Exporter),
    ] {
        for reference in references {
            let connector = kind != Kind::Processor && service.component(Kind::Connector, &reference.id).is_some();
            if !connector && service.component(kind, &reference.id).is_none() {
                found.push(dangling(service, &path, reference, kind));
            }
        }
    }
}

/// A reference to something that is not configured: with what is, and what may have been meant.
fn dangling(service: &Service, path: &str, reference: &Reference, kind: Kind) -> Diagnostic {
    const SHOWN: usize = 8;
    let id = reference.id.to_string();
    let text = format!("{path}: references {} {} which is not configured", kind.name(), quote(&id));
    let mut diagnostic = Diagnostic::new("E0201", text).at(&reference.origin);
    let with_connectors = matches!(kind, Kind::Receiver | Kind::Exporter);
    let defined: Vec<&Component> = service
        .components
        .iter()
        .filter(|component| component.kind == kind || (with_connectors && component.kind == Kind::Connector))
        .collect();
    let place =
        |component: &Component| format!("{} ({}:{})", component.id, component.key.file(), component.key.start().line);
    diagnostic = if defined.is_empty() {
        diagnostic.note(format!("no {} is configured", kind.name()))
    } else {
        let more = if defined.len() > SHOWN { ", …" } else { "" };
        let list: Vec<String> = defined.iter().take(SHOWN).map(|component| place(component)).collect();
        diagnostic.note(format!("defined: {}{more}", list.join(", ")))
    };
    for other in service.components.iter().filter(|other| other.id == reference.id && other.kind != kind) {
        let article = if matches!(other.kind, Kind::Exporter | Kind::Extension) { "an" } else { "a" };
        diagnostic = diagnostic.note(format!("`{id}` is {article} {}", other.kind.name()));
    }
    let names: Vec<String> = defined.iter().map(|component| component.id.to_string()).collect();
    diagnostic = diagnostic.suggest(&id, names.iter().map(String::as_str));
    diagnostic.help = renamed(&defined, reference, kind).or_else(|| {
        let near = nearest(&id, names.iter().map(String::as_str));
        let quoted: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
        (!quoted.is_empty()).then(|| format!("did you mean {}?", quoted.join(" or ")))
    });
    diagnostic
}

/// The same component under the other of its two names.
fn renamed(defined: &[&Component], reference: &Reference, kind: Kind) -> Option<String> {
    let written = reference.id.kind();
    let same_name = defined.iter().filter(|component| component.id.name() == reference.id.name());
    let meant = same_name.into_iter().find(|component| {
        component
            .canonical
            .as_deref()
            .is_some_and(|name| alias::canonical(kind, written, &[name]).is_some() && component.id.kind() != written)
    })?;
    let name = meant.canonical.as_deref()?;
    let old = if written == name { meant.id.kind() } else { written };
    Some(format!("`{old}` is the old name of `{name}`; did you mean `{}`?", meant.id))
}

/// A connector needs a pipeline on both sides.
fn half_used(service: &Service, found: &mut Vec<Diagnostic>) {
    for connector in service.of_kind(Kind::Connector) {
        let uses = |list: fn(&Pipeline) -> &Vec<Reference>| -> Vec<&Pipeline> {
            let names = |pipeline: &&Pipeline| list(pipeline).iter().any(|reference| reference.id == connector.id);
            service.pipelines.iter().filter(names).collect()
        };
        let (ends, begins) = (uses(|pipeline| &pipeline.exporters), uses(|pipeline| &pipeline.receivers));
        let (used, used_as, other) = match (ends.is_empty(), begins.is_empty()) {
            (false, true) => (ends, "exporter", "receiver"),
            (true, false) => (begins, "receiver", "exporter"),
            _ => continue,
        };
        let ids: Vec<String> = used.iter().map(|pipeline| pipeline.id.to_string()).collect();
        let text = format!(
            "connector {} used as {used_as} in [{}] pipeline but not used in any supported {other} pipeline",
            quote(&connector.id.to_string()),
            ids.join(" ")
        );
        found.push(Diagnostic::new("E0205", text).at(&connector.key));
    }
}

pub(super) fn unused(service: &Service) -> Vec<Diagnostic> {
    let in_pipelines = service.pipelines.iter().flat_map(|pipeline| {
        let ends = |kind, list: &'_ [Reference]| list.iter().map(move |it| (kind, it.id.clone())).collect::<Vec<_>>();
        [
            ends(Kind::Receiver, &pipeline.receivers),
            ends(Kind::Processor, &pipeline.processors),
            ends(Kind::Exporter, &pipeline.exporters),
        ]
        .concat()
    });
    let extensions = service.extensions.iter().map(|reference| (Kind::Extension, reference.id.clone()));
    let used: std::collections::HashSet<(Kind, ComponentId)> = in_pipelines.chain(extensions).collect();
    let is_used = |component: &&Component| {
        let named = |kind| used.contains(&(kind, component.id.clone()));
        match component.kind {
            Kind::Connector => named(Kind::Receiver) || named(Kind::Exporter),
            kind => named(kind),
        }
    };
    let lint = |component: &Component| {
        let text = format!("{}::{}: configured but not used", component.kind.section(), component.id);
        Diagnostic::new("W0509", text).at(&component.key)
    };
    service.components.iter().filter(|component| !is_used(component)).map(lint).collect()
}
