//! From configuration sources to a plan: every component decoded and checked, nothing built or started.

mod links;
mod metadata;
mod order;

use std::sync::Arc;

use sluice_config::redact::hide_from_excerpts;
use sluice_config::service::{Ack, Gates, Limits, Pipeline, Reference, Service};
use sluice_config::{Args, Diagnostic, Kind, Node, Sources, resolve, sort};
use sluice_pipeline::factory::{
    ComponentKind, Configured, Connectors, Exporters, Extensions, Meta, Processors, Receivers, Registries, Registry,
};
use sluice_pipeline::{ComponentId, PipelineId, Signal};

use crate::catalog::Names;
use crate::exposure::{self, Port, Trusted};
pub use links::Link;

/// A configuration that can be run.
pub struct Plan {
    pub service: Service,
    pub receivers: Vec<Planned<Receivers>>,
    pub processors: Vec<Planned<Processors>>,
    pub exporters: Vec<Planned<Exporters>>,
    pub connectors: Vec<Planned<Connectors>>,
    pub extensions: Vec<Planned<Extensions>>,
    pub pipelines: Vec<PlannedPipeline>,
    /// The connectors between them.
    pub links: Vec<Link>,
    /// The extension that keeps the journal, if one is configured.
    pub journal: Option<ComponentId>,
    /// What it listens on.
    pub ports: Vec<Port>,
}

impl Plan {
    /// Whether an extension is to run: those that `service::extensions` lists, and the journal, which need not be listed.
    pub fn uses_extension(&self, id: &ComponentId) -> bool {
        self.journal.as_ref() == Some(id)
            || self.service.extensions.iter().any(|listed| component_id(&listed.id) == *id)
    }
}

/// A component, decoded and checked.
pub struct Planned<K: ComponentKind> {
    pub id: ComponentId,
    /// Its canonical type.
    pub kind: String,
    /// Facts about that.
    pub meta: Meta,
    /// As configured: merged, expanded, without regard to where it was written.
    pub node: Node,
    /// Shared with the plan of the configuration before if nothing of it has changed: what its factory keeps for its
    /// instances stays the same, too.
    pub configured: Arc<Configured<K>>,
}

/// One pipeline: ids only.
pub struct PlannedPipeline {
    pub id: PipelineId,
    pub receivers: Vec<ComponentId>,
    pub processors: Vec<ComponentId>,
    pub exporters: Vec<ComponentId>,
    /// Connectors that it names as receivers.
    pub fed_by: Vec<ComponentId>,
    /// Connectors that it names as exporters.
    pub feeds: Vec<ComponentId>,
    pub ack: Ack,
    /// The place of the first of its processors that redacts.
    pub redacts_at: Option<usize>,
    /// Whether one of its processors holds data back, or of those that a connector passes data on to.
    pub holds_back: bool,
    /// Whether it has nothing to keep for anybody.
    pub only_observes: bool,
}

/// What loading a configuration came to.
pub struct Loaded {
    /// `None` if there are errors.
    pub plan: Option<Plan>,
    /// Errors and warnings, in the order of the sources.
    pub findings: Vec<Diagnostic>,
    pub files: usize,
    /// What runs, but probably not as meant: for `check` only.
    pub lints: Vec<Diagnostic>,
    /// How many components and pipelines were looked at.
    pub components: usize,
    pub pipelines: usize,
}

