//! For each message, what stands in each of its fields. Derived from [`crate::schema`] when first asked for.

use std::sync::LazyLock;

use super::Place;
use crate::schema::{self, Kind, Label};
use crate::wire::WireType;

/// A message that a walk may start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    Resource,
    /// The fields beside resource and scopes in `ResourceSpans` and its like.
    ResourceEnvelope,
    Scope,
    /// The fields beside scope and items in `ScopeSpans` and its like.
    ScopeEnvelope,
    Span,
    LogRecord,
    /// The fields beside the data.
    Metric,
    /// The fields beside the points, by field number of the data in `Metric`.
    Data(u32),
    /// A data point, by field number of its data in `Metric`.
    DataPoint(u32),
}

/// What the walk does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Unknown,
    Varint,
    Fixed64,
    Fixed32,
    /// Length-delimited and never looked at.
    Opaque,
    /// A trace or span id of so many bytes.
    Id(u8),
    /// Repeated 64-bit scalars, packed or not.
    Packed(bool),
    Text,
    KeyValue,
    AnyValue,
    Child(u8),
}

/// A field: its action, and the bit that tells a second occurrence of a singular field or oneof (0 for repeated ones).
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) action: Action,
    pub(super) bit: u32,
}

impl Step {
    pub(super) const OTHER: Step = Step { op: Op::Other, child: 0, bit: 0 };
}

/// One message: entries by field number, and the place its texts stand in.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) place: Place,
    pub(super) entries: [Entry; 17],
    /// By the first byte of the tag: what to do with a field in the layout that the schema gives it.
    pub(super) by_tag: [Step; 256],
    /// Number of the field that holds attributes; 0 if there is none.
    pub(super) attributes: u32,
}

/// What to do behind a tag, in one small value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Op {
    /// Not a known field in its usual layout: look closer.
    Other,
    Varint,
    Eight,
    Four,
    /// Four bytes behind a tag of two: field 16.
    FourBehindTwo,
    /// Length-delimited and never looked at.
    Skip,
    /// Of no or `child` bytes.
    Id,
    Text,
    KeyValue,
    AnyValue,
    Child,
}

/// An [`Op`] with the table of the child or the length of the id, and the bit that tells a second occurrence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) op: Op,
    pub(super) child: u8,
    pub(super) bit: u32,
}

impl Table {
    #[inline]
    pub(super) fn entry(&self, number: u32) -> Entry {
        match self.entries.get(number as usize) {
            Some(entry) => *entry,
            None => Entry { action: Action::Unknown, bit: 0 },
        }
    }
}

/// The messages below an item, in the order of [`TABLES`]; `Child` indexes into it.
static MESSAGES: [(&schema::Message, Place); 22] = [
    (&schema::RESOURCE, Place::Resource),
    (&schema::RESOURCE_SPANS, Place::Resource),
    (&schema::SCOPE, Place::Scope),
    (&schema::SCOPE_SPANS, Place::Scope),
    (&schema::SPAN, Place::Span),
    (&schema::SPAN_EVENT, Place::SpanEvent),
    (&schema::SPAN_LINK, Place::SpanLink),
    (&schema::STATUS, Place::Span),
    (&schema::LOG_RECORD, Place::Log),
    (&schema::METRIC, Place::Metric),
    (&schema::GAUGE, Place::Metric),
    (&schema::SUM, Place::Metric),
    (&schema::SUMMARY, Place::Metric),
    (&schema::NUMBER_DATA_POINT, Place::DataPoint),
    (&schema::HISTOGRAM_DATA_POINT, Place::DataPoint),
    (&schema::EXPONENTIAL_HISTOGRAM_DATA_POINT, Place::DataPoint),
    (&schema::SUMMARY_DATA_POINT, Place::DataPoint),
    (&schema::EXEMPLAR, Place::Exemplar),
    (&schema::ENTITY_REF, Place::Resource),
    (&schema::HISTOGRAM, Place::Metric),
    // Without text of their own; walked, because their unknown fields can carry some.
    (&schema::BUCKETS, Place::DataPoint),
    (&schema::VALUE_AT_QUANTILE, Place::DataPoint),
];

