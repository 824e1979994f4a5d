//! `AnyValue`, `KeyValue` and the lists inside them.

use crate::error::{Error, Fault};
use crate::tags::{any_value, array_value, key_value};
use crate::wire::{Fields, Value, fields};

/// A decoded `AnyValue`: scalars by value, strings and bytes borrowed, containers as lazy lists.
#[derive(Clone, Copy, Debug)]
pub enum AnyValueView<'a> {
    /// No member is set.
    Empty,
    /// A string; not necessarily UTF-8.
    Str(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(Elements<'a>),
    KvList(Elements<'a>),
    Bytes(&'a [u8]),
    /// A reference into a string table that only the profiles signal has.
    StrIndex(i32),
}

impl<'a> AnyValueView<'a> {
    /// Reads an `AnyValue` message.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        // The canonical form has one field; a string is by far the most common.
        if let [0x0a, len @ 0..=0x7f, rest @ ..] = bytes
            && rest.len() == *len as usize
        {
            return Ok(AnyValueView::Str(rest));
        }
        // Most integers are small.
        if let [0x18, number @ 0..=0x7f] = *bytes {
            return Ok(AnyValueView::Int(number.into()));
        }
        if let [0x18, low @ 0x80..=0xff, high @ 0..=0x7f] = *bytes {
            return Ok(AnyValueView::Int(i64::from(low & 0x7f) | i64::from(high) << 7));
        }
        Merge::new(Parent::Itself(bytes)).finish()
    }

    /// Reads the singular `AnyValue` field `number` of `message`, merging if it occurs more than once. `None` if absent.
    #[inline]
    pub fn of_field(message: &'a [u8], number: u32) -> Result<Option<Self>, Error> {
        let mut found = None;
        for field in fields(message) {
            let field = field?;
            if field.number == number
                && let Value::Len(payload) = field.value
            {
                if found.is_some() {
                    return Merge::new(Parent::Field { message, number }).finish().map(Some);
                }
                found = Some(payload);
            }
        }
        found.map(Self::parse).transpose()
    }

    /// The string, if it is one.
    #[inline]
    pub fn as_str(self) -> Option<&'a [u8]> {
        match self {
            AnyValueView::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Walks the whole value and refuses malformed bytes and nesting beyond `depth` levels of containers.
    pub fn check(self, depth: usize) -> Result<(), Error> {
        let nested = |depth: usize| depth.checked_sub(1).ok_or(Error::new(Fault::Depth, 0));
        match self {
            AnyValueView::Array(elements) => {
                let depth = nested(depth)?;
                elements.values().try_for_each(|value| value?.check(depth))
            }
            AnyValueView::KvList(elements) => {
                let depth = nested(depth)?;
                elements.key_values().try_for_each(|pair| pair?.value()?.check(depth))
            }
            _ => Ok(()),
        }
    }
}

/// Where the occurrences of one `AnyValue` are found.
#[derive(Clone, Copy, Debug)]
enum Parent<'a> {
    /// The bytes are the `AnyValue`.
    Itself(&'a [u8]),
    /// Every occurrence of field `number` of `message` is a part of the `AnyValue`.
    Field { message: &'a [u8], number: u32 },
}

impl<'a> Parent<'a> {
    fn parts(self) -> Parts<'a> {
        match self {
            Parent::Itself(bytes) => Parts { whole: Some(bytes), rest: fields(&[]), number: 0 },
            Parent::Field { message, number } => Parts { whole: None, rest: fields(message), number },
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Parts<'a> {
    whole: Option<&'a [u8]>,
    rest: Fields<'a>,
    number: u32,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<&'a [u8], Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(whole) = self.whole.take() {
            return Some(Ok(whole));
        }
        loop {
            match self.rest.next()? {
                Ok(field) if field.number == self.number => {
                    if let Value::Len(part) = field.value {
                        return Some(Ok(part));
                    }
                }
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Reads an `AnyValue` by protobuf's merge rules: the last member wins, except that a list member that follows itself is
/// appended to.
struct Merge<'a> {
    parent: Parent<'a>,
}

impl<'a> Merge<'a> {
    fn new(parent: Parent<'a>) -> Self {
        Merge { parent }
    }

    fn finish(self) -> Result<AnyValueView<'a>, Error> {
        let mut view = AnyValueView::Empty;
        let mut ordinal = 0; // of the member occurrence, over all parts
        for part in self.parent.parts() {
            for field in fields(part?) {
                let field = field?;
                let next = match (field.number, field.value) {
                    (any_value::STRING_VALUE, Value::Len(text)) => AnyValueView::Str(text),
                    (any_value::BOOL_VALUE, Value::Varint(value)) => AnyValueView::Bool(value != 0),
                    (any_value::INT_VALUE, Value::Varint(value)) => AnyValueView::Int(value as i64),
                    (any_value::DOUBLE_VALUE, Value::Fixed64(bits)) => AnyValueView::Double(f64::from_bits(bits)),
                    (any_value::BYTES_VALUE, Value::Len(bytes)) => AnyValueView::Bytes(bytes),
                    (any_value::STRING_VALUE_STRINDEX, Value::Varint(value)) => AnyValueView::StrIndex(value as i32),
                    (any_value::ARRAY_VALUE, Value::Len(list)) => match view {
                        AnyValueView::Array(first) => AnyValueView::Array(first.and_more(self.parent)),
                        _ => AnyValueView::Array(Elements::one(list, any_value::ARRAY_VALUE, ordinal)),
                    },
                    (any_value::KVLIST_VALUE, Value::Len(list)) => match view {
                        AnyValueView::KvList(first) => AnyValueView::KvList(first.and_more(self.parent)),
                        _ => AnyValueView::KvList(Elements::one(list, any_value::KVLIST_VALUE, ordinal)),
                    },
                    _ => continue,
                };
                view = next;
                ordinal += 1;
            }
        }
        Ok(view)
    }
}

/// The elements of an `ArrayValue` or `KeyValueList`.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a> {
    list: &'a [u8],
    member: u32,
    /// Ordinal of the oneof member occurrence that `list` is, among all member occurrences of the `AnyValue`.
    first: usize,
    /// Set when the list was written in several pieces: all occurrences from `first` on belong to it.
    pieces: Option<Parent<'a>>,
}

impl<'a> Elements<'a> {
    fn one(list: &'a [u8], member: u32, first: usize) -> Self {
        Elements { list, member, first, pieces: None }
    }

    fn and_more(self, parent: Parent<'a>) -> Self {
        Elements { pieces: Some(parent), ..self }
    }

    /// The elements of an array.
    pub fn values(self) -> ElementsIter<'a> {
        ElementsIter { lists: Lists::new(self), list: fields(&[]) }
    }

    /// The pairs of a key-value list.
    pub fn key_values(self) -> KvListIter<'a> {
        KvListIter(self.values())
    }
}

/// The one list, or the pieces that make it up.
#[derive(Clone, Copy, Debug)]
struct Lists<'a> {
    one: Option<&'a [u8]>,
    parts: Option<Parts<'a>>,
    part: Fields<'a>,
    member: u32,
    skip: usize,
}

impl<'a> Lists<'a> {
    fn new(elements: Elements<'a>) -> Self {
        let one = elements.pieces.is_none().then_some(elements.list);
        let parts = elements.pieces.map(Parent::parts);
        Lists { one, parts, part: fields(&[]), member: elements.member, skip: elements.first }
    }

    fn next(&mut self) -> Result<Option<&'a [u8]>, Error> {
        if let Some(list) = self.one.take() {
            return Ok(Some(list));
        }
        let Some(parts) = &mut self.parts else { return Ok(None) };
        loop {
            for field in self.part.by_ref() {
                let field = field?;
                if !is_member(field.number, field.value) {
                    continue;
                }
                if self.skip > 0 {
                    self.skip -= 1;
                } else if field.number == self.member
                    && let Value::Len(list) = field.value
                {
                    return Ok(Some(list));
                }
            }
            match parts.next().transpose()? {
                Some(part) => self.part = fields(part),
                None => return Ok(None),
            }
        }
    }
}

