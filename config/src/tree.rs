//! The spanned tree: every value of a configuration together with where it was written.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::source::{Origin, Source, Span};

/// A map of the tree, in the order of the source. Keys are text; other scalar keys take their printed form.
pub type Map = IndexMap<String, Entry>;

/// One `key: value` of a map.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where the key was written.
    pub key: Origin,
    /// The value.
    pub value: Node,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// A YAML value, typed by the rules of the Go parser (collector-compat §1.1).
#[derive(Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`; the YAML 1.1 words stay strings, as upstream.
    Bool(bool),
    /// An integer of the range of `i64` and `u64` together.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    String(String),
    /// A list.
    Seq(Vec<Node>),
    /// A map.
    Map(Map),
}

impl Value {
    /// The name upstream (Go) gives the type, for error texts.
    pub fn go_type(&self) -> &'static str {
        match self {
            Self::Null => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::Seq(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
        }
    }
}

/// A value and its origin.
///
/// `Debug` shows the type and the place, never the value: a tree holds secrets.
#[derive(Clone)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub origin: Origin,
    pub(crate) text: Option<Arc<str>>,
    pub(crate) label: Option<Arc<str>>,
}

impl Default for Node {
    /// A null that stands nowhere.
    fn default() -> Self {
        let span = Span { start: 0, end: 0 };
        Node::new(Value::Null, Origin::new(Source::new("", "", 0), span))
    }
}

impl Node {
    /// A node without text of its own.
    pub fn new(value: Value, origin: Origin) -> Self {
        Self { value, origin, text: None, label: None }
    }

    pub(crate) fn with_text(mut self, text: &str) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Names the node in diagnostics, for example `exporters::otlp_grpc/main`.
    pub fn with_label(mut self, label: &str) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The name that prefixes this node's diagnostics, a `::` path from the root of the document.
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// What a string field takes: the text as written (`0123` stays `0123`), for an expanded value the retrieved
    /// text. `None` for lists, maps and plain nulls.
    pub fn text(&self) -> Option<&str> {
        match (&self.text, &self.value) {
            (Some(text), _) => Some(text),
            (None, Value::String(text)) => Some(text),
            (None, Value::Bool(true)) => Some("true"),
            (None, Value::Bool(false)) => Some("false"),
            _ => None,
        }
    }

    /// The entry of a map under `key`.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.as_map().and_then(|map| map.get(key))
    }

    /// The value of a map under `key`.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_seq(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Seq(items) => Some(items),
            _ => None,
        }
    }

    /// Whether the value is null.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Number of nodes, levels of nested collections and bytes of text of this subtree.
    pub(crate) fn size(&self) -> Size {
        match &self.value {
            Value::Seq(items) => Size::of_children(items.iter()),
            Value::Map(map) => Size::of_children(map.values().map(|entry| &entry.value)),
            Value::String(text) => Size { nodes: 1, depth: 0, bytes: text.len() },
            _ => Size { nodes: 1, depth: 0, bytes: 0 },
        }
    }

    /// The node at a `::` path of keys and list indexes.
    pub fn find(&self, path: &str) -> Option<&Node> {
        path.split("::").filter(|segment| !segment.is_empty()).try_fold(self, |node, segment| match &node.value {
            Value::Map(map) => map.get(segment).map(|entry| &entry.value),
            Value::Seq(items) => segment.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        })
    }

    /// Follows a `::` path of keys and list indexes as far as it exists, and returns the place to point at: the
    /// value if it is a scalar, else its key.
    pub(crate) fn locate(&self, path: &str) -> Origin {
        let (mut node, mut place) = (self, self.origin.clone());
        for segment in path.split("::").filter(|segment| !segment.is_empty()) {
            let found = match &node.value {
                Value::Map(map) => map.get(segment).map(|entry| (&entry.value, Some(&entry.key))),
                Value::Seq(items) => {
                    segment.parse::<usize>().ok().and_then(|index| items.get(index)).map(|item| (item, None))
                }
                _ => None,
            };
            let Some((next, key)) = found else { break };
            place = match (&next.value, key) {
                (Value::Map(_) | Value::Seq(_) | Value::Null, Some(key)) => key.clone(),
                _ => next.origin.clone(),
            };
            node = next;
        }
        place
    }
}

/// Equal if they configure the same, wherever they were written: values and the texts that string fields take. The order of
/// keys does not count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value && self.text() == other.text()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({} at {})", self.value.go_type(), self.origin)
    }
}

/// Extent of a subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    pub(crate) depth: usize,
    /// Bytes of all strings.
    pub(crate) bytes: usize,
}

impl Size {
    fn of_children<'a>(children: impl Iterator<Item = &'a Node>) -> Self {
        children.map(Node::size).fold(Self { nodes: 1, depth: 1, bytes: 0 }, |sum, child| Self {
            bytes: sum.bytes + child.bytes,
            nodes: sum.nodes + child.nodes,
            depth: sum.depth.max(child.depth + 1),
        })
    }
}
