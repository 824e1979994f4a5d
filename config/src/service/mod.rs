//! The model of a whole document: components by kind, pipelines, and the `service` section (collector-compat §1.5 to
//! §1.7, §1.11). It knows component types only as names the caller lists.

mod components;
mod contract;
mod delivery;
mod graph;
mod limits;
mod pipelines;
mod resource;
mod security;
mod telemetry;

#[cfg(test)]
mod tests;

use crate::alias::Kind;
use crate::decode;
use crate::diagnostic::{Diagnostic, sort};
use crate::ids::ComponentId;
use crate::resolve::Document;
use crate::source::Origin;
use crate::suggest::did_you_mean;
use crate::tree::Node;

pub use components::Component;
pub use contract::{Part, Whole, meaning, parts};
pub use delivery::{Ack, Delivery};
pub use limits::{InvalidUtf8, LimitAction, Limits, UnknownFields};
pub use pipelines::{Pipeline, Reference};
pub use resource::ResourceAttributes;
pub use security::{Exposure, Security};
pub use telemetry::{
    Encoding, LogLevel, Logs, Metrics, MetricsLevel, Periodic, PrometheusReader, Reader, Sampling, Telemetry,
};

/// The component types of a build, by kind, under their canonical names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Catalog<'k> {
    /// Receiver types.
    pub receivers: &'k [&'k str],
    /// Processor types.
    pub processors: &'k [&'k str],
    /// Exporter types.
    pub exporters: &'k [&'k str],
    /// Connector types.
    pub connectors: &'k [&'k str],
    /// Extension types.
    pub extensions: &'k [&'k str],
}

impl<'k> Catalog<'k> {
    /// The types of one kind.
    pub fn types(&self, kind: Kind) -> &'k [&'k str] {
        match kind {
            Kind::Receiver => self.receivers,
            Kind::Processor => self.processors,
            Kind::Exporter => self.exporters,
            Kind::Connector => self.connectors,
            Kind::Extension => self.extensions,
        }
    }
}

/// Feature gates that change what is valid.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gates {
    /// `service.profilesSupport`
    pub profiles_support: bool,
    /// `service.AllowNoPipelines`
    pub allow_no_pipelines: bool,
}

/// A configuration as the service sees it. Parts that are wrong are missing; the diagnostics say why.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Every configured component, in the order of sections and then of the document. Those of unknown type are
    /// here too: they count as defined.
    pub components: Vec<Component>,
    /// `service::extensions`
    pub extensions: Vec<Reference>,
    /// `service::pipelines`
    pub pipelines: Vec<Pipeline>,
    /// `service::telemetry`
    pub telemetry: Telemetry,
    /// `service::delivery`
    pub delivery: Delivery,
    /// The same as written: where its fields are.
    pub delivery_node: Option<Node>,
    /// `service::security`
    pub security: Security,
    /// `service::limits`
    pub limits: Limits,
    /// Where `service::limits` is, if it is there: then all limits are checked, not only those of requests.
    pub limits_at: Option<Origin>,
}

impl Service {
    /// Reads and checks a document, so far as that needs no component.
    ///
    /// Always gives a service, however partial, so that the caller can go on to decode components and report
    /// everything in one pass. If the diagnostics hold an error, do not run it.
    pub fn load(document: &Document, catalog: &Catalog<'_>, gates: Gates) -> (Self, Vec<Diagnostic>) {
        let mut found = Vec::new();
        let root = &document.root;
        let mut service = Self::default();
        for kind in Kind::ALL {
            service.components.extend(components::read(root.get(kind.section()), kind, catalog, &mut found));
        }
        if let Some(map) = root.as_map() {
            let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.section()).chain(["service"]).collect();
            for (key, entry) in map.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
                found.push(unknown_key("", key, &entry.key, &known));
            }
        }
        if let Some(node) = root.get("service") {
            service.read_section(node, &mut found);
        }
        graph::check(&service, root, gates, &mut found);
        sort(&mut found);
        (service, found)
    }

    fn read_section(&mut self, node: &Node, found: &mut Vec<Diagnostic>) {
        if node.is_null() {
            return;
        }
        let Some(map) = node.as_map() else {
            let text = format!("'service' expected a map or struct, got \"{}\"", node.value.go_type());
            found.push(Diagnostic::new("E0101", text).at(&node.origin));
            return;
        };
        for (key, entry) in map {
            match key.as_str() {
                "extensions" => self.extensions = pipelines::references(&entry.value, "service::extensions", found),
                "pipelines" => self.pipelines = pipelines::read(&entry.value, found),
                "telemetry" => self.telemetry = telemetry::read(&entry.value, found),
                "delivery" => {
                    self.delivery = section(&entry.value, "service::delivery", found);
                    self.delivery_node = Some(entry.value.clone());
                }
                "security" => self.security = section(&entry.value, "service::security", found),
                "limits" => {
                    self.limits = section(&entry.value, "service::limits", found);
                    self.limits_at = Some(entry.key.clone());
                }
                _ => found.push(unknown_key("service", key, &entry.key, &contract::SECTIONS)),
            }
        }
    }

    /// The component configured under an id.
    pub fn component(&self, kind: Kind, id: &ComponentId) -> Option<&Component> {
        self.components.iter().find(|component| component.kind == kind && component.id == *id)
    }

    /// The components of one kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Component> {
        self.components.iter().filter(move |component| component.kind == kind)
    }

    /// Configured components that no pipeline and no `service::extensions` names (W0509).
    pub fn unused(&self) -> Vec<Diagnostic> {
        graph::unused(self)
    }
}

/// Decodes a plain section; defaults if it is wrong.
fn section<T: serde::de::DeserializeOwned + Default>(node: &Node, label: &str, found: &mut Vec<Diagnostic>) -> T {
    decode::decode(&node.clone().with_label(label)).unwrap_or_else(|problems| {
        found.extend(problems);
        T::default()
    })
}

fn unknown_key(path: &str, key: &str, place: &Origin, known: &[&str]) -> Diagnostic {
    let hint = did_you_mean(key, known.iter().copied()).map_or(String::new(), |hint| format!("; {hint}"));
    Diagnostic::new("E0102", format!("'{path}' has invalid keys: {key}"))
        .at(place)
        .label(format!("unknown field{hint}"))
        .suggest(key, known.iter().copied())
        .note(format!("fields: {}", known.join(", ")))
}
