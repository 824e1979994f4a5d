//! Connectors between pipelines: which are used as what, and what of a pipeline shows through them (collector-compat §1.7).

use std::collections::BTreeSet;

use sluice_config::service::{Component, Service};
use sluice_config::{Diagnostic, Kind};
use sluice_pipeline::factory::{Connectors, Meta, Registry};
use sluice_pipeline::{ComponentId, PipelineId, Signal};

use super::{PlannedPipeline, component_id};

/// A connector from the pipelines of one signal to those of another, or of the same: one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub connector: ComponentId,
    pub from: Signal,
    pub to: Signal,
    /// The pipelines that name it as exporter, in order.
    pub inputs: Vec<PipelineId>,
    /// The pipelines that name it as receiver, in order.
    pub outputs: Vec<PipelineId>,
    /// Whether it keeps state, so that data rests on its way.
    pub rests: bool,
}

/// All links. Reports connectors that lead nowhere, and cycles.
pub(super) fn find(
    service: &Service,
    pipelines: &[PlannedPipeline],
    registry: &Registry<Connectors>,
    findings: &mut Vec<Diagnostic>,
) -> Vec<Link> {
    let mut links = Vec::new();
    for component in service.of_kind(Kind::Connector) {
        let Some(meta) = component.canonical.as_deref().and_then(|name| registry.meta(name)) else { continue };
        let id = component_id(&component.id);
        let named = |lists: fn(&PlannedPipeline) -> &Vec<ComponentId>| -> Vec<PipelineId> {
            let naming = pipelines.iter().filter(|pipeline| lists(pipeline).contains(&id));
            naming.map(|pipeline| pipeline.id.clone()).collect()
        };
        let (inputs, outputs) = (named(|pipeline| &pipeline.feeds), named(|pipeline| &pipeline.fed_by));
        if inputs.is_empty() || outputs.is_empty() {
            // Reported by the configuration itself, which knows no signals.
            continue;
        }
        unsupported(component, meta, &inputs, &outputs, findings);
        for from in signals(&inputs) {
            for to in signals(&outputs).into_iter().filter(|&to| meta.leads(from, to)) {
                links.push(Link {
                    connector: id.clone(),
                    from,
                    to,
                    inputs: of(&inputs, from).cloned().collect(),
                    outputs: of(&outputs, to).cloned().collect(),
                    rests: meta.stage.is_some(),
                });
            }
        }
    }
    if let Some(cycle) = cycle(pipelines, &links) {
        let text = format!("cycle detected: {}", describe(&cycle, pipelines));
        let key = cycle.first().and_then(|(link, _)| {
            let same = |component: &&Component| component_id(&component.id) == link.connector;
            service.of_kind(Kind::Connector).find(same).map(|component| component.key.clone())
        });
        let finding = Diagnostic::new("E0204", text);
        findings.push(match key {
            Some(key) => finding.at(&key),
            None => finding,
        });
    }
    links
}

fn signals(pipelines: &[PipelineId]) -> BTreeSet<Signal> {
    pipelines.iter().map(PipelineId::signal).collect()
}

fn of(pipelines: &[PipelineId], signal: Signal) -> impl Iterator<Item = &PipelineId> {
    pipelines.iter().filter(move |pipeline| pipeline.signal() == signal)
}

/// What a connector is used for and cannot do, in upstream's words.
fn unsupported(
    component: &Component,
    meta: &Meta,
    inputs: &[PipelineId],
    outputs: &[PipelineId],
    findings: &mut Vec<Diagnostic>,
) {
    let (froms, tos) = (signals(inputs), signals(outputs));
    let mut report = |used_as: &str, used: &[PipelineId], signal: Signal, other: &str| {
        let names: Vec<&str> = of(used, signal).map(PipelineId::as_str).collect();
        let text = format!(
            "connector {:?} used as {used_as} in [{}] pipeline but not used in any supported {other} pipeline",
            component.id.to_string(),
            names.join(" ")
        );
        findings.push(Diagnostic::new("E0205", text).at(&component.key));
    };
    for &from in froms.iter().filter(|&&from| !tos.iter().any(|&to| meta.leads(from, to))) {
        report("exporter", inputs, from, "receiver");
    }
    for &to in tos.iter().filter(|&&to| !froms.iter().any(|&from| meta.leads(from, to))) {
        report("receiver", outputs, to, "exporter");
    }
}

/// A step of a way through pipelines: the link, and the pipeline that it leads to.
type Way<'l> = Vec<(&'l Link, PipelineId)>;

/// Links in a circle, if there is one.
fn cycle<'l>(pipelines: &[PlannedPipeline], links: &'l [Link]) -> Option<Way<'l>> {
    /// Goes on from the end of the way. `done` leads to no circle.
    fn visit<'l>(
        start: &PipelineId,
        links: &'l [Link],
        done: &mut BTreeSet<PipelineId>,
        way: &mut Way<'l>,
    ) -> Option<Way<'l>> {
        let here = way.last().map_or(start, |(_, pipeline)| pipeline).clone();
        if done.contains(&here) {
            return None;
        }
        for link in links.iter().filter(|link| link.inputs.contains(&here)) {
            for output in &link.outputs {
                let before = way.iter().position(|(_, pipeline)| pipeline == output).map(|index| index + 1);
                way.push((link, output.clone()));
                if let Some(from) = before.or_else(|| (output == start).then_some(0)) {
                    return Some(way.split_off(from));
                }
                if let Some(circle) = visit(start, links, done, way) {
                    return Some(circle);
                }
                way.pop();
            }
        }
        done.insert(here);
        None
    }
    let mut done = BTreeSet::new();
    pipelines.iter().find_map(|pipeline| visit(&pipeline.id, links, &mut done, &mut Vec::new()))
}

fn describe(cycle: &[(&Link, PipelineId)], pipelines: &[PlannedPipeline]) -> String {
    let connector = |link: &Link| format!("connector {:?} ({} to {})", link.connector.as_str(), link.from, link.to);
    let mut parts = Vec::new();
    for (link, pipeline) in cycle {
        parts.push(connector(link));
        let planned = pipelines.iter().find(|planned| planned.id == *pipeline);
        let processors = planned.into_iter().flat_map(|planned| &planned.processors);
        parts.extend(processors.map(|id| format!("processor {:?} in pipeline {:?}", id.as_str(), pipeline.as_str())));
    }
    parts.extend(cycle.first().map(|(link, _)| connector(link)));
    parts.join(" -> ")
}

/// What a pipeline is for its senders depends on what its connectors lead to, as long as data does not rest between: whether
/// it only observes, and whether something behind holds back. The links must not have cycles.
pub(super) fn see_through(pipelines: &mut [PlannedPipeline], links: &[Link]) {
    // As many rounds as the longest way can have pipelines.
    for _ in 0..pipelines.len() {
        let before: Vec<(PipelineId, bool, bool)> =
            pipelines.iter().map(|it| (it.id.clone(), it.only_observes, it.holds_back)).collect();
        for pipeline in pipelines.iter_mut() {
            for link in links.iter().filter(|link| link.inputs.contains(&pipeline.id)) {
                let behind = before.iter().filter(|(id, ..)| link.outputs.contains(id));
                let (mut observes, mut holds) = (!link.rests, false);
                behind.for_each(|(_, it_observes, it_holds)| {
                    (observes, holds) = (observes && *it_observes, holds || *it_holds)
                });
                pipeline.only_observes &= observes;
                pipeline.holds_back |= holds && !link.rests;
            }
        }
    }
}
