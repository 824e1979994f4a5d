//! `service::pipelines` and lists of component ids.

use crate::decode;
use crate::diagnostic::Diagnostic;
use crate::ids::{ComponentId, PipelineId};
use crate::quote;
use crate::service::delivery::{Ack, PipelineDelivery};
use crate::service::unknown_key;
use crate::source::Origin;
use crate::tree::{Entry, Node, Value};

/// A component named by a pipeline or by `service::extensions`.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The id as written.
    pub id: ComponentId,
    /// Where.
    pub origin: Origin,
}

/// One pipeline.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Its id.
    pub id: PipelineId,
    /// Receivers, or connectors that end other pipelines.
    pub receivers: Vec<Reference>,
    /// Processors in order.
    pub processors: Vec<Reference>,
    /// Exporters, or connectors that begin other pipelines.
    pub exporters: Vec<Reference>,
    /// `delivery::ack` of this pipeline, if written.
    pub ack: Option<Ack>,
    /// Where that is.
    pub ack_at: Option<Origin>,
    /// Where its key was written.
    pub key: Origin,
}

pub(super) fn read(node: &Node, found: &mut Vec<Diagnostic>) -> Vec<Pipeline> {
    let mut pipelines: Vec<Pipeline> = Vec::new();
    let map = match &node.value {
        Value::Null => return pipelines,
        Value::Map(map) => map,
        other => {
            let text = format!("'service.pipelines' expected a map or struct, got \"{}\"", other.go_type());
            found.push(Diagnostic::new("E0101", text).at(&node.origin));
            return pipelines;
        }
    };
    for (key, entry) in map {
        let id = match PipelineId::parse(key) {
            Ok(id) => id,
            Err(error) => {
                let hint = crate::suggest::did_you_mean(key, ["traces", "metrics", "logs"]);
                let diagnostic = Diagnostic::new("E0108", format!("service::pipelines: {error}")).at(&entry.key);
                found.push(match hint {
                    Some(hint) => diagnostic.label(hint),
                    None => diagnostic,
                });
                continue;
            }
        };
        if let Some(first) = pipelines.iter().find(|pipeline| pipeline.id == id) {
            let text = format!("service::pipelines: duplicate name {} after unmarshaling {id}", quote(key));
            found.push(Diagnostic::new("E0108", text).at(&entry.key).also(&first.key, "first defined at"));
            continue;
        }
        pipelines.push(pipeline(id, entry, found));
    }
    pipelines
}

fn pipeline(id: PipelineId, entry: &Entry, found: &mut Vec<Diagnostic>) -> Pipeline {
    let path = format!("service::pipelines::{id}");
    let key = entry.key.clone();
    let mut pipeline = Pipeline {
        id,
        receivers: Vec::new(),
        processors: Vec::new(),
        exporters: Vec::new(),
        ack: None,
        ack_at: None,
        key,
    };
    let map = match &entry.value.value {
        Value::Null => return pipeline,
        Value::Map(map) => map,
        other => {
            let text = format!(
                "service::pipelines: '[{}]' expected a map or struct, got \"{}\"",
                pipeline.id,
                other.go_type()
            );
            found.push(Diagnostic::new("E0101", text).at(&entry.value.origin));
            return pipeline;
        }
    };
    for (key, entry) in map {
        match key.as_str() {
            "receivers" => pipeline.receivers = references(&entry.value, &path, found),
            "processors" => pipeline.processors = references(&entry.value, &path, found),
            "exporters" => pipeline.exporters = references(&entry.value, &path, found),
            "delivery" => {
                let node = entry.value.clone().with_label(&format!("{path}::delivery"));
                match decode::decode::<PipelineDelivery>(&node) {
                    Ok(delivery) => {
                        pipeline.ack = delivery.ack;
                        pipeline.ack_at = node.get("ack").map(|node| node.origin.clone());
                    }
                    Err(problems) => found.extend(problems),
                }
            }
            _ => {
                let known = &super::contract::PIPELINE;
                let mut problem = unknown_key(&format!("[{}]", pipeline.id), key, &entry.key, known);
                problem.message = format!("service::pipelines: {}", problem.message);
                found.push(problem);
            }
        }
    }
    pipeline
}

/// A list of ids; a string is split at `,`.
pub(super) fn references(node: &Node, path: &str, found: &mut Vec<Diagnostic>) -> Vec<Reference> {
    let mut references = Vec::new();
    let mut add = |text: &str, origin: &Origin, found: &mut Vec<Diagnostic>| match ComponentId::parse(text) {
        Ok(id) => references.push(Reference { id, origin: origin.clone() }),
        Err(error) => found.push(Diagnostic::new("E0108", format!("{path}: {error}")).at(origin)),
    };
    match &node.value {
        Value::Null => {}
        Value::String(text) => {
            let mut offset = 0;
            for part in text.split(',').filter(|_| !text.is_empty()) {
                add(part, &node.origin.within(text, offset, part.len()), found);
                offset += part.len() + 1;
            }
        }
        Value::Seq(items) => {
            for item in items {
                match item.text() {
                    Some(text) => add(text, &item.origin, found),
                    None if item.is_null() => add("", &item.origin, found),
                    None => {
                        let found_type = item.value.go_type();
                        let text = format!("{path}: expected type 'string', got unconvertible type '{found_type}'");
                        found.push(Diagnostic::new("E0101", text).at(&item.origin));
                    }
                }
            }
        }
        other => {
            let text = format!("{path}: source data must be an array or slice, got {}", other.go_type());
            found.push(Diagnostic::new("E0101", text).at(&node.origin));
        }
    }
    references
}
