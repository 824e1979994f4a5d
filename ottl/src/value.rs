//! Values of expressions. They borrow from the record or from the expression wherever they can.

mod containers;
mod copy;

use std::borrow::Cow;

use sluice_pdata::view::AnyValueView;

use crate::error::EvalError;
use crate::time::Time;

pub use containers::{Entry, List, Map};

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
}

/// One level less, or the error that the limit is reached.
pub(crate) fn deeper(depth: usize) -> Result<usize, EvalError> {
    depth.checked_sub(1).ok_or(EvalError::TooDeep(MAX_VALUE_DEPTH))
}
