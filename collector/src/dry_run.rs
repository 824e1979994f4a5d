//! `run --dry-run`: what would be started.

use std::fmt::Write as _;

use crate::plan::{Plan, PlannedPipeline};

/// The plan as text: one line a pipeline, in the order data takes.
pub fn describe(plan: &Plan) -> String {
    let mut out = String::new();
    for pipeline in &plan.pipelines {
        let _ = writeln!(out, "{}: {}  (ack: {})", pipeline.id, way(pipeline), pipeline.ack.name());
    }
    let extensions: Vec<String> = plan.extensions.iter().map(|extension| extension.id.to_string()).collect();
    if !extensions.is_empty() {
        let _ = writeln!(out, "extensions: {}", extensions.join(", "));
    }
    if let Some(journal) = &plan.journal {
        let _ = writeln!(out, "journal: {journal}");
    }
    out.push_str("dry run: nothing was started\n");
    out
}

fn way(pipeline: &PlannedPipeline) -> String {
    let list =
        |ids: &[sluice_pipeline::ComponentId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let steps = pipeline.processors.iter().map(ToString::to_string);
    let ends = [list(&pipeline.receivers), list(&pipeline.exporters)];
    let [receivers, exporters] = ends;
    std::iter::once(receivers).chain(steps).chain(std::iter::once(exporters)).collect::<Vec<_>>().join(" → ")
}
