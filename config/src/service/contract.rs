//! The keys and shapes of `service`, for JSON Schema and for printing: beside the code that reads them.

use super::delivery::PipelineDelivery;
use super::{Delivery, Limits, Security, Telemetry};
use crate::encode::whole;
use crate::shape::{Kind, Shape};
use crate::tree::Node;

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
    Block(Shape, Whole),
}

/// Gives a block all its defaults; `None` if it does not decode.
pub type Whole = fn(&Node) -> Option<Node>;

/// The keys of `service`.
pub fn parts() -> Vec<(&'static str, Part)> {
    let pipeline = PIPELINE.map(|key| match key {
        "delivery" => (key, Part::Block(Shape::of::<PipelineDelivery>(), whole::<PipelineDelivery>)),
        _ => (key, Part::Ids),
    });
    let mut pipelines = Some(pipeline.into());
    SECTIONS.map(|key| (key, part(key, &mut pipelines))).into()
}

/// What stands under a key of the configuration, of `service` or of a pipeline.
pub fn meaning(key: &str) -> &'static str {
    match key {
        "receivers" => "Where data comes from.",
        "processors" => "What is done with data on the way.",
        "exporters" => "Where data goes.",
        "connectors" => "What joins pipelines: exporters of one and receivers of another.",
        "extensions" => "What serves other components, or the process as a whole.",
        "service" => "What runs, and how.",
        "pipelines" => {
            "Ways of data from receivers through processors, in their order, to exporters. Named for its signal, with `/name` if there are several."
        }
        "telemetry" => "What the collector tells of itself.",
        "delivery" => "When a sender is told that its data is safe.",
        "limits" => "What one request and one item may hold.",
        "security" => "What may run, and what is only said.",
        _ => "",
    }
}

fn part(key: &str, pipelines: &mut Option<Vec<(&'static str, Part)>>) -> Part {
    match key {
        "pipelines" => Part::Pipelines(pipelines.take().unwrap_or_default()),
        "telemetry" => Part::Block(telemetry(), whole::<Telemetry>),
        "delivery" => Part::Block(Shape::of::<Delivery>(), whole::<Delivery>),
        "security" => Part::Block(Shape::of::<Security>(), whole::<Security>),
        "limits" => Part::Block(Shape::of::<Limits>(), whole::<Limits>),
        _ => Part::Ids,
    }
}

/// `resource` is read key by key: any key is an attribute of the older form.
fn telemetry() -> Shape {
    let mut shape = Shape::of::<Telemetry>();
    if let Kind::Block(fields) = &mut shape.kind {
        for (_, field) in fields.iter_mut().filter(|(name, _)| *name == "resource") {
            *field = Shape { within: field.within, ..Shape::any() };
        }
    }
    shape
}
