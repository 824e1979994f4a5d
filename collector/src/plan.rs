//! From configuration sources to a plan: every component decoded and checked, nothing built or started.

use std::sync::Arc;

use sluice_config::redact::hide_from_excerpts;
use sluice_config::service::{Ack, Gates, Limits, Service};
use sluice_config::{Args, Diagnostic, Kind, Node, Sources, resolve, sort};
use sluice_pipeline::factory::{
    ComponentKind, Configured, Exporters, Extensions, Processors, Receivers, Registries, Registry,
};
use sluice_pipeline::{ComponentId, PipelineId, Signal};

use crate::catalog::Names;

/// A configuration that can be run.
pub struct Plan {
    pub service: Service,
    pub receivers: Vec<Planned<Receivers>>,
    pub processors: Vec<Planned<Processors>>,
    pub exporters: Vec<Planned<Exporters>>,
    pub extensions: Vec<Planned<Extensions>>,
    pub pipelines: Vec<PlannedPipeline>,
    /// The extension that keeps the journal, if one is configured.
    pub journal: Option<ComponentId>,
}

/// A component, decoded and checked.
pub struct Planned<K: ComponentKind> {
    pub id: ComponentId,
    /// Its canonical type.
    pub kind: String,
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
    pub ack: Ack,
    /// Whether one of its processors redacts.
    pub redacts: bool,
    /// Whether one of its processors holds data back.
    pub holds_back: bool,
}

impl PlannedPipeline {
    /// Whether it has nothing to keep for anybody.
    pub fn only_observes(&self) -> bool {
        self.exporters.iter().all(|id| matches!(id.kind(), "debug" | "nop"))
    }
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

/// Resolves, decodes and checks a configuration. Reports everything it finds in one pass.
pub fn load(args: &Args, sources: &dyn Sources, registries: &Registries) -> Loaded {
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
    let extensions = decoder.decode(Kind::Extension, &registries.extensions);
    decoder.check_limits();
    decoder.check_delivery();
    let pipelines = decoder.pipelines(registries);
    let journal = crate::journal::choose(&service, &mut findings);
    sort(&mut findings);
    sluice_config::codes::advise(&mut findings);
    let lints = crate::lints::find(&service);
    let (components, seen) = (service.components.len(), service.pipelines.len());
    let failed = findings.iter().any(Diagnostic::is_error);
    let plan = (!failed).then(|| Plan { receivers, exporters, processors, extensions, pipelines, journal, service });
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
            if let Some(shape) = registry.shape(name) {
                hide_from_excerpts(&component.node, &shape);
            }
            match registry.decode(name, &component.node) {
                Some(Ok(mut configured)) => {
                    self.findings.append(&mut configured.warnings);
                    decoded.push(Planned {
                        id: component_id(&component.id),
                        kind: name.to_owned(),
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

    /// `up` takes for silent whom a processor before it swallowed, and cannot match by what one behind it adds (`up.md`
    /// section 1). `batch` is not among them: it merges behind the journal only.
    fn check_order(&mut self, processors: &[sluice_config::service::Reference]) {
        const SWALLOWS: [&str; 7] = [
            "filter",
            "probabilistic_sampler",
            "tail_sampling",
            "groupbytrace",
            "interval",
            "log_dedup",
            "metricstransform",
        ];
        let kind = |reference: &sluice_config::service::Reference| {
            let component = self.service.component(Kind::Processor, &reference.id)?;
            component.canonical.clone()
        };
        let kinds: Vec<Option<String>> = processors.iter().map(kind).collect();
        let Some(up) = kinds.iter().position(|kind| kind.as_deref() == Some("up")) else { return };
        for (index, (reference, kind)) in processors.iter().zip(&kinds).enumerate() {
            let kind = kind.as_deref().unwrap_or_default();
            let text = match index < up {
                true if SWALLOWS.contains(&kind) => "stands before `up`: a target whose data it drops looks silent",
                false if kind == "k8sattributes" => "stands behind `up`, which could match by the attributes it adds",
                _ => continue,
            };
            let text = format!("processor \"{}\" {text}", reference.id);
            let moved = if index < up { "behind" } else { "before" };
            let finding = Diagnostic::new("W0517", text).at(&reference.origin);
            self.findings.push(finding.help(format!("move it {moved} `up`")));
        }
    }

    fn pipelines(&mut self, registries: &Registries) -> Vec<PlannedPipeline> {
        let ids = |references: &[sluice_config::service::Reference]| {
            references.iter().map(|reference| component_id(&reference.id)).collect()
        };
        let mut planned = Vec::new();
        for pipeline in &self.service.pipelines {
            let Some(signal) = signal(pipeline.id.signal()) else { continue };
            let kinds = [
                (Kind::Receiver, &pipeline.receivers),
                (Kind::Processor, &pipeline.processors),
                (Kind::Exporter, &pipeline.exporters),
            ];
            let (mut redacts, mut holds_back) = (false, false);
            for (kind, references) in kinds {
                for reference in references {
                    let component = self.service.component(kind, &reference.id);
                    let Some(name) = component.and_then(|component| component.canonical.as_deref()) else { continue };
                    let meta = match kind {
                        Kind::Receiver => registries.receivers.meta(name),
                        Kind::Processor => registries.processors.meta(name),
                        _ => registries.exporters.meta(name),
                    };
                    let Some(meta) = meta else { continue };
                    redacts |= meta.redacts;
                    holds_back |= meta.holds_back;
                    if meta.stability[signal as usize].is_none() {
                        let text = format!(
                            "failed to create \"{}\" {}{} for data type \"{signal}\": telemetry type is not supported",
                            reference.id,
                            kind.name(),
                            if kind == Kind::Processor {
                                format!(", in pipeline \"{}\"", pipeline.id)
                            } else {
                                String::new()
                            },
                        );
                        self.findings.push(Diagnostic::new("E0203", text).at(&reference.origin));
                    }
                }
            }
            self.check_order(&pipeline.processors);
            planned.push(PlannedPipeline {
                id: PipelineId::new(signal, pipeline.id.name()),
                receivers: ids(&pipeline.receivers),
                processors: ids(&pipeline.processors),
                exporters: ids(&pipeline.exporters),
                ack: pipeline.ack.unwrap_or(self.service.delivery.ack),
                redacts,
                holds_back,
            });
        }
        planned
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
