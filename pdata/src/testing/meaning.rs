//! What a message means, unknown fields and broken strings included: a tag tree with protobuf's rules applied.

use std::collections::BTreeMap;

use crate::canonical::{fits, scalar_layout};
use crate::error::Error;
use crate::schema::{Kind, Label, Message};
use crate::wire::{Reader, Value, WireType, fields};

/// A message as fields by number. Singular fields hold one value, the one that counts; unknown fields hold every value in
/// the order of their number. Equal trees mean equal messages (absent and default scalars are told apart).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning(pub BTreeMap<u32, Vec<Node>>);

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Varints, fixed values, strings and bytes: what they say, not how long it was written.
    Scalar(u64),
    Bytes(Vec<u8>),
    Message(Meaning),
    /// The fields of a group of an unknown number.
    Group(Meaning),
}

/// Reads `bytes` as a message of type `schema`. Written for clarity, not speed: the oracle for unknown fields.
///
/// # Errors
/// Malformed bytes.
pub fn meaning(schema: &'static Message, bytes: &[u8]) -> Result<Meaning, Error> {
    read(Some(schema), bytes)
}

impl Meaning {
    /// The same message without the fields that `schema` does not name, at every level.
    #[must_use]
    pub fn without_unknown(mut self, schema: &'static Message) -> Self {
        self.0.retain(|number, _| schema.field(*number).is_some());
        for (number, nodes) in &mut self.0 {
            let Some(Kind::Message(inner)) = schema.field(*number).map(|field| field.kind) else { continue };
            for node in nodes {
                if let Node::Message(content) = node {
                    *content = std::mem::take(content).without_unknown(inner);
                }
            }
        }
        self
    }
}

fn read(schema: Option<&'static Message>, bytes: &[u8]) -> Result<Meaning, Error> {
    // First collect payloads, so that pieces of one message are read as one.
    let mut scalars: BTreeMap<u32, Vec<Node>> = BTreeMap::new();
    let mut messages: BTreeMap<u32, (&'static Message, Vec<Vec<u8>>)> = BTreeMap::new();
    let mut member = None;
    for field in fields(bytes) {
        let field = field?;
        let Some(known) = schema.and_then(|schema| schema.field(field.number)) else {
            scalars.entry(field.number).or_default().push(node(field.value)?);
            continue;
        };
        if !fits(known, field.value) {
            // Unknown, and told apart from the values of the known field.
            scalars.entry(field.number | FOREIGN).or_default().push(node(field.value)?);
            continue;
        }
        if known.label == Label::Oneof && member != Some(known.number) {
            if let Some(before) = member {
                scalars.remove(&before);
                messages.remove(&before);
            }
            member = Some(known.number);
        }
        match (known.kind, field.value) {
            (Kind::Message(inner), Value::Len(payload)) => {
                let (_, payloads) = messages.entry(known.number).or_insert((inner, Vec::new()));
                match payloads.last_mut() {
                    Some(last) if known.label != Label::Repeated => last.extend_from_slice(payload),
                    _ => payloads.push(payload.to_vec()),
                }
            }
            (kind, Value::Len(packed)) if scalar_layout(kind) != WireType::Len => {
                let nodes = scalars.entry(known.number).or_default();
                let mut reader = Reader::new(packed);
                while !reader.at_end() {
                    nodes.push(node(reader.value(known.number, scalar_layout(kind))?)?);
                }
            }
            (_, value) => {
                let nodes = scalars.entry(known.number).or_default();
                if known.label != Label::Repeated {
                    nodes.clear();
                }
                nodes.push(node(value)?);
            }
        }
    }
    for (number, (inner, payloads)) in messages {
        let nodes: Result<Vec<_>, _> =
            payloads.iter().map(|payload| read(Some(inner), payload).map(Node::Message)).collect();
        scalars.insert(number, nodes?);
    }
    // A packed field without elements is an absent field.
    scalars.retain(|_, nodes| !nodes.is_empty());
    Ok(Meaning(scalars))
}

/// Set in the number of a field whose wire type is not the one that the schema gives it.
const FOREIGN: u32 = 1 << 31;

fn node(value: Value<'_>) -> Result<Node, Error> {
    Ok(match value {
        Value::Varint(value) | Value::Fixed64(value) => Node::Scalar(value),
        Value::Fixed32(value) => Node::Scalar(value.into()),
        Value::Len(bytes) => Node::Bytes(bytes.to_vec()),
        Value::Group(content) => Node::Group(read(None, content)?),
    })
}