fn is_member(number: u32, value: Value<'_>) -> bool {
    matches!(
        (number, value),
        (
            any_value::STRING_VALUE | any_value::ARRAY_VALUE | any_value::KVLIST_VALUE | any_value::BYTES_VALUE,
            Value::Len(_)
        ) | (any_value::BOOL_VALUE | any_value::INT_VALUE | any_value::STRING_VALUE_STRINDEX, Value::Varint(_))
            | (any_value::DOUBLE_VALUE, Value::Fixed64(_))
    )
}

/// Iterates over the values of an array.
#[derive(Clone, Copy, Debug)]
pub struct ElementsIter<'a> {
    lists: Lists<'a>,
    list: Fields<'a>,
}

impl<'a> ElementsIter<'a> {
    fn payload(&mut self) -> Result<Option<&'a [u8]>, Error> {
        loop {
            for field in self.list.by_ref() {
                let field = field?;
                if field.number == array_value::VALUES
                    && let Value::Len(element) = field.value
                {
                    return Ok(Some(element));
                }
            }
            match self.lists.next()? {
                Some(list) => self.list = fields(list),
                None => return Ok(None),
            }
        }
    }
}

impl<'a> Iterator for ElementsIter<'a> {
    type Item = Result<AnyValueView<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.payload().transpose().map(|payload| payload.and_then(AnyValueView::parse))
    }
}

