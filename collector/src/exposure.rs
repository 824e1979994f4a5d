//! Listeners: which others can reach without saying who they are (security §4.1), and which are in each other's way.

use std::collections::BTreeSet;

use metrics::Gauge;
use sluice_config::service::{Component, Exposure, Reference, Service};
use sluice_config::{Diagnostic, Kind, Origin, Value};
use sluice_pipeline::factory::{ComponentKind, Extensions, Receivers};
use sluice_pipeline::listening::{ListenAddress, Listening};
use sluice_pipeline::telemetry::Telemetry;

use crate::plan::Planned;

/// Listeners that are exempt by the command line: `--allow-insecure-listeners[=ID,…]`.
#[derive(Clone, Debug, Default)]
pub enum Trusted {
    #[default]
    None,
    All,
    /// Ids of their components.
    These(Vec<String>),
}

impl Trusted {
    /// From the values of the flag; an empty one means all.
    pub fn of(flag: Option<&[String]>) -> Self {
        match flag {
            None => Trusted::None,
            Some(ids) if ids.iter().all(String::is_empty) => Trusted::All,
            Some(ids) => Trusted::These(ids.to_vec()),
        }
    }

    fn covers(&self, component: &str) -> bool {
        match self {
            Trusted::None => false,
            Trusted::All => true,
            Trusted::These(ids) => ids.iter().any(|id| id == component),
        }
    }
}

/// A port that the configuration opens.
#[derive(Clone)]
pub struct Port {
    /// `receivers::otlp::protocols::grpc`.
    name: String,
    /// Where its address is written, or else its block.
    origin: Origin,
    listening: Listening,
    exposed: bool,
}

impl Port {
    /// Where it listens, as configured.
    pub fn address(&self) -> &str {
        match &self.listening.address {
            ListenAddress::Tcp(address) | ListenAddress::Unix(address) => address,
        }
    }

    /// Where that is written.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its block as `--set` names it; `None` if that cannot name it.
    pub fn key(&self) -> Option<String> {
        (!self.name.contains('.')).then(|| self.name.replace("::", "."))
    }

    fn exposure(&self) -> String {
        format!("{}: anybody who reaches {} can send: it has neither TLS nor authentication", self.name, self.address())
    }
}

const REMEDY: &str =
    "listen on localhost, add `tls` or `auth`, or write `allow_insecure: true` if the network is yours";

/// The ports of a plan: of receivers that a pipeline names, and of extensions that the service names.
pub fn ports(
    service: &Service,
    receivers: &[Planned<Receivers>],
    extensions: &[Planned<Extensions>],
    trusted: &Trusted,
) -> Vec<Port> {
    let taken = service.pipelines.iter().flat_map(|pipeline| &pipeline.receivers);
    let mut ports = of_kind(service, taken, receivers, trusted);
    ports.extend(of_kind(service, service.extensions.iter(), extensions, trusted));
    ports
}

fn of_kind<'s, K: ComponentKind>(
    service: &Service,
    named: impl Iterator<Item = &'s Reference>,
    planned: &[Planned<K>],
    trusted: &Trusted,
) -> Vec<Port> {
    let named: BTreeSet<String> = named.map(|reference| reference.id.to_string()).collect();
    let mut ports = Vec::new();
    for component in service.of_kind(K::KIND) {
        let id = component.id.to_string();
        let planned = planned.iter().find(|planned| named.contains(&id) && planned.id.to_string() == id);
        for listening in planned.iter().flat_map(|planned| &planned.configured.listeners) {
            let at = if listening.at.is_empty() { String::new() } else { format!("::{}", listening.at) };
            ports.push(Port {
                name: format!("{}::{id}{at}", K::KIND.section()),
                origin: origin(component, listening.at),
                exposed: listening.is_exposed() && !trusted.covers(&id),
                listening: listening.clone(),
            });
        }
    }
    ports
}

fn origin(component: &Component, at: &str) -> Origin {
    let block = component.node.find(at).filter(|_| !at.is_empty());
    let endpoint = component.node.find(&format!("{at}::endpoint"));
    endpoint.or(block).map_or_else(|| component.key.clone(), |node| node.origin.clone())
}

/// What is wrong with the ports: those that collide (E0212), and under `exposure: enforce` those that are exposed (E0213).
pub fn check(service: &Service, ports: &[Port], findings: &mut Vec<Diagnostic>) {
    for (index, port) in ports.iter().enumerate() {
        let mut before = ports.iter().take(index);
        if let Some(other) = before.find(|other| other.listening.address.collides(&port.listening.address)) {
            let text = format!("{}: {} is in use by {}", port.name, port.address(), other.name);
            let finding = Diagnostic::new("E0212", text).at(&port.origin);
            findings.push(finding.help("give one of them another port, or let one component serve both"));
        }
    }
    if service.security.exposure == Exposure::Enforce {
        findings.extend(exposed(ports).map(|port| {
            let finding = Diagnostic::new("E0213", port.exposure()).at(&port.origin);
            finding.note("`service::security::exposure` is `enforce`").help(REMEDY)
        }));
    }
}

/// W0501.
pub fn lints(service: &Service, ports: &[Port]) -> Vec<Diagnostic> {
    if service.security.exposure == Exposure::Enforce {
        return Vec::new();
    }
    exposed(ports).map(|port| Diagnostic::new("W0501", port.exposure()).at(&port.origin).help(REMEDY)).collect()
}

fn exposed(ports: &[Port]) -> impl Iterator<Item = &Port> {
    ports.iter().filter(|port| port.exposed)
}

/// Says at every start and reload which listeners are exposed, and how many there are.
pub struct Watch {
    count: Gauge,
}

const COUNT: &str = "sluice_insecure_listeners";

impl Watch {
    pub fn new(telemetry: &Telemetry) -> Self {
        let text =
            "Listeners that others can reach, with neither TLS nor authentication, and not exempt by configuration.";
        telemetry.describe(COUNT, None, text);
        Watch { count: telemetry.gauge(COUNT, &[]) }
    }

    pub fn see(&self, ports: &[Port]) {
        self.count.set(exposed(ports).count() as f64);
        for port in exposed(ports) {
            tracing::warn!(code = "W0501", at = %port.origin, hint = REMEDY, "{}", port.exposure());
        }
    }
}

/// Exporters that send to a port of this very process (W0513).
pub fn loops(service: &Service, ports: &[Port]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for exporter in service.of_kind(Kind::Exporter) {
        let Some(node) = exporter.node.get("endpoint") else { continue };
        let Value::String(endpoint) = &node.value else { continue };
        let target = ListenAddress::Tcp(authority(endpoint).to_owned());
        // Another machine may have a port of the same number.
        let local = |port: &&Port| !target.is_remote() && target.collides(&port.listening.address);
        if let Some(port) = ports.iter().find(local) {
            let text = format!(
                "exporters::{}: {endpoint} is where {} listens: what goes out comes in again",
                exporter.id, port.name
            );
            let lint = Diagnostic::new("W0513", text).at(&node.origin);
            found.push(lint.help("send to another process, or join the pipelines by a `forward` connector"));
        }
    }
    found
}

/// `host:port` of a URL, or of itself.
fn authority(endpoint: &str) -> &str {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}
