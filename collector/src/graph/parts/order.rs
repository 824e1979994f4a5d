//! In which order stages end: each before those that read what it emits.

use std::collections::BTreeSet;

use sluice_pipeline::PipelineId;

use super::{ConnectorPart, Parts, ProcessorPart, StageId};
use crate::plan::Plan;

impl Parts {
    /// The stages of a plan in the order of the flow. A shared one that feeds itself by another stage comes first.
    pub fn stages_in_order(&self, plan: &Plan) -> Vec<StageId> {
        let edges = self.edges(plan);
        let mut left: BTreeSet<&StageId> = self.stages.keys().collect();
        let mut order = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let is_read =
                |stage: &StageId| edges.iter().any(|(from, to)| to == stage && left.contains(from) && from != to);
            let next = left.iter().find(|stage| !is_read(stage)).or_else(|| left.iter().next());
            let Some(&next) = next else { break };
            left.remove(next);
            order.push(next.clone());
        }
        order
    }

    /// Which stage's output the other reads.
    fn edges(&self, plan: &Plan) -> Vec<(StageId, StageId)> {
        let mut edges = Vec::new();
        for pipeline in &plan.pipelines {
            let own = self.own(plan, &pipeline.id);
            edges.extend(own.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())));
            for link in plan.links.iter().filter(|link| link.inputs.contains(&pipeline.id)) {
                let key = (link.connector.clone(), link.from, link.to);
                let heads = link.outputs.iter().flat_map(|output| self.heads(plan, output));
                match (self.connectors.get(&key), own.last()) {
                    (Some(ConnectorPart::Stage(stage)), last) => {
                        edges.extend(last.map(|last| (last.clone(), stage.clone())));
                        edges.extend(heads.map(|head| (stage.clone(), head)));
                    }
                    (_, Some(last)) => edges.extend(heads.map(|head| (last.clone(), head))),
                    (_, None) => {}
                }
            }
        }
        edges
    }

    /// The stages among the processors of a pipeline.
    fn own(&self, plan: &Plan, pipeline: &PipelineId) -> Vec<StageId> {
        let Some(pipeline) = plan.pipelines.iter().find(|planned| planned.id == *pipeline) else { return Vec::new() };
        let parts = self.of_pipeline(pipeline).filter_map(|(_, part)| match part {
            ProcessorPart::Stage(stage) => Some(stage.clone()),
            _ => None,
        });
        parts.collect()
    }

    /// The stages that see first what comes into a pipeline.
    fn heads(&self, plan: &Plan, pipeline: &PipelineId) -> Vec<StageId> {
        if let Some(first) = self.own(plan, pipeline).into_iter().next() {
            return vec![first];
        }
        let links = plan.links.iter().filter(|link| link.inputs.contains(pipeline));
        let heads = links.flat_map(|link| match self.connectors.get(&(link.connector.clone(), link.from, link.to)) {
            Some(ConnectorPart::Stage(stage)) => vec![stage.clone()],
            _ => link.outputs.iter().flat_map(|output| self.heads(plan, output)).collect(),
        });
        heads.collect()
    }
}
