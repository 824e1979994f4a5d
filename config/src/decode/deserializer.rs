//! serde's view of a node.

use std::cell::RefCell;
use std::collections::HashSet;

use serde::de::value::StrDeserializer;
use serde::de::{self, IntoDeserializer as _, Visitor};

use super::access::{self, MapWalk, SeqWalk, SplitWalk, StructWalk};
use super::error::{Blame, Error, Reason, Segment, UnknownField, path_text, pattern};
use super::scalar;
use super::values::{BYTE_SIZE, DURATION, RAW_NODE, TOGGLE};
use crate::tree::{Map, Node, Value};

/// What one decode remembers from round to round.
#[derive(Default)]
pub(crate) struct Context {
    /// Values to leave out because an error was reported for them.
    blanked: RefCell<HashSet<*const Node>>,
    /// Fields whose nulls keep the default.
    null_fields: RefCell<HashSet<String>>,
    unknown: RefCell<Vec<UnknownField>>,
    path: RefCell<Vec<Segment>>,
}

impl Context {
    /// Leaves a value out of the next round. False if there is nothing to leave out.
    pub(crate) fn blank(&self, blame: Blame) -> bool {
        match blame {
            Blame::Value(address) => self.blanked.borrow_mut().insert(address),
            Blame::NullField | Blame::Root => false,
        }
    }

    pub(crate) fn is_blank(&self, node: &Node) -> bool {
        self.blanked.borrow().contains(&std::ptr::from_ref(node))
    }

    /// From now on nulls of the field are left out.
    pub(crate) fn null_keeps_default(&self, pattern: String) -> bool {
        self.null_fields.borrow_mut().insert(pattern)
    }

    /// Whether this entry of the current struct is a null to leave out.
    pub(crate) fn is_default(&self, key: &str, node: &Node) -> bool {
        if !node.is_null() || self.null_fields.borrow().is_empty() {
            return false;
        }
        let field = Segment::Field(key.to_owned());
        let pattern = pattern(self.path.borrow().iter().chain([&field]));
        self.null_fields.borrow().contains(&pattern)
    }

    pub(crate) fn enter(&self, segment: Segment) {
        self.path.borrow_mut().push(segment);
    }

    pub(crate) fn leave(&self) {
        self.path.borrow_mut().pop();
    }

    /// Records a key that no field has, and leaves it out from now on.
    pub(crate) fn unknown(&self, key: &str, entry: &crate::tree::Entry, fields: Vec<&'static str>) {
        if self.blank(Blame::Value(std::ptr::from_ref(&entry.value))) {
            let path = path_text(self.path.borrow().iter());
            let (key, origin) = (key.to_owned(), entry.key.clone());
            self.unknown.borrow_mut().push(UnknownField { path, key, origin, fields });
        }
    }

    pub(crate) fn take_unknown(&self) -> Vec<UnknownField> {
        std::mem::take(&mut *self.unknown.borrow_mut())
    }
}

/// How a null decodes where no scalar is wanted; a scalar becomes zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Null {
    /// A field: blocks, lists and maps keep its default (the entry is left out and decoded again).
    KeepsDefault,
    /// An item of a list or map, or the root: a block with its own defaults, an empty list or map.
    IsZero,
}

#[derive(Clone, Copy)]
pub(crate) struct NodeDeserializer<'a> {
    pub(crate) node: &'a Node,
    pub(crate) context: &'a Context,
    pub(crate) null: Null,
    /// Set while a squashed field reads the keys of the map it stands in.
    pub(crate) squash: Option<&'a access::Squash>,
    /// Skip the key `enabled`, which [`super::Toggle`] has read.
    pub(crate) toggled: bool,
}

impl<'a> NodeDeserializer<'a> {
    pub(crate) fn root(node: &'a Node, context: &'a Context) -> Self {
        Self::inner(node, context, Null::IsZero)
    }

    pub(crate) fn inner(node: &'a Node, context: &'a Context, null: Null) -> Self {
        Self { node, context, null, squash: None, toggled: false }
    }

    fn fail<T>(&self, reason: Reason) -> Result<T, Error> {
        let null_field = self.node.is_null() && self.null == Null::KeepsDefault;
        Err(Error::new(if null_field { Reason::NullField } else { reason }).at(self.node))
    }

    fn wrong<T>(&self, expected: &'static str) -> Result<T, Error> {
        self.fail(Reason::WrongType { expected, found: self.node.value.go_type() })
    }

    fn is_zero_null(&self) -> bool {
        self.node.is_null() && self.null == Null::IsZero
    }

