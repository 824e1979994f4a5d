//! Values of expressions. They borrow from the record or from the expression wherever they can.

use std::borrow::Cow;
use std::sync::Arc;

use sluice_pdata::view::{AnyValueView, AttributesView, Elements};

use crate::error::EvalError;
use crate::time::Time;

/// Deepest nesting of maps and lists that is walked; deeper values are an error.
pub const MAX_VALUE_DEPTH: usize = 1_000;

/// What an expression evaluates to (ottl.md §2.1).
#[derive(Clone, Debug, Default)]
pub enum Value<'a> {
    #[default]
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Text; not necessarily UTF-8, because peers send what they like.
    Str(Cow<'a, [u8]>),
    Bytes(Cow<'a, [u8]>),
    Map(Map<'a>),
    List(List<'a>),
    Time(Time),
    /// Nanoseconds.
    Duration(i64),
    TraceId([u8; 16]),
    SpanId([u8; 8]),
    ProfileId([u8; 16]),
    Handle(Handle),
}

/// A part of a record that can only be counted and moved between paths of its own kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    pub kind: HandleKind,
    /// How many elements it has; zero for those that are no slices.
    pub len: usize,
}

/// What a handle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleKind {
    Events,
    Links,
    Status,
    Exemplars,
    DataPoints,
    Buckets,
    QuantileValues,
}

impl HandleKind {
    /// Whether it is a sequence.
    pub fn is_slice(self) -> bool {
        !matches!(self, HandleKind::Status | HandleKind::Buckets)
    }

    fn type_name(self) -> &'static str {
        match self {
            HandleKind::Events => "ptrace.SpanEventSlice",
            HandleKind::Links => "ptrace.SpanLinkSlice",
            HandleKind::Status => "ptrace.Status",
            HandleKind::Exemplars => "pmetric.ExemplarSlice",
            HandleKind::DataPoints => "pmetric.NumberDataPointSlice",
            HandleKind::Buckets => "pmetric.ExponentialHistogramDataPointBuckets",
            HandleKind::QuantileValues => "pmetric.SummaryDataPointValueAtQuantileSlice",
        }
    }
}

/// One entry of a map.
pub type Entry<'a> = (Cow<'a, [u8]>, Value<'a>);

