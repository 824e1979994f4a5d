//! Typed configs as tree nodes: the way back from [`crate::decode()`]. What a config holds when it is decoded, defaults and
//! all, for printing and for the schema. Secrets do not come along.

use serde::de::DeserializeOwned;
use serde::ser::{
    self, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    Serializer,
};

use crate::decode::{SQUASH_PREFIX, values};
use crate::source::{Origin, Source, Span};
use crate::tree::{Entry, Map, Node, Value};

/// The name of the source that defaults come from.
pub const DEFAULT: &str = "default";

type Error = serde::de::value::Error;

/// The tree of a config: fields under their names in configuration, those of squashed blocks beside the others.
///
/// # Errors
/// The type has something that configuration cannot hold, such as keys that are no text.
pub fn encode<T: Serialize>(config: &T) -> Result<Node, String> {
    let origin = origin();
    config.serialize(Encoder { origin: &origin }).map_err(|error| error.to_string())
}

/// Where defaults are written: nowhere.
pub fn origin() -> Origin {
    Origin::new(Source::new(DEFAULT, "", 0), Span::default())
}

/// A config as [`encode`] gives it, with all its defaults; `None` if it does not decode.
pub fn whole<T: DeserializeOwned + Serialize>(node: &Node) -> Option<Node> {
    encode(&crate::decode::<T>(node).ok()?).ok()
}

#[derive(Clone, Copy)]
struct Encoder<'o> {
    origin: &'o Origin,
}

impl<'o> Encoder<'o> {
    fn node(self, value: Value) -> Node {
        Node::new(value, self.origin.clone())
    }

    fn int(self, value: impl Into<i128>) -> Result<Node, Error> {
        Ok(self.node(Value::Int(value.into())))
    }

    fn map(self) -> Fields<'o> {
        Fields { encoder: self, map: Map::new(), key: None, variant: None }
    }
}

macro_rules! integers {
    ($($method:ident $type:ty;)*) => {$(
        fn $method(self, value: $type) -> Result<Node, Error> {
            self.int(value)
        }
    )*};
}

impl<'o> Serializer for Encoder<'o> {
    type Ok = Node;
    type Error = Error;
    type SerializeSeq = Items<'o>;
    type SerializeTuple = Items<'o>;
    type SerializeTupleStruct = Impossible<Node, Error>;
    type SerializeTupleVariant = Impossible<Node, Error>;
    type SerializeMap = Fields<'o>;
    type SerializeStruct = Fields<'o>;
    type SerializeStructVariant = Fields<'o>;

    integers! {
        serialize_i8 i8;
        serialize_i16 i16;
        serialize_i32 i32;
        serialize_i64 i64;
        serialize_i128 i128;
        serialize_u8 u8;
        serialize_u16 u16;
        serialize_u32 u32;
        serialize_u64 u64;
    }

    fn serialize_bool(self, value: bool) -> Result<Node, Error> {
        Ok(self.node(Value::Bool(value)))
    }

    fn serialize_f32(self, value: f32) -> Result<Node, Error> {
        // By its digits: 0.85 is not to become 0.8500000238418579.
        self.serialize_f64(value.to_string().parse().unwrap_or(f64::from(value)))
    }

    fn serialize_f64(self, value: f64) -> Result<Node, Error> {
        Ok(self.node(Value::Float(value)))
    }

    fn serialize_char(self, value: char) -> Result<Node, Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<Node, Error> {
        Ok(self.node(Value::String(value.to_owned())))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Node, Error> {
        self.serialize_str(&String::from_utf8_lossy(value))
    }

    fn serialize_none(self) -> Result<Node, Error> {
        Ok(self.node(Value::Null))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Node, Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Node, Error> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Node, Error> {
        self.serialize_none()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Node, Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<Node, Error> {
        match name {
            values::RAW_NODE => values::take_raw().ok_or_else(|| ser::Error::custom("not a configuration tree")),
            _ => value.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Node, Error> {
        let mut map = self.map();
        map.put(variant, value)?;
        SerializeMap::end(map)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'o>, Error> {
        Ok(Items { encoder: self, items: Vec::new() })
    }

    fn serialize_tuple(self, len: usize) -> Result<Items<'o>, Error> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        Err(ser::Error::custom(name))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(ser::Error::custom(name))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'o>, Error> {
        Ok(self.map())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'o>, Error> {
        Ok(self.map())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields<'o>, Error> {
        Ok(Fields { variant: Some(variant), ..self.map() })
    }
}

struct Items<'o> {
    encoder: Encoder<'o>,
    items: Vec<Node>,
}

impl SerializeSeq for Items<'_> {
    type Ok = Node;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.items.push(value.serialize(self.encoder)?);
        Ok(())
    }

    fn end(self) -> Result<Node, Error> {
        Ok(self.encoder.node(Value::Seq(self.items)))
    }
}

impl SerializeTuple for Items<'_> {
    type Ok = Node;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<Node, Error> {
        SerializeSeq::end(self)
    }
}

struct Fields<'o> {
    encoder: Encoder<'o>,
    map: Map,
    key: Option<String>,
    /// The enum's variant that the fields belong to.
    variant: Option<&'static str>,
}

impl Fields<'_> {
    fn put<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        let value = value.serialize(self.encoder)?;
        match value.value {
            Value::Map(fields) if key.starts_with(SQUASH_PREFIX) => self.map.extend(fields),
            _ => {
                self.map.insert(key.to_owned(), Entry { key: self.encoder.origin.clone(), value });
            }
        }
        Ok(())
    }
}

impl SerializeMap for Fields<'_> {
    type Ok = Node;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let key = key.serialize(self.encoder)?;
        let text = match &key.value {
            Value::Int(number) => Some(number.to_string()),
            _ => key.text().map(str::to_owned),
        };
        self.key = Some(text.ok_or_else(|| Error::from(ser::Error::custom("a key that is no text")))?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let key = self.key.take().unwrap_or_default();
        self.put(&key, value)
    }

    fn end(self) -> Result<Node, Error> {
        Ok(self.encoder.node(Value::Map(self.map)))
    }
}

impl SerializeStruct for Fields<'_> {
    type Ok = Node;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.put(key, value)
    }

    fn end(self) -> Result<Node, Error> {
        SerializeMap::end(self)
    }
}

impl SerializeStructVariant for Fields<'_> {
    type Ok = Node;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.put(key, value)
    }

    fn end(self) -> Result<Node, Error> {
        let (encoder, variant) = (self.encoder, self.variant.unwrap_or_default());
        let value = SerializeMap::end(self)?;
        let entry = Entry { key: encoder.origin.clone(), value };
        Ok(encoder.node(Value::Map(Map::from_iter([(variant.to_owned(), entry)]))))
    }
}
