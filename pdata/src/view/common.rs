//! What the three signals share: repeated messages, attributes, resource and scope.

use super::any_value::{AnyValueView, KeyValueView};
use crate::error::Error;
use crate::tags::{resource, scope};
use crate::wire::{Fields, Reader, Short, Value, WireType, fields, skip_others};

/// The payloads of one repeated message field, in wire order.
#[derive(Clone, Copy, Debug)]
pub struct Messages<'a> {
    fields: Fields<'a>,
    number: u32,
}

impl<'a> Messages<'a> {
    /// Field `number` of `message`.
    #[inline]
    pub fn new(message: &'a [u8], number: u32) -> Self {
        Messages { fields: fields(message), number }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<&'a [u8], Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.fields.next()? {
                Ok(field) if field.number == self.number => {
                    if let Value::Len(payload) = field.value {
                        return Some(Ok(payload));
                    }
                }
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The values of a repeated 64-bit scalar field, packed or not: fixed64 bits, or varints.
#[derive(Clone, Debug)]
pub struct Scalars<'a> {
    fields: Fields<'a>,
    number: u32,
    varint: bool,
    packed: Reader<'a>,
}

impl<'a> Scalars<'a> {
    /// A repeated `fixed64`, `sfixed64` or `double` field.
    pub fn fixed64(message: &'a [u8], number: u32) -> Self {
        Scalars { fields: fields(message), number, varint: false, packed: Reader::new(&[]) }
    }

    /// A repeated `uint64` field.
    pub fn varint(message: &'a [u8], number: u32) -> Self {
        Scalars { varint: true, ..Self::fixed64(message, number) }
    }
}

impl Iterator for Scalars<'_> {
    type Item = Result<u64, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if !self.packed.at_end() {
                let next = if self.varint { self.packed.varint() } else { self.packed.fixed64() };
                if next.is_err() {
                    self.packed = Reader::new(&[]);
                    self.fields = fields(&[]);
                }
                return Some(next);
            }
            match self.fields.next()? {
                Ok(field) if field.number == self.number => match field.value {
                    Value::Len(packed) => self.packed = Reader::new(packed),
                    Value::Fixed64(bits) if !self.varint => return Some(Ok(bits)),
                    Value::Varint(value) if self.varint => return Some(Ok(value)),
                    _ => {}
                },
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// An attribute list: one repeated `KeyValue` field of a message.
#[derive(Clone, Copy, Debug)]
pub struct AttributesView<'a> {
    message: &'a [u8],
    number: u32,
}

impl<'a> AttributesView<'a> {
    /// The attributes that `message` holds in its field `number`.
    #[inline]
    pub fn new(message: &'a [u8], number: u32) -> Self {
        AttributesView { message, number }
    }

    /// All attributes in wire order, duplicates included.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Result<KeyValueView<'a>, Error>> + Clone {
        Messages::new(self.message, self.number).map(|payload| payload.and_then(KeyValueView::parse))
    }

    /// The value of the first attribute with this key.
    #[inline]
    pub fn get(self, key: &[u8]) -> Result<Option<AnyValueView<'a>>, Error> {
        attribute(self.message, self.number, key)
    }
}

/// The value of the first attribute called `key` among the `KeyValue`s that `message` holds in field `number`.
#[inline]
pub fn attribute<'a>(message: &'a [u8], number: u32, key: &[u8]) -> Result<Option<AnyValueView<'a>>, Error> {
    pair(message, number, key)?.map(|pair| pair.value()).transpose()
}

/// The first pair with this key among the `KeyValue`s that `message` holds in field `number`.
#[inline]
pub(crate) fn pair<'a>(message: &'a [u8], number: u32, key: &[u8]) -> Result<Option<KeyValueView<'a>>, Error> {
    let mut reader = Reader::new(message);
    let wanted = one_byte_tag(number, WireType::Len);
    loop {
        reader.seek(skip_others(message, reader.pos(), wanted));
        // Short pairs with another key are passed over without being taken apart.
        while let Some(short) = Short::at(message, reader.pos())
            && short.tag == wanted
            && has_other_key(&message[short.payload..short.end], key)
        {
            reader.seek(short.end);
        }
        let Some(field) = reader.field()? else { return Ok(None) };
        if let (true, Value::Len(payload)) = (field.number == number, field.value) {
            let pair = KeyValueView::parse(payload)?;
            if pair.key() == key {
                return Ok(Some(pair));
            }
        }
    }
}

/// The tag of a field, if it takes one byte; else 0, which no field has.
fn one_byte_tag(number: u32, wire_type: WireType) -> u8 {
    if number < 16 { (number << 3) as u8 | wire_type as u8 } else { 0 }
}

/// Whether a pair surely has another key than `key`: it is written key first, value second and nothing else, so no second key
/// can follow.
#[inline(always)]
fn has_other_key(pair: &[u8], key: &[u8]) -> bool {
    let [0x0a, key_len, rest @ ..] = pair else { return false };
    let key_len = *key_len as usize;
    if let Some([0x12, value_len, value @ ..]) = rest.get(key_len..)
        && value.len() == *value_len as usize
    {
        key_len != key.len() || rest[..key_len] != *key
    } else {
        false
    }
}

/// A `Resource`.
#[derive(Clone, Copy, Debug)]
pub struct ResourceView<'a>(pub &'a [u8]);

impl<'a> ResourceView<'a> {
    pub fn attributes(self) -> AttributesView<'a> {
        AttributesView::new(self.0, resource::ATTRIBUTES)
    }
    pub fn dropped_attributes_count(self) -> Result<u32, Error> {
        Ok(last_varint(self.0, resource::DROPPED_ATTRIBUTES_COUNT)? as u32)
    }
}

/// An `InstrumentationScope`.
#[derive(Clone, Copy, Debug)]
pub struct ScopeView<'a>(pub &'a [u8]);

impl<'a> ScopeView<'a> {
    pub fn name(self) -> Result<&'a [u8], Error> {
        last_len(self.0, scope::NAME)
    }
    pub fn version(self) -> Result<&'a [u8], Error> {
        last_len(self.0, scope::VERSION)
    }
    pub fn attributes(self) -> AttributesView<'a> {
        AttributesView::new(self.0, scope::ATTRIBUTES)
    }
    pub fn dropped_attributes_count(self) -> Result<u32, Error> {
        Ok(last_varint(self.0, scope::DROPPED_ATTRIBUTES_COUNT)? as u32)
    }
}

/// The last length-delimited occurrence of a field; empty if there is none.
pub(super) fn last_len(message: &[u8], number: u32) -> Result<&[u8], Error> {
    Messages::new(message, number).try_fold(&[][..], |_, payload| payload)
}

/// The last varint occurrence of a field; zero if there is none. For one field this is cheaper than the whole view.
pub fn last_varint(message: &[u8], number: u32) -> Result<u64, Error> {
    let mut last = 0;
    let mut reader = Reader::new(message);
    let wanted = one_byte_tag(number, WireType::Varint);
    loop {
        reader.seek(skip_others(message, reader.pos(), wanted));
        let Some(field) = reader.field()? else { return Ok(last) };
        if let (true, Value::Varint(value)) = (field.number == number, field.value) {
            last = value;
        }
    }
}