/// Iterates over the pairs of a key-value list.
#[derive(Clone, Copy, Debug)]
pub struct KvListIter<'a>(ElementsIter<'a>);

impl<'a> Iterator for KvListIter<'a> {
    type Item = Result<KeyValueView<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.payload().transpose().map(|payload| payload.and_then(KeyValueView::parse))
    }
}

/// A `KeyValue`: the key is read at once, the value on demand.
#[derive(Clone, Copy, Debug)]
pub struct KeyValueView<'a> {
    bytes: &'a [u8],
    key: &'a [u8],
    /// The payload of the value, unless it must be looked for (absent, or written in several pieces).
    value: Option<&'a [u8]>,
}

impl<'a> KeyValueView<'a> {
    /// Reads a `KeyValue` message.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        // Canonical and short: key, then value, nothing else.
        if let [0x0a, key_len @ 0..=0x7f, rest @ ..] = bytes
            && let Some((key, [0x12, value_len @ 0..=0x7f, value @ ..])) = rest.split_at_checked(*key_len as usize)
            && value.len() == *value_len as usize
        {
            return Ok(KeyValueView { bytes, key, value: Some(value) });
        }
        Self::parse_any_order(bytes)
    }

    fn parse_any_order(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut view = KeyValueView { bytes, key: &[], value: None };
        let mut values = 0;
        for field in fields(bytes) {
            let field = field?;
            match (field.number, field.value) {
                (key_value::KEY, Value::Len(key)) => view.key = key,
                (key_value::VALUE, Value::Len(value)) => {
                    values += 1;
                    view.value = (values == 1).then_some(value);
                }
                _ => {}
            }
        }
        Ok(view)
    }

    /// The key; not necessarily UTF-8.
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        self.key
    }

    /// The value. An absent one reads as [`AnyValueView::Empty`].
    #[inline]
    pub fn value(&self) -> Result<AnyValueView<'a>, Error> {
        match self.value {
            Some(value) => AnyValueView::parse(value),
            None => Ok(AnyValueView::of_field(self.bytes, key_value::VALUE)?.unwrap_or(AnyValueView::Empty)),
        }
    }

    /// The `KeyValue` message as it stands on the wire.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}
