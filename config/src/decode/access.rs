//! Walks over lists and maps that keep track of the path, of values to leave out, and of keys nobody knows.

use std::cell::RefCell;
use std::collections::HashSet;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, EnumAccess, IntoDeserializer as _, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::deserializer::{Context, NodeDeserializer, Null};
use super::error::{Error, Segment};
use crate::source::Origin;
use crate::tree::{Entry, Map, Node, Value};

/// A field whose name begins so takes its keys from the enclosing map.
pub(crate) const SQUASH_PREFIX: &str = "..";

/// Items of a list.
pub(crate) struct SeqWalk<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    context: &'a Context,
}

impl<'a> SeqWalk<'a> {
    pub(crate) fn new(items: &'a [Node], context: &'a Context) -> Self {
        Self { items: items.iter().enumerate(), context }
    }
}

impl<'de> SeqAccess<'de> for SeqWalk<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let context = self.context;
        let Some((index, node)) = self.items.find(|(_, node)| !context.is_blank(node)) else { return Ok(None) };
        context.enter(Segment::Index(index));
        let value = seed.deserialize(NodeDeserializer::inner(node, context, Null::IsZero));
        context.leave();
        value.map(Some).map_err(|error| error.inside(Segment::Index(index), node))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// A string where a list is wanted, split at `,` (collector-compat §1.4).
pub(crate) struct SplitWalk<'a> {
    parts: Vec<&'a str>,
    next: usize,
    whole: NodeDeserializer<'a>,
}

impl<'a> SplitWalk<'a> {
    pub(crate) fn new(text: &'a str, whole: NodeDeserializer<'a>) -> Self {
        let parts = if text.is_empty() { Vec::new() } else { text.split(',').collect() };
        Self { parts, next: 0, whole }
    }
}

impl<'de> SeqAccess<'de> for SplitWalk<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(part) = self.parts.get(self.next) else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        let whole = self.whole.node;
        let node = Node::new(Value::String((*part).to_owned()), whole.origin.clone());
        let value = seed.deserialize(NodeDeserializer::inner(&node, self.whole.context, Null::IsZero));
        value.map(Some).map_err(|error| error.inside_split(index, whole))
    }
}

fn key_text(key: &str) -> StrDeserializer<'_, Error> {
    key.into_deserializer()
}

/// Gives a key's error the place of the key.
#[cold]
#[inline(never)]
fn at_key(error: Error, key: &str, entry: &Entry) -> Error {
    let place = Node::new(Value::Null, entry.key.clone());
    error.at(&place).inside(Segment::Key(key.to_owned()), &entry.value)
}

/// Entries of a map with free keys.
pub(crate) struct MapWalk<'a> {
    entries: Option<indexmap::map::Iter<'a, String, Entry>>,
    current: Option<(&'a str, &'a Entry)>,
    whole: NodeDeserializer<'a>,
}

impl<'a> MapWalk<'a> {
    pub(crate) fn new(map: Option<&'a Map>, whole: NodeDeserializer<'a>) -> Self {
        Self { entries: map.map(Map::iter), current: None, whole }
    }
}

impl<'de> MapAccess<'de> for MapWalk<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let whole = self.whole;
        let skip =
            |key: &str, entry: &Entry| whole.context.is_blank(&entry.value) || (whole.toggled && key == "enabled");
        let next = self.entries.as_mut().and_then(|entries| entries.find(|(key, entry)| !skip(key, entry)));
        let Some((key, entry)) = next else { return Ok(None) };
        self.current = Some((key, entry));
        seed.deserialize(key_text(key)).map(Some).map_err(|error| at_key(error, key, entry))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((key, entry)) = self.current.take() else {
            return Err(serde::de::Error::custom("a value was asked for before its key"));
        };
        let context = self.whole.context;
        context.enter(Segment::Key(key.to_owned()));
        let value = seed.deserialize(NodeDeserializer::inner(&entry.value, context, Null::IsZero));
        context.leave();
        value.map_err(|error| error.inside(Segment::Key(key.to_owned()), &entry.value))
    }
}

/// Shared by the squashed fields of one map: which keys were taken, and all field names on offer.
#[derive(Default)]
pub(crate) struct Squash {
    taken: RefCell<HashSet<*const Node>>,
    fields: RefCell<Vec<&'static str>>,
}

/// Entries of a map with fixed keys.
pub(crate) struct StructWalk<'a> {
    entries: Vec<(&'a str, &'a Entry)>,
    next: usize,
    squashed: Vec<&'static str>,
    squash: &'a Squash,
    whole: NodeDeserializer<'a>,
    current: Current<'a>,
}

enum Current<'a> {
    None,
    Entry(&'a str, &'a Entry),
    Squashed,
}