pub(super) static TABLES: LazyLock<Vec<Table>> =
    LazyLock::new(|| MESSAGES.iter().map(|&(message, place)| table(message, place)).collect());

fn index_of(message: &schema::Message) -> Option<u8> {
    MESSAGES.iter().position(|(known, _)| std::ptr::eq(*known, message)).map(|at| at as u8)
}

fn table(message: &'static schema::Message, place: Place) -> Table {
    let mut entries = [Entry { action: Action::Unknown, bit: 0 }; 17];
    for field in message.fields {
        let packed = field.label == Label::Repeated;
        let action = match field.kind {
            Kind::String => Action::Text,
            Kind::Id => Action::Id(if field.name == "trace_id" { 16 } else { 8 }),
            Kind::Bytes => Action::Opaque,
            Kind::Fixed32 => Action::Fixed32,
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 if packed => Action::Packed(false),
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Action::Fixed64,
            Kind::Message(inner) if std::ptr::eq(inner, &schema::KEY_VALUE) => Action::KeyValue,
            Kind::Message(inner) if std::ptr::eq(inner, &schema::ANY_VALUE) => Action::AnyValue,
            Kind::Message(inner) => index_of(inner).map_or(Action::Opaque, Action::Child),
            _ if packed => Action::Packed(true),
            _ => Action::Varint,
        };
        let bit = match field.label {
            Label::Repeated => 0,
            Label::Oneof => 1 << 31,
            Label::Singular | Label::Optional => 1 << field.number,
        };
        if let Some(entry) = entries.get_mut(field.number as usize) {
            *entry = Entry { action, bit };
        }
    }
    let mut by_tag = [Step::OTHER; 256];
    for (number, entry) in entries.iter().enumerate().take(16) {
        let (op, wire_type) = match entry.action {
            Action::Varint => (Op::Varint, WireType::Varint),
            Action::Fixed64 => (Op::Eight, WireType::Fixed64),
            Action::Fixed32 => (Op::Four, WireType::Fixed32),
            Action::Opaque | Action::Packed(_) => (Op::Skip, WireType::Len),
            Action::Id(_) => (Op::Id, WireType::Len),
            Action::Text => (Op::Text, WireType::Len),
            Action::KeyValue => (Op::KeyValue, WireType::Len),
            Action::AnyValue => (Op::AnyValue, WireType::Len),
            Action::Child(_) => (Op::Child, WireType::Len),
            Action::Unknown => continue,
        };
        let child = if let Action::Child(value) | Action::Id(value) = entry.action { value } else { 0 };
        by_tag[number << 3 | wire_type as usize] = Step { op, child, bit: entry.bit };
    }
    if let Some(Entry { action: Action::Fixed32, bit }) = entries.get(16) {
        // The first byte of the tag; the second is 1.
        by_tag[0x80 | WireType::Fixed32 as usize] = Step { op: Op::FourBehindTwo, child: 0, bit: *bit };
    }
    let attributes =
        (0..).zip(&entries).find(|(_, entry)| entry.action == Action::KeyValue).map_or(0, |(number, _)| number);
    Table { place, entries, by_tag, attributes }
}

/// Index of the table for a root.
pub(super) fn root_table(root: Root) -> usize {
    use crate::tags::metric as tag;
    match root {
        Root::Resource => 0,
        Root::ResourceEnvelope => 1,
        Root::Scope => 2,
        Root::ScopeEnvelope => 3,
        Root::Span => 4,
        Root::LogRecord => 8,
        Root::Metric => 9,
        Root::Data(tag::SUM) => 11,
        Root::Data(tag::HISTOGRAM | tag::EXPONENTIAL_HISTOGRAM) => 19,
        Root::Data(_) => 10,
        Root::DataPoint(tag::HISTOGRAM) => 14,
        Root::DataPoint(tag::EXPONENTIAL_HISTOGRAM) => 15,
        Root::DataPoint(tag::SUMMARY) => 16,
        Root::DataPoint(_) => 13,
    }
}

/// The schema of a root, for putting it into canonical form.
impl Root {
    /// The message type, for [`crate::canonical`].
    pub fn message(self) -> &'static schema::Message {
        MESSAGES[root_table(self)].0
    }
}