/// A map in wire order. Of equal keys the first is read.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    /// The attributes of a message.
    Attributes(AttributesView<'a>),
    /// A key-value list value.
    KvList(Elements<'a>),
    Borrowed(&'a [Entry<'a>]),
    Shared(Arc<[Entry<'a>]>),
}

/// A list.
#[derive(Clone, Debug)]
pub enum List<'a> {
    /// An array value.
    Array(Elements<'a>),
    Borrowed(&'a [Value<'a>]),
    Shared(Arc<[Value<'a>]>),
}

impl<'a> From<AnyValueView<'a>> for Value<'a> {
    #[inline]
    fn from(view: AnyValueView<'a>) -> Self {
        match view {
            AnyValueView::Str(text) => Value::Str(Cow::Borrowed(text)),
            AnyValueView::Int(n) => Value::Int(n),
            AnyValueView::Bool(b) => Value::Bool(b),
            AnyValueView::Double(x) => Value::Float(x),
            AnyValueView::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            AnyValueView::Array(elements) => Value::List(List::Array(elements)),
            AnyValueView::KvList(elements) => Value::Map(Map::KvList(elements)),
            AnyValueView::Empty | AnyValueView::StrIndex(_) => Value::Nil,
        }
    }
}

impl<'a> Value<'a> {
    /// Text that is borrowed.
    pub fn str(text: &'a (impl AsRef<[u8]> + ?Sized)) -> Value<'a> {
        Value::Str(Cow::Borrowed(text.as_ref()))
    }

    /// Text that was made.
    pub fn string(text: impl Into<Vec<u8>>) -> Value<'static> {
        Value::Str(Cow::Owned(text.into()))
    }

    /// A list of values that were made.
    pub fn list(items: Vec<Value<'a>>) -> Value<'a> {
        Value::List(List::Shared(items.into()))
    }

    /// A map of entries that were made.
    pub fn map(entries: Vec<Entry<'a>>) -> Value<'a> {
        Value::Map(Map::Shared(entries.into()))
    }

    /// The name of the type, as error texts have it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int64",
            Value::Float(_) => "float64",
            Value::Str(_) => "string",
            Value::Bytes(_) => "[]uint8",
            Value::Map(_) => "pcommon.Map",
            Value::List(_) => "pcommon.Slice",
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::TraceId(_) => "pcommon.TraceID",
            Value::SpanId(_) => "pcommon.SpanID",
            Value::ProfileId(_) => "pprofile.ProfileID",
            Value::Handle(handle) => handle.kind.type_name(),
        }
    }

    /// As [`type_name`](Self::type_name), for texts that print a missing value as `<nil>`.
    pub(crate) fn dynamic_type_name(&self) -> &'static str {
        match self {
            Value::Nil => "<nil>",
            other => other.type_name(),
        }
    }

    /// The kind of attribute value, as error texts have it.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Value::Nil => "Empty",
            Value::Bool(_) => "Bool",
            Value::Int(_) => "Int",
            Value::Float(_) => "Double",
            Value::Str(_) => "Str",
            Value::Bytes(_) => "Bytes",
            Value::Map(_) => "Map",
            Value::List(_) => "Slice",
            other => other.type_name(),
        }
    }

    /// The same value, borrowed from this one.
    #[inline]
    pub fn reborrow(&self) -> Value<'_> {
        match self {
            Value::Nil => Value::Nil,
            Value::Bool(b) => Value::Bool(*b),
            Value::Int(n) => Value::Int(*n),
            Value::Float(x) => Value::Float(*x),
            Value::Str(text) => Value::Str(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            Value::Map(Map::Shared(entries)) => Value::Map(Map::Borrowed(entries)),
            Value::Map(map) => Value::Map(map.clone()),
            Value::List(List::Shared(items)) => Value::List(List::Borrowed(items)),
            Value::List(list) => Value::List(list.clone()),
            Value::Time(time) => Value::Time(*time),
            Value::Duration(nanos) => Value::Duration(*nanos),
            Value::TraceId(id) => Value::TraceId(*id),
            Value::SpanId(id) => Value::SpanId(*id),
            Value::ProfileId(id) => Value::ProfileId(*id),
            Value::Handle(handle) => Value::Handle(*handle),
        }
    }

    /// A copy that borrows nothing.
    ///
    /// # Errors
    /// Malformed wire bytes, or nesting beyond [`MAX_VALUE_DEPTH`].
    pub fn to_owned_value(&self) -> Result<Value<'static>, EvalError> {
        self.owned(MAX_VALUE_DEPTH)
    }

    fn owned(&self, depth: usize) -> Result<Value<'static>, EvalError> {
        Ok(match self {
            Value::Str(text) => Value::Str(Cow::Owned(text.to_vec())),
            Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.to_vec())),
            Value::Map(map) => {
                let depth = deeper(depth)?;
                let entries: Result<Vec<Entry<'static>>, EvalError> = map
                    .iter()
                    .map(|entry| entry.and_then(|(key, value)| Ok((Cow::Owned(key.to_vec()), value.owned(depth)?))))
                    .collect();
                Value::map(entries?)
            }
            Value::List(list) => {
                let depth = deeper(depth)?;
                let items: Result<Vec<Value<'static>>, EvalError> =
                    list.iter().map(|item| item?.owned(depth)).collect();
                Value::list(items?)
            }
            Value::Nil => Value::Nil,
            Value::Bool(b) => Value::Bool(*b),
            Value::Int(n) => Value::Int(*n),
            Value::Float(x) => Value::Float(*x),
            Value::Time(time) => Value::Time(*time),
            Value::Duration(nanos) => Value::Duration(*nanos),
            Value::TraceId(id) => Value::TraceId(*id),
            Value::SpanId(id) => Value::SpanId(*id),
            Value::ProfileId(id) => Value::ProfileId(*id),
            Value::Handle(handle) => Value::Handle(*handle),
        })
    }
}

/// One level less, or the error that the limit is reached.
pub(crate) fn deeper(depth: usize) -> Result<usize, EvalError> {
    depth.checked_sub(1).ok_or(EvalError::TooDeep(MAX_VALUE_DEPTH))
}