    /// Runs `visit` and gives its errors this node's place.
    fn place<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|error| error.at(self.node))
    }

    fn map(&self) -> Result<Option<&'a Map>, Error> {
        match &self.node.value {
            Value::Map(map) => Ok(Some(map)),
            Value::Null if self.null == Null::IsZero => Ok(None),
            other => self.fail(Reason::NotAMap(other.go_type())),
        }
    }

    fn integer(&self, expected: &'static str) -> Result<i128, Error> {
        match &self.node.value {
            Value::Int(value) => Ok(*value),
            Value::Float(value) => match scalar::truncate(*value) {
                Some(value) => Ok(value),
                None => self.fail(Reason::Overflow { value: value.to_string(), expected }),
            },
            Value::Null => Ok(0),
            _ => self.wrong(expected),
        }
    }

    fn ranged<N: TryFrom<i128>>(&self, expected: &'static str) -> Result<N, Error> {
        let value = self.integer(expected)?;
        N::try_from(value).or_else(|_| self.fail(Reason::Overflow { value: value.to_string(), expected }))
    }

    fn float(&self) -> Result<f64, Error> {
        match &self.node.value {
            Value::Float(value) => Ok(*value),
            #[expect(clippy::cast_precision_loss, reason = "a float field takes the nearest float")]
            Value::Int(value) => Ok(*value as f64),
            Value::Null => Ok(0.0),
            _ => self.wrong("float64"),
        }
    }

    fn string(&self) -> Result<&'a str, Error> {
        match self.node.text() {
            Some(text) => Ok(text),
            None if self.node.is_null() => Ok(""),
            None => self.wrong("string"),
        }
    }

    fn duration(&self) -> Result<u64, Error> {
        match &self.node.value {
            Value::String(text) => scalar::go_duration(text).or_else(|text| self.fail(Reason::Duration(text))),
            Value::Null => Ok(0),
            Value::Int(0) => Ok(0),
            _ => self.wrong("time.Duration"),
        }
    }

    fn byte_size(&self) -> Result<u64, Error> {
        match &self.node.value {
            Value::String(text) => match scalar::byte_size(text) {
                Some(bytes) => Ok(bytes),
                None => self.fail(Reason::Size(text.clone())),
            },
            _ => self.ranged("uint64"),
        }
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty, $name:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let value = self.ranged::<$type>($name)?;
            self.place(visitor.$visit(value))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for NodeDeserializer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = match &self.node.value {
            Value::Null if self.null == Null::KeepsDefault => return self.wrong("any"),
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => match i64::try_from(*value) {
                Ok(value) => visitor.visit_i64(value),
                Err(_) => visitor.visit_u64(self.ranged("uint64")?),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::String(text) => visitor.visit_str(text),
            Value::Seq(items) => visitor.visit_seq(SeqWalk::new(items, self.context)),
            Value::Map(map) => visitor.visit_map(MapWalk::new(Some(map), self)),
        };
        self.place(result)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Bool(value) => self.place(visitor.visit_bool(*value)),
            Value::Null => visitor.visit_bool(false),
            _ => self.wrong("bool"),
        }
    }

    integers! {
        deserialize_i8 visit_i8 i8, "int8";
        deserialize_i16 visit_i16 i16, "int16";
        deserialize_i32 visit_i32 i32, "int32";
        deserialize_i64 visit_i64 i64, "int";
        deserialize_u8 visit_u8 u8, "uint8";
        deserialize_u16 visit_u16 u16, "uint16";
        deserialize_u32 visit_u32 u32, "uint32";
        deserialize_u64 visit_u64 u64, "uint";
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.float()?;
        self.place(visitor.visit_f64(value))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = self.string()?;
        self.place(visitor.visit_str(text))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = self.string()?;
        self.place(visitor.visit_bytes(text.as_bytes()))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.is_null() {
            true => visitor.visit_none(),
            false => self.place(visitor.visit_some(self)),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.is_null() {
            true => visitor.visit_unit(),
            false => self.wrong("nil"),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        let result = match name {
            RAW_NODE => {
                super::values::offer_raw(self.node);
                visitor.visit_unit()
            }
            DURATION => visitor.visit_u64(self.duration()?),
            BYTE_SIZE => visitor.visit_u64(self.byte_size()?),
            TOGGLE => match &self.node.value {
                Value::Null => visitor.visit_newtype_struct(Self { null: Null::IsZero, ..self }),
                Value::Map(map) => match map.get("enabled").map(|entry| &entry.value) {
                    None => visitor.visit_newtype_struct(self),
                    Some(Node { value: Value::Bool(true), .. }) => {
                        visitor.visit_newtype_struct(Self { toggled: true, ..self })
                    }
                    Some(Node { value: Value::Bool(false), .. }) => visitor.visit_none(),
                    Some(other) if self.context.is_blank(other) => visitor.visit_none(),
                    Some(other) => return Err(Error::new(Reason::Switch(other.value.go_type())).at_value(other)),
                },
                other => return self.fail(Reason::NotAMap(other.go_type())),
            },
            _ => visitor.visit_newtype_struct(self),
        };
        self.place(result)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = match &self.node.value {
            Value::Seq(items) => visitor.visit_seq(SeqWalk::new(items, self.context)),
            Value::String(text) => visitor.visit_seq(SplitWalk::new(text, self)),
            Value::Null if self.is_zero_null() => visitor.visit_seq(SeqWalk::new(&[], self.context)),
            other => return self.fail(Reason::NotAList(other.go_type())),
        };
        self.place(result)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let map = self.map()?;
        self.place(visitor.visit_map(MapWalk::new(map, self)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let map = self.map()?;
        self.place(StructWalk::visit(map, fields, self, visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Value::Map(map) = &self.node.value {
            return match map.iter().next() {
                Some((key, entry)) if map.len() == 1 => {
                    self.place(visitor.visit_enum(access::Variant::new(key, entry, self.context)))
                }
                _ => self.wrong("string"),
            };
        }
        if self.node.is_null() && self.null == Null::KeepsDefault && self.node.text().is_none_or(str::is_empty) {
            return self.wrong("string");
        }
        let text = self.string()?;
        let variant: StrDeserializer<'_, Error> = text.into_deserializer();
        self.place(visitor.visit_enum(variant))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}
