//! The same message, written in the oddest ways that protobuf allows.

use super::request::{Shape, Writer};
use super::rng::Rng;
use crate::canonical::scalar_layout;
use crate::schema::{FieldSchema, Kind, Label, Message};
use crate::wire::{Reader, Value, WireType, fields, put_varint};

/// Which oddities are used.
#[derive(Clone, Copy, Debug)]
pub struct Oddities {
    /// Fields in any order; repeated ones keep their order.
    pub shuffle: bool,
    /// Singular scalars written several times with other values first; other members of a oneof first; explicit defaults.
    pub repeat: bool,
    /// Singular messages written in several pieces.
    pub split: bool,
    /// Packed scalars unpacked, or in several packs, or both.
    pub repack: bool,
    /// Tags, lengths and values longer than need be.
    pub overlong: bool,
    /// Fields that no schema names, of every wire type, groups included.
    pub unknown: bool,
}

impl Oddities {
    /// Everything protobuf allows.
    pub const ALL: Oddities =
        Oddities { shuffle: true, repeat: true, split: true, repack: true, overlong: true, unknown: true };
    /// Everything but unknown fields.
    pub const KNOWN: Oddities = Oddities { unknown: false, ..Oddities::ALL };
    /// Only unknown fields.
    pub const UNKNOWN: Oddities =
        Oddities { shuffle: false, repeat: false, split: false, repack: false, overlong: false, unknown: true };
}

/// Writes `bytes`, a well-formed message of type `schema`, in another way that means the same.
pub fn odd(schema: &'static Message, bytes: &[u8], rng: &mut Rng, oddities: &Oddities) -> Vec<u8> {
    Recoder { rng, oddities }.message(schema, bytes)
}

/// A complete field, ready to be written.
type Record = Vec<u8>;

struct Recoder<'a> {
    rng: &'a mut Rng,
    oddities: &'a Oddities,
}

