//! The shape of a config type: its fields, their types, which of them are secrets. Nothing is written down twice: a
//! shape is what the type's own `Deserialize` asks a deserializer for (`probe`), so that it cannot drift from what
//! the decoder takes. JSON Schema ([`schema`]) and the redaction of printed configuration ([`crate::redact`]) are made
//! of it.

mod probe;
pub mod schema;

#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;

use probe::{Look, Seen, Step};

/// Types nest no deeper; what is below is [`Kind::Any`].
const MAX_DEPTH: usize = 24;

/// A type as configuration sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// What it is.
    pub kind: Kind,
    /// A block with the key `enabled` besides its fields.
    pub switch: bool,
    /// The type, if it is a block or has variants.
    pub of: Option<TypeName>,
    /// The type that has it as a field or variant.
    pub within: Option<TypeName>,
}

/// A block or enumeration as its `Deserialize` names it. Together they tell types of one name apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeName {
    /// The name in the source.
    pub name: &'static str,
    /// Its fields or variants as configuration writes them, in the order of the source.
    pub members: &'static [&'static str],
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Whatever the component makes of it.
    Any,
    /// `true` or `false`.
    Bool,
    /// An integer within these bounds.
    Integer {
        /// Least value.
        min: i128,
        /// Greatest value.
        max: i128,
    },
    /// A number.
    Number,
    /// Text.
    Text,
    /// One of these words.
    Words(&'static [&'static str]),
    /// Text, meant to be one of these words, in any case of letters.
    OneWord(Vec<&'static str>),
    /// A duration of Go.
    Duration,
    /// A number of bytes.
    Size,
    /// Text that is never shown.
    Secret,
    /// Header-like pairs; their values are never shown.
    Headers,
    /// A list.
    List(Box<Shape>),
    /// A map with free keys.
    Map(Box<Shape>),
    /// A map with these keys, sorted.
    Block(Vec<(&'static str, Shape)>),
    /// A map with exactly one of these keys.
    OneOf(Vec<(&'static str, Shape)>),
}

impl Shape {
    /// The shape of a config type.
    pub fn of<T: DeserializeOwned>() -> Self {
        read(probe::look::<T>, &mut Vec::new(), &mut Vec::new())
    }

    pub(crate) fn any() -> Self {
        Kind::Any.into()
    }

    /// The fields, if it is a block.
    pub fn fields(&self) -> &[(&'static str, Shape)] {
        match &self.kind {
            Kind::Block(fields) => fields,
            _ => &[],
        }
    }

    /// The shape of what stands under `key`.
    pub fn get(&self, key: &str) -> Option<&Shape> {
        match &self.kind {
            Kind::Block(fields) | Kind::OneOf(fields) => {
                fields.iter().find(|(name, _)| *name == key).map(|(_, shape)| shape)
            }
            Kind::Map(value) => Some(value),
            _ => None,
        }
    }
}

impl From<Kind> for Shape {
    fn from(kind: Kind) -> Self {
        Self { kind, switch: false, of: None, within: None }
    }
}

/// Asks the type what it is at the end of `way`, and then what is inside. `types` are the blocks on the way: one that
/// comes again is not entered again. `look` is that of the type, so that there is one of this for all of them.
fn read(look: Look, way: &mut Vec<Step>, types: &mut Vec<&'static [&'static str]>) -> Shape {
    if way.len() > MAX_DEPTH {
        return Shape::any();
    }
    let (seen, switch) = look(way);
    let mut inside = |step: Step| {
        way.push(step);
        let shape = read(look, way, types);
        way.pop();
        shape
    };
    let mut of = None;
    let kind = match seen {
        Seen::Scalar(kind) => kind,
        Seen::List => Kind::List(Box::new(inside(Step::Item))),
        Seen::Map => Kind::Map(Box::new(inside(Step::Entry))),
        Seen::Words(found) => {
            of = Some(found);
            let variant = |word: &&'static str| (*word, Shape { within: of, ..inside(Step::Variant(word)) });
            let variants: Vec<_> = found.members.iter().map(variant).collect();
            let plain = variants.iter().all(|(_, shape)| shape.kind == Kind::Any);
            if plain { Kind::Words(found.members) } else { Kind::OneOf(variants) }
        }
        Seen::Block(found) => {
            let names = found.members;
            if names.len() > 1 && types.iter().any(|known| std::ptr::eq(*known, names)) {
                return Shape { switch, ..Shape::any() };
            }
            of = Some(found);
            types.push(names);
            let mut fields = Vec::new();
            for name in names {
                way.push(Step::Field(name));
                let shape = read(look, way, types);
                way.pop();
                match shape.kind {
                    // A squashed block takes its keys from the enclosing map.
                    Kind::Block(inner) if name.starts_with(crate::decode::SQUASH_PREFIX) => fields.extend(inner),
                    _ => fields.push((*name, Shape { within: of, ..shape })),
                }
            }
            types.pop();
            fields.sort_by_key(|(name, _)| *name);
            Kind::Block(fields)
        }
    };
    Shape { kind, switch, of, within: None }
}