impl<'a> StructWalk<'a> {
    /// Visits a struct with `fields`. Keys that neither it nor its squashed fields know are recorded.
    pub(crate) fn visit<'de, V: Visitor<'de>>(
        map: Option<&'a Map>,
        fields: &'static [&'static str],
        whole: NodeDeserializer<'a>,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let own = Squash::default();
        let squash = whole.squash.unwrap_or(&own);
        let walk = StructWalk::new(map, fields, squash, whole);
        match visitor.visit_map(walk) {
            Ok(value) => {
                squash.complete(map, whole);
                Ok(value)
            }
            Err(error) => Err(squash.failed(map, whole, error)),
        }
    }

    /// Over those entries that `fields` know.
    #[inline(never)]
    fn new(
        map: Option<&'a Map>,
        fields: &'static [&'static str],
        squash: &'a Squash,
        whole: NodeDeserializer<'a>,
    ) -> Self {
        squash.fields.borrow_mut().extend(fields);
        let known = |key: &str| !key.starts_with(SQUASH_PREFIX) && fields.contains(&key);
        let entries = map.into_iter().flatten().map(|(key, entry)| (key.as_str(), entry));
        let entries: Vec<_> = entries.filter(|(key, _)| known(key)).collect();
        squash.taken.borrow_mut().extend(entries.iter().map(|(_, entry)| std::ptr::from_ref(&entry.value)));
        let squashed = fields.iter().copied().filter(|field| field.starts_with(SQUASH_PREFIX)).collect();
        let whole = NodeDeserializer { squash: None, ..whole };
        StructWalk { entries, next: 0, squashed, squash, whole, current: Current::None }
    }

    /// The next key, which becomes the current one.
    #[inline(never)]
    fn advance(&mut self) -> Option<&'a str> {
        while let Some((key, entry)) = self.entries.get(self.next) {
            self.next += 1;
            let switch = self.whole.toggled && *key == "enabled";
            let context = self.whole.context;
            if switch || context.is_blank(&entry.value) || context.is_default(key, &entry.value) {
                continue;
            }
            self.current = Current::Entry(key, entry);
            return Some(key);
        }
        let field = self.squashed.pop()?;
        self.current = Current::Squashed;
        Some(field)
    }
}

impl Squash {
    /// All fields have been asked: records the keys that neither the struct nor its squashed fields know.
    #[inline(never)]
    fn complete(&self, map: Option<&Map>, whole: NodeDeserializer<'_>) {
        if whole.squash.is_some() {
            return;
        }
        let taken = self.taken.borrow();
        for (key, entry) in map.into_iter().flatten() {
            let switch = whole.toggled && key == "enabled";
            if !switch && !taken.contains(&std::ptr::from_ref(&entry.value)) {
                whole.context.unknown(key, entry, self.fields.borrow().clone());
            }
        }
    }

    /// What to say of a struct that failed.
    #[cold]
    #[inline(never)]
    fn failed(&self, map: Option<&Map>, whole: NodeDeserializer<'_>, error: Error) -> Error {
        let value = error.missing().and_then(|field| map?.get(field)).map(|entry| &entry.value);
        let error = if value.is_some_and(|value| whole.context.is_blank(value)) { error.silence() } else { error };
        // After any other error the squashed fields have not all been asked yet; there will be another round.
        if error.missing().is_some() {
            self.complete(map, whole);
        }
        error
    }
}

impl<'de> MapAccess<'de> for StructWalk<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(key) = self.advance() else { return Ok(None) };
        let read = seed.deserialize(key_text(key)).map(Some);
        match self.current {
            Current::Entry(key, entry) => read.map_err(|error| at_key(error, key, entry)),
            _ => read,
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match std::mem::replace(&mut self.current, Current::None) {
            Current::None => Err(serde::de::Error::custom("a value was asked for before its key")),
            Current::Squashed => {
                seed.deserialize(NodeDeserializer { squash: Some(self.squash), null: Null::IsZero, ..self.whole })
            }
            Current::Entry(key, entry) => {
                let context = self.whole.context;
                context.enter(Segment::Field(key.to_owned()));
                let value = seed.deserialize(NodeDeserializer::inner(&entry.value, context, Null::KeepsDefault));
                context.leave();
                value.map_err(|error| inside_entry(error, key, entry))
            }
        }
    }
}

/// Gives an error the place of the entry in which it is.
#[cold]
#[inline(never)]
fn inside_entry(error: Error, key: &str, entry: &Entry) -> Error {
    error.at(&missing_at(entry)).inside(Segment::Field(key.to_owned()), &entry.value)
}

/// A block that lacks a field is pointed at by its key, not by all its lines.
fn missing_at(entry: &Entry) -> Node {
    let origin: &Origin = match entry.value.value {
        Value::Map(_) | Value::Seq(_) => &entry.key,
        _ => &entry.value.origin,
    };
    Node::new(Value::Null, origin.clone())
}

/// `{variant: value}` for enums with data.
pub(crate) struct Variant<'a> {
    key: &'a str,
    entry: &'a Entry,
    context: &'a Context,
}

impl<'a> Variant<'a> {
    pub(crate) fn new(key: &'a str, entry: &'a Entry, context: &'a Context) -> Self {
        Self { key, entry, context }
    }

    fn inner(&self) -> NodeDeserializer<'a> {
        NodeDeserializer::inner(&self.entry.value, self.context, Null::IsZero)
    }

    fn inside<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|error| error.inside(Segment::Field(self.key.to_owned()), &self.entry.value))
    }
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = seed.deserialize(key_text(self.key)).map_err(|error| at_key(error, self.key, self.entry))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        self.inside(serde::Deserialize::deserialize(self.inner()))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        self.inside(seed.deserialize(self.inner()))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.inside(serde::Deserializer::deserialize_seq(self.inner(), visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.inside(serde::Deserializer::deserialize_struct(self.inner(), "", fields, visitor))
    }
}
