//! The keys and shapes of `service`, for JSON Schema and for printing: beside the code that reads them.

use super::delivery::PipelineDelivery;
use super::{Delivery, Limits, Security, Telemetry};
use crate::shape::{Kind, Shape};

/// Keys of `service`.
pub(super) const SECTIONS: [&str; 6] = ["extensions", "pipelines", "telemetry", "delivery", "limits", "security"];
/// Keys of a pipeline.
pub(super) const PIPELINE: [&str; 4] = ["receivers", "processors", "exporters", "delivery"];

/// What stands under a key of `service`.
pub enum Part {
    /// A list of component ids.
    Ids,
    /// A map of pipeline ids to blocks with these keys.
    Pipelines(Vec<(&'static str, Part)>),
    /// A block.
    Block(Shape),
}

/// The keys of `service`.
pub fn parts() -> Vec<(&'static str, Part)> {
    let pipeline = PIPELINE.map(|key| match key {
        "delivery" => (key, Part::Block(Shape::of::<PipelineDelivery>())),
        _ => (key, Part::Ids),
    });
    let mut pipelines = Some(pipeline.into());
    SECTIONS.map(|key| (key, part(key, &mut pipelines))).into()
}

fn part(key: &str, pipelines: &mut Option<Vec<(&'static str, Part)>>) -> Part {
    match key {
        "pipelines" => Part::Pipelines(pipelines.take().unwrap_or_default()),
        "telemetry" => Part::Block(telemetry()),
        "delivery" => Part::Block(Shape::of::<Delivery>()),
        "security" => Part::Block(Shape::of::<Security>()),
        "limits" => Part::Block(Shape::of::<Limits>()),
        _ => Part::Ids,
    }
}

/// `resource` is read key by key: any key is an attribute of the older form.
fn telemetry() -> Shape {
    let mut shape = Shape::of::<Telemetry>();
    if let Kind::Block(fields) = &mut shape.kind {
        for (_, field) in fields.iter_mut().filter(|(name, _)| *name == "resource") {
            *field = Shape::any();
        }
    }
    shape
}