/// Resolves, decodes and checks a configuration. Reports everything it finds in one pass. Listeners that are `trusted` may be
/// open to anybody.
pub fn load(args: &Args, sources: &dyn Sources, registries: &Registries, trusted: &Trusted) -> Loaded {
    let files = args.configs.len();
    let document = match resolve(args, sources) {
        Ok(document) => document,
        Err(mut findings) => {
            sluice_config::codes::advise(&mut findings);
            return Loaded { plan: None, findings, files, lints: Vec::new(), components: 0, pipelines: 0 };
        }
    };
    let names = Names::of(registries);
    let (service, mut findings) = Service::load(&document, &names.catalog(), Gates::default());
    findings.extend(document.warnings.iter().cloned());
    let mut decoder = Decoder { service: &service, findings: &mut findings };
    let receivers = decoder.decode(Kind::Receiver, &registries.receivers);
    let processors = decoder.decode(Kind::Processor, &registries.processors);
    let exporters = decoder.decode(Kind::Exporter, &registries.exporters);
    let connectors = decoder.decode(Kind::Connector, &registries.connectors);
    let extensions = decoder.decode(Kind::Extension, &registries.extensions);
    let kept = receivers.iter().any(|receiver| metadata::keeps_headers(&receiver.node));
    let mut readers = metadata::Readers { kept, findings: decoder.findings };
    readers.check("processors", &processors);
    readers.check("exporters", &exporters);
    readers.check("connectors", &connectors);
    readers.check("extensions", &extensions);
    decoder.check_limits();
    decoder.check_delivery();
    let mut pipelines = decoder.pipelines(registries);
    let links = links::find(&service, &pipelines, &registries.connectors, &mut findings);
    links::see_through(&mut pipelines, &links);
    let journal = crate::journal::choose(&service, &mut findings);
    let ports = exposure::ports(&service, &receivers, &extensions, trusted);
    exposure::check(&service, &ports, &mut findings);
    sort(&mut findings);
    sluice_config::codes::advise(&mut findings);
    let lints = crate::lints::find(&service, &ports);
    let (components, seen) = (service.components.len(), service.pipelines.len());
    let failed = findings.iter().any(Diagnostic::is_error);
    let plan = (!failed).then(|| Plan {
        service,
        receivers,
        processors,
        exporters,
        connectors,
        extensions,
        pipelines,
        links,
        journal,
        ports,
    });
    Loaded { plan, findings, files, lints, components, pipelines: seen }
}

struct Decoder<'a> {
    service: &'a Service,
    findings: &'a mut Vec<Diagnostic>,
}

