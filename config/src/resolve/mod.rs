//! Command-line sources to one expanded document (collector-compat §1.1 to §1.3).

mod expand;
mod merge;
mod retrieve;
mod sources;
mod uri;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, sort};
use crate::source::{Origin, Source, Span};
use crate::tree::{Map, Node, Value};
use crate::yaml;

pub use sources::{FixedSources, Sources, SystemSources};

/// What the command line says about configuration.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// `--config` in order: a path or `<scheme>:<opaque>`.
    pub configs: Vec<String>,
    /// `--set key.path=value` in order; they come after all `--config`.
    pub sets: Vec<String>,
    /// The gate `confmap.enableMergeAppendOption`: append to the component lists of `service` instead of replacing.
    pub append_lists: bool,
}

/// The merged and expanded configuration.
#[derive(Clone, Debug)]
pub struct Document {
    /// A map.
    pub root: Node,
    /// Every text it came from, in order of first use.
    pub sources: Vec<Arc<Source>>,
    /// Warnings and notes found on the way.
    pub warnings: Vec<Diagnostic>,
}

/// Reads, merges and expands all sources.
///
/// # Errors
/// Everything that is wrong with sources, syntax and references, in reading order. Warnings found besides are part
/// of that list.
pub fn resolve(args: &Args, sources: &dyn Sources) -> Result<Document, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let mut registered = Vec::new();
    let mut root: Option<Node> = None;
    if args.configs.is_empty() {
        found.push(Diagnostic::new("E0008", "at least one config flag must be provided"));
    }
    let mut inline = 0;
    for (order, argument) in (0u32..).zip(&args.configs) {
        if argument.starts_with("yaml:") {
            inline += 1;
        }
        match load(argument, inline, sources, order, &mut registered) {
            Ok(node) => merge_into(&mut root, node, args.append_lists, &mut found),
            Err(problem) => found.push(*problem),
        }
    }
    let first = u32::try_from(args.configs.len()).unwrap_or(u32::MAX);
    for (index, set) in args.sets.iter().enumerate() {
        let order = first.saturating_add(u32::try_from(index).unwrap_or(u32::MAX));
        match load_set(set, index + 1, order, &mut registered) {
            Ok(node) => merge_into(&mut root, node, args.append_lists, &mut found),
            Err(problem) => found.push(*problem),
        }
    }
    let nowhere = || Node::new(Value::Map(Map::new()), Origin::new(Source::new("<none>", "", 0), Span::default()));
    let mut root = root.unwrap_or_else(nowhere);
    expand::Expander::new(sources, &mut registered, &mut found).expand(&mut root, "", 0);
    if root.size().nodes > yaml::MAX_NODES {
        let text = format!("the merged configuration has more than {} nodes", yaml::MAX_NODES);
        found.push(Diagnostic::new("E0005", text).at(&root.origin));
    }
    merge::unflatten(&mut root);
    sort(&mut found);
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    Ok(Document { root, sources: registered, warnings: found })
}

fn merge_into(root: &mut Option<Node>, node: Node, append: bool, found: &mut Vec<Diagnostic>) {
    match root {
        Some(root) => merge::merge(root, node, "", append, found),
        None => *root = Some(node),
    }
}

type Loaded = Result<Node, Box<Diagnostic>>;

fn load(argument: &str, inline: usize, sources: &dyn Sources, order: u32, registered: &mut Vec<Arc<Source>>) -> Loaded {
    let Some(uri) = uri::Uri::parse_argument(argument) else {
        return Err(Box::new(Diagnostic::new("E0009", format!("invalid uri: {}", crate::quote(argument)))));
    };
    if uri.scheme == "yaml" {
        let source = yaml::decode_utf8(&format!("<yaml #{inline}>"), uri.opaque.as_bytes(), order)?;
        registered.push(source.clone());
        return document(yaml::parse_source(&source)?);
    }
    let retrieved = retrieve::retrieve(&uri, sources, order).map_err(|failure| {
        let unsupported = failure.code == "E0009";
        let text =
            if unsupported { format!("unsupported scheme on URI {}", crate::quote(argument)) } else { failure.text };
        Box::new(Diagnostic::new(failure.code, text))
    })?;
    registered.extend(retrieved.source.clone());
    if let Some(problem) = retrieved.not_yaml {
        return Err(problem);
    }
    match retrieved.content {
        retrieve::Content::Tree(node) => document(node),
        retrieve::Content::Text => {
            let source = retrieved.source.unwrap_or_else(|| Source::new(argument, "", order));
            let end = source.clamp(source.text().trim_end().len());
            document(Node::new(Value::String(retrieved.text), Origin::new(source, Span { start: 0, end })))
        }
    }
}

/// A source must be a map or empty.
fn document(mut node: Node) -> Loaded {
    match &node.value {
        Value::Map(_) => {}
        Value::Null => node.value = Value::Map(Map::new()),
        other => {
            let text = format!("retrieved value (type={}) cannot be used as a Conf", other.go_type());
            let problem = Diagnostic::new("E0101", text).at(&node.origin);
            return Err(Box::new(problem.help("a configuration is a map with receivers, exporters and service")));
        }
    }
    merge::unflatten(&mut node);
    Ok(node)
}

/// `key.path=value`: every `.` of the key separates, the value is YAML.
fn load_set(argument: &str, number: usize, order: u32, registered: &mut Vec<Arc<Source>>) -> Loaded {
    let name = format!("<--set #{number}>");
    let Some((key, value)) = argument.split_once('=') else {
        let source = Source::new(name, argument, order);
        let span = Span { start: 0, end: source.clamp(argument.len()) };
        let text = "missing equal sign";
        let problem = Diagnostic::new("E0402", text).at(&Origin::new(source, span));
        return Err(Box::new(problem.help("write --set key.path=value")));
    };
    let text = format!("{}: {value}", key.trim().replace('.', "::"));
    let source = yaml::decode_utf8(&name, text.as_bytes(), order)?;
    registered.push(source.clone());
    document(yaml::parse_source(&source)?)
}
