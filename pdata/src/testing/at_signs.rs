//! A visitor of leaves with a model: it replaces every string that holds an `@`.

use super::{Meaning, Node};
use crate::canonical::{self, Options};
use crate::error::Error;
use crate::leaves::{Content, Leaf, LeafAction, Outcome, Root, Visitor, rewrite};
use crate::schema::{self, Kind, Message};

/// The messages that [`without_at_signs`] is tried on.
pub const LEAF_ROOTS: [(Root, &Message); 8] = [
    (Root::Resource, &schema::RESOURCE),
    (Root::Scope, &schema::SCOPE),
    (Root::Span, &schema::SPAN),
    (Root::LogRecord, &schema::LOG_RECORD),
    (Root::DataPoint(7), &schema::NUMBER_DATA_POINT),
    (Root::DataPoint(9), &schema::HISTOGRAM_DATA_POINT),
    (Root::DataPoint(10), &schema::EXPONENTIAL_HISTOGRAM_DATA_POINT),
    (Root::DataPoint(11), &schema::SUMMARY_DATA_POINT),
];

/// Rewrites `source`, a message of type `root`, by way of canonical form if the walk asks for it.
///
/// # Errors
/// Malformed bytes, or nesting too deep for canonical form.
///
/// # Panics
/// If the walk breaks its contract: canonical form is odd, or an item is dropped that nobody dropped.
pub fn without_at_signs(root: Root, schema: &'static Message, source: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    match rewrite(root, source, 0, &mut AtSigns { buffer: source }, &mut out)? {
        Outcome::Unchanged => return Ok(source.to_vec()),
        Outcome::Changed => return Ok(out),
        outcome => assert_eq!(outcome, Outcome::Odd),
    }
    let mut resolved = Vec::new();
    canonical::message(schema, source, &Options { drop_unknown: true, depth: 64 }, &mut resolved)?;
    out.clear();
    match rewrite(root, &resolved, 0, &mut AtSigns { buffer: &resolved }, &mut out)? {
        Outcome::Unchanged => Ok(resolved),
        outcome => {
            assert_eq!(outcome, Outcome::Changed);
            Ok(out)
        }
    }
}

/// Replaces every text with an `@` in it.
struct AtSigns<'a> {
    buffer: &'a [u8],
}

impl Visitor for AtSigns<'_> {
    fn may_match(&mut self, at: usize, len: usize) -> bool {
        self.buffer[at..at + len].contains(&b'@')
    }

    fn leaf(&mut self, leaf: Leaf<'_>) -> LeafAction {
        let text = match leaf.content {
            Content::Text(text) | Content::Field(_, text) | Content::Key(text) => text,
            _ => return LeafAction::Keep,
        };
        assert_eq!(&self.buffer[leaf.at..leaf.at + text.len()], text);
        if text.contains(&b'@') { LeafAction::Replace } else { LeafAction::Keep }
    }

    fn replacement(&self) -> &[u8] {
        b"[at]"
    }

    fn max_depth(&self) -> usize {
        64
    }

    fn too_deep(&mut self) -> &[u8] {
        b"[deep]"
    }

    fn remove_unknown(&mut self) -> bool {
        true
    }
}

/// The same on the tag tree.
#[must_use]
pub fn at_signs_replaced(schema: &'static Message, mut content: Meaning) -> Meaning {
    for (number, nodes) in &mut content.0 {
        let Some(field) = schema.field(*number) else { continue };
        for node in nodes {
            match (field.kind, node) {
                (Kind::String, Node::Bytes(text)) if text.contains(&b'@') => *text = b"[at]".to_vec(),
                (Kind::Message(inner), Node::Message(content)) => {
                    *content = at_signs_replaced(inner, std::mem::take(content))
                }
                _ => {}
            }
        }
    }
    content
}
