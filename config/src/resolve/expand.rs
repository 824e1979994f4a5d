//! Expansion of `${…}` in values (collector-compat §1.2), innermost first, to a fixed point.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::retrieve::{Content, Retrieved, retrieve};
use super::sources::Sources;
use super::uri::{Found, Uri, find_reference};
use crate::diagnostic::Diagnostic;
use crate::source::{Origin, Source, Via};
use crate::tree::{Node, Value};
use crate::yaml::{MAX_BYTES, MAX_DEPTH, MAX_NODES, MAX_REPEATED_BYTES};

/// Rounds of expansion of one value, as upstream.
const MAX_ROUNDS: usize = 1000;
/// References expanded in one document: keeps mutually recursive references from running for ever.
const MAX_REFERENCES: usize = 20_000;
/// Expands a merged document in place. Findings go to `found`; a value that failed becomes null.
pub(crate) struct Expander<'a> {
    sources: &'a dyn Sources,
    registered: &'a mut Vec<Arc<Source>>,
    found: &'a mut Vec<Diagnostic>,
    cache: HashMap<String, Retrieved>,
    warned: BTreeSet<(String, u32, u32)>,
    references: usize,
    bytes: usize,
    nodes: usize,
}

type Step<T> = Result<T, Box<Diagnostic>>;

impl<'a> Expander<'a> {
    pub(crate) fn new(
        sources: &'a dyn Sources,
        registered: &'a mut Vec<Arc<Source>>,
        found: &'a mut Vec<Diagnostic>,
    ) -> Self {
        let (cache, warned) = (HashMap::new(), BTreeSet::new());
        Self { sources, registered, found, cache, warned, references: 0, bytes: 0, nodes: 0 }
    }

