//! A request twice: as generated types, on which the models are written, and as a raw tag tree, which shows what `prost` cannot.
//!
//! Each edit of a model is made in both, so that unknown fields and strings that are not UTF-8 are held to account too.
//! `prost` refuses such strings; for it each byte that is not part of a character is written as a private character
//! ([`hide`]), and the models ask for the real bytes ([`real`]) where these matter.

use std::cell::Cell;
use std::collections::BTreeSet;

use sluice_pdata::Signal;
use sluice_pdata::schema::{self, Kind, Label};
use sluice_pdata::testing::{Decoded, Meaning, Node, meaning};
use sluice_pdata::wire::{put_fixed32, put_fixed64, put_len, put_varint_field};

/// A request as both.
#[derive(Clone, Debug)]
pub struct Request {
    pub decoded: Decoded,
    pub tree: Meaning,
    /// Whether an attribute was edited, if only to be what it was.
    pub touched: Cell<bool>,
}

impl Request {
    /// Reads a well-formed request.
    pub fn new(signal: Signal, bytes: &[u8]) -> Self {
        let tree = meaning(signal.request(), bytes).unwrap();
        let decoded = match Decoded::new(signal, bytes) {
            Ok(decoded) => decoded,
            Err(_) => {
                let mut hidden = Vec::new();
                write(signal.request(), &tree, true, &mut hidden);
                Decoded::new(signal, &hidden).unwrap()
            }
        };
        Request { decoded, tree, touched: Cell::new(false) }
    }
}

/// Writes the known fields of a tree, on demand with strings as [`hide`] has them.
pub fn write(schema: &'static schema::Message, tree: &Meaning, hides: bool, out: &mut Vec<u8>) {
    for (&number, nodes) in &tree.0 {
        let Some(field) = schema.field(number) else { continue };
        for node in nodes {
            match (field.kind, node) {
                (Kind::Message(inner), Node::Message(content)) => {
                    let mut message = Vec::new();
                    write(inner, content, hides, &mut message);
                    put_len(out, number, &message);
                }
                (Kind::String, Node::Bytes(text)) if hides => put_len(out, number, hide(text).as_bytes()),
                (_, Node::Bytes(bytes)) => put_len(out, number, bytes),
                (Kind::Double | Kind::Fixed64 | Kind::Sfixed64, Node::Scalar(bits)) => put_fixed64(out, number, *bits),
                (Kind::Fixed32, Node::Scalar(bits)) => put_fixed32(out, number, *bits as u32),
                (_, Node::Scalar(value)) => put_varint_field(out, number, *value),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// The tree without scalars that say what their absence says, and without lists that have become empty.
pub fn tidy(schema: &'static schema::Message, mut tree: Meaning) -> Meaning {
    for (number, nodes) in &mut tree.0 {
        let Some(field) = schema.field(*number) else { continue };
        if field.label == Label::Singular {
            nodes.retain(|node| {
                !matches!(node, Node::Scalar(0)) && !matches!(node, Node::Bytes(bytes) if bytes.is_empty())
            });
        }
        for node in nodes {
            if let (Kind::Message(inner), Node::Message(content)) = (field.kind, node) {
                *content = tidy(inner, std::mem::take(content));
            }
        }
    }
    tree.0.retain(|_, nodes| !nodes.is_empty());
    tree
}

/// Where two trees differ first, and how; for messages to people.
pub fn difference(schema: &'static schema::Message, found: &Meaning, expected: &Meaning) -> Option<String> {
    let numbers: BTreeSet<u32> = found.0.keys().chain(expected.0.keys()).copied().collect();
    for number in numbers {
        let field = schema.field(number);
        let name = field.map_or(format!("unknown {number}"), |field| field.name.to_owned());
        let [found, expected] = [found, expected].map(|tree| tree.0.get(&number).map_or(&[][..], Vec::as_slice));
        for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
            if let (Some(Kind::Message(inner)), Node::Message(found), Node::Message(expected)) =
                (field.map(|field| field.kind), found, expected)
            {
                if let Some(difference) = difference(inner, found, expected) {
                    return Some(format!("{name}[{at}].{difference}"));
                }
            } else if found != expected {
                return Some(format!("{name}[{at}]: {}, expected {}", shown(found), shown(expected)));
            }
        }
        if found.len() != expected.len() {
            let last = if found.len() > expected.len() { found.last() } else { expected.last() };
            return Some(format!(
                "{name}: {} values, expected {}; the last is {}",
                found.len(),
                expected.len(),
                last.map_or(String::new(), shown)
            ));
        }
    }
    None
}

fn shown(node: &Node) -> String {
    let inner = |content: &Meaning| -> String {
        let fields = content
            .0
            .iter()
            .map(|(number, nodes)| format!("{number}: {}", nodes.iter().map(shown).collect::<Vec<_>>().join(", ")));
        format!("{{{}}}", fields.collect::<Vec<_>>().join("; "))
    };
    match node {
        Node::Scalar(value) => value.to_string(),
        Node::Bytes(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Node::Message(content) => inner(content),
        Node::Group(content) => format!("group {}", inner(content)),
    }
}

/// Where the private characters begin that stand for the bytes 0x80 to 0xff.
const PRIVATE: u32 = 0x10_ff00;

/// The text as valid UTF-8, from which [`real`] gets it back.
pub fn hide(text: &[u8]) -> String {
    let mut out = String::new();
    for chunk in text.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(PRIVATE + u32::from(*byte))));
    }
    out
}

/// The byte that a private character stands for.
pub fn hidden(char: char) -> Option<u8> {
    (u32::from(char)).checked_sub(PRIVATE).and_then(|byte| u8::try_from(byte).ok()).filter(|byte| *byte >= 0x80)
}

/// The bytes of a text.
pub fn real(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for char in text.chars() {
        match hidden(char) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

/// The text with U+FFFD for every byte that is not part of a character, as patterns see it.
pub fn readable(text: &str) -> String {
    text.chars().map(|char| if hidden(char).is_some() { '\u{fffd}' } else { char }).collect()
}

/// The values of field `number`, to be edited.
pub fn nodes(tree: &mut Meaning, number: u32) -> &mut Vec<Node> {
    tree.0.entry(number).or_default()
}

/// The message in a singular field, created if need be.
pub fn message(tree: &mut Meaning, number: u32) -> &mut Meaning {
    let nodes = nodes(tree, number);
    if nodes.is_empty() {
        nodes.push(Node::Message(Meaning::default()));
    }
    match &mut nodes[0] {
        Node::Message(content) => content,
        other => panic!("{other:?}"),
    }
}

/// What stops a model: a condition failed under `error_mode: propagate`, so that the whole request is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refused;

/// Visits the children of a message and keeps those that `keep` says. False if there were some and none is left.
pub fn retain<T>(
    children: &mut Vec<T>,
    nodes: &mut Vec<Node>,
    mut keep: impl FnMut(&mut T, &mut Meaning) -> Result<bool, Refused>,
) -> Result<bool, Refused> {
    assert_eq!(children.len(), nodes.len(), "the two forms of the request agree");
    let before = children.len();
    let (mut kept_children, mut kept_nodes) = (Vec::new(), Vec::new());
    for (mut child, mut node) in std::mem::take(children).into_iter().zip(std::mem::take(nodes)) {
        let Node::Message(content) = &mut node else { panic!("{node:?}") };
        if keep(&mut child, content)? {
            kept_children.push(child);
            kept_nodes.push(node);
        }
    }
    (*children, *nodes) = (kept_children, kept_nodes);
    Ok(before == 0 || !children.is_empty())
}