impl<'a> Map<'a> {
    /// The entries in wire order, duplicates included.
    pub fn iter(&self) -> impl Iterator<Item = Result<Entry<'a>, EvalError>> + '_ {
        let (mut attributes, mut pairs, mut borrowed, mut shared) = (None, None, None, None);
        match self {
            Map::Attributes(view) => attributes = Some(view.iter()),
            Map::KvList(elements) => pairs = Some(elements.key_values()),
            Map::Borrowed(slice) => borrowed = Some(slice.iter()),
            Map::Shared(slice) => shared = Some(slice.iter()),
        }
        let wire = attributes.into_iter().flatten().chain(pairs.into_iter().flatten());
        let wire = wire.map(|pair| {
            let pair = pair?;
            Ok((Cow::Borrowed(pair.key()), Value::from(pair.value()?)))
        });
        let lent = |(key, value): &'a Entry<'a>| Ok((Cow::Borrowed(&**key), value.reborrow()));
        let made = borrowed.into_iter().flatten().map(lent);
        wire.chain(made).chain(shared.into_iter().flatten().map(|entry| Ok(entry.clone())))
    }

    /// The value of the first entry with this key.
    ///
    /// # Errors
    /// Malformed wire bytes.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value<'a>>, EvalError> {
        match self {
            Map::Attributes(view) => Ok(view.get(key)?.map(Value::from)),
            Map::KvList(elements) => {
                for pair in elements.key_values() {
                    let pair = pair?;
                    if pair.key() == key {
                        return Ok(Some(pair.value()?.into()));
                    }
                }
                Ok(None)
            }
            Map::Borrowed(entries) => {
                let entries: &'a [Entry<'a>] = entries;
                Ok(entries.iter().find(|(found, _)| **found == *key).map(|(_, value)| value.reborrow()))
            }
            Map::Shared(entries) => {
                Ok(entries.iter().find(|(found, _)| **found == *key).map(|(_, value)| value.clone()))
            }
        }
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// Malformed wire bytes.
    pub fn len(&self) -> Result<usize, EvalError> {
        match self {
            Map::Borrowed(entries) => Ok(entries.len()),
            Map::Shared(entries) => Ok(entries.len()),
            Map::Attributes(_) | Map::KvList(_) => self.iter().try_fold(0, |count, entry| entry.map(|_| count + 1)),
        }
    }

    /// Whether there is no entry.
    ///
    /// # Errors
    /// Malformed wire bytes.
    pub fn is_empty(&self) -> Result<bool, EvalError> {
        self.iter().next().transpose().map(|entry| entry.is_none())
    }
}

impl<'a> List<'a> {
    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<Value<'a>, EvalError>> + '_ {
        let (mut wire, mut borrowed, mut shared) = (None, None, None);
        match self {
            List::Array(elements) => wire = Some(elements.values()),
            List::Borrowed(slice) => borrowed = Some(slice.iter()),
            List::Shared(slice) => shared = Some(slice.iter()),
        }
        let wire = wire.into_iter().flatten().map(|value| Ok(Value::from(value?)));
        let lent = |item: &'a Value<'a>| Ok(item.reborrow());
        wire.chain(borrowed.into_iter().flatten().map(lent))
            .chain(shared.into_iter().flatten().map(|item| Ok(item.clone())))
    }

    /// The element at an index.
    ///
    /// # Errors
    /// [`EvalError::OutOfBounds`]; malformed wire bytes.
    pub fn get(&self, index: i64) -> Result<Value<'a>, EvalError> {
        let at = usize::try_from(index).map_err(|_| EvalError::OutOfBounds(index))?;
        self.iter().nth(at).unwrap_or(Err(EvalError::OutOfBounds(index)))
    }

    /// How many elements there are.
    ///
    /// # Errors
    /// Malformed wire bytes.
    pub fn len(&self) -> Result<usize, EvalError> {
        match self {
            List::Borrowed(items) => Ok(items.len()),
            List::Shared(items) => Ok(items.len()),
            List::Array(_) => self.iter().try_fold(0, |count, item| item.map(|_| count + 1)),
        }
    }

    /// Whether there is no element.
    ///
    /// # Errors
    /// Malformed wire bytes.
    pub fn is_empty(&self) -> Result<bool, EvalError> {
        self.iter().next().transpose().map(|item| item.is_none())
    }
}