impl Decoder<'_> {
    /// Decodes every component of a kind, used or not, as upstream does.
    fn decode<K: ComponentKind>(&mut self, kind: Kind, registry: &Registry<K>) -> Vec<Planned<K>> {
        let mut decoded = Vec::new();
        for component in self.service.of_kind(kind) {
            let Some(name) = component.canonical.as_deref() else { continue };
            let Some(meta) = registry.meta(name) else { continue };
            if let Some(shape) = registry.shape(name) {
                hide_from_excerpts(&component.node, &shape);
            }
            match registry.decode(name, &component.node) {
                Some(Ok(mut configured)) => {
                    self.findings.append(&mut configured.warnings);
                    decoded.push(Planned {
                        id: component_id(&component.id),
                        kind: name.to_owned(),
                        meta: *meta,
                        node: component.node.clone(),
                        configured: Arc::new(configured),
                    });
                }
                Some(Err(found)) => self.findings.extend(found),
                None => {}
            }
        }
        decoded
    }

    /// Limits that are known and not built in yet.
    fn check_limits(&mut self) {
        let Some(at) = &self.service.limits_at else { return };
        let (limits, usual) = (&self.service.limits, Limits::default());
        let idle = [
            ("unknown_field_bytes", limits.unknown_field_bytes != usual.unknown_field_bytes),
            ("tenants", limits.tenants != usual.tenants),
            ("regex_program", limits.regex_program != usual.regex_program),
            ("unknown_fields", limits.unknown_fields != usual.unknown_fields),
            ("invalid_utf8", limits.invalid_utf8 != usual.invalid_utf8),
        ];
        for (name, _) in idle.into_iter().filter(|(_, written)| *written) {
            let text = format!("`service::limits::{name}` is not built in yet and has no effect");
            self.findings.push(Diagnostic::new("N0602", text).at(at));
        }
    }

    /// Waits that nobody could meet.
    fn check_delivery(&mut self) {
        let delivery = &self.service.delivery;
        if delivery.exported_timeout.is_zero() {
            let node = self.service.delivery_node.as_ref().and_then(|node| node.get("exported_timeout"));
            let finding = Diagnostic::new("E0105", "service::delivery: `exported_timeout` must be positive, found 0");
            self.findings.push(match node {
                Some(node) => finding.at(&node.origin),
                None => finding,
            });
        }
    }

    fn pipelines(&mut self, registries: &Registries) -> Vec<PlannedPipeline> {
        let service = self.service;
        let is_connector = |reference: &&Reference| service.component(Kind::Connector, &reference.id).is_some();
        let ids = |references: &[Reference], connectors: bool| {
            let wanted = references.iter().filter(|reference| is_connector(reference) == connectors);
            wanted.map(|reference| component_id(&reference.id)).collect::<Vec<_>>()
        };
        let mut planned = Vec::new();
        for pipeline in &service.pipelines {
            let Some(signal) = signal(pipeline.id.signal()) else { continue };
            let metas = self.metas(pipeline, signal, registries);
            order::check(service, pipeline, &metas, self.findings);
            let exporters = ids(&pipeline.exporters, false);
            let rests = metas.iter().any(|meta| meta.is_some_and(|meta| meta.stage.is_some()));
            planned.push(PlannedPipeline {
                id: PipelineId::new(signal, pipeline.id.name()),
                receivers: ids(&pipeline.receivers, false),
                processors: ids(&pipeline.processors, false),
                fed_by: ids(&pipeline.receivers, true),
                feeds: ids(&pipeline.exporters, true),
                ack: pipeline.ack.unwrap_or(service.delivery.ack),
                redacts_at: metas.iter().position(|meta| meta.is_some_and(|meta| meta.redacts)),
                holds_back: metas.iter().flatten().any(|meta| meta.holds_back),
                only_observes: !rests && exporters.iter().all(|id| matches!(id.kind(), "debug" | "nop")),
                exporters,
            });
        }
        order::joins(service, self.findings);
        planned
    }

    /// Facts about the processors of a pipeline, in order; `None` for an unknown type. Reports components that do not know its
    /// signal.
    fn metas<'r>(&mut self, pipeline: &Pipeline, signal: Signal, registries: &'r Registries) -> Vec<Option<&'r Meta>> {
        let kinds = [
            (Kind::Receiver, &pipeline.receivers),
            (Kind::Processor, &pipeline.processors),
            (Kind::Exporter, &pipeline.exporters),
        ];
        let mut processors = Vec::new();
        for (kind, references) in kinds {
            for reference in references {
                let component = self.service.component(kind, &reference.id);
                let name = component.and_then(|component| component.canonical.as_deref());
                let meta = name.and_then(|name| match kind {
                    Kind::Receiver => registries.receivers.meta(name),
                    Kind::Processor => registries.processors.meta(name),
                    _ => registries.exporters.meta(name),
                });
                if kind == Kind::Processor {
                    processors.push(meta);
                }
                if meta.is_none_or(|meta| meta.stability[signal as usize].is_some()) {
                    continue;
                }
                let place = match kind {
                    Kind::Processor => format!(", in pipeline \"{}\"", pipeline.id),
                    _ => String::new(),
                };
                let text = format!(
                    "failed to create \"{}\" {}{place} for data type \"{signal}\": telemetry type is not supported",
                    reference.id,
                    kind.name(),
                );
                self.findings.push(Diagnostic::new("E0203", text).at(&reference.origin));
            }
        }
        processors
    }
}

fn component_id(id: &sluice_config::ComponentId) -> ComponentId {
    ComponentId::new(id.kind(), id.name())
}

fn signal(signal: sluice_config::Signal) -> Option<Signal> {
    match signal {
        sluice_config::Signal::Traces => Some(Signal::Traces),
        sluice_config::Signal::Metrics => Some(Signal::Metrics),
        sluice_config::Signal::Logs => Some(Signal::Logs),
        _ => None,
    }
}
