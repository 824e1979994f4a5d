//! The attribute lists of a message being edited.

use super::{FieldId, Message, Place};
use crate::error::Error;
use crate::tags::key_value;
use crate::view::{self, AnyValueView, KeyValueView};
use crate::wire::{self, Value, WireType};

/// An attribute value to write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NewValue<'v> {
    Str(&'v [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'v [u8]),
    /// The payload of an encoded `AnyValue`, for containers and for copies.
    Encoded(&'v [u8]),
}

impl NewValue<'_> {
    /// Appends the payload of the `AnyValue`.
    #[inline]
    pub fn write(self, out: &mut Vec<u8>) {
        use crate::tags::any_value as tag;
        match self {
            NewValue::Str(text) => wire::put_len(out, tag::STRING_VALUE, text),
            NewValue::Bool(value) => wire::put_varint_field(out, tag::BOOL_VALUE, u64::from(value)),
            NewValue::Int(value) => wire::put_varint_field(out, tag::INT_VALUE, value as u64),
            NewValue::Double(value) => wire::put_fixed64(out, tag::DOUBLE_VALUE, value.to_bits()),
            NewValue::Bytes(bytes) => wire::put_len(out, tag::BYTES_VALUE, bytes),
            NewValue::Encoded(payload) => out.extend_from_slice(payload),
        }
    }

    /// Bytes of the `AnyValue` that [`NewValue::write`] appends.
    #[inline]
    fn len(self) -> usize {
        use crate::tags::any_value as tag;
        // The tags of all are of one byte.
        match self {
            NewValue::Str(text) => wire::field_len(tag::STRING_VALUE, text.len()),
            NewValue::Bytes(bytes) => wire::field_len(tag::BYTES_VALUE, bytes.len()),
            NewValue::Bool(_) => 2,
            NewValue::Int(value) => 1 + wire::varint_len(value as u64),
            NewValue::Double(_) => 9,
            NewValue::Encoded(payload) => payload.len(),
        }
    }

    /// Bytes of the `KeyValue` that [`NewValue::write_pair`] appends.
    #[inline]
    pub fn pair_len(self, key: &[u8]) -> usize {
        wire::field_len(key_value::KEY, key.len()) + wire::field_len(key_value::VALUE, self.len())
    }

    /// Appends the payload of a `KeyValue`.
    #[inline]
    pub fn write_pair(self, key: &[u8], out: &mut Vec<u8>) {
        wire::put_len(out, key_value::KEY, key);
        wire::put_tag(out, key_value::VALUE, wire::WireType::Len);
        wire::put_varint(out, self.len() as u64);
        self.write(out);
    }
}

/// One attribute list of a message. With duplicate keys reads take the first, removal acts on all.
#[derive(Debug)]
pub struct Attributes<'m, 'a> {
    message: &'m mut Message<'a>,
    number: u32,
}

impl<'m, 'a> Attributes<'m, 'a> {
    pub(super) fn new(message: &'m mut Message<'a>, number: u32) -> Self {
        Attributes { message, number }
    }
}

impl Attributes<'_, '_> {
    /// The pairs in order.
    pub fn iter(&mut self) -> Result<impl Iterator<Item = (FieldId, Result<KeyValueView<'_>, Error>)>, Error> {
        self.message.index()?;
        Ok(self.message.len_fields(self.number).map(|(id, payload)| (id, KeyValueView::parse(payload))))
    }

