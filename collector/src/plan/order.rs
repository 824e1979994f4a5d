//! The order of a pipeline's processors, where one at the wrong place would not do what it is for.

use std::collections::{BTreeMap, BTreeSet};

use sluice_config::service::{Ack, Pipeline, Reference, Service};
use sluice_config::{Diagnostic, Kind};
use sluice_pipeline::factory::Meta;

/// Reports what stands at the wrong place. `metas` are the facts about the processors, in order.
pub(super) fn check(service: &Service, pipeline: &Pipeline, metas: &[Option<&Meta>], findings: &mut Vec<Diagnostic>) {
    up(service, &pipeline.processors, findings);
    redaction(service, pipeline, metas, findings);
}

/// `up` takes for silent whom a processor before it swallowed, and cannot match by what one behind it adds (`up.md`
/// section 1). `batch` is not among them: it merges behind the journal only.
fn up(service: &Service, processors: &[Reference], findings: &mut Vec<Diagnostic>) {
    const SWALLOWS: [&str; 7] = [
        "filter",
        "probabilistic_sampler",
        "tail_sampling",
        "groupbytrace",
        "interval",
        "log_dedup",
        "metricstransform",
    ];
    let kind = |reference: &Reference| {
        let component = service.component(Kind::Processor, &reference.id)?;
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
        let finding = Diagnostic::new("W0519", text).at(&reference.origin);
        findings.push(finding.help(format!("move it {moved} `up`")));
    }
}

/// A stage reads what has been kept: what redacts must stand before it wherever a disk may keep it (delivery §2).
fn redaction(service: &Service, pipeline: &Pipeline, metas: &[Option<&Meta>], findings: &mut Vec<Diagnostic>) {
    let place = |is: fn(&Meta) -> bool| metas.iter().position(|meta| meta.is_some_and(is));
    let (Some(stage), Some(redacts)) = (place(|meta| meta.stage.is_some()), place(|meta| meta.redacts)) else { return };
    // One log is for all pipelines.
    let ack = |pipeline: &Pipeline| pipeline.ack.unwrap_or(service.delivery.ack);
    let on_disk = service.pipelines.iter().any(|pipeline| matches!(ack(pipeline), Ack::Auto | Ack::Durable));
    let (Some(late), Some(early)) = (pipeline.processors.get(redacts), pipeline.processors.get(stage)) else { return };
    // It copies from item to item: what has not been redacted would be in two places (correlation §1).
    let joins = canonical(service, early) == Some("correlate");
    if redacts > stage && (on_disk || joins) {
        let why = if on_disk {
            "which reads what is on disk: nothing would be redacted there"
        } else {
            "which copies between items"
        };
        let text = format!(
            "service::pipelines::{}: processor \"{}\" stands behind \"{}\", {why}",
            pipeline.id, late.id, early.id
        );
        let finding = Diagnostic::new("E0209", text).at(&late.origin).also(&early.origin, "this one keeps its input");
        findings.push(finding.help(format!("move \"{}\" before it", late.id)));
    }
}

/// The type of a processor.
fn canonical<'s>(service: &'s Service, reference: &Reference) -> Option<&'s str> {
    service.component(Kind::Processor, &reference.id)?.canonical.as_deref()
}

/// Joins need spans and logs: a `correlate` to which only one of the two comes holds it back for nothing.
pub(super) fn joins(service: &Service, findings: &mut Vec<Diagnostic>) {
    let mut seen: BTreeMap<String, (&Reference, BTreeSet<&str>)> = BTreeMap::new();
    for pipeline in &service.pipelines {
        for reference in &pipeline.processors {
            if canonical(service, reference) == Some("correlate") {
                let signals = &mut seen.entry(reference.id.to_string()).or_insert((reference, BTreeSet::new())).1;
                signals.insert(pipeline.id.signal().name());
            }
        }
    }
    for (id, (reference, signals)) in seen {
        if signals.contains("traces") && signals.contains("logs") {
            continue;
        }
        let text = format!("processor \"{id}\" joins logs and spans, and only one of the two comes to it");
        let finding = Diagnostic::new("W0518", text).at(&reference.origin);
        findings.push(finding.help("name it in a traces and in a logs pipeline"));
    }
}
