//! Typed configs from tree nodes, with a position for every error (collector-compat §1.4).
//!
//! A config is a plain `#[derive(Deserialize)] #[serde(default)]` struct; the types of `values` cover what upstream
//! gives special treatment. Rules the decoder adds to serde:
//!
//! - A key that no field has is an error with did-you-mean, whether or not the struct says `deny_unknown_fields`.
//! - No weak typing, except that a string field takes the text of any scalar, and a list field splits a string at `,`.
//! - Null, as upstream: a scalar field becomes zero (so does one set from an unset variable); a field that is a block, a
//!   list, a map or an enum keeps its default; an `Option` is `None`; a null component has its defaults.
//! - **Squash**: a field renamed to a name that begins with `..` (`#[serde(rename = "..client")]`) takes its keys from
//!   the enclosing map, as `mapstructure:",squash"` does. Use it instead of `#[serde(flatten)]`, which would lose
//!   positions and text forms (so would `#[serde(untagged)]`).
//! - A field of type [`Node`] gets the raw subtree.

mod access;
mod deserializer;
mod error;
mod problems;
mod scalar;
pub(crate) mod values;
pub(crate) mod words;

#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;

use crate::diagnostic::{Diagnostic, sort};
use crate::tree::Node;

pub use problems::Problems;
pub use values::{ByteSize, GoDuration, Headers, Secret, Toggle};
pub use words::word;

pub(crate) use access::SQUASH_PREFIX;

use deserializer::{Context, NodeDeserializer};
use error::Blame;

/// Findings reported for one component.
pub const MAX_ERRORS: usize = 100;
/// Decodes of one node: each leaves out one more value that failed, or the nulls of one more field.
const MAX_ROUNDS: usize = 1_000;

/// Decodes a node.
///
/// # Errors
/// All errors of the node, at most [`MAX_ERRORS`], each with its position. Messages begin with the node's label.
pub fn decode<T: DeserializeOwned>(node: &Node) -> Result<T, Vec<Diagnostic>> {
    let mut decoded = None;
    let found = rounds(node, &mut |deserializer| {
        decoded = Some(T::deserialize(deserializer)?);
        Ok(())
    });
    decoded.filter(|_| found.is_empty()).ok_or(found)
}

/// Decodes again and again, each time without what was found to be wrong. Returns all that was; nothing if all is well. There is
/// one of this for all types.
fn rounds(node: &Node, decode: &mut dyn FnMut(NodeDeserializer<'_>) -> Result<(), error::Error>) -> Vec<Diagnostic> {
    let context = Context::default();
    let mut found = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let result = decode(NodeDeserializer::root(node, &context));
        found.extend(context.take_unknown().into_iter().map(|unknown| unknown.diagnostic(node.label())));
        match result {
            Ok(()) if found.is_empty() => return found,
            Ok(()) => break,
            Err(error) => {
                let blame = error.blame();
                let again = match blame {
                    Blame::NullField => context.null_keeps_default(error.pattern()),
                    _ => context.blank(blame),
                };
                if error.is_news() {
                    found.push(error.diagnostic(node));
                }
                if found.len() >= MAX_ERRORS || !again {
                    break;
                }
            }
        }
    }
    found.truncate(MAX_ERRORS);
    if found.is_empty() {
        found.push(Diagnostic::new("E0101", prefixed(node.label(), "too many null values")).at(&node.origin));
    }
    sort(&mut found);
    found
}

/// `label: text`, or the text alone.
fn prefixed(label: Option<&str>, text: &str) -> String {
    match label {
        Some(label) => format!("{label}: {text}"),
        None => text.to_owned(),
    }
}