    /// Expands and unescapes `node`, which stands `depth` collections deep.
    pub(crate) fn expand(&mut self, node: &mut Node, path: &str, depth: usize) {
        match &mut node.value {
            Value::String(text) if text.contains('$') => match self.expand_string(node, path, depth) {
                Ok(expanded) => *node = expanded,
                Err(problem) => {
                    self.found.push(*problem);
                    node.value = Value::Null;
                    node.text = None;
                }
            },
            Value::Seq(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.expand(item, &format!("{path}::{index}"), depth + 1);
                }
            }
            Value::Map(map) => {
                for (key, entry) in map.iter_mut() {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}::{key}") };
                    self.expand(&mut entry.value, &path, depth + 1);
                }
            }
            _ => {}
        }
    }

    fn expand_string(&mut self, node: &Node, path: &str, depth: usize) -> Step<Node> {
        let origin = &node.origin;
        let mut text = node.text().unwrap_or_default().to_owned();
        let mut via = None;
        for _ in 0..MAX_ROUNDS {
            let reference = match find_reference(&text) {
                Found::Reference(reference) => reference.to_owned(),
                Found::Nothing => return Ok(finished(text, origin, via)),
                Found::Escaped { hides_more } => {
                    if hides_more {
                        self.warn_hidden(origin, path);
                    }
                    return Ok(finished(text, origin, via));
                }
            };
            let retrieved = self.reference(&reference, origin, path)?;
            let first_via = via.get_or_insert_with(|| retrieved.via(&reference));
            if text != reference {
                self.spend(&text, &reference, &retrieved.text, origin)?;
                text = text.replace(&reference, &retrieved.text);
                continue;
            }
            match retrieved.content {
                Content::Text => text = retrieved.text,
                Content::Tree(tree) => {
                    let via = first_via.clone();
                    return self.whole_value(tree, &retrieved.text, origin, &via, path, depth);
                }
            }
        }
        Err(Box::new(recursion(origin)))
    }

    /// `foo: ${file:x.yaml}`: the value may be of any type and holds references of its own. The retrieved text stays
    /// with it for string fields.
    fn whole_value(
        &mut self,
        mut tree: Node,
        text: &str,
        origin: &Origin,
        via: &Arc<Via>,
        path: &str,
        depth: usize,
    ) -> Step<Node> {
        let size = tree.size();
        self.nodes += size.nodes;
        if depth + size.depth > MAX_DEPTH {
            return Err(Box::new(recursion(origin)));
        }
        if self.nodes > MAX_NODES {
            let text = format!("expansion gives more than {MAX_NODES} nodes");
            return Err(Box::new(Diagnostic::new("E0005", text).at(origin)));
        }
        if !via.reference.starts_with("${file:") {
            move_to(&mut tree, origin, via);
        }
        self.expand(&mut tree, path, depth);
        tree.text = self.original_text(text, origin, path).map(|text| text.replace("$$", "$").into());
        if tree.as_map().is_none() {
            tree.origin = Origin { via: Some(via.clone()), ..origin.clone() };
        }
        Ok(tree)
    }

    /// Expands the references of a retrieved text. Where that fails, the value has no text form.
    fn original_text(&mut self, text: &str, origin: &Origin, path: &str) -> Option<String> {
        let mut text = text.to_owned();
        for _ in 0..MAX_ROUNDS {
            let Found::Reference(reference) = find_reference(&text) else { return Some(text) };
            let reference = reference.to_owned();
            let retrieved = self.reference(&reference, origin, path).ok()?;
            self.spend(&text, &reference, &retrieved.text, origin).ok()?;
            text = text.replace(&reference, &retrieved.text);
        }
        None
    }

    fn reference(&mut self, reference: &str, origin: &Origin, path: &str) -> Step<Retrieved> {
        self.references += 1;
        if self.references > MAX_REFERENCES {
            return Err(Box::new(recursion(origin)));
        }
        let inner = reference.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(reference);
        let full = if inner.contains(':') { inner.to_owned() } else { format!("env:{inner}") };
        let fail = |code, text: String| Box::new(Diagnostic::new(code, text).at(origin));
        let Some(uri) = Uri::parse(&full) else {
            return Err(fail("E0009", format!("invalid uri: {}", crate::quote(&full))));
        };
        if uri.opaque.contains('$') {
            let text = format!("the uri {} contains unsupported characters ('$')", crate::quote(&full));
            return Err(Box::new(Diagnostic::new("E0402", text).at(origin).help("write $$ for a literal $")));
        }
        if let Some(known) = self.cache.get(&full) {
            self.bytes = self.bytes.saturating_add(known.text.len());
            if self.bytes > MAX_REPEATED_BYTES {
                return Err(Box::new(recursion(origin)));
            }
            let known = known.clone();
            self.report(&known, reference, origin, path);
            return Ok(known);
        }
        let order = origin.source.order();
        let retrieved = retrieve(&uri, self.sources, order).map_err(|error| fail(error.code, error.text))?;
        self.registered.extend(retrieved.source.clone());
        self.report(&retrieved, reference, origin, path);
        self.cache.insert(full, retrieved.clone());
        Ok(retrieved)
    }

    fn spend(&mut self, text: &str, reference: &str, value: &str, origin: &Origin) -> Step<()> {
        let size = text.len().saturating_add(text.matches(reference).count().saturating_mul(value.len()));
        self.bytes = self.bytes.saturating_add(size);
        if size > MAX_BYTES || self.bytes > MAX_REPEATED_BYTES {
            return Err(Box::new(recursion(origin)));
        }
        Ok(())
    }

    /// Warns once per place about unset and empty variables.
    fn report(&mut self, retrieved: &Retrieved, reference: &str, origin: &Origin, path: &str) {
        let Some(name) = &retrieved.variable else { return };
        let (code, state) = match (retrieved.unset, retrieved.text.is_empty()) {
            (true, _) => ("W0401", "unset"),
            (false, true) if !reference.contains(":-") => ("N0603", "empty"),
            _ => return,
        };
        if self.warned.insert((name.clone(), origin.source.order(), origin.span.start)) {
            let text = format!("Configuration references {state} environment variable: {name}");
            self.found.push(
                Diagnostic::new(code, text)
                    .at(&Origin { via: None, ..origin.clone() })
                    .note(format!("field {path}; `${{env:{name}:-default}}` gives a default")),
            );
        }
    }

    fn warn_hidden(&mut self, origin: &Origin, path: &str) {
        let text = format!("{path}: a reference after an escaped one is not expanded (as upstream)");
        self.found.push(Diagnostic::new("W0405", text).at(&Origin { via: None, ..origin.clone() }));
    }
}

fn recursion(origin: &Origin) -> Diagnostic {
    Diagnostic::new("E0403", "too many recursive expansions").at(origin)
}

fn finished(text: String, origin: &Origin, via: Option<Arc<Via>>) -> Node {
    let value = Value::String(text.replace("$$", "$"));
    let origin = if via.is_some() { Origin { via, ..origin.clone() } } else { origin.clone() };
    Node::new(value, origin)
}

/// Makes every node of a retrieved tree point at the reference it came from.
fn move_to(node: &mut Node, origin: &Origin, via: &Arc<Via>) {
    let place = Origin { via: Some(via.clone()), ..origin.clone() };
    match &mut node.value {
        Value::Seq(items) => items.iter_mut().for_each(|item| move_to(item, origin, via)),
        Value::Map(map) => {
            for entry in map.values_mut() {
                entry.key = place.clone();
                move_to(&mut entry.value, origin, via);
            }
        }
        _ => {}
    }
    node.origin = place;
}