    /// The first pair with this key.
    fn pair(&self, key: &[u8]) -> Result<Option<KeyValueView<'_>>, Error> {
        let Some(parts) = self.message.parts() else { return Ok(self.indexed_pair(key)?.map(|(_, pair)| pair)) };
        for part in parts {
            if let Some(pair) = view::pair(part, self.number, key)? {
                return Ok(Some(pair));
            }
        }
        Ok(None)
    }

    /// The first pair with this key, and where it is: for edits of it.
    fn find(&mut self, key: &[u8]) -> Result<Option<FieldId>, Error> {
        self.message.index()?;
        Ok(self.indexed_pair(key)?.map(|(id, _)| id))
    }

    fn indexed_pair(&self, key: &[u8]) -> Result<Option<(FieldId, KeyValueView<'_>)>, Error> {
        for (id, payload) in self.message.len_fields(self.number) {
            let pair = KeyValueView::parse(payload)?;
            if pair.key() == key {
                return Ok(Some((id, pair)));
            }
        }
        Ok(None)
    }

    /// The value of the first attribute with this key.
    pub fn get(&self, key: &[u8]) -> Result<Option<AnyValueView<'_>>, Error> {
        self.pair(key)?.map(|pair| pair.value()).transpose()
    }

    /// Hands over the payload of the first such attribute's `AnyValue`, encoded, to be written elsewhere: in one piece, but for
    /// values that were written in several. Returns whether there is such an attribute.
    pub fn encoded_value(&self, key: &[u8], mut piece: impl FnMut(&[u8])) -> Result<bool, Error> {
        let Some(pair) = self.pair(key)? else { return Ok(false) };
        for field in wire::fields(pair.bytes()) {
            // Occurrences of the value merge; behind one another they are one value.
            if let (key_value::VALUE, Value::Len(value)) = (field?.number, field?.value) {
                piece(value);
            }
        }
        Ok(true)
    }

    /// Whether an attribute has this key.
    pub fn contains(&self, key: &[u8]) -> Result<bool, Error> {
        Ok(self.pair(key)?.is_some())
    }

    /// Sets the value of the first attribute with this key, or adds one at the end.
    pub fn set(&mut self, key: &[u8], value: NewValue<'_>) -> Result<(), Error> {
        if self.insert(key, value)? { Ok(()) } else { self.update(key, value).map(|_| ()) }
    }

    /// Adds an attribute unless the key is there. Returns whether it was added.
    pub fn insert(&mut self, key: &[u8], value: NewValue<'_>) -> Result<bool, Error> {
        if self.contains(key)? {
            return Ok(false);
        }
        self.message.push(self.number, |out| value.write_pair(key, out)).map(|()| true)
    }

    /// Adds an attribute that is encoded already ([`NewValue::write_pair`]) unless its key is there. Returns whether it was
    /// added.
    pub fn insert_pair(&mut self, key: &[u8], pair: &[u8]) -> Result<bool, Error> {
        if self.contains(key)? {
            return Ok(false);
        }
        self.message.push(self.number, |out| out.extend_from_slice(pair)).map(|()| true)
    }

    /// Sets the value of an attribute that is there. Returns whether it was.
    pub fn update(&mut self, key: &[u8], value: NewValue<'_>) -> Result<bool, Error> {
        let Some(id) = self.find(key)? else { return Ok(false) };
        self.message.replace(id, |out| value.write_pair(key, out)).map(|()| true)
    }

    /// Replaces one attribute, key and value.
    pub fn replace(&mut self, id: FieldId, key: &[u8], value: NewValue<'_>) -> Result<(), Error> {
        self.message.replace(id, |out| value.write_pair(key, out))
    }

    /// Removes the attributes for which `remove` says so. Returns how many went.
    pub fn remove_where(
        &mut self,
        mut remove: impl FnMut(&KeyValueView<'_>) -> Result<bool, Error>,
    ) -> Result<usize, Error> {
        self.message.index()?;
        let mut removed = 0;
        for at in 0..self.message.buffers.slots.len() {
            let slot = self.message.buffers.slots[at];
            if slot.number != self.number || slot.wire_type != WireType::Len || slot.place == Place::Removed {
                continue;
            }
            if remove(&KeyValueView::parse(self.message.payload(&slot))?)? {
                self.message.remove(FieldId(at));
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes every attribute with this key. Returns how many there were.
    pub fn remove(&mut self, key: &[u8]) -> Result<usize, Error> {
        if !self.contains(key)? {
            return Ok(0);
        }
        self.remove_where(|pair| Ok(pair.key() == key))
    }
}
