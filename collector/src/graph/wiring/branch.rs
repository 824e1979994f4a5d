//! A pipeline from one place to the next where data rests.

use std::sync::Arc;

use sluice_pipeline::ComponentId;
use sluice_pipeline::batch::NoRedaction;
use sluice_pipeline::content::{ContentLimits, LimitStep};
use sluice_pipeline::intake::{Branch, ConnectorOutput, InlineDestination, Outputs};
use sluice_pipeline::segment::{Redaction, Segment, SegmentStep};

use super::Wires;
use crate::graph::exported::is_awaited;
use crate::graph::parts::{ConnectorPart, ExporterPart, ProcessorPart, StageId};
use crate::plan::PlannedPipeline;

impl Wires<'_> {
    /// A pipeline from its processor `from` on, up to the next stage or the end.
    pub(super) fn branch(&self, pipeline: &PlannedPipeline, from: usize, limits: Option<ContentLimits>) -> Branch {
        let (id, around) = (&pipeline.id, self.around);
        let parts: Vec<_> = self.parts.of_pipeline(pipeline).collect();
        let stage = |part: &ProcessorPart| match part {
            ProcessorPart::Stage(stage) => Some(stage.clone()),
            _ => None,
        };
        let next = parts.iter().enumerate().skip(from).find_map(|(at, (_, part))| Some((at, stage(part)?)));
        let until = next.as_ref().map_or(parts.len(), |(at, _)| *at);
        let steps = parts.get(from..until).unwrap_or_default().iter().filter_map(|(processor, part)| {
            step(part).map(|step| SegmentStep { processor: (*processor).clone(), step: Arc::clone(step) })
        });
        let limits = limits.map(|limits| SegmentStep {
            processor: ComponentId::new("limits", ""),
            step: Arc::new(LimitStep::new(limits, &around.telemetry)),
        });
        let steps = limits.into_iter().chain(steps);
        let redacted = pipeline.redacts_at.is_some_and(|at| at < until);
        let redaction = if redacted { Redaction::Done } else { Redaction::Waived(NoRedaction) };
        // Behind a stage, what it emits is counted by itself: it came into the pipeline once.
        let before = parts.iter().take(from).filter_map(|(_, part)| stage(part)).next_back();
        let account = match before {
            Some(stage) => around.ledger.pipeline(&stage.port(id)),
            None => around.ledger.pipeline(id.as_str()),
        };
        Branch {
            pipeline: id.clone(),
            segment: Segment::new(id.signal(), steps.collect(), redaction, &around.telemetry),
            account,
            outputs: match next {
                Some((_, stage)) => self.to_stage(&stage, pipeline),
                None => self.outputs(pipeline),
            },
        }
    }

    /// To the port of a stage.
    fn to_stage(&self, stage: &StageId, pipeline: &PlannedPipeline) -> Outputs {
        let port = self.spine.destination(&stage.port(&pipeline.id));
        Outputs { routes: port.into_iter().collect(), ..Outputs::default() }
    }

    fn outputs(&self, pipeline: &PlannedPipeline) -> Outputs {
        let mut outputs = Outputs::default();
        for id in &pipeline.exporters {
            match self.parts.exporters.get(id) {
                None => {}
                Some(ExporterPart::Observer(observer)) => outputs.observers.push(Arc::clone(observer)),
                Some(ExporterPart::Destination(exporter, delivery)) if delivery.queue.is_none() => {
                    outputs.inline.push(Arc::new(InlineDestination {
                        exporter: Arc::clone(exporter),
                        account: self.around.ledger.destination(id.as_str()),
                        timeout: Some(delivery.timeout).filter(|timeout| !timeout.is_zero()),
                    }));
                }
                Some(ExporterPart::Destination(_, delivery)) => {
                    if let Some(destination) = self.spine.destination(id.as_str()) {
                        outputs.routes = outputs.routes.with(destination);
                        if is_awaited(delivery, self.modes, &pipeline.id) {
                            outputs.awaited = outputs.awaited.with(destination);
                        }
                    }
                }
            }
        }
        self.connectors(pipeline, &mut outputs);
        outputs
    }

    /// The connectors that a pipeline feeds.
    fn connectors(&self, pipeline: &PlannedPipeline, outputs: &mut Outputs) {
        for link in self.plan.links.iter().filter(|link| link.inputs.contains(&pipeline.id)) {
            match self.parts.connectors.get(&(link.connector.clone(), link.from, link.to)) {
                None => {}
                Some(ConnectorPart::Stage(stage)) => {
                    let port = self.to_stage(stage, pipeline);
                    outputs.routes = outputs.routes.union(port.routes);
                }
                Some(ConnectorPart::Inline(connector, targets)) => outputs.connectors.push(ConnectorOutput {
                    connector: Arc::clone(connector),
                    account: self.around.ledger.stage(link.connector.as_str()),
                    targets: targets.iter().filter_map(|target| self.fed(target)).collect(),
                }),
            }
        }
    }
}

fn step(part: &ProcessorPart) -> Option<&Arc<sluice_pipeline::Step>> {
    match part {
        ProcessorPart::Step(step) | ProcessorPart::Emitting(step, _) => Some(step),
        ProcessorPart::Batching(_) | ProcessorPart::Memory(_) | ProcessorPart::Stage(_) => None,
    }
}