impl Recoder<'_> {
    fn message(&mut self, schema: &'static Message, bytes: &[u8]) -> Vec<u8> {
        self.records(schema, bytes).concat()
    }

    /// The records of a message. Cutting between records gives pieces that merge to the whole.
    fn records(&mut self, schema: &'static Message, bytes: &[u8]) -> Vec<Record> {
        // Records of one lane keep their order. Lane 0 is the oneof, the others are field numbers.
        let mut lanes: Vec<(u32, Vec<Record>)> = Vec::new();
        for field in fields(bytes).map_while(Result::ok) {
            let known = schema.field(field.number);
            let lane = match known {
                Some(known) if known.label == Label::Oneof => 0,
                _ => field.number,
            };
            let at = lanes.iter().position(|(number, _)| *number == lane).unwrap_or_else(|| {
                lanes.push((lane, Vec::new()));
                lanes.len() - 1
            });
            let records = match known {
                Some(known) => self.known(schema, known, field.value),
                None => vec![bytes[field.start..field.end].to_vec()],
            };
            lanes[at].1.extend(records);
        }
        if self.oddities.repeat {
            self.absent(schema, &mut lanes);
        }
        let mut records = if self.oddities.shuffle && self.rng.chance(60) {
            self.interleave(lanes)
        } else {
            lanes.into_iter().flat_map(|(_, records)| records).collect()
        };
        if self.oddities.unknown && self.rng.chance(25) {
            for _ in 0..=self.rng.below(2) {
                let at = self.rng.below(records.len() + 1);
                let unknown = self.unknown(schema, 3);
                records.insert(at, unknown);
            }
        }
        records
    }

    /// Explicit defaults, after other values, of singular scalars that are absent.
    fn absent(&mut self, schema: &'static Message, lanes: &mut Vec<(u32, Vec<Record>)>) {
        for field in schema.fields {
            let scalar = field.label == Label::Singular && !matches!(field.kind, Kind::Message(_));
            if !scalar || lanes.iter().any(|(number, _)| *number == field.number) || !self.rng.chance(10) {
                continue;
            }
            let mut records = if self.rng.chance(50) { vec![self.other_value(schema, field)] } else { Vec::new() };
            records.push(match scalar_layout(field.kind) {
                WireType::Varint => self.record(field.number, Value::Varint(0)),
                WireType::Fixed64 => self.record(field.number, Value::Fixed64(0)),
                WireType::Fixed32 => self.record(field.number, Value::Fixed32(0)),
                _ => self.record(field.number, Value::Len(&[])),
            });
            lanes.push((field.number, records));
        }
    }

    fn known(&mut self, schema: &'static Message, field: &'static FieldSchema, value: Value<'_>) -> Vec<Record> {
        let mut records = Vec::new();
        let singular = field.label != Label::Repeated;
        if self.oddities.repeat && singular && self.rng.chance(15) {
            if field.label == Label::Oneof {
                records.extend(self.other_member(schema, field));
            }
            if !matches!(field.kind, Kind::Message(_)) {
                records.push(self.other_value(schema, field));
            }
        }
        match (field.kind, value) {
            (Kind::Message(inner), Value::Len(payload)) => {
                let inner = self.records(inner, payload);
                if self.oddities.split && singular && self.rng.chance(25) {
                    let (first, second) = (self.rng.below(inner.len() + 1), self.rng.below(inner.len() + 1));
                    let (first, second) = (first.min(second), first.max(second));
                    for piece in [&inner[..first], &inner[first..second], &inner[second..]] {
                        records.push(self.record(field.number, Value::Len(&piece.concat())));
                    }
                } else {
                    records.push(self.record(field.number, Value::Len(&inner.concat())));
                }
            }
            (kind, Value::Len(packed)) if scalar_layout(kind) != WireType::Len => {
                records.extend(self.repack(field, packed));
            }
            (_, value) => records.push(self.record(field.number, value)),
        }
        records
    }

    /// The elements of a packed field, in packs of random size and alone.
    fn repack(&mut self, field: &FieldSchema, packed: &[u8]) -> Vec<Record> {
        if !self.oddities.repack || !self.rng.chance(50) {
            return vec![self.record(field.number, Value::Len(packed))];
        }
        let mut reader = Reader::new(packed);
        let mut elements = Vec::new();
        while !reader.at_end() {
            let Ok(value) = reader.value(field.number, scalar_layout(field.kind)) else { break };
            elements.push(value);
        }
        let mut records = Vec::new();
        let mut rest = elements.as_slice();
        while !rest.is_empty() {
            if self.rng.chance(50) {
                records.push(self.record(field.number, rest[0]));
                rest = &rest[1..];
                continue;
            }
            let (pack, behind) = rest.split_at(self.rng.below(rest.len() + 1));
            let mut payload = Vec::new();
            for value in pack {
                self.payload(field.number, *value, &mut payload);
            }
            records.push(self.record(field.number, Value::Len(&payload)));
            rest = behind;
        }
        records
    }

    /// Some other value of the same scalar field, to be overruled by a later one.
    fn other_value(&mut self, schema: &Message, field: &FieldSchema) -> Record {
        let mut record = Vec::new();
        let shape = Shape::default();
        Writer { rng: self.rng, shape: &shape }.scalar(schema, field, field.kind, &mut record);
        record
    }

    /// Another member of the oneof, to be overruled by a later one.
    fn other_member(&mut self, schema: &'static Message, field: &FieldSchema) -> Option<Record> {
        let others: Vec<_> =
            schema.fields.iter().filter(|other| other.label == Label::Oneof && other.number != field.number).collect();
        let other = *others.get(self.rng.below(others.len()))?;
        Some(match other.kind {
            Kind::Message(inner) => {
                let shape = Shape { depth: 0, ..Shape::default() };
                let content = super::message(inner, self.rng, &shape);
                self.record(other.number, Value::Len(&content))
            }
            _ => self.other_value(schema, other),
        })
    }

    /// Deals records out in random order; those of one lane keep theirs.
    fn interleave(&mut self, lanes: Vec<(u32, Vec<Record>)>) -> Vec<Record> {
        let mut lanes: Vec<_> = lanes.into_iter().map(|(_, records)| records.into_iter().peekable()).collect();
        let mut records = Vec::new();
        while !lanes.is_empty() {
            let at = self.rng.below(lanes.len());
            match lanes[at].next() {
                Some(record) => records.push(record),
                None => drop(lanes.swap_remove(at)),
            }
        }
        records
    }

    fn unknown(&mut self, schema: &Message, depth: usize) -> Record {
        let number = loop {
            let number = self.rng.pick(&[4, 6, 15, 16, 17, 100, 1000, 536_870_911]);
            if schema.field(number).is_none() {
                break number;
            }
        };
        match self.rng.below(if depth == 0 { 4 } else { 5 }) {
            0 => {
                let value = self.rng.bits();
                self.record(number, Value::Varint(value))
            }
            1 => self.record(number, Value::Fixed64(u64::MAX)),
            2 => self.record(number, Value::Fixed32(7)),
            3 => self.record(number, Value::Len(b"unknown carol@example.com")),
            _ => {
                let inner: Vec<_> = (0..self.rng.below(3)).map(|_| self.unknown(schema, depth - 1)).collect();
                self.record(number, Value::Group(&inner.concat()))
            }
        }
    }

    fn record(&mut self, number: u32, value: Value<'_>) -> Record {
        let mut out = Vec::new();
        let wire_type = match value {
            Value::Varint(_) => WireType::Varint,
            Value::Fixed64(_) => WireType::Fixed64,
            Value::Fixed32(_) => WireType::Fixed32,
            Value::Len(_) => WireType::Len,
            Value::Group(_) => WireType::StartGroup,
        };
        self.varint(u64::from(number << 3 | wire_type as u32), 5, &mut out);
        self.payload(number, value, &mut out);
        out
    }

    fn payload(&mut self, number: u32, value: Value<'_>, out: &mut Vec<u8>) {
        match value {
            Value::Varint(value) => self.varint(value, 10, out),
            Value::Fixed64(value) => out.extend_from_slice(&value.to_le_bytes()),
            Value::Fixed32(value) => out.extend_from_slice(&value.to_le_bytes()),
            Value::Len(payload) => {
                self.varint(payload.len() as u64, 5, out);
                out.extend_from_slice(payload);
            }
            Value::Group(content) => {
                out.extend_from_slice(content);
                self.varint(u64::from(number << 3 | WireType::EndGroup as u32), 5, out);
            }
        }
    }

    /// A varint of up to `most` bytes, longer than need be in some cases.
    fn varint(&mut self, value: u64, most: usize, out: &mut Vec<u8>) {
        let start = out.len();
        put_varint(out, value);
        let len = out.len() - start;
        if self.oddities.overlong && len < most && self.rng.chance(6) {
            let extra = 1 + self.rng.below(most - len);
            if let Some(last) = out.last_mut() {
                *last |= 0x80;
            }
            out.extend(std::iter::repeat_n(0x80, extra - 1));
            out.push(0);
        }
    }
}
