//! A deserializer that follows one way into a type, notes what the type asks for at its end, and gives up there.

use std::cell::RefCell;

use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer as _, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

use super::{Kind, TypeName};
use crate::decode::values as markers;
use crate::decode::words::ONE_OF;

/// One step into a type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The field of a block.
    Field(&'static str),
    /// An item of a list.
    Item,
    /// A value of a map.
    Entry,
    /// What a variant holds.
    Variant(&'static str),
}

/// What a type asked for.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    Scalar(Kind),
    List,
    Map,
    Block(TypeName),
    Words(TypeName),
}

#[derive(Default)]
struct Found {
    seen: Option<Seen>,
    switch: bool,
}

/// [`look`] of a type.
pub(super) type Look = fn(&[Step]) -> (Seen, bool);

/// What `T` is at the end of `way`, and whether it can be switched off.
pub(super) fn look<T: DeserializeOwned>(way: &[Step]) -> (Seen, bool) {
    let found = RefCell::default();
    // It always fails: what counts is what it asked for.
    let _ = T::deserialize(Probe { way, found: &found });
    let Found { seen, switch } = found.into_inner();
    (seen.unwrap_or(Seen::Scalar(Kind::Any)), switch)
}

#[derive(Clone, Copy)]
struct Probe<'a> {
    way: &'a [Step],
    found: &'a RefCell<Found>,
}

impl<'a> Probe<'a> {
    /// Notes what was asked for if the way ends here, and fails.
    fn note<T>(self, seen: Seen) -> Result<T, Error> {
        if self.way.is_empty() {
            self.found.borrow_mut().seen.get_or_insert(seen);
        }
        Err(Error::custom("seen"))
    }

    fn scalar<T>(self, kind: Kind) -> Result<T, Error> {
        self.note(Seen::Scalar(kind))
    }

    /// The first step, and the probe behind it.
    fn next(self) -> Option<(Step, Self)> {
        let (step, way) = self.way.split_first()?;
        Some((*step, Self { way, ..self }))
    }
}

/// A map of one entry.
struct One<'a>(Option<&'static str>, Probe<'a>);

impl<'de> MapAccess<'de> for One<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(key) = self.0.take() else { return Ok(None) };
        let key: StrDeserializer<'_, Error> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.1)
    }
}

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        seed.deserialize(self.1).map(Some)
    }
}

struct Variant<'a>(&'static str, Probe<'a>);

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Error;
    type Variant = Probe<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Probe<'a>), Error> {
        let name: StrDeserializer<'_, Error> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self.1))
    }
}

impl<'de> VariantAccess<'de> for Probe<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        self.scalar(Kind::Any)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.deserialize_struct("", fields, visitor)
    }
}

macro_rules! scalars {
    ($($method:ident $kind:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            self.scalar($kind)
        }
    )*};
}

macro_rules! integers {
    ($($method:ident $type:ty;)*) => {
        scalars! { $($method Kind::Integer { min: <$type>::MIN as i128, max: <$type>::MAX as i128 };)* }
    };
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    scalars! {
        deserialize_any Kind::Any;
        deserialize_ignored_any Kind::Any;
        deserialize_unit Kind::Any;
        deserialize_bool Kind::Bool;
        deserialize_f32 Kind::Number;
        deserialize_f64 Kind::Number;
        deserialize_char Kind::Text;
        deserialize_str Kind::Text;
        deserialize_string Kind::Text;
        deserialize_bytes Kind::Text;
        deserialize_byte_buf Kind::Text;
        deserialize_identifier Kind::Text;
    }

    integers! {
        deserialize_i8 i8;
        deserialize_i16 i16;
        deserialize_i32 i32;
        deserialize_i64 i64;
        deserialize_u8 u8;
        deserialize_u16 u16;
        deserialize_u32 u32;
        deserialize_u64 u64;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, _: V) -> Result<V::Value, Error> {
        self.scalar(Kind::Any)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        match name {
            markers::RAW_NODE => self.scalar(Kind::Any),
            markers::DURATION => self.scalar(Kind::Duration),
            markers::BYTE_SIZE => self.scalar(Kind::Size),
            markers::SECRET => self.scalar(Kind::Secret),
            markers::HEADERS => self.scalar(Kind::Headers),
            markers::TOGGLE => {
                if self.way.is_empty() {
                    self.found.borrow_mut().switch = true;
                }
                visitor.visit_newtype_struct(self)
            }
            _ => match name.strip_prefix(ONE_OF) {
                Some(words) => self.scalar(Kind::OneWord(words.split('|').collect())),
                None => visitor.visit_newtype_struct(self),
            },
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.next() {
            Some((Step::Item, inner)) => visitor.visit_seq(One(None, inner)),
            _ => self.note(Seen::List),
        }
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
        match self.next() {
            Some((Step::Entry, inner)) => visitor.visit_map(One(Some("x"), inner)),
            _ => self.note(Seen::Map),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.next() {
            Some((Step::Field(field), inner)) => visitor.visit_map(One(Some(field), inner)),
            _ => self.note(Seen::Block(TypeName { name, members: fields })),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.next() {
            Some((Step::Variant(variant), inner)) => visitor.visit_enum(Variant(variant, inner)),
            _ => self.note(Seen::Words(TypeName { name, members: variants })),
        }
    }
}
